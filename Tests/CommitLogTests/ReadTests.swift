import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

@Suite struct ReadTests {
    /// Forty records in twenty batches, some in memory only as far as `memory` goes.
    static func filled(memory: Int, segmentBytes: Int = 700) throws -> TestLog {
        var config = RecoveryTests.smallConfig()
        config.segmentBytes = segmentBytes
        var settings = LogDirectory.Settings()
        settings.recentBytesPerLog = memory
        let test = try TestLog(config, settings: settings)
        for index in 0..<20 {
            try test.append(
                "value \(2 * index)", "value \(2 * index + 1)", at: startMs + Int64(index))
        }
        return test
    }

    @Test(arguments: [0, 1000, 1 << 20])
    func everyOffsetBelowEveryLimit(_ memory: Int) throws {
        let test = try Self.filled(memory: memory)
        var fromMemory = 0
        for from in 0...Int64(40) {
            for limit in [0, from, from + 1, from + 3, 17, 40, .max] as [Int64] {
                let read = try test.log.read(
                    from: from, maxBytes: 300, before: limit, atLeastOneBatch: true)
                if read.isFromMemory { fromMemory += 1 }
                let found = try headers(bytes(read.records))
                // The batch that holds an even offset and the next.
                let first = from / 2 * 2
                guard from < 40, first + 1 < limit else {
                    #expect(found.isEmpty, "\(from) below \(limit)")
                    continue
                }
                #expect(found.first?.baseOffset == first)
                #expect(read.firstOffset == first)
                #expect(found.allSatisfy { $0.lastOffset < limit })
                #expect(read.records.count <= 300)
                for (earlier, later) in zip(found, found.dropFirst()) {
                    #expect(later.baseOffset == earlier.lastOffset + 1)
                }
            }
        }
        #expect(memory < 1 << 20 || fromMemory == 41 * 7)
    }

    @Test(arguments: [0, 1 << 20])
    func theFirstBatchMayBeLarger(_ memory: Int) throws {
        let test = try Self.filled(memory: memory)
        for from in 0..<Int64(40) {
            let one = try test.log.read(
                from: from, maxBytes: 10, before: .max, atLeastOneBatch: true)
            #expect(try headers(bytes(one.records)).map(\.baseOffset) == [from / 2 * 2])
            let none = try test.log.read(
                from: from, maxBytes: 10, before: .max, atLeastOneBatch: false)
            #expect(none.records.count == 0)
        }
    }

