import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

@Suite struct DiskErrorTests {
    /// Whatever fails, and whenever: what was acknowledged is there after a start, and nothing
    /// half done is.
    @Test(arguments: [
        DiskOperation.write, .open, .truncate, .sync, .rename, .remove, .syncDirectory,
        .read,
    ])
    func everyOperationCanFail(_ operation: DiskOperation) throws {
        var failures = 0
        for after in 1...60 {
            let test = try TestLog(RecoveryTests.smallConfig(), seed: UInt64(after))
            var acknowledged: [String] = []
            test.disk.faults.failing = (operation, after, DiskError.inputOutput)
            var failure: LogError?
            var isTruncating = false
            do {
                for index in 0..<25 {
                    try test.append("value \(index)", epoch: Int32(index / 8))
                    acknowledged.append("value \(index)")
                    if index % 5 == 4 { try test.log.flush() }
                    if index == 12 {
                        isTruncating = true
                        try test.log.truncate(to: 11)
                        isTruncating = false
                        acknowledged.removeLast(2)
                        try test.directory.writeCheckpoints()
                    }
                    if index == 20 {
                        _ = try test.log.readBytes(from: 0, maxBytes: 1, before: .max)
                    }
                }
                test.log.releaseMemory()
                _ = try test.records()
            } catch {
                failure = error as? LogError
            }
            guard let failure else { continue }
            failures += 1
            guard case .storage(let cause) = failure else {
                Issue.record("\(operation) \(after): \(failure)")
                continue
            }
            #expect(cause.operation == operation)
            #expect(test.directory.offlineReason == cause.description)
            #expect(cause.description.contains("(EIO)"))
            // Nothing works any more, and says why.
            #expect(throws: LogError.offline(cause.description)) { try test.append("more") }
            #expect(throws: LogError.offline(cause.description)) {
                try test.log.read(from: 0, maxBytes: 1, before: .max, atLeastOneBatch: true)
            }
            #expect(throws: LogError.self) { try test.log.flush() }
            #expect(throws: LogError.self) { try test.directory.writeCheckpoints() }
            try test.crash(losesUnsynced: false)
            let found = try test.values()
            // A failed append may or may not be there, and a failed truncation have happened.
            let least = isTruncating ? acknowledged.prefix(11) : acknowledged[...]
            #expect(found.starts(with: least), "\(operation) \(after): \(found.count) found")
            #expect(found.count <= acknowledged.count + 1)
            try test.append("goes on", epoch: 9)
        }
        #expect(failures > 0)
    }

    @Test func aFullDiskLosesNothing() throws {
        for capacity in stride(from: 1500, to: 3000, by: 37) {
            let test = try TestLog(RecoveryTests.smallConfig(), seed: UInt64(capacity))
            test.disk.faults.capacity = capacity
            var acknowledged: [String] = []
            let failure = #expect(throws: LogError.self) {
                for index in 0..<200 {
                    try test.append("value \(index)")
                    acknowledged.append("value \(index)")
                }
            }
            guard case .storage(let cause) = failure else {
                Issue.record("\(String(describing: failure))")
                continue
            }
            #expect(cause.isNoSpace)
            #expect(cause.path.hasPrefix(topicFolder))
            #expect(test.directory.offlineReason?.contains("ENOSPC") == true)
            test.disk.faults.capacity = .max
            try test.crash(losesUnsynced: false)
            #expect(try test.values() == acknowledged)
            try test.append("room again")
        }
    }

    /// A write that fails and cannot be taken back leaves nothing to trust.
    @Test func whatCannotBeUndoneEndsTheLog() throws {
        let test = try TestLog()
        try test.append("a")
        test.disk.faults.errorsPerMille = 1000
        test.disk.faults.failing = (.truncate, 1, DiskError.inputOutput)
        #expect(throws: LogError.self) { try test.append("b") }
        test.disk.faults = SimulatedDisk.Faults()
        #expect(throws: LogError.self) { try test.append("c") }
        try test.crash(losesUnsynced: false)
        #expect(try test.values() == ["a"])
    }

    @Test func aDirectoryThatIsNotThere() throws {
        let disk = SimulatedDisk()
        let error = #expect(throws: LogError.self) {
            try LogDirectory(path: "/nowhere", disk: disk)
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains("cannot list /nowhere"))
    }
}
