import KafkaWire
import NIOCore

/// A directory of logs (`log.dirs`): a folder for each partition, and the checkpoints that say
/// where recovery begins. One event loop owns it, with all of its logs.
///
/// The first error of the disk takes it offline, for good: what the system has made of writes that
/// failed is not known, and only a restart reads the truth from the disk. Want of descriptors or of
/// memory is none of the disk's: what was to be done can be tried again.
package final class LogDirectory {
    package struct Settings: Sendable {
        /// `producer.id.expiration.ms`
        package var producerIdExpirationMs: Int64 = 86_400_000
        /// Producers are written down after so many bytes, so that a crash replays no more.
        package var snapshotIntervalBytes = 256 << 20
        /// Newest batches that a log, and all logs, keep in memory for followers and consumers.
        package var recentBytesPerLog = 4 << 20
        package var recentBytes = 32 << 20

        package init() {}
    }

    enum FileName {
        static let leaderEpochs = "leader-epoch-checkpoint"
        /// The next one, until it takes the place of the last.
        static func epochsInWriting(_ number: UInt64) -> String { "\(leaderEpochs).\(number).tmp" }
        static func isEpochsInWriting(_ name: String) -> Bool {
            name.hasPrefix(leaderEpochs + ".") && name.hasSuffix(".tmp")
        }
        static let partitionMetadata = "partition.metadata"
        static let metadataTopic = "__cluster_metadata"
        static let recoveryPoints = "recovery-point-offset-checkpoint"
        static let highWatermarks = "replication-offset-checkpoint"
        static let logStarts = "log-start-offset-checkpoint"
        static let cleanedOffsets = "cleaner-offset-checkpoint"
        static let cleanShutdown = ".kafka_cleanshutdown"
    }

    package let path: String
    package let disk: any Disk
    package let settings: Settings
    let recentMemory: RecentMemory
    /// What failed, once something has.
    package private(set) var offlineReason: String?
    /// The last use ended with `close`: nothing has to be read to be believed.
    package let wasClosedCleanly: Bool
    /// The epoch of the registration that the last use ended under; -1 after an end that was none.
    package let lastBrokerEpoch: Int64
    /// What of the checkpoints could not be read, in words.
    package private(set) var problems: [String] = []

    private var recoveryPoints: [TopicPartition: Int64] = [:]
    private var logStarts: [TopicPartition: Int64] = [:]
    var highWatermarks: [TopicPartition: Int64] = [:]
    private var cleanedOffsets: [TopicPartition: Int64] = [:]
    var logs: [TopicPartition: PartitionLog] = [:]
    private var appendCount: UInt64 = 0
    private var flushCount: FlushTicket.ID = 0
    /// Partitions whose logs are not as the last use left them.
    private(set) var used: Set<TopicPartition> = []
    /// Those of them whose logs are open, or were until they were deleted: they have been made
    /// whole.
    private(set) var opened: Set<TopicPartition> = []
    var strays: [(partition: TopicPartition, folder: String)] = []
    /// Partitions of which the checkpoints on the disk may still speak, though they are no more.
    var departed: Set<TopicPartition> = []
    /// Whether the checkpoints in the directory are this object's to read and write.
    private let keepsCheckpoints: Bool

    /// Opens a directory that exists. What an earlier use had deleted goes for good.
    /// - Parameter keepsCheckpoints: false for a second object over the same directory, which
    ///   another loop uses for the metadata log: its logs are always recovered.
    package init(
        path: String, disk: any Disk, settings: Settings = Settings(),
        keepsCheckpoints: Bool = true
    ) throws(LogError) {
        self.keepsCheckpoints = keepsCheckpoints
        self.path = path
        self.disk = disk
        self.settings = settings
        recentMemory = RecentMemory(
            limitPerLog: settings.recentBytesPerLog, limit: settings.recentBytes)
        guard keepsCheckpoints else {
            wasClosedCleanly = false
            lastBrokerEpoch = -1
            return
        }
        let entries: [DiskEntry]
        do {
            entries = try disk.list(path)
            wasClosedCleanly = entries.contains { $0.name == FileName.cleanShutdown }
            lastBrokerEpoch =
                wasClosedCleanly
                ? CleanShutdownFile.brokerEpoch(
                    try disk.readWhole(
                        DiskPath.join(path, FileName.cleanShutdown),
                        limit: CleanShutdownFile.limit))
                : -1
            if wasClosedCleanly {
                // From here on the directory is in use, and a crash is a crash.
                try disk.remove(DiskPath.join(path, FileName.cleanShutdown))
                try disk.syncDirectory(path)
            }
            for entry in entries where entry.isDirectory {
                if PartitionDirectoryName(entry.name) == .deleted {
                    try Self.removeTree(DiskPath.join(path, entry.name), disk)
                }
            }
        } catch {
            throw .storage(error)
        }
        recoveryPoints = try readCheckpoint(FileName.recoveryPoints)
        logStarts = try readCheckpoint(FileName.logStarts)
        highWatermarks = try readCheckpoint(FileName.highWatermarks)
        cleanedOffsets = try readCheckpoint(FileName.cleanedOffsets)
        let present = Set(entries.filter(\.isDirectory).map(\.name))
        for partition in Set(recoveryPoints.keys).union(logStarts.keys).union(cleanedOffsets.keys)
        where !present.contains(partition.description) {
            departed.insert(partition)
        }
        for partition in departed { highWatermarks[partition] = nil }
    }

    /// A checkpoint that is damaged is worth nothing, and costs nothing but time.
    private func readCheckpoint(_ name: String) throws(LogError) -> [TopicPartition: Int64] {
        let path = DiskPath.join(path, name)
        let bytes: ByteBuffer?
        do {
            bytes = try disk.readWhole(path, limit: TextCheckpoint.maxBytes)
        } catch {
            throw .storage(error)
        }
        guard let bytes else { return [:] }
        do {
            return Dictionary(
                try TextCheckpoint.decodeOffsets(bytes)
                    .map { ($0.partition, min(max(0, $0.offset), PartitionLog.largestOffset)) },
                uniquingKeysWith: max)
        } catch {
            problems.append("\(path) is damaged (\(error.reason)) and is made anew")
            return [:]
        }
    }

    /// The high watermarks that were written last, for partitions that are about to be opened.
    package var checkpointedHighWatermarks: [TopicPartition: Int64] { highWatermarks }

    func nextAppendCount() -> UInt64 {
        appendCount += 1
        return appendCount
    }

    /// Tells the tickets of a log from those of one that was open under its name before.
    func nextFlush() -> FlushTicket.ID {
        flushCount += 1
        return flushCount
    }

    func goOffline(_ cause: DiskError) {
        guard !cause.isShortage else { return }
        if offlineReason == nil { offlineReason = cause.description }
    }

    package func space() throws(LogError) -> DiskSpace {
        try onDisk { () throws(DiskError) in try disk.space(path) }
    }

    // MARK: Logs

    /// Opens the log of a partition, or creates it. A folder of that name that belongs to another
    /// topic is of one that was deleted while this node was down: it is put aside.
    /// - Parameter unique: tells folders that are put away or aside from each other.
    package func openLog(
        _ partition: TopicPartition, topicId: KafkaUUID?, config: LogConfig, nowMs: Int64,
        unique: String
    ) throws(LogError) -> PartitionLog {
        if let offlineReason { throw .offline(offlineReason) }
        do throws(LogError) {
            let folder = DiskPath.join(path, partition.description)
            if let topicId, let known = try topicIdOnDisk(folder), known != topicId {
                try putAside(partition, unique: unique)
                try syncFolders()
            }
            try forgetDeparted(partition)
            logs.removeValue(forKey: partition)?.markClosed()
            let isAsItWasLeft = used.insert(partition).inserted && wasClosedCleanly
            opened.remove(partition)
            let log = PartitionLog(
                directory: self, topicPartition: partition, topicId: topicId, config: config,
                nowMs: nowMs)
            try log.open(
                LogCheckpoint(
                    recoveryPoint: recoveryPoints[partition] ?? 0,
                    logStartOffset: logStarts[partition] ?? 0, isClean: isAsItWasLeft),
                nowMs: nowMs)
            if let topicId { try writeTopicId(topicId, folder) }
            logs[partition] = log
            opened.insert(partition)
            return log
        } catch {
            if case .storage(let cause) = error { goOffline(cause) }
            throw error
        }
    }

    private func topicIdOnDisk(_ folder: String) throws(LogError) -> KafkaUUID? {
        let bytes: ByteBuffer?
        do {
            bytes = try disk.readWhole(
                DiskPath.join(folder, FileName.partitionMetadata), limit: 4096)
        } catch {
            throw .storage(error)
        }
        guard let bytes else { return nil }
        let prefix = "topic_id: "
        let line = String(buffer: bytes).split(whereSeparator: \.isNewline)
            .first { $0.hasPrefix(prefix) }
        return line.flatMap { KafkaUUID(String($0.dropFirst(prefix.count))) }
    }

    private func writeTopicId(_ id: KafkaUUID, _ folder: String) throws(LogError) {
        guard try topicIdOnDisk(folder) == nil else { return }
        do {
            try disk.replace(
                DiskPath.join(folder, FileName.partitionMetadata),
                with: ByteBuffer(string: "version: 0\ntopic_id: \(id)\n"))
        } catch {
            throw .storage(error)
        }
    }

    // MARK: Checkpoints

    /// Writes down how far each log is on the disk, and where each begins.
    package func writeCheckpoints() throws(LogError) {
        for partition in departed { forget(partition) }
        for (partition, log) in logs {
            recoveryPoints[partition] = log.flushedOffset
            logStarts[partition] = log.logStartOffset
        }
        // The starts first: what retention dropped may never have been on the disk, and must not
        // be believed whole should its files come back.
        try write(logStarts.filter { $0.value > 0 }, to: FileName.logStarts)
        try write(recoveryPoints, to: FileName.recoveryPoints)
        departed.removeAll()
    }

    private func forget(_ partition: TopicPartition) {
        recoveryPoints[partition] = nil
        logStarts[partition] = nil
        cleanedOffsets[partition] = nil
    }

    /// A new log of the same name must not be believed whole up to where the old one was: a crash
    /// would not look at what is below.
    private func forgetDeparted(_ partition: TopicPartition) throws(LogError) {
        guard departed.contains(partition) else { return }
        try writeCheckpoints()
        try write(cleanedOffsets, to: FileName.cleanedOffsets)
    }

    /// Up to where compaction has been through each log.
    package var cleanedOffset: [TopicPartition: Int64] { cleanedOffsets }

    package func setCleanedOffset(
        _ offset: Int64, of partition: TopicPartition
    ) throws(LogError) {
        cleanedOffsets[partition] = offset
        try write(cleanedOffsets, to: FileName.cleanedOffsets)
    }

    package func writeHighWatermarks(
        _ entries: [(partition: TopicPartition, highWatermark: Int64)]
    ) throws(LogError) {
        for entry in entries { highWatermarks[entry.partition] = entry.highWatermark }
        try write(highWatermarks, to: FileName.highWatermarks)
    }

    /// A log is about to be cut below what the checkpoint promises to be whole.
    func lowerRecoveryPoint(
        of partition: TopicPartition, to offset: Int64
    ) throws(LogError) {
        if let known = recoveryPoints[partition], known > offset {
            recoveryPoints[partition] = offset
            try write(recoveryPoints, to: FileName.recoveryPoints)
        }
        // New records may come below the old start, and are there to be read.
        if let known = logStarts[partition], known > offset {
            logStarts[partition] = offset
            try write(logStarts.filter { $0.value > 0 }, to: FileName.logStarts)
        }
    }

    /// Compaction leaves gaps, which recovery takes for losses above the recovery point.
    func raiseRecoveryPoint(of log: PartitionLog) throws(LogError) {
        guard recoveryPoints[log.topicPartition] ?? 0 < log.flushedOffset else { return }
        recoveryPoints[log.topicPartition] = log.flushedOffset
        try write(recoveryPoints, to: FileName.recoveryPoints)
    }

    private func write(
        _ offsets: [TopicPartition: Int64], to name: String
    ) throws(LogError) {
        guard keepsCheckpoints else { return }
        if let offlineReason { throw .offline(offlineReason) }
        let entries = offsets.keys.sorted().map {
            TextCheckpoint.Entry(partition: $0, offset: offsets[$0] ?? 0)
        }
        try orGoOffline { () throws(DiskError) in
            try disk.replace(
                DiskPath.join(path, name), with: TextCheckpoint.encodeOffsets(entries))
        }
    }

    // MARK: The end

    /// Lets go of the logs without a word to the disk, as the end of the process does: they and
    /// the directory hold each other. For who opens many in one process.
    package func abandon() { logs.removeAll() }

    /// Flushes and closes every log and says so on the disk: the next start reads nothing again.
    /// - Parameter brokerEpoch: under which the broker was registered, for the controller's
    ///   eligible leader replicas (KIP-966).
    /// - Returns: partitions on the disk that are not known to be whole; then it is not said.
    @discardableResult
    package func close(brokerEpoch: Int64 = -1) throws(LogError) -> [TopicPartition] {
        for partition in logs.keys.sorted() {
            guard let log = logs[partition] else { continue }
            try log.closeCleanly()
        }
        try writeCheckpoints()
        for log in logs.values { log.markClosed() }
        logs.removeAll()
        guard keepsCheckpoints else { return [] }
        let unknown = try notClosedCleanly()
        guard unknown.isEmpty else { return unknown.sorted() }
        try onDisk { () throws(DiskError) in
            try disk.replace(
                DiskPath.join(path, FileName.cleanShutdown),
                with: CleanShutdownFile.encode(brokerEpoch: brokerEpoch))
        }
        return []
    }
}
