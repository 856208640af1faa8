import KafkaRecords
import NIOCore

/// For fuzzing: the bytes are the files of a partition's folder, and its checkpoints. Whatever they
/// are, the log opens or is refused; what recovery has been through has right checksums and rising
/// offsets; and it can be read, searched, cut, appended to, compacted, closed and opened again.
///
/// Each file is a kind, a choice of its base offset, two bytes of length and that many bytes. With
/// the highest bit of the kind the checksums of batches are put right, so that what is behind them
/// is reached too.
package func fuzzSegmentRecovery(_ bytes: UnsafeRawBufferPointer) {
    let disk = MemoryDisk()
    var isBelieved = false
    var rest = bytes[...]
    while rest.count >= 4 {
        let start = rest.startIndex
        let length = min(Int(rest[start + 2]) << 8 | Int(rest[start + 3]), rest.count - 4)
        var content = ByteBuffer(bytes: rest[(start + 4)..<(start + 4 + length)])
        let kind = rest[start]
        if kind & 0x80 != 0 { fuzzMendChecksums(of: &content) }
        guard let path = FuzzedLog.path(kind & 0x7f, rest[start + 1]) else { return }
        if path.hasSuffix("cleanshutdown") || path.hasSuffix("recovery-point-offset-checkpoint") {
            isBelieved = true
        }
        disk.files[path] = MemoryFile(path, content)
        rest = rest[(start + 4 + length)...]
    }
    FuzzedLog.live(on: disk, isBelieved: isBelieved)
}

private enum FuzzedLog {
    static let partition = TopicPartition("f", 0)
    static let offsets: [Int64] = [0, 1, 2, 3, 10, 100, 1 << 31, 1 << 40, Int64.max - 1, Int64.max]
    static let names: [LogFileName] = LogFileName.Kind.allCases.flatMap { kind in
        ([nil] + LogFileName.Stage.allCases.map { $0 }).map { LogFileName(0, kind, $0) }
    }
    static let others = [
        "/f-0/leader-epoch-checkpoint", "/f-0/partition.metadata",
        "/recovery-point-offset-checkpoint", "/log-start-offset-checkpoint",
        "/replication-offset-checkpoint", "/cleaner-offset-checkpoint", "/.kafka_cleanshutdown",
    ]

    static func path(_ kind: UInt8, _ choice: UInt8) -> String? {
        let kind = Int(kind) % (names.count + others.count)
        guard kind < names.count else { return "/logs" + others[kind - names.count] }
        var name = names[kind]
        name.offset = offsets[Int(choice) % offsets.count]
        return name.path(in: "/logs/f-0")
    }

    static func open(_ disk: MemoryDisk) -> (LogDirectory, PartitionLog)? {
        var config = LogConfig()
        config.isCompacted = true
        config.minCleanableDirtyRatio = 0
        config.deleteRetentionMs = 0
        guard let directory = try? LogDirectory(path: "/logs", disk: disk) else { return nil }
        let log = try? directory.openLog(
            partition, topicId: nil, config: config, nowMs: 1000, unique: "u")
        guard let log else {
            directory.abandon()
            return nil
        }
        return (directory, log)
    }

    /// What can be read, from the beginning on.
    static func walk(_ log: PartitionLog, isBelieved: Bool) {
        var next = log.logStartOffset
        while next < log.logEndOffset {
            let read = try? log.readBytes(from: next, maxBytes: 200, before: .max)
            guard let read, read.readableBytes > 0 else { break }
            var batches = RecordBatches(read)
            let before = next
            while let batch = try? batches.next() {
                if !isBelieved {
                    precondition((try? batch.checkCRC()) != nil, "a wrong checksum is served")
                    precondition((try? batch.header.checkCounts()) != nil)
                    precondition(batch.header.lastOffset >= next, "offsets fall")
                    precondition(batch.header.lastOffset < log.logEndOffset)
                }
                next = max(next, batch.header.lastOffset &+ 1)
            }
            if next == before { break }
        }
    }

