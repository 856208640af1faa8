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
}
