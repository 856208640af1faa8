import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

/// SplitMix64: the same numbers from the same seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

let startMs: Int64 = 1_700_000_000_000
let partition = TopicPartition("events", 0)
let topicFolder = "/logs/events-0"

/// One log in a directory of its own, on a disk that can crash.
final class TestLog {
    var disk: SimulatedDisk
    var directory: LogDirectory
    var log: PartitionLog
    var config: LogConfig
    var settings: LogDirectory.Settings

    init(
        _ config: LogConfig = LogConfig(), seed: UInt64 = 1,
        settings: LogDirectory.Settings = LogDirectory.Settings(), disk: SimulatedDisk? = nil
    ) throws {
        self.config = config
        self.settings = settings
        self.disk = disk ?? SimulatedDisk(seed: seed)
        self.disk.nowMs = startMs
        if disk == nil { try self.disk.createDirectory("/logs") }
        directory = try LogDirectory(path: "/logs", disk: self.disk, settings: settings)
        log = try Self.open(directory, config)
    }

    static func open(_ directory: LogDirectory, _ config: LogConfig) throws -> PartitionLog {
        try directory.openLog(
            partition, topicId: nil, config: config, nowMs: startMs, unique: "aside")
    }

    func crash(losesUnsynced: Bool) throws {
        disk = disk.afterCrash(losesUnsynced: losesUnsynced)
        try reopen()
    }

    /// A clean shutdown and a start.
    func restart() throws {
        try directory.close()
        try reopen()
    }

    func reopen() throws {
        directory = try LogDirectory(path: "/logs", disk: disk, settings: settings)
        log = try Self.open(directory, config)
    }

    @discardableResult
    func append(
        _ values: String..., key: String? = nil, epoch: Int32 = 0, at timestamp: Int64 = startMs,
        now: Int64? = nil
    ) throws -> AppendResult {
        let batch = makeBatch(values.map { (key ?? $0, $0) }, timestamp: timestamp)
        return try log.appendAsLeader(
            batch, leaderEpoch: epoch, nowMs: now ?? timestamp, origin: .client)
    }

    /// All records, read as a client would, from a few reads.
    func records(from offset: Int64? = nil, maxBytes: Int = 1 << 20) throws -> [Record] {
        var records: [Record] = []
        var next = offset ?? log.logStartOffset
        while next < log.logEndOffset {
            let bytes = try log.readBytes(from: next, maxBytes: maxBytes, before: Int64.max)
            if bytes.readableBytes == 0 { break }
            for record in try decode(bytes) where record.offset >= next {
                records.append(record)
            }
            next = try lastOffset(bytes) + 1
        }
        return records
    }

    func values() throws -> [String] { try records().map { text($0.value) } }
}

func makeBatch(
    _ records: [(key: String?, value: String?)], timestamp: Int64 = startMs, offset: Int64 = 0,
    epoch: Int32 = -1, producer: (id: Int64, epoch: Int16, sequence: Int32)? = nil,
    isTransactional: Bool = false, compression: Compression = .none
) -> ByteBuffer {
    var builder = RecordBatchBuilder(baseOffset: offset)
    builder.partitionLeaderEpoch = epoch
    builder.isTransactional = isTransactional
    if let producer {
        builder.producerId = producer.id
        builder.producerEpoch = producer.epoch
        builder.baseSequence = producer.sequence
    }
    for (key, value) in records {
        builder.append(
            key: key.map { ByteBuffer(string: $0) }, value: value.map { ByteBuffer(string: $0) },
            timestamp: timestamp)
    }
    do {
        return try builder.build(compression: compression)
    } catch {
        fatalError("a test's batch cannot be built: \(error)")
    }
}

/// A transaction marker, as a coordinator writes it.
func makeMarker(
    producer: Int64, epoch: Int16 = 0, isAbort: Bool, coordinatorEpoch: Int32 = 1,
    timestamp: Int64 = startMs
) -> ByteBuffer {
    var builder = RecordBatchBuilder(baseOffset: 0)
    builder.producerId = producer
    builder.producerEpoch = epoch
    builder.isTransactional = true
    builder.isControl = true
    var key = ByteBuffer()
    key.writeMultipleIntegers(Int16(0), Int16(isAbort ? 0 : 1))
    var value = ByteBuffer()
    value.writeMultipleIntegers(Int16(0), coordinatorEpoch)
    builder.append(key: key, value: value, timestamp: timestamp)
    do {
        return try builder.build()
    } catch {
        fatalError("a test's marker cannot be built: \(error)")
    }
}

func headers(_ bytes: ByteBuffer) throws -> [RecordBatchHeader] {
    var batches = RecordBatches(bytes)
    var found: [RecordBatchHeader] = []
    while let header = try batches.nextHeader() { found.append(header) }
    return found
}

func decode(_ bytes: ByteBuffer) throws -> [Record] {
    var batches = RecordBatches(bytes)
    var records: [Record] = []
    while let batch = try batches.next() {
        try batch.checkCRC()
        if !batch.header.isControl { records += try batch.allRecords(limit: 1 << 24) }
    }
    return records
}

func lastOffset(_ bytes: ByteBuffer) throws -> Int64 {
    try headers(bytes).last?.lastOffset ?? -1
}

func text(_ buffer: ByteBuffer?) -> String { buffer.map { String(buffer: $0) } ?? "(null)" }

/// The bytes of an answer, wherever they are.
func bytes(_ records: Records) throws -> ByteBuffer {
    switch records {
    case .bytes(let bytes): return bytes
    case .file(let region):
        let file = try #require(region.file as? any DiskFile)
        return try file.read(at: region.offset, count: region.length)
    }
}
