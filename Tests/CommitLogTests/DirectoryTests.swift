import CommitLog
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

@Suite struct DirectoryTests {
    static let first = KafkaUUID(high: 1, low: 2)
    static let second = KafkaUUID(high: 3, low: 4)

    static func open(_ directory: LogDirectory, _ id: KafkaUUID?) throws -> PartitionLog {
        try directory.openLog(
            partition, topicId: id, config: LogConfig(), nowMs: startMs, unique: "aside")
    }

    static func append(_ log: PartitionLog, _ count: Int) throws {
        for index in 0..<count {
            _ = try log.appendAsLeader(
                makeBatch([("k", "\(index)")]), leaderEpoch: 0, nowMs: startMs, origin: .client)
        }
    }

    static func fresh() throws -> (SimulatedDisk, LogDirectory) {
        let disk = SimulatedDisk()
        try disk.createDirectory("/logs")
        return (disk, try LogDirectory(path: "/logs", disk: disk))
    }

    @Test func aTopicOfTheSameNameIsAnother() throws {
        let (disk, directory) = try Self.fresh()
        try Self.append(try Self.open(directory, Self.first), 5)
        #expect(
            disk["/logs/events-0/partition.metadata"].map { String(buffer: $0) }?
                .hasPrefix("version: 0\ntopic_id: \(Self.first)") == true)
        try directory.close()
        let next = try LogDirectory(path: "/logs", disk: disk)
        #expect(try Self.open(next, Self.second).logEndOffset == 0)
        // That it was deleted this node has not heard while it ran: it may be the last copy.
        #expect(disk.paths.contains { $0.hasPrefix("/logs/events-0.aside-stray/") })
        #expect(next.takeStrays().map(\.folder) == ["/logs/events-0.aside-stray"])
        // What is deleted goes with the next start at the latest.
        _ = try next.delete(try Self.open(next, Self.second), unique: "gone")
        #expect(disk.paths.contains { $0.hasPrefix("/logs/events-0.gone-delete/") })
        try next.close()
        let last = try LogDirectory(path: "/logs", disk: disk)
        #expect(!disk.paths.contains { $0.contains("-delete") })
        #expect(disk.paths.contains { $0.hasPrefix("/logs/events-0.aside-stray/") })
        #expect(try Self.open(last, Self.second).logEndOffset == 0)
    }

    /// What was another's when the node came back is put aside, and nothing is lost by it.
    @Test func straysArePutAside() throws {
        let (disk, directory) = try Self.fresh()
        try Self.append(try Self.open(directory, Self.first), 5)
        try directory.close()
        try disk.createDirectory("/logs/__cluster_metadata-0")
        let next = try LogDirectory(path: "/logs", disk: disk)
        try next.putStraysAside(unique: { "u" }, isAssigned: { _ in true })
        #expect(next.takeStrays().isEmpty)
        try next.putStraysAside(unique: { "u" }, isAssigned: { $0 != partition })
        let strays = next.takeStrays()
        #expect(strays.map(\.partition) == [partition])
        #expect(strays.map(\.folder) == ["/logs/events-0.u-stray"])
        #expect(disk["/logs/events-0.u-stray/00000000000000000000.log"] != nil)
        #expect(try Self.open(next, Self.first).logEndOffset == 0)
        try next.close()
        #expect(try LogDirectory(path: "/logs", disk: disk).wasClosedCleanly)
        #expect(disk["/logs/events-0.u-stray/00000000000000000000.log"] != nil)
    }

    /// A new log must not be believed whole because an old one of its name was flushed.
    @Test func checkpointsOfTheDepartedAreForgotten() throws {
        for restarts in [false, true] {
            var (disk, directory) = try Self.fresh()
            let old = try Self.open(directory, Self.first)
            try Self.append(old, 50)
            try old.flush()
            try old.raiseLogStart(to: 20)
            try directory.writeCheckpoints()
            try directory.writeHighWatermarks([(partition, 50)])
            let folder = try directory.delete(old, unique: "gone")
            #expect(folder == "/logs/events-0.gone-delete")
            try directory.removeFolder(folder)
            if restarts {
                disk = disk.afterCrash(losesUnsynced: false)
                directory = try LogDirectory(path: "/logs", disk: disk)
                #expect(directory.checkpointedHighWatermarks.isEmpty)
            }
            let new = try Self.open(directory, Self.second)
            #expect(new.logStartOffset == 0)
            try Self.append(new, 40)
            // The tail is torn, below where the old log was flushed.
            let path = RecoveryTests.name(0, "log")
            disk = disk.afterCrash(losesUnsynced: false)
            let bytes = try #require(disk[path])
            disk[path] = bytes.getSlice(at: 0, length: bytes.readableBytes - 5)
            let after = try LogDirectory(path: "/logs", disk: disk)
            #expect(try Self.open(after, Self.second).logEndOffset == 39)
        }
    }

    @Test func checkpointsThatAreDamagedCostTimeOnly() throws {
        let (disk, directory) = try Self.fresh()
        let log = try Self.open(directory, nil)
        try Self.append(log, 9)
        try log.raiseLogStart(to: 3)
        try directory.writeHighWatermarks([(partition, 8)])
        try directory.close()
        let names = [
            "recovery-point-offset-checkpoint", "log-start-offset-checkpoint",
            "replication-offset-checkpoint",
        ]
        for name in names {
            let copy = disk.afterCrash(losesUnsynced: false)
            #expect(copy["/logs/\(name)"] != nil)
            copy["/logs/\(name)"] = ByteBuffer(string: "0\n7\ngarbage")
            let next = try LogDirectory(path: "/logs", disk: copy)
            #expect(next.problems.count == 1)
            #expect(next.problems[0].contains(name))
            #expect(try Self.open(next, nil).logEndOffset == 9)
        }
        let whole = try LogDirectory(path: "/logs", disk: disk)
        #expect(whole.wasClosedCleanly)
        #expect(whole.checkpointedHighWatermarks == [partition: 8])
        #expect(try Self.open(whole, nil).logStartOffset == 3)
        #expect(
            disk["/logs/replication-offset-checkpoint"] == ByteBuffer(string: "0\n1\nevents 0 8\n"))
    }

    @Test func aCleanShutdownIsSaidOnce() throws {
        let (disk, directory) = try Self.fresh()
        #expect(!directory.wasClosedCleanly)
        try Self.append(try Self.open(directory, nil), 3)
        try directory.close(brokerEpoch: 12)
        #expect(
            disk["/logs/.kafka_cleanshutdown"]
                == ByteBuffer(string: "{\"version\":0,\"brokerEpoch\":12}"))
        let after = disk.afterCrash(losesUnsynced: true)
        let next = try LogDirectory(path: "/logs", disk: after)
        #expect(next.wasClosedCleanly)
        #expect(try Self.open(next, nil).logEndOffset == 3)
        let crashed = after.afterCrash(losesUnsynced: true)
        #expect(try !LogDirectory(path: "/logs", disk: crashed).wasClosedCleanly)
    }

    @Test func metaProperties() throws {
        let (disk, _) = try Self.fresh()
        #expect(try MetaProperties.read(from: "/logs", disk) == nil)
        let written = MetaProperties(clusterId: "c1", nodeId: 7, directoryId: Self.first)
        try written.write(to: "/logs", disk)
        #expect(try MetaProperties.read(from: "/logs", disk) == written)
        for text in [
            "", "version=1\n", "version=0\ncluster.id=a\nnode.id=1\n",
            "version=1\ncluster.id=\nnode.id=1\ndirectory.id=\(Self.first)\n",
            "version=1\ncluster.id=a\nnode.id=-1\ndirectory.id=\(Self.first)\n",
            "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=short\n",
        ] {
            disk["/logs/meta.properties"] = ByteBuffer(string: text)
            #expect(throws: LogError.self) { try MetaProperties.read(from: "/logs", disk) }
        }
        // As Apache Kafka writes it.
        disk["/logs/meta.properties"] = ByteBuffer(
            string: "#\n#Tue Nov 24 00:00:00 UTC 2026\ndirectory.id=\(Self.first)\nversion=1\n"
                + "cluster.id=c1\nnode.id=7\n")
        #expect(try MetaProperties.read(from: "/logs", disk) == written)
    }
}
