import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Raft

/// `__cluster_metadata` on disk, as Raft sees it: Kafka's log format, and beside it snapshots in
/// Kafka's `.checkpoint` files.
///
/// Everything is flushed before it is spoken of (D12), so `flushedOffset` is told only by `flush`.
final class MetadataLog: RaftLog {
    private let log: PartitionLog
    private let disk: any Disk
    private var snapshots: SnapshotFiles
    private let nowMs: () -> Int64
    private(set) var bytesSinceSnapshot: Int64 = 0

    /// Bytes of metadata that are read and applied at a time.
    private static let chunkBytes = 1 << 20

    init(
        log: PartitionLog, disk: any Disk, nowMs: @escaping () -> Int64
    ) throws(NodeStartError) {
        self.log = log
        self.disk = disk
        self.nowMs = nowMs
        do {
            snapshots = try SnapshotFiles(directory: log.path, disk: disk)
        } catch {
            throw NodeStartError("the metadata log cannot be opened: \(error)")
        }
        bytesSinceSnapshot = log.sizeInBytes
        if let latest = snapshots.latest, log.logEndOffset < latest.offset {
            // A crash between the snapshot's last rename and the log's beginning anew.
            do {
                try log.truncateFully(startingAt: latest.offset)
            } catch {
                throw NodeStartError("the metadata log cannot be opened: \(error)")
            }
        }
        // What was found may never have been flushed; Raft speaks of what is.
        do {
            try log.flush()
        } catch {
            throw NodeStartError("the metadata log cannot be flushed: \(error)")
        }
        guard log.logStartOffset == 0 || snapshots.latest != nil else {
            throw NodeStartError(
                "\(log.path) begins at offset \(log.logStartOffset) and there is no snapshot of "
                    + "what was before; restore its .checkpoint files, or format this node anew "
                    + "and let it fetch the metadata from the others")
        }
    }

    var path: String { log.path }
    var startOffset: Int64 { log.logStartOffset }
    var endOffset: Int64 { log.logEndOffset }
    var flushedOffset: Int64 { log.flushedOffset }
    var latestEpoch: Int32 {
        if log.logEndOffset > log.logStartOffset, let epoch = log.latestEpoch { return epoch }
        return snapshots.latest?.epoch ?? 0
    }

    func endOffset(forEpoch epoch: Int32) -> OffsetAndEpoch? {
        guard log.logEndOffset > log.logStartOffset, let latest = log.latestEpoch else {
            return nil
        }
        if epoch >= latest { return OffsetAndEpoch(offset: log.logEndOffset, epoch: latest) }
        // For an epoch before all that are known the log answers with that epoch itself.
        guard let found = log.endOffset(forEpoch: epoch), found.endOffset > log.logStartOffset,
            log.epoch(at: found.endOffset - 1) == found.epoch
        else { return nil }
        return OffsetAndEpoch(offset: found.endOffset, epoch: found.epoch)
    }

    // MARK: Appending

    func append(_ batches: ByteBuffer, epoch: Int32) throws(RaftLogError) -> Int64 {
        try raftErrors { () throws(LogError) in
            let result = try log.appendAsLeader(
                batches, leaderEpoch: epoch, nowMs: nowMs(), origin: .raft)
            bytesSinceSnapshot += Int64(result.bytes)
            return result.firstOffset
        }
    }

    func appendLeaderChange(_ change: LeaderChange, epoch: Int32) throws(RaftLogError) -> Int64 {
        let message = LeaderChangeMessage(
            version: 1, leaderId: change.leaderID,
            voters: change.voters.map {
                .init(voterId: $0.id, voterDirectoryId: $0.wireDirectory)
            },
            grantingVoters: change.grantingVoters.map {
                .init(voterId: $0.id, voterDirectoryId: $0.wireDirectory)
            })
        let batch = try Self.controlBatch(
            .leaderChange, message.encoded(version: 1), timestamp: nowMs())
        return try append(batch, epoch: epoch)
    }

