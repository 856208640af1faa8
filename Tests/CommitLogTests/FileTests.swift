import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

@Suite struct FileTests {
    @Test func names() {
        #expect(LogFileName(0, .log).text == "00000000000000000000.log")
        #expect(LogFileName(.max, .index, .swap).text == "09223372036854775807.index.swap")
        #expect(LogFileName("00000000000000000042.timeindex") == LogFileName(42, .timeindex))
        #expect(LogFileName("00000000000000000042.log.deleted") == LogFileName(42, .log, .deleted))
        for text in [
            "", ".", "log", "1.log", "00000000000000000042", "00000000000000000042.", "x.log",
            "0000000000000000004x.log", "-0000000000000000042.log", "+0000000000000000042.log",
            "00000000000000000042.log.gone", "99999999999999999999.log",
            "00000000000000000042.log.swap.swap", "00000000000000000042-0000000001.checkpoint",
        ] {
            #expect(LogFileName(text) == nil, "\(text)")
        }
    }

    @Test func folders() {
        typealias Name = PartitionDirectoryName
        #expect(Name("events-0") == .partition(TopicPartition("events", 0)))
        #expect(Name("a-b.c_d-12") == .partition(TopicPartition("a-b.c_d", 12)))
        #expect(Name("__cluster_metadata-0") == .partition(TopicPartition("__cluster_metadata", 0)))
        for name in [
            "events-", "events", "-0", "events-01", "events-x", "ev ents-0",
            "events-99999999999", "events--1",
        ] {
            #expect(
                Name(name) == (name == "events--1" ? .partition(.init("events-", 1)) : .foreign))
        }
        let long = TopicPartition(String(repeating: "t", count: 249), 7)
        let deleted = Name.deleted(long, unique: "0123456789abcdef0123456789abcdef")
        #expect(deleted.utf8.count == 255)
        #expect(deleted.hasSuffix("-7.0123456789abcdef0123456789abcdef-delete"))
        #expect(Name(deleted) == .deleted)
        #expect(Name("events-0.abc-stray") == .setAside)
    }

    @Test func offsetCheckpoints() throws {
        let entries = [
            TextCheckpoint.Entry(partition: .init("a", 0), offset: 15),
            TextCheckpoint.Entry(partition: .init("b-c", 3), offset: .max),
        ]
        let text = "0\n2\na 0 15\nb-c 3 9223372036854775807\n"
        #expect(String(buffer: TextCheckpoint.encodeOffsets(entries)) == text)
        #expect(try TextCheckpoint.decodeOffsets(ByteBuffer(string: text)) == entries)
        for bad in [
            "", "0", "1\n0\n", "0\nx\n", "0\n-1\n", "0\n1\n", "0\n1\na 0\n", "0\n1\na x 1\n",
            "0\n1\na 0 1 2\n", "0\n1\na 0 99999999999999999999\n", "0\n1\na/b 0 1\n",
            "0\n0\na 0 1\n", "0\n2\na 0 1\n", "0\n1\na -1 1\n",
        ] {
            #expect(throws: TextCheckpoint.Invalid.self, "\(bad)") {
                try TextCheckpoint.decodeOffsets(ByteBuffer(string: bad))
            }
        }
    }

    @Test func epochCheckpoints() throws {
        let entries = [
            LeaderEpochs.Entry(epoch: 0, startOffset: 0), .init(epoch: 4, startOffset: 9),
        ]
        #expect(String(buffer: TextCheckpoint.encodeEpochs(entries)) == "0\n2\n0 0\n4 9\n")
        #expect(try TextCheckpoint.decodeEpochs(ByteBuffer(string: "0\n2\n0 0\n4 9\n")) == entries)
        for bad in [
            "0\n2\n4 0\n4 9\n", "0\n2\n4 9\n5 8\n", "0\n1\n-1 0\n", "0\n1\n1 -5\n", "0\n1\n1\n",
        ] {
            #expect(throws: TextCheckpoint.Invalid.self) {
                try TextCheckpoint.decodeEpochs(ByteBuffer(string: bad))
            }
        }
    }

    @Test func epochsAreAHistory() {
        var epochs = LeaderEpochs()
        #expect(epochs.endOffset(forEpoch: 0, logEndOffset: 5) == nil)
        epochs.assign(epoch: 2, startOffset: 10)
        epochs.assign(epoch: 2, startOffset: 12)
        epochs.assign(epoch: 5, startOffset: 20)
        epochs.assign(epoch: 7, startOffset: 30)
        func end(_ epoch: Int32) -> String {
            epochs.endOffset(forEpoch: epoch, logEndOffset: 40).map {
                "\($0.epoch) \($0.endOffset)"
            }
                ?? "unknown"
        }
        #expect(
            (-1...8).map(end) == [
                "unknown", "0 10", "1 10", "2 20", "2 20", "2 20", "5 30", "5 30", "7 40",
                "unknown",
            ])
        #expect([9, 10, 19, 20, 29, 30, 99].map(epochs.epoch(at:)) == [nil, 2, 2, 5, 5, 7, 7])
        // A later truth takes the place of what contradicts it.
        epochs.assign(epoch: 8, startOffset: 25)
        #expect(epochs.entries.map(\.epoch) == [2, 5, 8])
        epochs.truncateStart(to: 22)
        #expect(
            epochs.entries == [.init(epoch: 5, startOffset: 22), .init(epoch: 8, startOffset: 25)])
        epochs.truncateEnd(to: 25)
        #expect(epochs.entries == [.init(epoch: 5, startOffset: 22)])
    }

    @Test func indexFilesAreKafkas() throws {
        var config = LogConfig()
        config.indexIntervalBytes = 0
        let test = try TestLog(config)
        _ = try test.log.appendAsFollower(
            makeBatch([("a", "1"), ("b", "2")], timestamp: startMs + 1, offset: 100), nowMs: startMs
        )
        _ = try test.log.appendAsFollower(
            makeBatch([("c", "3")], timestamp: startMs + 5, offset: 102), nowMs: startMs)
        _ = try test.log.appendAsFollower(
            makeBatch([("d", "4")], timestamp: startMs + 3, offset: 103), nowMs: startMs)
        try test.log.roll(nowMs: startMs)
        let sizes = try headers(test.disk[RecoveryTests.name(0, "log")] ?? ByteBuffer())
            .map { UInt32($0.sizeInBytes) }
        var offsets = ByteBuffer()
        offsets.writeMultipleIntegers(UInt32(102), sizes[0], UInt32(103), sizes[0] + sizes[1])
        #expect(test.disk[RecoveryTests.name(0, "index")] == offsets)
        var times = ByteBuffer()
        times.writeMultipleIntegers(startMs + 5, UInt32(102))
        #expect(test.disk[RecoveryTests.name(0, "timeindex")] == times)
    }

    @Test func indexesFromGarbage() {
        var random = SeededRandom(7)
        for length in 0..<200 {
            let garbage = ByteBuffer(
                bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
            let offsets = OffsetIndex(baseOffset: 5, bytes: garbage, segmentSize: 1000)
            let times = TimeIndex(baseOffset: .max - 5, bytes: garbage)
            let aborted = TransactionIndex(baseOffset: 5, bytes: garbage)
            #expect((offsets == nil && times == nil && aborted == nil) || length < 12)
        }
    }

    @Test func errorsSayWhatTheyMean() {
        let error = DiskError(.write, "/data/a-0/00000000000000000000.log", errno: 28)
        #expect(
            "\(LogError.storage(error))" == "cannot write /data/a-0/00000000000000000000.log: "
                + "no space left on device (ENOSPC)")
        #expect(LogError.storage(error).errorCode == .kafkaStorageError)
        #expect(error.isNoSpace && !error.isNotFound)
        #expect(DiskPath.parent(of: "/a/b") == "/a" && DiskPath.parent(of: "/a") == "/")
        #expect(DiskPath.join("/a/", "b") == "/a/b" && DiskPath.name(of: "/a/b") == "b")
    }
}
