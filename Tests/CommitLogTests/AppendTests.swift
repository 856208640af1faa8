import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

@Suite struct AppendTests {
    @Test func offsetsAndEpochsAreGiven() throws {
        let test = try TestLog()
        let first = try test.append("a", "b", epoch: 3)
        let second = try test.append("c", epoch: 4)
        #expect((first.firstOffset, first.lastOffset) == (0, 1))
        #expect((second.firstOffset, second.lastOffset) == (2, 2))
        #expect(test.log.logEndOffset == 3)
        let found = try headers(
            test.log.readBytes(from: 0, maxBytes: 1 << 20, before: .max))
        #expect(found.map(\.baseOffset) == [0, 2])
        #expect(found.map(\.partitionLeaderEpoch) == [3, 4])
        #expect(
            test.log.epochs.entries == [
                .init(epoch: 3, startOffset: 0), .init(epoch: 4, startOffset: 2),
            ])
        #expect(try test.values() == ["a", "b", "c"])
    }

    @Test func aBatchIsKeptVerbatim() throws {
        let test = try TestLog()
        let batch = makeBatch([("k", "v")], compression: .zstd)
        _ = try test.log.appendAsLeader(batch, leaderEpoch: 7, nowMs: startMs, origin: .client)
        var expected = batch
        RecordBatches.rewrite(baseOffset: 0, leaderEpoch: 7, at: 0, in: &expected)
        #expect(try test.log.readBytes(from: 0, maxBytes: 1000, before: .max) == expected)
        // The caller's own buffer is as it was.
        #expect(try headers(batch)[0].partitionLeaderEpoch == -1)
    }

    @Test func theTimeOfTheAppendCanBeTheRecords() throws {
        var config = LogConfig()
        config.timestampType = .logAppendTime
        let test = try TestLog(config)
        let result = try test.append("a", "b", at: 5, now: startMs + 9)
        #expect(result.logAppendTimeMs == startMs + 9)
        #expect(try test.records().map(\.timestamp) == [startMs + 9, startMs + 9])
        // The checksum was made anew.
        try test.crash(losesUnsynced: false)
        #expect(try test.values() == ["a", "b"])
    }

    struct Refusal: CustomTestStringConvertible {
        var testDescription: String
        var batch: ByteBuffer
        var error: ErrorCode
        var change: @Sendable (inout LogConfig) -> Void = { _ in }
    }

    static let refusals: [Refusal] = [
        Refusal(
            testDescription: "a flipped bit",
            batch: {
                var batch = makeBatch([("k", "v")])
                batch.setInteger(UInt8(0xff), at: batch.writerIndex - 1)
                return batch
            }(), error: .corruptMessage),
        Refusal(
            testDescription: "cut off",
            batch: {
                let batch = makeBatch([("k", "v")])
                return batch.getSlice(at: 0, length: batch.readableBytes - 1) ?? batch
            }(), error: .corruptMessage),
        Refusal(testDescription: "nothing", batch: ByteBuffer(), error: .invalidRecord),
        Refusal(
            testDescription: "format 1",
            batch: {
                var batch = makeBatch([("k", "v")])
                batch.setInteger(Int8(1), at: 16)
                return batch
            }(), error: .corruptMessage),
        Refusal(
            testDescription: "a base offset",
            batch: makeBatch([("k", "v")], offset: 5), error: .invalidRecord),
        Refusal(
            testDescription: "two batches",
            batch: {
                var batch = makeBatch([("k", "v")])
                batch.writeImmutableBuffer(makeBatch([("k", "v")]))
                return batch
            }(), error: .invalidRecord),
        Refusal(
            testDescription: "a control batch",
            batch: makeMarker(producer: 1, isAbort: true), error: .invalidRecord),
        Refusal(
            testDescription: "larger than max.message.bytes",
            batch: makeBatch([("k", String(repeating: "v", count: 200))]),
            error: .messageTooLarge, change: { $0.maxMessageBytes = 100 }),
        Refusal(
            testDescription: "larger than a segment",
            batch: makeBatch([("k", String(repeating: "v", count: 200))]),
            error: .recordListTooLarge, change: { $0.segmentBytes = 100 }),
        Refusal(
            testDescription: "too far ahead",
            batch: makeBatch([("k", "v")], timestamp: startMs + 3_600_001),
            error: .invalidTimestamp),
        Refusal(
            testDescription: "the end of time",
            batch: makeBatch([("k", "v")], timestamp: .max), error: .invalidTimestamp),
        Refusal(
            testDescription: "too far behind",
            batch: makeBatch([("k", "v")], timestamp: startMs - 1001),
            error: .invalidTimestamp, change: { $0.timestampBeforeMaxMs = 1000 }),
        Refusal(
            testDescription: "no key for a compacted topic",
            batch: makeBatch([("k", "v"), (nil, "v")], compression: .gzip),
            error: .invalidRecord, change: { $0.isCompacted = true }),
        Refusal(
            testDescription: "a producer without a sequence",
            batch: makeBatch([("k", "v")], producer: (1, 0, -1)), error: .invalidRecord),
    ]

    @Test(arguments: refusals)
    func whatClientsMayNotAppend(_ refusal: Refusal) throws {
        var config = LogConfig()
        refusal.change(&config)
        let test = try TestLog(config)
        let error = #expect(throws: LogError.self) {
            try test.log.appendAsLeader(
                refusal.batch, leaderEpoch: 0, nowMs: startMs, origin: .client)
        }
        #expect(error?.errorCode == refusal.error, "\(String(describing: error))")
        #expect(test.log.logEndOffset == 0)
        #expect(test.log.sizeInBytes == 0)
        #expect(test.directory.offlineReason == nil)
    }

    @Test func countsThatDoNotMatchTheOffsets() throws {
        let test = try TestLog()
        for (delta, count) in [(0, 2), (2, 2), (-1, 2), (1, 0), (1, -1)] as [(Int32, Int32)] {
            var batch = makeBatch([("a", "1"), ("b", "2")])
            batch.setInteger(delta, at: 23)
            batch.setInteger(count, at: 57)
            let sum = crc32c(batch.getSlice(at: 21, length: batch.readableBytes - 21) ?? batch)
            batch.setInteger(sum, at: 17)
            let error = #expect(throws: LogError.self) {
                try test.log.appendAsLeader(batch, leaderEpoch: 0, nowMs: startMs, origin: .client)
            }
            #expect(error?.errorCode == .invalidRecord)
        }
    }

    @Test func anOlderLeaderIsRefused() throws {
        let test = try TestLog()
        try test.append("a", epoch: 5)
        let error = #expect(throws: LogError.self) { try test.append("b", epoch: 4) }
        #expect(error == .staleLeaderEpoch(epoch: 4, latest: 5))
    }

    // MARK: Followers

    @Test func followersKeepWhatTheyAreSent() throws {
        let test = try TestLog()
        var bytes = makeBatch([("a", "1"), ("b", "2")], offset: 10, epoch: 2)
        // Compaction has left a gap.
        bytes.writeImmutableBuffer(makeBatch([("c", "3")], offset: 20, epoch: 3))
        let torn = makeBatch([("d", "4")], offset: 21, epoch: 3)
        bytes.writeImmutableBuffer(torn.getSlice(at: 0, length: torn.readableBytes - 3) ?? torn)
        let result = try test.log.appendAsFollower(bytes, nowMs: startMs)
        #expect((result.firstOffset, result.lastOffset) == (10, 20))
        #expect(test.log.logEndOffset == 21)
        #expect(try test.records(from: 0).map(\.offset) == [10, 11, 20])
        #expect(
            test.log.epochs.entries == [
                .init(epoch: 2, startOffset: 10), .init(epoch: 3, startOffset: 20),
            ])
        let error = #expect(throws: LogError.self) {
            try test.log.appendAsFollower(
                makeBatch([("d", "4")], offset: 20, epoch: 3), nowMs: startMs)
        }
        #expect(error == .unexpectedOffset(first: 20, expected: 21))
        var backward = makeBatch([("d", "4")], offset: 30, epoch: 3)
        backward.writeImmutableBuffer(makeBatch([("d", "4")], offset: 29, epoch: 3))
        #expect(throws: LogError.unexpectedOffset(first: 29, expected: 31)) {
            try test.log.appendAsFollower(backward, nowMs: startMs)
        }
        #expect(test.log.logEndOffset == 21)
        let nothing = try test.log.appendAsFollower(ByteBuffer(string: "short"), nowMs: startMs)
        #expect(nothing.bytes == 0)
    }

    @Test func offsetsComeToAnEnd() throws {
        let test = try TestLog()
        for offset in [Int64.max, .max - 1, .max - 1 << 39, -1] as [Int64] {
            #expect(throws: LogError.self) {
                try test.log.appendAsFollower(
                    makeBatch([("k", "v")], offset: offset, epoch: 0), nowMs: startMs)
            }
            #expect(throws: LogError.self) { try test.log.truncateFully(startingAt: offset) }
        }
        let last = Int64.max - 1 << 40
        _ = try test.log.appendAsFollower(
            makeBatch([("k", "v"), ("k", "v")], offset: last, epoch: 0), nowMs: startMs)
        #expect(throws: LogError.invalidRecord("no offset is left")) { try test.append("more") }
        #expect(try test.records(from: last).count == 2)
        try test.log.truncate(to: -5)
        #expect(test.log.logEndOffset == 0)
    }

    // MARK: Segments

    @Test func segmentsRoll() throws {
        var config = LogConfig()
        config.segmentBytes = 200
        let test = try TestLog(config)
        for index in 0..<10 { try test.append("value \(index)") }
        #expect(test.log.segments.count > 3)
        #expect(test.log.segments.map(\.baseOffset) == test.log.segments.map(\.baseOffset).sorted())
        #expect(try test.values() == (0..<10).map { "value \($0)" })
        for segment in test.log.segments.dropFirst() {
            let digits = String(segment.baseOffset)
            let name = String(repeating: "0", count: 20 - digits.count) + digits
            for kind in ["log", "index", "timeindex", "snapshot"] {
                #expect(test.disk["\(topicFolder)/\(name).\(kind)"] != nil)
            }
        }
    }

    @Test func segmentsRollWithTime() throws {
        var config = LogConfig()
        config.segmentMs = 1000
        let test = try TestLog(config)
        try test.append("a", at: startMs)
        try test.append("b", at: startMs + 1000)
        #expect(test.log.segments.count == 1)
        try test.append("c", at: startMs + 1001)
        #expect(test.log.segments.map(\.baseOffset) == [0, 2])
        // Records without a time go by the segment's age.
        try test.append("d", at: -1, now: startMs + 1500)
        #expect(test.log.segments.count == 2)
    }

    @Test func segmentsRollWhereOffsetsDoNotFit() throws {
        let test = try TestLog()
        let far = Int64(Int32.max) + 10
        for offset in [0, 5, far, far + 1] as [Int64] {
            _ = try test.log.appendAsFollower(
                makeBatch([("k", "\(offset)")], offset: offset, epoch: 0), nowMs: startMs)
        }
        #expect(test.log.segments.map(\.baseOffset) == [0, far])
        #expect(try test.records().map(\.offset) == [0, 5, far, far + 1])
        #expect(try test.records(from: 6).map(\.offset) == [far, far + 1])
    }

    @Test func segmentsRollWhenTheIndexIsFull() throws {
        var config = LogConfig()
        config.indexIntervalBytes = 0
        config.segmentIndexBytes = 48
        let test = try TestLog(config)
        for index in 0..<20 { try test.append("\(index)", at: startMs + Int64(index)) }
        #expect(test.log.segments.count > 3)
        #expect(try test.values() == (0..<20).map { "\($0)" })
    }
}