    static func live(on disk: MemoryDisk, isBelieved: Bool) {
        guard let (directory, log) = open(disk) else { return }
        defer { directory.abandon() }
        precondition(log.logStartOffset >= 0 && log.logStartOffset <= log.logEndOffset)
        precondition(log.flushedOffset <= log.logEndOffset)
        walk(log, isBelieved: isBelieved)
        _ = try? log.lookUp(timestamp: 5)
        _ = try? log.maxTimestamp()
        _ = (log.earliest, log.latest, log.endOffset(forEpoch: 1), log.epoch(at: 3))
        _ = try? log.abortedTransactions(from: log.logStartOffset, before: log.logEndOffset)
        if let batch = batch() {
            _ = try? log.appendAsLeader(
                batch, leaderEpoch: Int32.max, nowMs: 1000, origin: .client)
        }
        let end = log.logEndOffset
        try? log.flush()
        // As after a crash of the process.
        if let (other, again) = open(disk.copy()) {
            defer { other.abandon() }
            if !isBelieved { precondition(again.logEndOffset == end, "recovery is not repeatable") }
            walk(again, isBelieved: isBelieved)
        }
        compact(log, directory)
        walk(log, isBelieved: isBelieved)
        precondition(log.logEndOffset >= end)
        let middle = log.logStartOffset + (end - log.logStartOffset) / 2
        try? log.truncate(to: middle)
        precondition(directory.offlineReason != nil || log.logEndOffset <= max(middle, end))
        walk(log, isBelieved: isBelieved)
        _ = try? log.applyRetention(nowMs: Int64.max, highWatermark: log.logEndOffset)
        let last = log.logEndOffset
        guard (try? directory.close()) != nil, let (after, next) = open(disk) else { return }
        defer { after.abandon() }
        if !isBelieved { precondition(next.logEndOffset == last, "a clean close loses something") }
    }

    private static func compact(_ log: PartitionLog, _ directory: LogDirectory) {
        guard (try? log.roll(nowMs: 1000)) != nil else { return }
        let cleaner = LogCleaner(directory: directory, secret: (1, 2))
        let candidate = CleanerCandidate(log: log, highWatermark: log.logEndOffset)
        guard (try? cleaner.begin([candidate], nowMs: 1000)) == true else { return }
        while cleaner.isRunning {
            guard let step = try? cleaner.step(nowMs: 1000, budgetBytes: 100) else { return }
            if let ticket = step.flush {
                guard (try? ticket.perform()) != nil,
                    (try? log.completeFlush(ticket, nowMs: 1000)) != nil
                else { return }
            }
        }
    }

    private static func batch() -> ByteBuffer? {
        var builder = RecordBatchBuilder()
        builder.append(key: ByteBuffer(string: "k"), value: nil, timestamp: 1000)
        return try? builder.build()
    }
}

/// The least disk there can be.
private final class MemoryDisk: Disk, @unchecked Sendable {
    var files: [String: MemoryFile] = [:]

    func copy() -> MemoryDisk {
        let copy = MemoryDisk()
        for (path, file) in files { copy.files[path] = MemoryFile(path, file.content) }
        return copy
    }

    func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
        if let file = files[path] { return file }
        guard create else { throw DiskError(.open, path, errno: DiskError.notFound) }
        let file = MemoryFile(path, ByteBuffer())
        files[path] = file
        return file
    }

    func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        let entries = files.keys.filter { DiskPath.parent(of: $0) == path }.sorted().map {
            DiskEntry(
                name: DiskPath.name(of: $0), isDirectory: false,
                size: Int64(files[$0]?.content.readableBytes ?? 0), modifiedMs: 0)
        }
        guard path == "/logs" else { return entries }
        return entries + [DiskEntry(name: "f-0", isDirectory: true, size: 0, modifiedMs: 0)]
    }

    func createDirectory(_ path: String) throws(DiskError) {}

    func rename(_ from: String, to: String) throws(DiskError) {
        guard let file = files.removeValue(forKey: from) else {
            throw DiskError(.rename, from, errno: DiskError.notFound)
        }
        files[to] = file
    }

    func remove(_ path: String) throws(DiskError) { files[path] = nil }
    func removeDirectory(_ path: String) throws(DiskError) {}
    func syncDirectory(_ path: String) throws(DiskError) {}
    func space(_ path: String) throws(DiskError) -> DiskSpace {
        DiskSpace(totalBytes: 0, freeBytes: 0)
    }
}

private final class MemoryFile: DiskFile, @unchecked Sendable {
    let path: String
    var content: ByteBuffer

    init(_ path: String, _ content: ByteBuffer) {
        self.path = path
        self.content = content
    }

    func size() throws(DiskError) -> Int64 { Int64(content.readableBytes) }

    func read(at offset: Int64, count: Int) throws(DiskError) -> ByteBuffer {
        let start = Int(clamping: offset)
        let length = max(0, min(count, content.writerIndex - start))
        return content.getSlice(at: start, length: length) ?? ByteBuffer()
    }

    func write(at offset: Int64, _ bytes: ByteBuffer) throws(DiskError) {
        let start = Int(offset)
        precondition(start <= 1 << 24, "a file of absurd size")
        if content.writerIndex < start {
            content.writeRepeatingByte(0, count: start - content.writerIndex)
        }
        let end = max(content.writerIndex, start + bytes.readableBytes)
        content.setBuffer(bytes, at: start)
        content.moveWriterIndex(to: end)
    }

    func truncate(to size: Int64) throws(DiskError) {
        let size = Int(size)
        precondition(size <= 1 << 24, "a file of absurd size")
        if size < content.writerIndex {
            content.moveWriterIndex(to: size)
        } else {
            content.writeRepeatingByte(0, count: size - content.writerIndex)
        }
    }

    func sync() throws(DiskError) {}
}
