import CommitLog
import NIOCore
import SimulatedDisk
import Testing

/// `leader-epoch-checkpoint` says when an epoch begins, not only when a segment ends.
@Suite struct EpochCheckpointTests {
    private func onDisk(_ test: TestLog) throws -> String? {
        try test.disk.readWhole(topicFolder + "/leader-epoch-checkpoint", limit: 4096)
            .map { String(buffer: $0) }
    }

    @Test func itIsWrittenByItself() throws {
        let test = try TestLog()
        test.log.beginEpoch(3)
        try test.append("a", epoch: 3)
        try test.append("b", epoch: 5)
        #expect(test.log.hasUnwrittenEpoch)
        #expect(try onDisk(test) == nil)
        let ticket = try #require(try test.log.beginEpochFlush())
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs + 10)
        #expect(try onDisk(test) == "0\n2\n3 0\n5 1\n")
        #expect(!test.log.hasUnwrittenEpoch)
        // Only that: the records are as they were, and due when they were.
        #expect(test.log.flushedOffset == 0)
        test.log.config.flushMs = 10
        #expect(test.log.isFlushDue(nowMs: startMs + 10))
        #expect(try test.log.beginEpochFlush() == nil)
        let rest = try #require(try test.log.beginFlush())
        // One file, one writer at a time.
        test.log.beginEpoch(6)
        #expect(try test.log.beginEpochFlush() == nil)
        try rest.perform()
        try test.log.completeFlush(rest, nowMs: startMs)
        #expect(test.log.flushedOffset == 2)
        try test.crash(losesUnsynced: true)
        #expect(test.log.latestEpoch == 5)
    }

    /// The checkpoint may speak of records that a crash has taken.
    @Test func whatItSaysTooMuchIsForgotten() throws {
        let test = try TestLog()
        try test.append("a", epoch: 1)
        try test.log.flush()
        try test.directory.writeCheckpoints()
        try test.append("b", epoch: 2)
        let ticket = try #require(try test.log.beginEpochFlush())
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs)
        try test.crash(losesUnsynced: true)
        #expect(test.log.latestEpoch == 1)
        try test.append("c", epoch: 3)
        #expect(test.log.endOffset(forEpoch: 2)?.epoch == 1)
        #expect(try test.values().first == "a")
    }

    private func flushEpochs(_ test: TestLog) throws {
        let ticket = try #require(try test.log.beginEpochFlush())
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs)
    }

    /// A follower begins anew where its leader's log starts, and ends before it has written down
    /// that it knows of no epoch any more. It must not tell of an old one what lies before.
    @Test func anEmptyLogKnowsNoEpoch() throws {
        for losesUnsynced in [false, true] {
            let test = try TestLog()
            try test.append("a", epoch: 1)
            try test.log.flush()
            try test.log.truncateFully(startingAt: 2)
            try test.crash(losesUnsynced: losesUnsynced)
            #expect(test.log.logStartOffset == 2 && test.log.logEndOffset == 2)
            #expect(test.log.latestEpoch == nil)
        }
    }

    /// What retention has dropped is back after a loss of power, and its epochs with it: a leader
    /// that had lost them would not see where a follower's log parts from its own.
    @Test func aStartThatCameBackHasItsEpochs() throws {
        let test = try TestLog()
        for epoch in Int32(0)..<4 {
            try test.append("a", epoch: epoch)
            try test.append("b", epoch: epoch)
        }
        try test.log.flush()
        try test.directory.writeCheckpoints()
        try test.log.raiseLogStart(to: 5)
        #expect(test.log.epochs.earliest?.startOffset == 5)
        try flushEpochs(test)
        try test.crash(losesUnsynced: true)
        #expect(test.log.logStartOffset == 0)
        #expect(test.log.epochs.entries.map(\.startOffset) == [0, 2, 4, 6])
        #expect(test.log.epochs.entries.map(\.epoch) == [0, 1, 2, 3])
    }

    /// Recovery reads again what lies before its point, where compaction may have taken the first
    /// batches of an epoch: what the checkpoint knows of them stands.
    @Test func whatCompactionHasTakenIsStillKnown() throws {
        let test = try TestLog()
        for (value, epoch) in [("a", Int32(1)), ("b", 1), ("c", 3), ("d", 3)] {
            try test.append(value, epoch: epoch)
        }
        try test.log.flush()
        try test.directory.writeCheckpoints()
        let path = "\(topicFolder)/00000000000000000000.log"
        var kept = makeBatch([("k", "b")], offset: 1, epoch: 1)
        kept.writeImmutableBuffer(makeBatch([("k", "d")], offset: 3, epoch: 3))
        test.disk[path] = kept
        try test.crash(losesUnsynced: false)
        #expect(try test.values() == ["b", "d"])
        #expect(test.log.epochs.entries.map(\.startOffset) == [0, 2])
    }

    /// A follower knew of an epoch that began inside a batch which it got later, of an epoch before
    /// it, and ended before it could write that down.
    @Test func noEpochBeginsInsideABatch() throws {
        let test = try TestLog()
        for offset in 0..<10 { try test.append("\(offset)", epoch: 1) }
        try test.log.flush()
        test.log.beginEpoch(3)
        try test.append("b", epoch: 3)
        try test.log.truncate(to: 10)
        test.log.beginEpoch(2)
        for (epoch, values) in [(Int32(2), ["a", "b", "c"]), (4, ["d", "e"])] {
            var batch = makeBatch(values.map { ("k", $0) }, offset: test.log.logEndOffset)
            batch.setInteger(epoch, at: 12)
            _ = try test.log.appendAsFollower(batch, nowMs: startMs)
        }
        // What the disk has is of before.
        try test.disk.replace(
            topicFolder + "/leader-epoch-checkpoint",
            with: ByteBuffer(string: "0\n2\n1 0\n3 12\n"))
        try test.crash(losesUnsynced: false)
        #expect(test.log.logEndOffset == 15)
        #expect(test.log.epochs.entries.map(\.epoch) == [1, 2, 4])
        #expect(test.log.epochs.entries.map(\.startOffset) == [0, 10, 13])
    }

    /// The flush thread is late: what it was given before the shutdown it does after it.
    @Test func anEndInOrderIsNotOvertakenByAFlush() throws {
        let test = try TestLog()
        try test.append("a", epoch: 1)
        let late = try #require(try test.log.beginFlush())
        try test.append("b", epoch: 2)
        try test.directory.close()
        #expect(throws: DiskError.self) { try late.perform() }
        test.disk = test.disk.afterCrash(losesUnsynced: true)
        try test.reopen()
        #expect(test.directory.wasClosedCleanly)
        #expect(test.log.epochs.entries.map(\.epoch) == [1, 2])
    }

    @Test func batchesAreBelievedMoreThanTheCheckpoint() {
        var epochs = LeaderEpochs([
            .init(epoch: 1, startOffset: 4), .init(epoch: 5, startOffset: 8),
        ])
        epochs.found(epoch: 1, at: 6, through: 6)
        #expect(epochs.entries.count == 2)
        // What lies between two that are known is put between them.
        epochs.found(epoch: 0, at: 1, through: 3)
        epochs.found(epoch: 3, at: 7, through: 7)
        #expect(epochs.entries.map(\.epoch) == [0, 1, 3, 5])
        #expect(epochs.entries.map(\.startOffset) == [1, 4, 7, 8])
        epochs.found(epoch: 6, at: 8, through: 9)
        #expect(epochs.entries.map(\.epoch) == [0, 1, 3, 6])
        epochs.found(epoch: 1, at: 5, through: 7)
        #expect(epochs.entries.map(\.startOffset) == [1, 4, 8])
        epochs.found(epoch: 6, at: 7, through: 7)
        #expect(epochs.entries.map(\.startOffset) == [1, 4, 7])
        epochs.found(epoch: 6, at: 10, through: 12)
        epochs.found(epoch: -1, at: 13, through: 13)
        #expect(epochs.entries.count == 3)
        epochs.found(epoch: 0, at: 14, through: 14)
        #expect(epochs.entries == [.init(epoch: 0, startOffset: 1)])
        epochs.found(epoch: 0, at: 0, through: 0)
        #expect(epochs.entries == [.init(epoch: 0, startOffset: 0)])
    }
}
