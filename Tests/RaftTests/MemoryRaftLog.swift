import NIOCore
import Raft
import SimulatedWorld

/// A log in memory, of records that are batches of their own. It forgets at a crash what it has not
/// flushed, and tells what was done to it.
final class MemoryRaftLog: RaftLog {
    struct Record: Hashable {
        var epoch: Int32
        var value: UInt64
        var isLeaderChange: Bool
    }

    struct Snapshot: Hashable {
        var id: OffsetAndEpoch
        /// The state that the records before it made: here, a hash of them.
        var state: UInt64
        var bytes: ByteBuffer
    }

    enum Operation: Hashable {
        case appended(offset: Int64, Record)
        case truncated(from: Int64, [Record])
        case installed(OffsetAndEpoch, state: UInt64)
    }

    private(set) var startOffset: Int64 = 0
    private(set) var records: [Record] = []
    private(set) var flushedOffset: Int64 = 0
    private(set) var snapshots: [Snapshot] = []
    private var download: (id: OffsetAndEpoch, bytes: ByteBuffer)?

    /// `flush` only asks; `finishFlush` does it.
    var flushesLater = false
    private(set) var flushTarget: Int64?
    var failsNext = false
    /// At most so much of a log or a snapshot comes at once.
    var readLimit = Int.max
    private(set) var flushes = 0
    var operations: [Operation] = []

    init() {}

    var endOffset: Int64 { startOffset + Int64(records.count) }
    var latestEpoch: Int32 { records.last?.epoch ?? latestSnapshot?.epoch ?? 0 }
    var latestSnapshot: OffsetAndEpoch? { snapshots.last?.id }
    var earliestSnapshot: OffsetAndEpoch? {
        snapshots.first { $0.id.offset == startOffset }?.id
    }

    func record(at offset: Int64) -> Record? {
        guard offset >= startOffset, offset < endOffset else { return nil }
        return records[Int(offset - startOffset)]
    }

    /// The epoch of the record before this offset.
    func epoch(before offset: Int64) -> Int32? {
        offset == startOffset ? earliestSnapshot?.epoch ?? 0 : record(at: offset - 1)?.epoch
    }

    func endOffset(forEpoch epoch: Int32) -> OffsetAndEpoch? {
        guard let index = records.lastIndex(where: { $0.epoch <= epoch }) else { return nil }
        return OffsetAndEpoch(
            offset: startOffset + Int64(index) + 1, epoch: records[index].epoch)
    }

    private func failIfAsked() throws(RaftLogError) {
        guard failsNext else { return }
        failsNext = false
        throw .storage("planted")
    }

    // MARK: Records

    /// How a record looks on the wire: offset, epoch, kind, value.
    static let recordSize = 8 + 4 + 1 + 8

    static func encode(_ values: [UInt64]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for value in values { buffer.writeInteger(value) }
        return buffer
    }

    func append(_ batches: ByteBuffer, epoch: Int32) throws(RaftLogError) -> Int64 {
        try failIfAsked()
        var batches = batches
        guard batches.readableBytes % 8 == 0 else { throw .invalidRecords("torn") }
        let base = endOffset
        while let value = batches.readInteger(as: UInt64.self) {
            add(Record(epoch: epoch, value: value, isLeaderChange: false))
        }
        return base
    }

    func appendLeaderChange(
        _ change: LeaderChange, epoch: Int32
    ) throws(RaftLogError) -> Int64 {
        try failIfAsked()
        add(Record(epoch: epoch, value: UInt64(change.leaderID), isLeaderChange: true))
        return endOffset - 1
    }

    private func add(_ record: Record) {
        operations.append(.appended(offset: endOffset, record))
        records.append(record)
    }

    func appendAsFollower(_ batches: ByteBuffer, leaderEpoch: Int32) throws(RaftLogError) {
        try failIfAsked()
        var batches = batches
        var next = endOffset
        var epoch = latestEpoch
        var added: [Record] = []
        while batches.readableBytes >= Self.recordSize {
            guard let offset = batches.readInteger(as: Int64.self),
                let recordEpoch = batches.readInteger(as: Int32.self),
                let kind = batches.readInteger(as: UInt8.self),
                let value = batches.readInteger(as: UInt64.self)
            else { throw .invalidRecords("torn") }
            guard offset == next, recordEpoch >= epoch, recordEpoch <= leaderEpoch, kind <= 1 else {
                throw .invalidRecords("offset \(offset) epoch \(recordEpoch)")
            }
            added.append(Record(epoch: recordEpoch, value: value, isLeaderChange: kind == 1))
            next += 1
            epoch = recordEpoch
        }
        for record in added { add(record) }
    }

    func truncate(to offset: Int64) throws(RaftLogError) {
        try failIfAsked()
        guard offset >= startOffset, offset <= endOffset else { return }
        let kept = Int(offset - startOffset)
        operations.append(.truncated(from: offset, Array(records[kept...])))
        records.removeSubrange(kept...)
        flushedOffset = min(flushedOffset, offset)
        flushTarget = flushTarget.map { min($0, offset) }
    }

