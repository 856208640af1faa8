import CommitLog
import NIOCore
import SimulatedDisk
import Testing

@Suite struct FlushTests {
    @Test func whatIsFlushedSurvives() throws {
        for seed in UInt64(1)...20 {
            let test = try TestLog(RecoveryTests.smallConfig(), seed: seed)
            for index in 0..<12 { try test.append("value \(index)", epoch: Int32(index / 4)) }
            #expect(test.log.unflushedRecords == 12)
            try test.log.flush()
            #expect(test.log.flushedOffset == 12)
            try test.append("not flushed", epoch: 7)
            try test.crash(losesUnsynced: true)
            #expect(try test.values().prefix(12) == (0..<12).map { "value \($0)" }[...])
            #expect(test.log.epochs.entries.prefix(3).map(\.startOffset) == [0, 4, 8])
        }
    }

    @Test func appendsGoOnDuringAFlush() throws {
        let test = try TestLog()
        try test.append("a")
        let ticket = try #require(try test.log.beginFlush())
        #expect(ticket.endOffset == 1)
        try test.append("b")
        #expect(try test.log.beginFlush() == nil, "one at a time")
        #expect(test.log.flushedOffset == 0)
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs)
        #expect(test.log.flushedOffset == 1)
        // The next takes all that came in the meantime.
        let next = try #require(try test.log.beginFlush())
        #expect(next.endOffset == 2)
        try next.perform()
        try test.log.completeFlush(next, nowMs: startMs)
        // A second completion says nothing new.
        try test.log.completeFlush(ticket, nowMs: startMs)
        #expect(test.log.flushedOffset == 2)
        #expect(try test.log.beginFlush() == nil, "nothing to do")
    }

    @Test func aTruncationBoundsAFlush() throws {
        let test = try TestLog()
        for value in ["a", "b", "c"] { try test.append(value) }
        let ticket = try #require(try test.log.beginFlush())
        try test.log.truncate(to: 1)
        try test.append("d", epoch: 1)
        try test.append("e", epoch: 1)
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs)
        #expect(test.log.flushedOffset == 1)
    }

    @Test func flushesAreDue() throws {
        var config = LogConfig()
        config.flushMessages = 3
        config.flushMs = 1000
        let test = try TestLog(config)
        #expect(test.log.nextFlushMs == nil)
        #expect(try test.append("a", "b").isFlushDue == false)
        #expect(test.log.nextFlushMs == startMs + 1000)
        #expect(!test.log.isFlushDue(nowMs: startMs + 999))
        #expect(test.log.isFlushDue(nowMs: startMs + 1000))
        #expect(try test.append("c").isFlushDue)
        let ticket = try #require(try test.log.beginFlush())
        #expect(!test.log.isFlushDue(nowMs: startMs + 5000), "one is under way")
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs + 500)
        #expect(test.log.nextFlushMs == nil)
        try test.append("d")
        #expect(test.log.nextFlushMs == startMs + 1500)
    }

    @Test func aFailedFlushEndsTheDirectory() throws {
        let test = try TestLog()
        try test.append("a")
        let ticket = try #require(try test.log.beginFlush())
        test.disk.faults.failing = (.sync, 1, DiskError.inputOutput)
        let error = #expect(throws: DiskError.self) { try ticket.perform() }
        #expect(test.log.failFlush(ticket, try #require(error)))
        #expect(test.log.flushedOffset == 0)
        #expect(test.directory.offlineReason?.contains("cannot sync") == true)
        #expect(throws: LogError.self) { try test.append("b") }
    }

    /// A partition goes and comes back while its flush is under way: neither disturbs the other.
    @Test func aFlushOutlivesItsLog() throws {
        let test = try TestLog()
        try test.append("a", epoch: 1)
        let late = try #require(try test.log.beginFlush())
        _ = try test.directory.delete(test.log, unique: "gone")
        test.log = try TestLog.open(test.directory, test.config)
        try test.append("b", epoch: 4)
        let ticket = try #require(try test.log.beginFlush())
        let error = #expect(throws: DiskError.self) { try late.perform() }
        #expect(error?.isNotFound == true)
        #expect(!test.log.failFlush(late, try #require(error)))
        #expect(test.directory.offlineReason == nil)
        try ticket.perform()
        try test.log.completeFlush(ticket, nowMs: startMs)
        try test.crash(losesUnsynced: true)
        #expect(try test.values() == ["b"])
        #expect(test.log.latestEpoch == 4)
    }

    @Test func closedSegmentsWaitForTheirFlush() throws {
        let test = try TestLog()
        try test.append("a")
        #expect(!test.log.hasUnflushedClosedSegment)
        try test.log.roll(nowMs: startMs)
        #expect(test.log.hasUnflushedClosedSegment)
        try test.log.flush()
        #expect(!test.log.hasUnflushedClosedSegment)
    }
}
