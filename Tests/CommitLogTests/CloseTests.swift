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
}
