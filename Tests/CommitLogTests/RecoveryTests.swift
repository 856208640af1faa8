import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

@Suite struct RecoveryTests {
    /// A few small segments with an index entry every other batch.
    static func smallConfig() -> LogConfig {
        var config = LogConfig()
        config.segmentBytes = 600
        config.indexIntervalBytes = 100
        return config
    }

    static func name(_ offset: Int64, _ kind: String) -> String {
        let digits = String(offset)
        return "\(topicFolder)/" + String(repeating: "0", count: 20 - digits.count) + digits
            + "." + kind
    }

    @Test func aTornTailIsCutAtEveryByte() throws {
        let test = try TestLog()
        for index in 0..<5 { try test.append("value \(index)") }
        let last = makeBatch([("last", "one"), ("k", "two")], offset: 5, epoch: 0)
        let path = Self.name(0, "log")
        let whole = try #require(test.disk[path])
        for length in 0...last.readableBytes {
            let torn = try TestLog(disk: test.disk.afterCrash(losesUnsynced: false))
            var bytes = whole
            bytes.writeImmutableBuffer(last.getSlice(at: 0, length: length) ?? last)
            torn.disk[path] = bytes
            try torn.reopen()
            let expected: Int64 = length == last.readableBytes ? 7 : 5
            #expect(torn.log.logEndOffset == expected, "\(length) bytes")
            #expect(try torn.records().count == Int(expected))
            #expect(torn.disk[path]?.readableBytes == (expected == 7 ? bytes : whole).readableBytes)
            // And the log goes on.
            #expect(try torn.append("next").firstOffset == expected)
        }
    }

    @Test func aFlippedBitCutsTheLogThere() throws {
        let test = try TestLog(Self.smallConfig())
        for index in 0..<30 { try test.append("value \(index)") }
        #expect(test.log.segments.count >= 3)
        let second = test.log.segments[1].baseOffset
        let path = Self.name(second, "log")
        var bytes = try #require(test.disk[path])
        let batches = try headers(bytes)
        // The middle of the second batch of the second segment.
        let place = batches[0].sizeInBytes + batches[1].sizeInBytes / 2 + 20
        bytes.setInteger(~(bytes.getInteger(at: place, as: UInt8.self) ?? 0), at: place)
        test.disk[path] = bytes
        try test.reopen()
        #expect(test.log.logEndOffset == second + 1)
        #expect(test.log.segments.count == 2)
        #expect(try test.values() == (0...Int(second)).map { "value \($0)" })
        #expect(!test.disk.paths.contains { $0.contains("\(second + 5)") && $0.hasSuffix(".log") })
    }

    @Test func aCleanStartReadsNextToNothing() throws {
        let test = try TestLog()
        for index in 0..<200 {
            try test.append(String(repeating: "x", count: 1000), key: "\(index)", epoch: 1)
        }
        try test.directory.close()
        #expect(test.disk["/logs/.kafka_cleanshutdown"] != nil)
        let before = test.disk.bytesRead
        try test.reopen()
        #expect(test.disk.bytesRead - before < 20_000)
        #expect(test.log.logEndOffset == 200)
        #expect(test.log.flushedOffset == 200)
        #expect(test.log.latestEpoch == 1)
        #expect(test.disk["/logs/.kafka_cleanshutdown"] == nil)
        #expect(try test.records().count == 200)
    }

    @Test func recoveryBeginsAtTheRecoveryPoint() throws {
        let test = try TestLog()
        for index in 0..<400 {
            try test.append(String(repeating: "x", count: 1000), key: "\(index)")
        }
        try test.log.flush()
        // What a flush leaves behind for a fast start: checkpoint, index, producers.
        try test.log.roll(nowMs: startMs)
        try test.append("y")
        try test.log.flush()
        try test.directory.writeCheckpoints()
        try test.append("z")
        test.disk = test.disk.afterCrash(losesUnsynced: false)
        let before = test.disk.bytesRead
        try test.reopen()
        #expect(test.disk.bytesRead - before < 20_000)
        #expect(test.log.logEndOffset == 402)
        #expect(test.log.flushedOffset == 401)
    }

