import NIOCore
import Timing

// The quorum's messages, one field for each of Kafka's that matters to one partition: the arrays
// of topics and partitions, and the endpoints, are the business of who maps them to the wire.
// Absent ids are nil here and -1 there.

/// Vote v2 (KIP-595, KIP-853, KIP-996).
package struct VoteRequest: Hashable, Sendable {
    package var clusterID: String?
    /// Whose vote is asked for: `VoterId` and `VoterDirectoryId`; nil if the asker does not say.
    package var voter: ReplicaKey?
    package var replicaEpoch: Int32
    package var replica: ReplicaKey
    package var lastOffsetEpoch: Int32
    package var lastOffset: Int64
    package var preVote: Bool

    package init(
        clusterID: String?, voter: ReplicaKey?, replicaEpoch: Int32, replica: ReplicaKey,
        lastOffsetEpoch: Int32, lastOffset: Int64, preVote: Bool
    ) {
        self.clusterID = clusterID
        self.voter = voter
        self.replicaEpoch = replicaEpoch
        self.replica = replica
        self.lastOffsetEpoch = lastOffsetEpoch
        self.lastOffset = lastOffset
        self.preVote = preVote
    }
}

/// `topLevelError` is the field `ErrorCode` of the response, `error` that of its partition.
package struct VoteResponse: Hashable, Sendable {
    package var topLevelError: RaftError
    package var error: RaftError
    package var leaderID: Int32?
    package var leaderEpoch: Int32
    package var voteGranted: Bool

    package init(
        topLevelError: RaftError = .none, error: RaftError = .none, leaderID: Int32? = nil,
        leaderEpoch: Int32 = -1, voteGranted: Bool = false
    ) {
        self.topLevelError = topLevelError
        self.error = error
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
        self.voteGranted = voteGranted
    }
}

/// BeginQuorumEpoch v1.
package struct BeginQuorumEpochRequest: Hashable, Sendable {
    package var clusterID: String?
    package var voter: ReplicaKey?
    package var leaderID: Int32
    package var leaderEpoch: Int32

    package init(clusterID: String?, voter: ReplicaKey?, leaderID: Int32, leaderEpoch: Int32) {
        self.clusterID = clusterID
        self.voter = voter
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
    }
}

/// The response of BeginQuorumEpoch and of EndQuorumEpoch: they have the same fields.
package struct QuorumEpochResponse: Hashable, Sendable {
    package var topLevelError: RaftError
    package var error: RaftError
    package var leaderID: Int32?
    package var leaderEpoch: Int32

    package init(
        topLevelError: RaftError = .none, error: RaftError = .none, leaderID: Int32? = nil,
        leaderEpoch: Int32 = -1
    ) {
        self.topLevelError = topLevelError
        self.error = error
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
    }
}

/// EndQuorumEpoch v1.
package struct EndQuorumEpochRequest: Hashable, Sendable {
    package var clusterID: String?
    package var leaderID: Int32
    package var leaderEpoch: Int32
    /// Best first.
    package var preferredCandidates: [ReplicaKey]

    package init(
        clusterID: String?, leaderID: Int32, leaderEpoch: Int32, preferredCandidates: [ReplicaKey]
    ) {
        self.clusterID = clusterID
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
        self.preferredCandidates = preferredCandidates
    }
}

/// Fetch v17 as a replica of the quorum sends it, and the high watermark of v18 (KIP-1166).
package struct FetchRequest: Hashable, Sendable {
    package var clusterID: String?
    /// `ReplicaId` and `ReplicaDirectoryId`; id -1 is somebody who is not counted.
    package var replica: ReplicaKey
    package var currentLeaderEpoch: Int32
    package var fetchOffset: Int64
    /// The epoch of the record before `fetchOffset`.
    package var lastFetchedEpoch: Int32
    /// The one the replica knows: the leader answers as soon as its own is higher. Before v18 there
    /// is none, which is the largest there can be: new records alone end the wait.
    package var highWatermark: Int64
    package var maxWait: Nanoseconds
    package var maxBytes: Int

    package init(
        clusterID: String?, replica: ReplicaKey, currentLeaderEpoch: Int32, fetchOffset: Int64,
        lastFetchedEpoch: Int32, highWatermark: Int64 = .max, maxWait: Nanoseconds, maxBytes: Int
    ) {
        self.clusterID = clusterID
        self.replica = replica
        self.currentLeaderEpoch = currentLeaderEpoch
        self.fetchOffset = fetchOffset
        self.lastFetchedEpoch = lastFetchedEpoch
        self.highWatermark = highWatermark
        self.maxWait = maxWait
        self.maxBytes = maxBytes
    }
}

