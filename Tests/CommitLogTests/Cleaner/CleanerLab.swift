import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

/// A log of small segments with a cleaner, on a disk that can stop at any operation, and beside
/// it a memory of all that was ever appended.
final class CleanerLab {
    struct Appended: Equatable {
        var key: String
        var value: String?
        var timestamp: Int64
        /// Of an aborted transaction.
        var isAborted = false
    }

    let config: LogConfig
    let cleanerSettings: LogCleaner.Settings
    private(set) var disk: SimulatedDisk
    private(set) var gate: StoppingDisk
    private(set) var directory: LogDirectory
    private(set) var log: PartitionLog
    private(set) var cleaner: LogCleaner
    /// By offset.
    private(set) var appended: [Int64: Appended] = [:]
    var nowMs = startMs

    static func compacted(_ change: (inout LogConfig) -> Void = { _ in }) -> LogConfig {
        var config = LogConfig()
        config.isCompacted = true
        config.isDeleted = false
        config.segmentBytes = 1000
        config.minCleanableDirtyRatio = 0
        config.deleteRetentionMs = 1000
        config.indexIntervalBytes = 100
        change(&config)
        return config
    }

    init(
        _ config: LogConfig = CleanerLab.compacted(), seed: UInt64 = 1,
        settings: LogCleaner.Settings = .init()
    ) throws {
        self.config = config
        cleanerSettings = settings
        disk = SimulatedDisk(seed: seed)
        disk.nowMs = startMs
        try disk.createDirectory("/logs")
        gate = StoppingDisk(disk)
        directory = try LogDirectory(path: "/logs", disk: gate)
        log = try TestLog.open(directory, config)
        cleaner = LogCleaner(directory: directory, settings: settings, secret: (1, 2))
    }

    /// The process ends, here and now, and another begins.
    func crash(losesUnsynced: Bool) throws {
        disk = disk.afterCrash(losesUnsynced: losesUnsynced)
        try start()
    }

    func restart() throws {
        cleaner.stop()
        try directory.close()
        try start()
    }

    private func start() throws {
        gate = StoppingDisk(disk)
        directory = try LogDirectory(path: "/logs", disk: gate)
        log = try TestLog.open(directory, config)
        cleaner = LogCleaner(directory: directory, settings: cleanerSettings, secret: (1, 2))
        for offset in appended.keys where offset >= log.logEndOffset { appended[offset] = nil }
    }

    // MARK: Appending

    func append(
        _ records: [(key: String?, value: String?)],
        producer: (id: Int64, epoch: Int16, sequence: Int32)? = nil,
        isTransactional: Bool = false, isAborted: Bool = false, compression: Compression = .none
    ) throws {
        let first = log.logEndOffset
        let batch = makeBatch(
            records, timestamp: nowMs, producer: producer, isTransactional: isTransactional,
            compression: compression)
        _ = try log.appendAsLeader(batch, leaderEpoch: 0, nowMs: nowMs, origin: .coordinator)
        for (index, record) in records.enumerated() {
            guard let key = record.key else { continue }
            appended[first + Int64(index)] = Appended(
                key: key, value: record.value, timestamp: nowMs, isAborted: isAborted)
        }
    }

    func end(_ producer: Int64, isAbort: Bool) throws {
        let marker = makeMarker(producer: producer, isAbort: isAbort, timestamp: nowMs)
        _ = try log.appendAsLeader(marker, leaderEpoch: 0, nowMs: nowMs, origin: .coordinator)
        log.highWatermarkRose(to: log.logEndOffset)
    }

    /// Closes the active segment, so that it may be compacted.
    func roll() throws { try log.roll(nowMs: nowMs) }

    // MARK: Cleaning

    @discardableResult
    func clean(
        budget: Int = 1 << 20, highWatermark: Int64? = nil, between: () throws -> Void = {}
    ) throws -> CleanerReport? {
        let candidate = CleanerCandidate(
            log: log, highWatermark: highWatermark ?? log.logEndOffset)
        guard try cleaner.begin([candidate], nowMs: nowMs) else { return nil }
        while cleaner.isRunning {
            let step = try cleaner.step(nowMs: nowMs, budgetBytes: budget)
            if let ticket = step.flush {
                try ticket.perform()
                try log.completeFlush(ticket, nowMs: nowMs)
            }
            for file in step.deleted { try directory.removeFile(file) }
            #expect(step.problem == nil)
            if let report = step.report { return report }
            try between()
        }
        return nil
    }

    // MARK: Looking

