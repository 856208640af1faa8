import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

/// With thousands of partitions most have not changed between a start and a shutdown.
@Suite struct CloseTests {
    private static func closed(seed: UInt64 = 1) throws -> TestLog {
        let test = try TestLog(seed: seed)
        try test.append("a", "b", epoch: 1)
        try test.directory.close()
        return test
    }

    @Test func whatHasNotChangedIsNotWritten() throws {
        let test = try Self.closed()
        try test.reopen()
        #expect(try test.values() == ["a", "b"])
        let before = test.disk.syncCount
        try test.directory.close()
        // Two checkpoints and the mark of a clean shutdown: nothing of the log.
        #expect(test.disk.syncCount == before + 3)
        test.disk = test.disk.afterCrash(losesUnsynced: true)
        try test.reopen()
        #expect(test.directory.wasClosedCleanly)
        #expect(try test.values() == ["a", "b"])
    }

    private static let changes: [(String, @Sendable (TestLog) throws -> Void)] = [
        ("an append", { try $0.append("c", epoch: 1) }),
        (
            "an append and a flush",
            {
                try $0.append("c", epoch: 1)
                try $0.log.flush()
            }
        ),
        (
            "a flush under way",
            {
                try $0.append("c", epoch: 1)
                _ = try $0.log.beginFlush()
            }
        ),
        (
            "a cut and an append",
            {
                try $0.log.truncate(to: 0)
                try $0.append("c", "d", epoch: 2)
            }
        ),
        ("a new segment", { try $0.log.roll(nowMs: startMs) }),
        ("an epoch", { $0.log.beginEpoch(9) }),
        (
            "an epoch and a flush under way",
            {
                $0.log.beginEpoch(9)
                _ = try $0.log.beginFlush()
            }
        ),
        ("everything", { try $0.log.truncateFully(startingAt: 2) }),
    ]

    @Test(arguments: 0..<8)
    func whatHasChangedIs(index: Int) throws {
        let (name, change) = Self.changes[index]
        for seed in 1...10 as ClosedRange<UInt64> {
            let test = try Self.closed(seed: seed)
            try test.reopen()
            try change(test)
            let values = try test.values()
            let end = test.log.logEndOffset
            // One that nothing was written in is forgotten, as in Kafka.
            let epochs = test.log.epochs.entries.filter { $0.startOffset < end }
            try test.directory.close()
            test.disk = test.disk.afterCrash(losesUnsynced: true)
            try test.reopen()
            #expect(test.directory.wasClosedCleanly)
            #expect(try test.values() == values, "\(name)")
            #expect(test.log.logEndOffset == end, "\(name)")
            #expect(test.log.epochs.entries == epochs, "\(name)")
        }
    }

    /// A process that is told to stop before it has opened its logs must not vouch for them.
    @Test func whatNobodyHasOpenedSinceACrashIsNotClean() throws {
        let test = try Self.closed()
        try test.reopen()
        try test.append("c", epoch: 2)
        test.disk = test.disk.afterCrash(losesUnsynced: false)
        // The quorum looks after its own.
        try test.disk.createDirectory("/logs/__cluster_metadata-0")
        for _ in 0..<2 {
            let idle = try LogDirectory(path: "/logs", disk: test.disk)
            try idle.close()
        }
        try test.reopen()
        #expect(!test.directory.wasClosedCleanly)
        #expect(try test.values() == ["a", "b", "c"])
        // Once they were, it may; and after that, who opens none changes nothing.
        try test.directory.close()
        for _ in 0..<2 {
            let idle = try LogDirectory(path: "/logs", disk: test.disk)
            #expect(idle.wasClosedCleanly)
            try idle.close()
        }
        try test.reopen()
        #expect(test.directory.wasClosedCleanly)
    }

    /// Want of descriptors broke it, and it could not be opened again before the end.
    @Test func whatCouldNotBeOpenedAgainIsNotClean() throws {
        let test = try TestLog()
        try test.append("a")
        test.disk.faults.failing = (.open, 1, 24)
        #expect(throws: LogError.self) { try TestLog.open(test.directory, test.config) }
        #expect(try test.directory.close() == [partition])
        test.disk = test.disk.afterCrash(losesUnsynced: false)
        try test.reopen()
        #expect(!test.directory.wasClosedCleanly)
        #expect(try test.values() == ["a"])
    }

    @Test func theEpochOfTheBrokerIsKeptOnce() throws {
        let test = try TestLog()
        try test.append("a")
        #expect(test.directory.lastBrokerEpoch == -1)
        try test.directory.close(brokerEpoch: 4711)
        try test.reopen()
        #expect(test.directory.lastBrokerEpoch == 4711)
        // An end that was none, after one that was.
        test.disk = test.disk.afterCrash(losesUnsynced: true)
        try test.reopen()
        #expect(!test.directory.wasClosedCleanly)
        #expect(test.directory.lastBrokerEpoch == -1)
    }

    private static let marks: [(String, Int64)] = [
        (#"{"version":0,"brokerEpoch":17}"#, 17),
        (#"{ "brokerEpoch" : 9223372036854775807 , "version" : 0 }"# + "\n", Int64.max),
        (#"{"version":0,"brokerEpoch":-1}"#, -1), (#"{"version":0,"brokerEpoch":-7}"#, -1),
        (#"{"version":1,"brokerEpoch":17}"#, 17), (#"{"brokerEpoch":17}"#, 17),
        (#"{"version":0}"#, -1), (#"{"version":0,"brokerEpoch":9223372036854775808}"#, -1),
        (#"{"version":0,"brokerEpoch":17"#, -1), ("", -1), ("{}", -1), ("{,:,}", -1),
        (String(repeating: "x", count: 5000), -1),
    ]

    @Test(arguments: marks)
    func theMarkOfACleanEndIsRead(text: String, epoch: Int64) throws {
        let test = try Self.closed()
        try test.disk.replace(
            test.directory.path + "/.kafka_cleanshutdown", with: ByteBuffer(string: text))
        try test.reopen()
        #expect(test.directory.wasClosedCleanly)
        #expect(test.directory.lastBrokerEpoch == epoch)
    }
}
