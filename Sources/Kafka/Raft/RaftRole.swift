import NIOCore
import Timing

/// What a replica is at the moment, with what it forgets when it becomes something else. Epoch,
/// leader and vote are in `ElectionState`.
enum RaftRole {
    /// Knows of no leader whom it could follow; may have voted.
    case unattached(UnattachedState)
    /// Asks whether it would be voted for, in the epoch that is (KIP-996).
    case prospective(NomineeState)
    /// Asks for votes, in an epoch of its own making.
    case candidate(NomineeState)
    case leader(LeaderState)
    case follower(FollowerState)
    /// Led this epoch and does not any more.
    case resigned(ResignedState)
}

struct UnattachedState {
    /// Nil for an observer, who never stands for election.
    var electionDeadline: Instant?
    /// When to ask the next voter who leads.
    var nextDiscovery: Instant
}

struct NomineeState {
    enum Answer { case none, granted, rejected }

    var answers: [Answer]
    var deadline: Instant
    /// Lost or timed out: rests until then, so as not to meet the same rivals again.
    var backoffUntil: Instant?
    /// Lets a rival go first until then; once, as that rival may not make it.
    var yieldUntil: Instant?

    init(voters: VoterSet, local: ReplicaKey, deadline: Instant) {
        answers = voters.voters.map { $0.matches(local) ? .granted : .none }
        self.deadline = deadline
    }

    func isYielding(at now: Instant) -> Bool { yieldUntil.map { $0 > now } ?? false }
    func isGranted(_ majority: Int) -> Bool { answers.count { $0 == .granted } >= majority }
    func isRejected(_ majority: Int) -> Bool { answers.count { $0 != .rejected } < majority }
}

struct FollowerState {
    var fetchDeadline: Instant
    /// The last fetch that the leader answered without an error.
    var lastFetch: Instant?
    /// The leader said so (KAFKA-20895), or does not know of it any more.
    var leaderResigned = false
    var refusals = 0
    var download: SnapshotDownload?
}

struct SnapshotDownload {
    let id: OffsetAndEpoch
    var position: Int64 = 0
    /// As the first part told it.
    var size: Int64?
}

struct ResignedState {
    var acknowledged: [Bool]
    var deadline: Instant
    let preferredCandidates: [ReplicaKey]
}

/// How far a replica has come, as its leader knows it.
struct ReplicaProgress {
    var key: ReplicaKey
    /// All before it is flushed there. -1: not known.
    var endOffset: Int64 = -1
    var lastFetch: Instant?
    var lastCaughtUp: Instant?
    /// The leader's end offset at `lastFetch`: the replica that reaches it had caught up then.
    var leaderEndAtLastFetch: Int64 = -1

    /// KIP-836's rule for the time at which the replica had everything.
    mutating func fetched(at offset: Int64, leaderEnd: Int64, now: Instant) {
        if offset >= leaderEnd {
            lastCaughtUp = now
        } else if let before = lastFetch, leaderEndAtLastFetch >= 0, offset >= leaderEndAtLastFetch
        {
            lastCaughtUp = max(lastCaughtUp ?? before, before)
        }
        endOffset = offset
        lastFetch = now
        leaderEndAtLastFetch = leaderEnd
    }
}

struct ParkedFetch {
    let token: UInt64
    let request: FetchRequest
    let deadline: Instant
}

struct PendingProposal {
    let token: UInt64
    let records: ByteBuffer
}

final class LeaderState {
    let epoch: Int32
    let startOffset: Int64
    let since: Instant
    /// One for each voter of the set, this node's own among them.
    var voters: [ReplicaProgress]
    /// By ascending key, as far as they are remembered.
    var observers: [ReplicaProgress] = []
    var parked: [ParkedFetch] = []
    var proposals: [PendingProposal] = []
    var proposalBytes = 0
    var appendDeadline: Instant?
    var flushWanted = true
    var isAbandoned = false
    /// Which voters are still to be told who leads in this round, and when the next round is.
    var beginPending: [Bool]
    var beginDeadline: Instant

    init(epoch: Int32, startOffset: Int64, voters: VoterSet, local: ReplicaKey, now: Instant) {
        self.epoch = epoch
        self.startOffset = startOffset
        since = now
        self.voters = voters.voters.map { ReplicaProgress(key: $0) }
        beginPending = voters.voters.map { !$0.matches(local) }
        beginDeadline = now
    }
}
