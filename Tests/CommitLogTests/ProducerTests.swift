import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

@Suite struct ProducerTests {
    static func append(
        _ test: TestLog, _ sequence: Int32, count: Int = 1, id: Int64 = 7, epoch: Int16 = 0
    ) throws -> AppendResult {
        let values = (0..<count).map { (key: Optional("k"), value: Optional("\(sequence) \($0)")) }
        return try test.log.appendAsLeader(
            makeBatch(values, producer: (id, epoch, sequence)), leaderEpoch: 0, nowMs: startMs,
            origin: .client)
    }

    @Test func duplicatesGetTheFirstOffsets() throws {
        let test = try TestLog()
        for sequence in stride(from: Int32(0), to: 14, by: 2) {
            _ = try Self.append(test, sequence, count: 2)
        }
        #expect(test.log.logEndOffset == 14)
        // The last five batches are known.
        for sequence in stride(from: Int32(4), to: 14, by: 2) {
            let again = try Self.append(test, sequence, count: 2)
            #expect(again.isDuplicate)
            #expect((again.firstOffset, again.lastOffset) == (Int64(sequence), Int64(sequence) + 1))
        }
        #expect(throws: LogError.outOfOrderSequence(producerId: 7, sequence: 2, lastSequence: 13)) {
            try Self.append(test, 2, count: 2)
        }
        // The same beginning, another end.
        #expect(throws: LogError.self) { try Self.append(test, 12, count: 3) }
        #expect(test.log.logEndOffset == 14)
    }

    /// A snapshot knows the last batch only; the log knows the others, in whatever segment.
    @Test(arguments: [false, true])
    func duplicatesAreKnownAfterAStart(rolls: Bool) throws {
        let test = try TestLog()
        for sequence in stride(from: Int32(0), to: 14, by: 2) {
            _ = try Self.append(test, sequence, count: 2)
            _ = try Self.append(test, sequence, count: 2, id: 8)
            if rolls, sequence == 8 || sequence == 10 { try test.log.roll(nowMs: startMs) }
        }
        try test.restart()
        for sequence in stride(from: Int32(4), to: 14, by: 2) {
            let again = try Self.append(test, sequence, count: 2)
            #expect(again.isDuplicate)
            #expect(again.firstOffset == Int64(sequence) * 2)
        }
        // No more than before the start, and only what was sent.
        #expect(throws: LogError.outOfOrderSequence(producerId: 7, sequence: 2, lastSequence: 13)) {
            try Self.append(test, 2, count: 2)
        }
        #expect(throws: LogError.self) { try Self.append(test, 12, count: 3, id: 8) }
        #expect(throws: LogError.self) { try Self.append(test, 12, count: 2, id: 8, epoch: -1) }
        #expect(try Self.append(test, 14, count: 2).firstOffset == 28)
        #expect(try Self.append(test, 12, count: 2, id: 8).isDuplicate)
    }

    @Test func gapsAndEpochs() throws {
        let test = try TestLog()
        // Whoever is unknown may begin anywhere.
        #expect(try Self.append(test, 100).firstOffset == 0)
        #expect(
            throws: LogError.outOfOrderSequence(producerId: 7, sequence: 102, lastSequence: 100)
        ) { try Self.append(test, 102) }
        // A new epoch begins at 0.
        #expect(throws: LogError.outOfOrderSequence(producerId: 7, sequence: 5, lastSequence: 100))
        {
            try Self.append(test, 5, epoch: 1)
        }
        #expect(try Self.append(test, 0, epoch: 1).firstOffset == 1)
        #expect(throws: LogError.invalidProducerEpoch(producerId: 7, epoch: 0, currentEpoch: 1)) {
            try Self.append(test, 101, epoch: 0)
        }
        #expect(try Self.append(test, 1, epoch: 1).firstOffset == 2)
    }

    @Test func sequencesBeginAnewAfterTheLargest() throws {
        let test = try TestLog()
        _ = try Self.append(test, Int32.max - 2, count: 2)
        let across = try Self.append(test, Int32.max, count: 3)
        #expect(across.firstOffset == 2)
        #expect(try Self.append(test, 2).firstOffset == 5)
        #expect(try Self.append(test, Int32.max, count: 3).isDuplicate)
        #expect(ProducerEntry.Sequence.step(1, by: -3) == Int32.max - 1)
    }

    enum Restart: CaseIterable { case clean, killed, flushed, rolled }

    /// The state comes back from snapshot and log, whatever the end was.
    @Test(arguments: Restart.allCases)
    func duplicatesAreKnownAfterARestart(_ restart: Restart) throws {
        let test = try TestLog()
        for sequence in Int32(0)..<8 { _ = try Self.append(test, sequence) }
        _ = try Self.append(test, 0, id: 9, epoch: 3)
        switch restart {
        case .clean: try test.restart()
        case .killed: try test.crash(losesUnsynced: false)
        case .flushed:
            try test.log.flush()
            try test.directory.writeCheckpoints()
            try test.crash(losesUnsynced: true)
        case .rolled:
            try test.log.roll(nowMs: startMs)
            _ = try Self.append(test, 8)
            try test.crash(losesUnsynced: false)
        }
        let end = test.log.logEndOffset
        #expect(end == (restart == .rolled ? 10 : 9))
        #expect(try Self.append(test, 7).firstOffset == 7)
        #expect(try Self.append(test, 7).isDuplicate)
        if restart != .clean {
            // All five where the log was read; a snapshot holds one.
            #expect(try Self.append(test, 4).isDuplicate || restart == .rolled)
        }
        #expect(try Self.append(test, 0, id: 9, epoch: 3).isDuplicate)
        #expect(throws: LogError.self) { try Self.append(test, 20) }
        #expect(try Self.append(test, restart == .rolled ? 9 : 8).firstOffset == end)
    }

    @Test func truncationTakesProducersBack() throws {
        let test = try TestLog()
        for sequence in Int32(0)..<6 { _ = try Self.append(test, sequence) }
        try test.log.truncate(to: 3)
        #expect(try Self.append(test, 2).isDuplicate)
        #expect(throws: LogError.self) { try Self.append(test, 5) }
        #expect(try Self.append(test, 3).firstOffset == 3)
    }

    @Test func producersExpire() throws {
        let test = try TestLog()
        _ = try Self.append(test, 5)
        test.log.removeExpiredProducers(nowMs: startMs + 86_399_999)
        #expect(test.log.producers.active.map(\.id) == [7])
        test.log.removeExpiredProducers(nowMs: startMs + 86_400_000)
        #expect(test.log.producers.active.isEmpty)
        #expect(try Self.append(test, 50).firstOffset == 1)
    }

    @Test func aSnapshotIsKafkas() throws {
        let test = try TestLog()
        _ = try Self.append(test, 3, count: 2, id: 258, epoch: 4)
        try test.directory.close()
        let bytes = try #require(test.disk[RecoveryTests.name(2, "snapshot")])
        // Version 1, checksum, one entry: id, epoch, last sequence, last offset, offset delta,
        // timestamp, coordinator epoch, and no open transaction.
        var expected = ByteBuffer()
        expected.writeMultipleIntegers(Int32(1), Int64(258), Int16(4), Int32(4), Int64(1), Int32(1))
        expected.writeMultipleIntegers(startMs, Int32(-1), Int64(-1))
        #expect(bytes.getInteger(at: 0, as: Int16.self) == 1)
        #expect(bytes.getInteger(at: 2, as: UInt32.self) == crc32c(expected))
        #expect(bytes.getSlice(at: 6, length: bytes.readableBytes - 6) == expected)
        for length in 0..<bytes.readableBytes {
            let cut = try #require(bytes.getSlice(at: 0, length: length))
            #expect(ProducerSnapshot.decode(cut) == nil)
        }
        #expect(ProducerSnapshot.decode(bytes)?.count == 1)
    }

    // MARK: Transactions

    static func begin(_ test: TestLog, _ id: Int64, _ sequence: Int32 = 0) throws -> Int64 {
        try test.log.appendAsLeader(
            makeBatch([("k", "v")], producer: (id, 0, sequence), isTransactional: true),
            leaderEpoch: 0, nowMs: startMs, origin: .client
        ).firstOffset
    }

    static func end(
        _ test: TestLog, _ id: Int64, abort: Bool, coordinator: Int32 = 1
    ) throws -> Int64 {
        try test.log.appendAsLeader(
            makeMarker(producer: id, isAbort: abort, coordinatorEpoch: coordinator),
            leaderEpoch: 0, nowMs: startMs, origin: .coordinator
        ).firstOffset
    }

    @Test func stableOffsetsFollowTransactions() throws {
        let test = try TestLog(RecoveryTests.smallConfig())
        try test.append("plain")
        #expect(test.log.firstUnstableOffset == nil)
        #expect(try Self.begin(test, 1) == 1)
        #expect(try Self.begin(test, 2) == 2)
        _ = try Self.begin(test, 1, 1)
        #expect(test.log.firstUnstableOffset == 1)
        #expect(test.log.lastStableOffset(highWatermark: 4) == 1)
        #expect(test.log.lastStableOffset(highWatermark: 0) == 0)
        #expect(try Self.end(test, 1, abort: true) == 4)
        // Decided, but the marker may not be replicated.
        #expect(test.log.firstUnstableOffset == 1)
        test.log.highWatermarkRose(to: 5)
        #expect(test.log.firstUnstableOffset == 2)
        #expect(try Self.end(test, 2, abort: false) == 5)
        test.log.highWatermarkRose(to: 6)
        #expect(test.log.firstUnstableOffset == nil)
        _ = try Self.begin(test, 3)
        let aborted = AbortedTransaction(
            producerId: 1, firstOffset: 1, lastOffset: 4, lastStableOffset: 2)
        for end in [false, true] {
            #expect(try test.log.abortedTransactions(from: 0, before: 7) == [aborted])
            #expect(try test.log.abortedTransactions(from: 5, before: 7) == [])
            #expect(try test.log.abortedTransactions(from: 0, before: 1) == [])
            #expect(test.log.firstUnstableOffset == 6)
            if end { try test.restart() } else { try test.crash(losesUnsynced: false) }
            // How far the replicas are, a start does not know.
            test.log.highWatermarkRose(to: 6)
        }
        #expect(try Self.end(test, 3, abort: true) == 7)
        // The index is there, and is built again where it is garbage.
        try test.directory.close()
        let paths = test.disk.paths.filter { $0.hasSuffix(".txnindex") }
        #expect(!paths.isEmpty)
        for path in paths { test.disk[path] = ByteBuffer(string: "garbage") }
        try test.reopen()
        #expect(try test.log.abortedTransactions(from: 0, before: 8).map(\.producerId) == [1, 3])
    }

    @Test func zombiesAreFenced() throws {
        let test = try TestLog()
        _ = try Self.begin(test, 1)
        #expect(throws: LogError.invalidTransactionState(producerId: 1)) {
            try Self.append(test, 1, id: 1)
        }
        _ = try Self.end(test, 1, abort: false, coordinator: 5)
        #expect(throws: LogError.coordinatorFenced(producerId: 1, epoch: 4, currentEpoch: 5)) {
            try Self.end(test, 1, abort: false, coordinator: 4)
        }
    }
}