package struct FetchResponse: Hashable, Sendable {
    package var topLevelError: RaftError
    package var error: RaftError
    package var leaderID: Int32?
    package var leaderEpoch: Int32
    /// -1: none yet.
    package var highWatermark: Int64
    package var logStartOffset: Int64
    package var divergingEpoch: OffsetAndEpoch?
    package var snapshotID: OffsetAndEpoch?
    package var records: ByteBuffer

    package init(
        topLevelError: RaftError = .none, error: RaftError = .none, leaderID: Int32? = nil,
        leaderEpoch: Int32 = -1, highWatermark: Int64 = -1, logStartOffset: Int64 = -1,
        divergingEpoch: OffsetAndEpoch? = nil, snapshotID: OffsetAndEpoch? = nil,
        records: ByteBuffer = ByteBuffer()
    ) {
        self.topLevelError = topLevelError
        self.error = error
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
        self.highWatermark = highWatermark
        self.logStartOffset = logStartOffset
        self.divergingEpoch = divergingEpoch
        self.snapshotID = snapshotID
        self.records = records
    }
}

/// FetchSnapshot v1 (KIP-630).
package struct FetchSnapshotRequest: Hashable, Sendable {
    package var clusterID: String?
    package var replica: ReplicaKey
    package var maxBytes: Int
    package var currentLeaderEpoch: Int32
    package var snapshotID: OffsetAndEpoch
    package var position: Int64

    package init(
        clusterID: String?, replica: ReplicaKey, maxBytes: Int, currentLeaderEpoch: Int32,
        snapshotID: OffsetAndEpoch, position: Int64
    ) {
        self.clusterID = clusterID
        self.replica = replica
        self.maxBytes = maxBytes
        self.currentLeaderEpoch = currentLeaderEpoch
        self.snapshotID = snapshotID
        self.position = position
    }
}

package struct FetchSnapshotResponse: Hashable, Sendable {
    package var topLevelError: RaftError
    package var error: RaftError
    package var leaderID: Int32?
    package var leaderEpoch: Int32
    package var snapshotID: OffsetAndEpoch?
    package var size: Int64
    package var position: Int64
    package var unalignedRecords: ByteBuffer

    package init(
        topLevelError: RaftError = .none, error: RaftError = .none, leaderID: Int32? = nil,
        leaderEpoch: Int32 = -1, snapshotID: OffsetAndEpoch? = nil, size: Int64 = 0,
        position: Int64 = 0, unalignedRecords: ByteBuffer = ByteBuffer()
    ) {
        self.topLevelError = topLevelError
        self.error = error
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
        self.snapshotID = snapshotID
        self.size = size
        self.position = position
        self.unalignedRecords = unalignedRecords
    }
}

/// DescribeQuorum v2's answer. Kafka sends the times as wall-clock milliseconds: now less the age.
package struct QuorumDescription: Hashable, Sendable {
    package struct Replica: Hashable, Sendable {
        package var key: ReplicaKey
        /// -1: not known.
        package var logEndOffset: Int64
        /// Nil: never, or this is the leader.
        package var lastFetchAge: Nanoseconds?
        /// Nil: never. The leader's is zero.
        package var lastCaughtUpAge: Nanoseconds?
    }

    package var error: RaftError
    package var leaderID: Int32?
    package var leaderEpoch: Int32
    package var highWatermark: Int64
    package var currentVoters: [Replica]
    package var observers: [Replica]
}

package enum RaftRequest: Hashable, Sendable {
    case vote(VoteRequest)
    case beginQuorumEpoch(BeginQuorumEpochRequest)
    case endQuorumEpoch(EndQuorumEpochRequest)
    case fetch(FetchRequest)
    case fetchSnapshot(FetchSnapshotRequest)
    case describeQuorum
}

package enum RaftResponse: Hashable, Sendable {
    case vote(VoteResponse)
    case beginQuorumEpoch(QuorumEpochResponse)
    case endQuorumEpoch(QuorumEpochResponse)
    case fetch(FetchResponse)
    case fetchSnapshot(FetchSnapshotResponse)
    case describeQuorum(QuorumDescription)
}
