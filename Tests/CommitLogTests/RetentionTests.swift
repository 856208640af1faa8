import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

@Suite struct RetentionTests {
    /// Ten segments of three records, a second between records.
    static func filled(_ change: (inout LogConfig) -> Void) throws -> TestLog {
        var config = LogConfig()
        config.retentionMs = -1
        change(&config)
        let test = try TestLog(config)
        for index in 0..<30 {
            if index > 0, index % 3 == 0 { try test.log.roll(nowMs: startMs) }
            try test.append("value \(index)", at: startMs + Int64(index) * 1000)
        }
        return test
    }

    @Test func byTime() throws {
        let test = try Self.filled { $0.retentionMs = 10_000 }
        let now = startMs + 25_000
        // Records up to 14 s are too old; the segment 12...14 is the last that is.
        let low = try test.log.applyRetention(nowMs: now, highWatermark: 7)
        #expect(low.segments == 2)
        #expect(test.log.logStartOffset == 6)
        let result = try test.log.applyRetention(nowMs: now, highWatermark: 30)
        #expect(result.segments == 3)
        #expect(test.log.logStartOffset == 15)
        #expect(result.bytes > 0 && result.files.allSatisfy { $0.path.hasSuffix(".deleted") })
        #expect(result.files.allSatisfy { test.disk[$0.path] != nil })
        for file in result.files { try test.directory.removeFile(file) }
        #expect(result.files.allSatisfy { test.disk[$0.path] == nil })
        #expect(try test.log.applyRetention(nowMs: now, highWatermark: 30).segments == 0)
        #expect(test.log.epochs.entries == [.init(epoch: 0, startOffset: 15)])
    }

    @Test func everythingCanBeTooOld() throws {
        let test = try Self.filled { $0.retentionMs = 10_000 }
        let result = try test.log.applyRetention(nowMs: startMs + 100_000, highWatermark: 30)
        #expect(result.segments == 10)
        #expect(test.log.logStartOffset == 30)
        #expect(try test.append("next").firstOffset == 30)
        try test.crash(losesUnsynced: true)
        #expect(test.log.logEndOffset >= 30)
    }

    @Test func bySize() throws {
        let test = try Self.filled { _ in }
        let size = test.log.sizeInBytes
        let segment = size / 10
        test.log.config.retentionBytes = size - 2 * segment - 1
        let result = try test.log.applyRetention(nowMs: startMs, highWatermark: 30)
        #expect(result.segments == 2)
        #expect(test.log.sizeInBytes >= test.log.config.retentionBytes)
    }

    @Test func byLogStart() throws {
        let test = try Self.filled {
            $0.isDeleted = false
            $0.retentionMs = 1
            $0.retentionBytes = 1
        }
        #expect(try test.log.applyRetention(nowMs: startMs * 2, highWatermark: 30).segments == 0)
        #expect(try test.log.raiseLogStart(to: 10))
        #expect(try !test.log.raiseLogStart(to: 10))
        #expect(throws: LogError.offsetOutOfRange(offset: 31, start: 10, end: 30)) {
            try test.log.raiseLogStart(to: 31)
        }
        #expect(try test.log.applyRetention(nowMs: startMs, highWatermark: 30).segments == 3)
        #expect(test.log.logStartOffset == 10)
        #expect(try test.records().first?.offset == 10)
        try test.restart()
        #expect(test.log.logStartOffset == 10)
        #expect(try test.log.raiseLogStart(to: 30))
        #expect(try test.log.applyRetention(nowMs: startMs, highWatermark: 30).segments == 6)
        #expect(try test.records().isEmpty)
        #expect(try test.append("next").firstOffset == 30)
    }

    @Test func recordsWithoutATimeGoByTheFile() throws {
        var config = LogConfig()
        config.retentionMs = 1000
        let test = try TestLog(config)
        try test.append("a", at: -1, now: startMs)
        try test.log.roll(nowMs: startMs)
        try test.append("b", at: -1, now: startMs + 600)
        #expect(try test.log.applyRetention(nowMs: startMs + 1000, highWatermark: 2).segments == 0)
        #expect(try test.log.applyRetention(nowMs: startMs + 1001, highWatermark: 2).segments == 1)
    }

    @Test func readersKeepWhatTheyHave() throws {
        var settings = LogDirectory.Settings()
        settings.recentBytesPerLog = 0
        let test = try TestLog(settings: settings)
        try test.append("a")
        let read = try test.log.read(from: 0, maxBytes: 1000, before: .max, atLeastOneBatch: true)
        try test.log.roll(nowMs: startMs)
        try test.log.raiseLogStart(to: 1)
        let gone = try test.log.applyRetention(nowMs: startMs, highWatermark: 1)
        for file in gone.files { try test.directory.removeFile(file) }
        #expect(try decode(bytes(read.records)).map { text($0.value) } == ["a"])
    }
}