    func read(from offset: Int64, maxBytes: Int) throws(RaftLogError) -> ByteBuffer {
        try failIfAsked()
        var buffer = ByteBuffer()
        var next = offset
        while let record = record(at: next) {
            buffer.writeInteger(next)
            buffer.writeInteger(record.epoch)
            buffer.writeInteger(UInt8(record.isLeaderChange ? 1 : 0))
            buffer.writeInteger(record.value)
            next += 1
            if buffer.readableBytes + Self.recordSize > min(maxBytes, readLimit) { break }
        }
        return buffer
    }

    func flush() throws(RaftLogError) {
        try failIfAsked()
        flushes += 1
        if flushesLater { flushTarget = endOffset } else { flushedOffset = endOffset }
    }

    func finishFlush(to target: Int64) {
        // What was cut off meanwhile and written anew is for the next flush.
        let reached = min(target, flushTarget ?? target, endOffset)
        flushedOffset = max(flushedOffset, reached)
    }

    // MARK: Snapshots

    static func fold(_ state: UInt64, _ record: Record, at offset: Int64) -> UInt64 {
        var hash = TraceHash()
        hash.fold(state)
        hash.fold(offset)
        hash.fold(Int(record.epoch))
        hash.fold(record.value)
        return hash.value
    }

    /// The state before this offset, which must be held.
    func state(at offset: Int64) -> UInt64 {
        var state = snapshots.last { $0.id.offset <= offset }?.state ?? 0
        var next = snapshots.last { $0.id.offset <= offset }?.id.offset ?? 0
        while next < offset, let record = record(at: next) {
            state = Self.fold(state, record, at: next)
            next += 1
        }
        return state
    }

    /// Takes a snapshot, and gives up the records before `start`.
    func takeSnapshot(at offset: Int64, padding: Int) {
        guard offset > (latestSnapshot?.offset ?? 0), let epoch = epoch(before: offset) else {
            return
        }
        let id = OffsetAndEpoch(offset: offset, epoch: epoch)
        let state = state(at: offset)
        snapshots.append(
            Snapshot(id: id, state: state, bytes: Self.encode(id, state: state, padding: padding)))
    }

    /// Gives up the records before the latest snapshot, and the earlier snapshots.
    func clean() {
        guard let latest = snapshots.last, latest.id.offset > startOffset else { return }
        records.removeFirst(Int(latest.id.offset - startOffset))
        startOffset = latest.id.offset
        flushedOffset = max(flushedOffset, startOffset)
        snapshots = [latest]
    }

    static func encode(_ id: OffsetAndEpoch, state: UInt64, padding: Int) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(id.offset)
        bytes.writeInteger(id.epoch)
        bytes.writeInteger(state)
        bytes.writeInteger(state ^ UInt64(bitPattern: id.offset))
        bytes.writeRepeatingByte(0x5a, count: padding)
        return bytes
    }

    func readSnapshot(
        _ id: OffsetAndEpoch, position: Int64, maxBytes: Int
    ) throws(RaftLogError) -> SnapshotChunk? {
        try failIfAsked()
        guard let bytes = snapshots.first(where: { $0.id == id })?.bytes else { return nil }
        let from = Int(min(max(0, position), Int64(bytes.readableBytes)))
        let count = min(maxBytes, readLimit, bytes.readableBytes - from)
        guard let slice = bytes.getSlice(at: from, length: count) else { return nil }
        return SnapshotChunk(bytes: slice, size: Int64(bytes.readableBytes))
    }

    func beginSnapshot(_ id: OffsetAndEpoch) throws(RaftLogError) {
        try failIfAsked()
        download = (id, ByteBuffer())
    }

    func appendToSnapshot(_ bytes: ByteBuffer) throws(RaftLogError) {
        try failIfAsked()
        guard let (id, before) = download else { throw .storage("no snapshot was begun") }
        var all = before
        all.writeImmutableBuffer(bytes)
        download = (id, all)
    }

    func installSnapshot() throws(RaftLogError) {
        try failIfAsked()
        guard let (id, bytes) = download else { throw .storage("no snapshot was begun") }
        var reader = bytes
        guard let offset = reader.readInteger(as: Int64.self),
            let epoch = reader.readInteger(as: Int32.self),
            let state = reader.readInteger(as: UInt64.self),
            let check = reader.readInteger(as: UInt64.self),
            offset == id.offset, epoch == id.epoch, check == state ^ UInt64(bitPattern: offset)
        else { throw .invalidRecords("not that snapshot") }
        snapshots = [Snapshot(id: id, state: state, bytes: bytes)]
        operations.append(.truncated(from: startOffset, []))
        operations.append(.installed(id, state: state))
        records = []
        startOffset = id.offset
        flushedOffset = id.offset
        flushTarget = nil
        download = nil
    }

    func abandonSnapshot() { download = nil }

    // MARK: Crash

    /// Of what was not flushed any first part may have reached the disk.
    func crash(random: inout SeededRandom) {
        let unflushed = Int(endOffset - max(startOffset, flushedOffset))
        let lost = random.below(unflushed + 1)
        records.removeLast(lost)
        if let latest = snapshots.last, latest.id.offset > endOffset {
            records = []
            startOffset = latest.id.offset
            snapshots = [latest]
        }
        flushedOffset = endOffset
        flushTarget = nil
        download = nil
        failsNext = false
        operations = []
    }
}
