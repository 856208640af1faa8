import NIOCore

/// A position in the log together with the epoch of the record before it. Also what names a
/// snapshot: the end offset and epoch of the records that it stands for (KIP-630).
package struct OffsetAndEpoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var offset: Int64
    package var epoch: Int32

    package init(offset: Int64, epoch: Int32) {
        self.offset = offset
        self.epoch = epoch
    }

    /// How far a log has come: by epoch first, by offset within one (Raft, section 5.4.1).
    package static func < (a: Self, b: Self) -> Bool {
        a.epoch == b.epoch ? a.offset < b.offset : a.epoch < b.epoch
    }

    package var description: String { "(\(offset), epoch \(epoch))" }
}

/// What a new leader writes at the start of its epoch: Kafka's LeaderChangeMessage.
package struct LeaderChange: Hashable, Sendable {
    package var leaderID: Int32
    package var voters: [ReplicaKey]
    package var grantingVoters: [ReplicaKey]

    package init(leaderID: Int32, voters: [ReplicaKey], grantingVoters: [ReplicaKey]) {
        self.leaderID = leaderID
        self.voters = voters
        self.grantingVoters = grantingVoters
    }
}

/// A part of a snapshot, and how long the whole is.
package struct SnapshotChunk: Hashable, Sendable {
    package var bytes: ByteBuffer
    package var size: Int64

    package init(bytes: ByteBuffer, size: Int64) {
        self.bytes = bytes
        self.size = size
    }
}

package enum RaftLogError: Error, Hashable, Sendable {
    /// Torn, corrupt, or not what comes next. The log is as it was before.
    case invalidRecords(String)
    /// The disk. The log may be anything; this node takes part no more.
    case storage(String)
}

/// The log and the snapshots under consensus. Raft knows nothing of what is in a batch: it hands
/// over whole batches, and the log gives offsets and epochs to those that this node leads with.
///
/// Flushing may be synchronous (`flush` returns when it is done, and `flushedOffset` is the end)
/// or not (`flush` starts it; the shell sends `.flushed` when `flushedOffset` has moved).
package protocol RaftLog: AnyObject {
    /// The first offset held. Not 0 means: there is a snapshot that ends here.
    var startOffset: Int64 { get }
    /// One past the last record; `startOffset` if there is none. Never below the latest snapshot: a
    /// log that a crash left behind it is opened empty, starting at the snapshot's end.
    var endOffset: Int64 { get }
    /// Up to here the log survives a power cut.
    var flushedOffset: Int64 { get }
    /// The epoch of the last record; of the latest snapshot if there is no record; 0 with neither.
    var latestEpoch: Int32 { get }
    /// Of the epochs that have records here the largest that is not above `epoch`, and one past its
    /// last record; nil if there is none.
    func endOffset(forEpoch epoch: Int32) -> OffsetAndEpoch?

    /// Appends what this node proposes as the leader of `epoch`, and returns the first offset.
    func append(_ batches: ByteBuffer, epoch: Int32) throws(RaftLogError) -> Int64
    func appendLeaderChange(_ change: LeaderChange, epoch: Int32) throws(RaftLogError) -> Int64
    /// Appends what a leader sent: whole batches that continue at `endOffset` with epochs that do
    /// not go back and are at most `leaderEpoch`. A torn batch at the end is left out.
    func appendAsFollower(_ batches: ByteBuffer, leaderEpoch: Int32) throws(RaftLogError)
    /// Forgets everything from `offset` on, durably: what comes back after a power cut must not be
    /// mixed with what is appended next.
    func truncate(to offset: Int64) throws(RaftLogError)
    /// Whole batches from the one that holds `offset` on: at least one, then up to `maxBytes`.
    func read(from offset: Int64, maxBytes: Int) throws(RaftLogError) -> ByteBuffer
    func flush() throws(RaftLogError)

    var latestSnapshot: OffsetAndEpoch? { get }
    /// The snapshot that ends at `startOffset`, if that is not 0.
    var earliestSnapshot: OffsetAndEpoch? { get }
    /// Bytes of a whole snapshot; nil if it is not here (any more).
    func readSnapshot(
        _ id: OffsetAndEpoch, position: Int64, maxBytes: Int
    ) throws(RaftLogError) -> SnapshotChunk?
    /// Starts to receive a snapshot; one that was being received is forgotten.
    func beginSnapshot(_ id: OffsetAndEpoch) throws(RaftLogError)
    func appendToSnapshot(_ bytes: ByteBuffer) throws(RaftLogError)
    /// Checks the snapshot that was received and puts it, flushed, in the place of the whole log,
    /// in one step: afterwards the log is empty and starts at the snapshot's end.
    func installSnapshot() throws(RaftLogError)
    func abandonSnapshot()
}

extension RaftLog {
    /// How far this log has come, as a candidate says it.
    package var endOffsetAndEpoch: OffsetAndEpoch {
        OffsetAndEpoch(offset: endOffset, epoch: latestEpoch)
    }

    /// The same for an epoch older than every record: there the snapshot below the log ends.
    func lastOffset(notAbove epoch: Int32) -> OffsetAndEpoch {
        endOffset(forEpoch: epoch) ?? earliestSnapshot
            ?? OffsetAndEpoch(offset: startOffset, epoch: 0)
    }

    /// What a fetch at `offset` after a record of `epoch` means to this log (KIP-595, KIP-630).
    func validate(offset: Int64, epoch: Int32) -> FetchPosition {
        if let latest = latestSnapshot, latest.offset > 0, offset == 0 { return .snapshot(latest) }
        if startOffset == 0, offset == 0 { return .valid }
        if let earliest = earliestSnapshot, let latest = latestSnapshot,
            offset < startOffset || epoch < earliest.epoch
                || (offset == startOffset && epoch != earliest.epoch)
        {
            return .snapshot(latest)
        }
        let end = lastOffset(notAbove: epoch)
        return end.epoch == epoch && offset <= end.offset ? .valid : .diverging(end)
    }
}

enum FetchPosition: Hashable {
    case valid
    case diverging(OffsetAndEpoch)
    case snapshot(OffsetAndEpoch)
}
