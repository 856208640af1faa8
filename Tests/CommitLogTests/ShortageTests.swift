import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

/// No descriptor left, or no memory: that is not the disk's fault.
@Suite struct ShortageTests {
    static let tooManyFiles: Int32 = 24

    /// Whatever cannot be opened, and whenever: the directory stays in use, and opened again the
    /// log has all that was acknowledged, and takes more.
    @Test(arguments: [DiskOperation.open, .syncDirectory])
    func everyOpeningCanFail(_ operation: DiskOperation) throws {
        var failures = 0
        for after in 1...60 {
            let test = try TestLog(RecoveryTests.smallConfig(), seed: UInt64(after))
            var acknowledged: [String] = []
            var isTruncating = false
            test.disk.faults.failing = (operation, after, Self.tooManyFiles)
            for index in 0..<25 {
                do {
                    if index == 12 {
                        isTruncating = true
                        try test.log.truncate(to: test.log.logEndOffset - 2)
                        isTruncating = false
                        acknowledged.removeLast(2)
                    }
                    try test.append("value \(index)", epoch: Int32(index / 8))
                    acknowledged.append("value \(index)")
                    if index % 5 == 4 { try test.log.flush() }
                    if index == 20 {
                        test.log.releaseMemory()
                        _ = try test.records()
                        try test.directory.writeCheckpoints()
                    }
                } catch let error as LogError {
                    failures += 1
                    #expect(error.isShortage, "\(error)")
                    #expect(test.directory.offlineReason == nil)
                    test.log = try TestLog.open(test.directory, test.config)
                    let found = try test.values()
                    if isTruncating {
                        // It may have happened, or not.
                        isTruncating = false
                        #expect(found.starts(with: acknowledged.dropLast(2)))
                        acknowledged = found
                    }
                    #expect(found.starts(with: acknowledged), "\(operation) \(after): \(found)")
                    #expect(found.count <= acknowledged.count + 1)
                    acknowledged = found
                }
            }
            test.disk.faults.failing = nil
            #expect(try test.values() == acknowledged)
            // What is durable is told as it is: with a flush all of it is.
            try test.log.flush()
            try test.directory.writeCheckpoints()
            try test.crash(losesUnsynced: true)
            #expect(try test.values() == acknowledged)
            try test.append("goes on", epoch: 9)
        }
        #expect(failures > 0)
    }

    @Test func aCheckpointIsWrittenTheNextTime() throws {
        let test = try TestLog()
        try test.append("a")
        try test.log.flush()
        test.disk.faults.failing = (.open, 1, Self.tooManyFiles)
        let failure = #expect(throws: LogError.self) { try test.directory.writeCheckpoints() }
        #expect(failure?.isShortage == true)
        #expect(test.directory.offlineReason == nil)
        try test.directory.writeCheckpoints()
        try test.append("b")
        #expect(try test.values() == ["a", "b"])
    }

    /// What the last use left whole is not taken to be whole when it is opened a second time.
    @Test func aSecondOpeningBelievesNoCleanEnd() throws {
        let test = try TestLog()
        try test.append("a")
        try test.restart()
        #expect(test.log.flushedOffset == 1)
        try test.append("b")
        test.log = try TestLog.open(test.directory, test.config)
        #expect(test.log.flushedOffset == 1)
        #expect(try test.values() == ["a", "b"])
    }

    /// A ticket of the log that was open before says nothing of the one that is open now.
    @Test func ticketsOfTheOldLogAreNotTheNewOnes() throws {
        let test = try TestLog()
        try test.append("a")
        let old = try #require(try test.log.beginFlush())
        test.log = try TestLog.open(test.directory, test.config)
        let new = try #require(try test.log.beginFlush())
        try test.log.completeFlush(old, nowMs: startMs)
        #expect(test.log.flushedOffset == 0)
        try new.perform()
        try test.log.completeFlush(new, nowMs: startMs)
        #expect(test.log.flushedOffset == 1)
    }
}