    /// Every file of the folder, missing or garbage, clean or not: what was flushed is there.
    @Test(arguments: [true, false], ["missing", "empty", "garbage", "short"])
    func damagedFiles(_ isClean: Bool, _ damage: String) throws {
        let original = try TestLog(Self.smallConfig())
        for index in 0..<25 {
            try original.append(
                "value \(index)", epoch: Int32(index / 10), at: startMs + Int64(index))
        }
        let expected = try original.records()
        let epochs = original.log.epochs
        if isClean { try original.directory.close() } else { try original.log.flush() }
        for path in original.disk.paths where !path.hasSuffix(".log") {
            let test = try TestLog(
                Self.smallConfig(), disk: original.disk.afterCrash(losesUnsynced: false))
            test.disk = original.disk.afterCrash(losesUnsynced: false)
            let bytes = test.disk[path] ?? ByteBuffer()
            switch damage {
            case "missing": test.disk[path] = nil
            case "empty": test.disk[path] = ByteBuffer()
            case "garbage": test.disk[path] = ByteBuffer(string: "what is this? 0123456789 abcd!!!")
            default:
                test.disk[path] = bytes.getSlice(at: 0, length: max(0, bytes.readableBytes - 3))
            }
            try test.reopen()
            #expect(test.log.logEndOffset == 25, "\(path)")
            #expect(try test.records() == expected, "\(path)")
            #expect(test.log.epochs.entries == epochs.entries, "\(path)")
            for offset in 0..<25 {
                #expect(try test.records(from: Int64(offset)).first?.offset == Int64(offset))
                let found = try test.log.lookUp(timestamp: startMs + Int64(offset))
                #expect(found?.offset == Int64(offset), "\(path)")
            }
            #expect(try test.append("next", epoch: 3, at: startMs + 30).firstOffset == 25)
        }
    }

    @Test func segmentsThatVanishedAreNotMissedForEver() throws {
        let test = try TestLog(Self.smallConfig())
        for index in 0..<25 { try test.append("value \(index)") }
        try test.log.flush()
        try test.log.raiseLogStart(to: 20)
        try test.directory.writeCheckpoints()
        for path in test.disk.paths where path.hasSuffix(".log") { test.disk[path] = nil }
        try test.reopen()
        #expect(test.log.logStartOffset == 20)
        #expect(test.log.logEndOffset == 20)
        #expect(try test.append("next").firstOffset == 20)
    }

    /// What a truncation had removed, and a loss of power has brought back behind newer records.
    @Test func anEpochThatFallsCutsTheLog() throws {
        let test = try TestLog()
        try test.append("a", epoch: 1)
        try test.append("b", epoch: 5)
        var bytes = try #require(test.disk[Self.name(0, "log")])
        bytes.writeImmutableBuffer(makeBatch([("k", "old")], offset: 2, epoch: 4))
        test.disk[Self.name(0, "log")] = bytes
        try test.reopen()
        #expect(try test.values() == ["a", "b"])
    }

    @Test func leftoversAreCleared() throws {
        let test = try TestLog(Self.smallConfig())
        for index in 0..<25 { try test.append("value \(index)") }
        let expected = try test.records()
        let junk = ByteBuffer(string: "junk")
        for name in [
            "00000000000000000003.log.deleted", "00000000000000000000.log.cleaned",
            "00000000000000000000.index.cleaned", "00000000000000000007.index",
            "00000000000000000007.timeindex", "00000000000000000000.index.swap",
            "leader-epoch-checkpoint.tmp", "leader-epoch-checkpoint.7.tmp",
        ] {
            test.disk["\(topicFolder)/\(name)"] = junk
        }
        test.disk["\(topicFolder)/00000000000000000009-0000000001.checkpoint"] = junk
        try test.reopen()
        #expect(try test.records() == expected)
        let left = test.disk.paths.filter { test.disk[$0] == junk }
        #expect(left == ["\(topicFolder)/00000000000000000009-0000000001.checkpoint"])
    }

    @Test func aSwapIsFinished() throws {
        let test = try TestLog(Self.smallConfig())
        for index in 0..<25 { try test.append("value \(index)") }
        let bases = test.log.segments.map(\.baseOffset)
        #expect(bases.count >= 4)
        // Compaction has made one segment out of the first two, and died.
        var cleaned = makeBatch([("k", "kept")], offset: 1, epoch: 0)
        cleaned.writeImmutableBuffer(makeBatch([("k", "too")], offset: bases[2] - 1, epoch: 0))
        // A damaged one gives way to what it was made from.
        var damaged = cleaned
        damaged.setInteger(UInt8(0xaa), at: cleaned.writerIndex - 2)
        for garbage in [damaged, ByteBuffer(string: "garbage")] {
            test.disk[Self.name(0, "log.swap")] = garbage
            try test.reopen()
            #expect(try test.records().count == 25)
            #expect(test.disk[Self.name(0, "log.swap")] == nil)
        }
        test.disk[Self.name(0, "log.swap")] = cleaned
        try test.reopen()
        #expect(test.log.segments.map(\.baseOffset) == [0] + bases[2...])
        #expect(try test.values() == ["kept", "too"] + (Int(bases[2])..<25).map { "value \($0)" })
    }
}