    func appendAsFollower(_ batches: ByteBuffer, leaderEpoch: Int32) throws(RaftLogError) {
        try checkEpochs(batches, notAbove: leaderEpoch)
        try raftErrors { () throws(LogError) in
            let result = try log.appendAsFollower(batches, nowMs: nowMs())
            bytesSinceSnapshot += Int64(result.bytes)
        }
    }

    private func checkEpochs(
        _ batches: ByteBuffer, notAbove leaderEpoch: Int32
    ) throws(RaftLogError) {
        var epoch = latestEpoch
        var sequence = RecordBatches(batches)
        do {
            while let header = try sequence.nextHeader() {
                guard header.partitionLeaderEpoch >= epoch,
                    header.partitionLeaderEpoch <= leaderEpoch
                else {
                    throw RaftLogError.invalidRecords(
                        "a batch of epoch \(header.partitionLeaderEpoch) behind epoch \(epoch), "
                            + "from a leader of epoch \(leaderEpoch)")
                }
                epoch = header.partitionLeaderEpoch
            }
        } catch let error as RaftLogError {
            throw error
        } catch let error as RecordError {
            if case .torn = error { return }
            throw .invalidRecords("\(error)")
        } catch {
            throw .invalidRecords("\(error)")
        }
    }

    func truncate(to offset: Int64) throws(RaftLogError) {
        try raftErrors { () throws(LogError) in
            try log.truncate(to: offset)
            try log.flush()
        }
    }

    func read(from offset: Int64, maxBytes: Int) throws(RaftLogError) -> ByteBuffer {
        try raftErrors { () throws(LogError) in
            try log.readBytes(
                from: offset, maxBytes: maxBytes, before: log.logEndOffset, atLeastOneBatch: true)
        }
    }

    func flush() throws(RaftLogError) {
        try raftErrors { () throws(LogError) in try log.flush() }
    }

    private func raftErrors<Result>(
        _ body: () throws(LogError) -> Result
    ) throws(RaftLogError) -> Result {
        do {
            return try body()
        } catch {
            switch error {
            case .storage, .offline, .invalidFile: throw .storage("\(error)")
            default: throw .invalidRecords("\(error)")
            }
        }
    }

    // MARK: Records

    struct CommittedBatch {
        var records: [MetadataRecord]
        var nextOffset: Int64
    }

    /// The records of the batch at `offset`; none where it is a batch of control records.
    func records(
        from offset: Int64, before limit: Int64
    ) throws(NodeStartError) -> [CommittedBatch] {
        do {
            let bytes = try log.readBytes(
                from: offset, maxBytes: Self.chunkBytes, before: limit, atLeastOneBatch: true)
            return try Self.decode(bytes)
        } catch let error as NodeStartError {
            throw error
        } catch {
            throw NodeStartError("the metadata log cannot be read at offset \(offset): \(error)")
        }
    }

    static func decode(_ bytes: ByteBuffer) throws(NodeStartError) -> [CommittedBatch] {
        var result: [CommittedBatch] = []
        var batches = RecordBatches(bytes)
        do {
            while let batch = try batches.next() {
                var records: [MetadataRecord] = []
                if !batch.header.isControl {
                    var cursor = try batch.records(limit: 64 << 20)
                    while let record = try cursor.next() {
                        guard let value = record.value else { continue }
                        records.append(try MetadataRecord(decoding: value))
                    }
                }
                result.append(
                    CommittedBatch(records: records, nextOffset: batch.header.lastOffset + 1))
            }
        } catch {
            throw NodeStartError("a metadata record cannot be read: \(error)")
        }
        return result
    }

    /// Kafka's control record types (ControlRecordType).
    enum ControlType: Int16 {
        case leaderChange = 2
        case snapshotHeader = 3
        case snapshotFooter = 4
    }

    static func controlBatch(
        _ type: ControlType, _ value: ByteBuffer, timestamp: Int64, baseOffset: Int64 = 0
    ) throws(RaftLogError) -> ByteBuffer {
        var key = ByteBuffer()
        key.writeInteger(Int16(0))
        key.writeInteger(type.rawValue)
        var builder = RecordBatchBuilder(baseOffset: baseOffset)
        builder.isControl = true
        builder.append(key: key, value: value, timestamp: timestamp)
        do {
            return try builder.build()
        } catch {
            throw .invalidRecords("\(error)")
        }
    }

