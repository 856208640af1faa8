import NIOCore
import Timing

/// What happens to a node. Each is stepped with the time at which it happened.
package enum RaftEvent: Sendable {
    /// `nextDeadline` has come. Who drives the node sends it after the events at hand: proposals
    /// that came together are then appended together, and flushed after they were sent on.
    case timer
    case request(RaftRequest, token: UInt64)
    /// The connection on which this request came is gone: its answer is not wanted.
    case cancelled(token: UInt64)
    case response(RaftResponse, from: Int32, requestID: UInt64)
    /// The connection was refused or broke before the response came.
    case sendFailed(requestID: UInt64)
    /// Whole batches, to be appended in one piece if this node leads.
    case propose(ByteBuffer, token: UInt64)
    /// The log's `flushedOffset` has moved. Only for logs that flush asynchronously.
    case flushed
    /// Lead no longer, if this node leads in this epoch.
    case resign(epoch: Int32)
    /// Hand over what can be handed over, then `.shutDownComplete`.
    case shutDown(timeout: Nanoseconds)
}

/// What a node wants done, in this order. What is persisted must be on disk before the effects
/// after it are carried out.
package enum RaftEffect: Hashable, Sendable {
    case persist(ElectionState)
    case send(RaftRequest, to: Int32, requestID: UInt64)
    case reply(RaftResponse, token: UInt64)
    case leaderChanged(leaderID: Int32?, epoch: Int32)
    /// The epoch's first record is at `startOffset`: when that is committed, everything before is,
    /// and the node may act as a leader.
    case becameLeader(epoch: Int32, startOffset: Int64)
    /// Proposals of this epoch that were not committed may still be, or be lost.
    case lostLeadership(epoch: Int32)
    case proposalResult(token: UInt64, ProposalResult)
    /// Every record before this offset is there for good.
    case committed(upTo: Int64)
    /// Records from here on, none of them committed, are gone.
    case truncated(to: Int64)
    /// The log now starts with this snapshot; state is to be rebuilt from it.
    case snapshotInstalled(OffsetAndEpoch)
    case warning(RaftWarning)
    /// The log failed: this node neither speaks nor listens any more.
    case halted(RaftLogError)
    case shutDownComplete
}

package enum ProposalResult: Hashable, Sendable {
    /// In the leader's log, not committed yet.
    case appended(baseOffset: Int64, lastOffset: Int64, epoch: Int32)
    case refused(ProposalRefusal)
}

package enum ProposalRefusal: Hashable, Sendable {
    case notLeader
    case empty
    case tooLarge
    case tooManyPending
    case invalidRecords(String)
}

/// Something that a correct peer does not do, or that an operator should know of.
package enum RaftWarning: Hashable, Sendable {
    case inconsistentLeader(epoch: Int32, known: Int32?, claimed: Int32)
    case unknownVoter(ReplicaKey)
    case truncationBelowHighWatermark(asked: Int64, highWatermark: Int64)
    case snapshotBelowHighWatermark(OffsetAndEpoch, highWatermark: Int64)
    case implausibleSnapshot(OffsetAndEpoch)
    case invalidRecords(from: Int32, String)
    case invalidSnapshot(from: Int32, OffsetAndEpoch, String)
    case refused(by: Int32, RaftError)
    case lostQuorum(epoch: Int32)
    case leaderConnectionRefused(Int32)
}