    func batches() throws -> [RecordBatch] {
        var found: [RecordBatch] = []
        var next = log.logStartOffset
        while next < log.logEndOffset {
            let read = try log.readBytes(from: next, maxBytes: 300, before: .max)
            if read.readableBytes == 0 { break }
            var batches = RecordBatches(read)
            while let batch = try batches.next() {
                try batch.checkCRC()
                try batch.header.checkCounts()
                if batch.header.lastOffset >= next { found.append(batch) }
                next = max(next, batch.header.lastOffset + 1)
            }
        }
        return found
    }

    func records() throws -> [Record] {
        // What is in memory is as it was appended.
        log.releaseMemory()
        return try batches().filter { !$0.header.isControl }.flatMap {
            try $0.allRecords(limit: 1 << 20)
        }
    }

    func contents() throws -> [String] {
        try records().map { "\($0.offset):\(text($0.key))=\($0.value.map { text($0) } ?? "-")" }
    }

    /// What must hold of the log at any time.
    func check() throws {
        let found = try records()
        var present: Set<Int64> = []
        for record in found {
            let original = appended[record.offset]
            #expect(original?.key == text(record.key), "\(record.offset) was never appended")
            #expect(original?.value == record.value.map { text($0) })
            #expect(original?.timestamp == record.timestamp)
            #expect(present.insert(record.offset).inserted, "\(record.offset) is there twice")
        }
        #expect(found.map(\.offset) == found.map(\.offset).sorted())
        var latest: [String: Int64] = [:]
        for offset in appended.keys.sorted() {
            guard let record = appended[offset], !record.isAborted else { continue }
            latest[record.key] = offset
        }
        for (key, offset) in latest {
            if present.contains(offset) { continue }
            #expect(appended[offset]?.value == nil, "\(key) has lost its last value at \(offset)")
            let older = present.filter {
                appended[$0]?.key == key && appended[$0]?.isAborted == false
            }
            #expect(older.isEmpty, "\(key) has lost its tombstone but not \(older.sorted())")
        }
    }

    /// What must hold below the place that a whole pass has come to.
    func checkCleaned(before end: Int64) throws {
        var seen: [String: Int64] = [:]
        for record in try records() where record.offset < end {
            let key = text(record.key)
            #expect(seen[key] == nil, "\(key) at \(seen[key] ?? -1) and \(record.offset)")
            seen[key] = record.offset
            #expect(appended[record.offset]?.isAborted == false)
        }
    }
}

/// Passes everything on, until it has counted down: then, as to a process that was killed, nothing
/// works any more.
final class StoppingDisk: Disk, @unchecked Sendable {
    fileprivate let base: SimulatedDisk
    /// Changes of the disk so far.
    private(set) var count = 0
    var limit = Int.max

    init(_ base: SimulatedDisk) { self.base = base }

    fileprivate func pass(_ operation: DiskOperation, _ path: String) throws(DiskError) {
        guard count < limit else {
            throw DiskError(operation, path, errno: DiskError.inputOutput)
        }
        count += 1
    }

    func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
        if create { try pass(.open, path) }
        return StoppingFile(try base.open(path, create: create), self)
    }

    func list(_ path: String) throws(DiskError) -> [DiskEntry] { try base.list(path) }

    func createDirectory(_ path: String) throws(DiskError) { try base.createDirectory(path) }

    func rename(_ from: String, to: String) throws(DiskError) {
        try pass(.rename, from)
        try base.rename(from, to: to)
    }

    func remove(_ path: String) throws(DiskError) {
        try pass(.remove, path)
        try base.remove(path)
    }

    func removeDirectory(_ path: String) throws(DiskError) { try base.removeDirectory(path) }

    func syncDirectory(_ path: String) throws(DiskError) {
        try pass(.syncDirectory, path)
        try base.syncDirectory(path)
    }

    func space(_ path: String) throws(DiskError) -> DiskSpace { try base.space(path) }
}

private final class StoppingFile: DiskFile, @unchecked Sendable {
    private let base: any DiskFile
    private let disk: StoppingDisk

    init(_ base: any DiskFile, _ disk: StoppingDisk) {
        self.base = base
        self.disk = disk
    }

    var path: String { base.path }
    func size() throws(DiskError) -> Int64 { try base.size() }

    func read(at offset: Int64, count: Int) throws(DiskError) -> ByteBuffer {
        try base.read(at: offset, count: count)
    }

    func write(at offset: Int64, _ bytes: ByteBuffer) throws(DiskError) {
        try disk.pass(.write, path)
        try base.write(at: offset, bytes)
    }

    func truncate(to size: Int64) throws(DiskError) {
        try disk.pass(.truncate, path)
        try base.truncate(to: size)
    }

    func sync() throws(DiskError) {
        try disk.pass(.sync, path)
        try base.sync()
    }
}
