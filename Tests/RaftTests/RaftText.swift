import NIOCore
import Raft
import Timing

/// Effects in words, for scripts.
enum RaftText {
    static func id(_ id: Int32?) -> String { id.map { "\($0)" } ?? "-" }
    static func age(_ age: Nanoseconds?) -> String {
        age.map { "\($0.count / 1_000_000)ms" } ?? "-"
    }

    static func position(_ position: OffsetAndEpoch) -> String {
        "\(position.offset)@\(position.epoch)"
    }

    static func error(_ name: String) -> RaftError {
        RaftError.allCases.first { "\($0)" == name } ?? .unknownServerError
    }

    private static func errors(_ top: RaftError, _ error: RaftError) -> String {
        if top != .none { return " \(top) (top level)" }
        return error == .none ? "" : " \(error)"
    }

    static func describe(_ effect: RaftEffect) -> String {
        switch effect {
        case .persist(let state): return "persist \(state)"
        case .send(let request, let to, _): return "to \(to): \(describe(request))"
        case .reply(let response, let token): return "reply \(token): \(describe(response))"
        case .leaderChanged(let leader, let epoch): return "leader \(id(leader)) epoch \(epoch)"
        case .becameLeader(let epoch, let start):
            return "became leader of epoch \(epoch) from \(start)"
        case .lostLeadership(let epoch): return "lost leadership of epoch \(epoch)"
        case .proposalResult(let token, let result):
            switch result {
            case .appended(let base, let last, let epoch):
                return "proposal \(token): appended \(base)...\(last) epoch \(epoch)"
            case .refused(let why): return "proposal \(token): refused, \(why)"
            }
        case .committed(let end): return "committed up to \(end)"
        case .truncated(let end): return "truncated to \(end)"
        case .snapshotInstalled(let id): return "installed snapshot \(position(id))"
        case .warning(let warning): return "warning \(warning)"
        case .halted(let error): return "halted: \(error)"
        case .shutDownComplete: return "shut down"
        }
    }

    static func describe(_ request: RaftRequest) -> String {
        switch request {
        case .vote(let vote):
            return "vote epoch \(vote.replicaEpoch) last "
                + position(OffsetAndEpoch(offset: vote.lastOffset, epoch: vote.lastOffsetEpoch))
                + (vote.preVote ? " pre" : "")
        case .beginQuorumEpoch(let begin): return "begin epoch \(begin.leaderEpoch)"
        case .endQuorumEpoch(let end):
            let ids = end.preferredCandidates.map { "\($0.id)" }
            let preferred = ids.isEmpty ? "-" : ids.joined(separator: ",")
            return "end epoch \(end.leaderEpoch) preferred \(preferred)"
        case .fetch(let fetch):
            return "fetch epoch \(fetch.currentLeaderEpoch) at "
                + position(
                    OffsetAndEpoch(offset: fetch.fetchOffset, epoch: fetch.lastFetchedEpoch))
                + " hw \(fetch.highWatermark) ms \(fetch.maxWait.count / 1_000_000)"
                + (fetch.maxBytes == 1 << 20 ? "" : " max \(fetch.maxBytes)")
        case .fetchSnapshot(let fetch):
            return "chunk epoch \(fetch.currentLeaderEpoch) of \(position(fetch.snapshotID))"
                + " position \(fetch.position)"
        case .describeQuorum: return "describe quorum"
        }
    }

    static func describe(_ response: RaftResponse) -> String {
        switch response {
        case .vote(let vote):
            return (vote.voteGranted ? "vote granted" : "vote refused")
                + errors(vote.topLevelError, vote.error)
                + " leader \(id(vote.leaderID)) epoch \(vote.leaderEpoch)"
        case .beginQuorumEpoch(let answer):
            return "begin\(errors(answer.topLevelError, answer.error))"
                + " leader \(id(answer.leaderID)) epoch \(answer.leaderEpoch)"
        case .endQuorumEpoch(let answer):
            return "end\(errors(answer.topLevelError, answer.error))"
                + " leader \(id(answer.leaderID)) epoch \(answer.leaderEpoch)"
        case .fetch(let fetch):
            var text = "fetch\(errors(fetch.topLevelError, fetch.error))"
            text += " leader \(id(fetch.leaderID)) epoch \(fetch.leaderEpoch)"
            text += " hw \(fetch.highWatermark)"
            if let end = fetch.divergingEpoch { text += " diverging \(position(end))" }
            if let id = fetch.snapshotID { text += " snapshot \(position(id))" }
            let count = fetch.records.readableBytes / MemoryRaftLog.recordSize
            return count == 0 ? text : text + ", \(count) records"
        case .fetchSnapshot(let fetch):
            return "chunk\(errors(fetch.topLevelError, fetch.error))"
                + " position \(fetch.position) of \(fetch.size),"
                + " \(fetch.unalignedRecords.readableBytes) bytes"
        case .describeQuorum(let description): return "quorum \(description.error)"
        }
    }
}