    @Test func outOfRange() throws {
        let test = try Self.filled(memory: 1 << 20)
        try test.log.raiseLogStart(to: 10)
        for offset in [-1, 0, 9, 41, .max] as [Int64] {
            #expect(throws: LogError.offsetOutOfRange(offset: offset, start: 10, end: 40)) {
                try test.log.read(from: offset, maxBytes: 100, before: .max, atLeastOneBatch: true)
            }
        }
    }

    @Test func anIndexThatLiesIsRebuilt() throws {
        let test = try Self.filled(memory: 0, segmentBytes: 1 << 20)
        // A closed one: the active one's index is looked at by every start.
        try test.log.roll(nowMs: startMs)
        try test.append("last")
        try test.directory.close()
        let path = RecoveryTests.name(0, "index")
        var index = try #require(test.disk[path])
        // Believable entries that point into the middle of batches.
        for entry in 0..<(index.readableBytes / 8) {
            let position = try #require(index.getInteger(at: entry * 8 + 4, as: UInt32.self))
            index.setInteger(position - 3, at: entry * 8 + 4)
        }
        test.disk[path] = index
        try test.reopen()
        for from in 0...Int64(40) { #expect(try test.records(from: from).first?.offset == from) }
    }

    @Test func memoryIsShared() throws {
        var settings = LogDirectory.Settings()
        settings.recentBytesPerLog = 6000
        settings.recentBytes = 9000
        let test = try TestLog(settings: settings)
        let other = try test.directory.openLog(
            TopicPartition("other", 1), topicId: nil, config: LogConfig(), nowMs: startMs,
            unique: "u")
        let value = String(repeating: "v", count: 900)
        for _ in 0..<6 {
            _ = try other.appendAsLeader(
                makeBatch([("k", value)]), leaderEpoch: 0, nowMs: startMs, origin: .client)
        }
        func isInMemory(_ log: PartitionLog, _ offset: Int64) throws -> Bool {
            try log.read(from: offset, maxBytes: 1, before: .max, atLeastOneBatch: true)
                .isFromMemory
        }
        #expect(try isInMemory(other, 5))
        for _ in 0..<20 { try test.append(value) }
        #expect(try isInMemory(test.log, 19))
        #expect(try !isInMemory(test.log, 5))
        #expect(try !isInMemory(other, 5), "the log that is not appended to gives way")
    }

    // MARK: Timestamps

    @Test func timestampsAreLookedUp() throws {
        let test = try Self.filled(memory: 0)
        #expect(try test.log.lookUp(timestamp: 0)?.offset == 0)
        for index in 0..<Int64(20) {
            let found = try test.log.lookUp(timestamp: startMs + index)
            #expect(
                found
                    == OffsetAndTime(
                        offset: 2 * index, timestamp: startMs + index, leaderEpoch: 0))
        }
        #expect(try test.log.lookUp(timestamp: startMs + 20) == nil)
        try test.log.raiseLogStart(to: 5)
        #expect(try test.log.lookUp(timestamp: startMs)?.offset == 5)
        #expect(test.log.earliest == OffsetAndTime(offset: 5, timestamp: -1, leaderEpoch: 0))
        #expect(test.log.latest == OffsetAndTime(offset: 40, timestamp: -1, leaderEpoch: 0))
    }

    @Test(arguments: Compression.allCases)
    func theExactRecordIsFound(_ compression: Compression) throws {
        let test = try TestLog()
        var builder = RecordBatchBuilder()
        for (index, time) in [5, 9, 7, 20, 20, 3].enumerated() {
            builder.append(
                key: nil, value: ByteBuffer(string: "\(index)"), timestamp: startMs + Int64(time))
        }
        let batch = try builder.build(compression: compression)
        _ = try test.log.appendAsLeader(batch, leaderEpoch: 4, nowMs: startMs, origin: .client)
        for (time, offset) in [(0, 0), (5, 0), (6, 1), (8, 1), (10, 3), (20, 3)] as [(Int64, Int64)]
        {
            #expect(try test.log.lookUp(timestamp: startMs + time)?.offset == offset, "\(time)")
        }
        #expect(
            try test.log.maxTimestamp()
                == OffsetAndTime(
                    offset: 3, timestamp: startMs + 20, leaderEpoch: 4))
    }

    @Test func theLargestTimestampMayBeAnywhere() throws {
        let test = try TestLog(RecoveryTests.smallConfig())
        let times: [Int64] = [3, 50, 4, 9, 1, 70, 70, 2, 8, 12, 60, 61, 5, 6, 7]
        for time in times { try test.append("value at \(time)", at: startMs + time) }
        #expect(test.log.segments.count > 2)
        for _ in 0..<2 {
            #expect(try test.log.maxTimestamp()?.offset == 5)
            for time in times.sorted() {
                let expected = times.firstIndex { $0 >= time }
                #expect(
                    try test.log.lookUp(timestamp: startMs + time)?.offset
                        == expected.map(Int64.init))
            }
            try test.restart()
        }
        #expect(try TestLog().log.maxTimestamp() == nil)
    }

    @Test func theLargestTimestampIsKnownAfterAStart() throws {
        let test = try TestLog()
        try test.append("late", at: startMs + 50)
        try test.restart()
        try test.append("early", at: startMs + 10)
        #expect(try test.log.maxTimestamp()?.offset == 0)
        try test.restart()
        #expect(try test.log.maxTimestamp()?.offset == 0)
    }
}
