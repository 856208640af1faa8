import Raft

/// A bug that is put in on purpose, and has to be found.
enum Canary: String, CaseIterable {
    case votesTwice = "votes-twice"
    case skipsEpochCheck = "skips-epoch-check"
    case forgetsFlush = "forgets-flush"
    case forgetsVote = "forgets-vote"
    case ignoresSync = "ignores-sync"
    case acknowledgesEarly = "acknowledges-early"

    var raft: RaftCanary? {
        switch self {
        case .votesTwice: .votesTwice
        case .skipsEpochCheck: .skipsEpochCheck
        case .forgetsFlush: .forgetsFlush
        case .forgetsVote: .forgetsPersist
        case .ignoresSync, .acknowledgesEarly: nil
        }
    }
}