    // MARK: Snapshots

    var latestSnapshot: OffsetAndEpoch? { snapshots.latest }
    var earliestSnapshot: OffsetAndEpoch? {
        startOffset == 0
            ? nil : snapshots.all.first { $0.offset == startOffset } ?? snapshots.latest
    }

    func image(of id: OffsetAndEpoch) throws(NodeStartError) -> MetadataImage {
        do {
            var image = MetadataImage()
            var changes: [MetadataChange] = []
            let file = try snapshots.open(id)
            let bytes = try file.read(at: 0, count: Int(try file.size()))
            for batch in try Self.decode(bytes) {
                for record in batch.records {
                    try image.apply(record, into: &changes)
                    changes.removeAll(keepingCapacity: true)
                }
            }
            return image
        } catch {
            throw NodeStartError(
                "the snapshot \(snapshots.path(id)) cannot be read: \(error)")
        }
    }

    /// Writes what the log says up to `nextOffset` and lets go of the log before the snapshot
    /// before that: a follower that is a little behind need not fetch a whole snapshot.
    func writeSnapshot(
        _ image: MetadataImage, nextOffset: Int64, nowMs: Int64
    ) throws(NodeStartError) {
        guard let epoch = log.epoch(at: nextOffset - 1) else { return }
        let id = OffsetAndEpoch(offset: nextOffset, epoch: epoch)
        do {
            let previous = snapshots.latest
            try snapshots.write(id, image: image, timestamp: nowMs)
            bytesSinceSnapshot = 0
            if let previous, previous.offset > log.logStartOffset {
                _ = try log.raiseLogStart(to: previous.offset)
                let dropped = try log.applyRetention(
                    nowMs: nowMs, highWatermark: previous.offset)
                // Nobody sends from these files: what is read of the log is copied.
                for file in dropped.files { try log.directory.removeFile(file) }
                try snapshots.removeAll(before: previous)
            }
        } catch {
            throw NodeStartError("the metadata snapshot \(id) cannot be written: \(error)")
        }
    }

    func readSnapshot(
        _ id: OffsetAndEpoch, position: Int64, maxBytes: Int
    ) throws(RaftLogError) -> SnapshotChunk? {
        try snapshotErrors { () throws(DiskError) in
            guard snapshots.all.contains(id) else { return nil }
            let file = try snapshots.open(id)
            let size = try file.size()
            guard position >= 0, position <= size else {
                return SnapshotChunk(bytes: ByteBuffer(), size: size)
            }
            return SnapshotChunk(
                bytes: try file.read(
                    at: position, count: Int(min(Int64(maxBytes), size - position))), size: size)
        }
    }

    func beginSnapshot(_ id: OffsetAndEpoch) throws(RaftLogError) {
        try snapshotErrors { () throws(DiskError) in try snapshots.begin(id) }
    }

    func appendToSnapshot(_ bytes: ByteBuffer) throws(RaftLogError) {
        try snapshotErrors { () throws(DiskError) in try snapshots.append(bytes) }
    }

    func installSnapshot() throws(RaftLogError) {
        let received = try snapshotErrors { () throws(DiskError) in try snapshots.received() }
        guard let received else { throw .invalidRecords("no snapshot was received") }
        do {
            _ = try Self.decode(received.bytes)
        } catch {
            throw .invalidRecords("\(error)")
        }
        try snapshotErrors { () throws(DiskError) in try snapshots.install() }
        try raftErrors { () throws(LogError) in
            try log.truncateFully(startingAt: received.id.offset)
            try log.flush()
        }
        bytesSinceSnapshot = 0
    }

    func abandonSnapshot() { snapshots.abandon() }

    private func snapshotErrors<Result>(
        _ body: () throws(DiskError) -> Result
    ) throws(RaftLogError) -> Result {
        do {
            return try body()
        } catch {
            throw .storage("\(error)")
        }
    }
}
