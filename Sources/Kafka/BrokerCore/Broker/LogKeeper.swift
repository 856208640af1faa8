import CommitLog
import KafkaWire
import Metadata
import Replication

/// The logs of this broker in its log directory: opened and deleted as replication wants, and
/// looked after in slices.
final class LogKeeper: LogStore {
    private let directory: LogDirectory
    private let cluster: ClusterState
    private var random: SplitMix64
    var nowMs: Int64 = 0

    /// What has been put away, and when it may go.
    private var doomedFolders: [(path: String, dueMs: Int64)] = []
    private var doomedFiles: [(file: DeletedFile, dueMs: Int64)] = []
    private let cleaner: LogCleaner
    private var problems: [String]
    private var hasClosed = false

    init(directory: LogDirectory, cluster: ClusterState, seed: UInt64) {
        self.directory = directory
        self.cluster = cluster
        random = SplitMix64(seed: seed)
        cleaner = LogCleaner(directory: directory, secret: (random.next(), random.next()))
        problems = directory.problems
    }

    var path: String { directory.path }
    var isOffline: Bool { directory.offlineReason != nil }
    var offlineReason: String? { directory.offlineReason }

    /// As of the last use, for logs that are about to be opened.
    func highWatermarks() -> [TopicPartition: Int64] { directory.checkpointedHighWatermarks }

    func space() -> DiskSpace? { try? directory.space() }

    /// What went wrong since the last call, in words.
    func takeProblems() -> [String] {
        defer { problems.removeAll() }
        return problems
    }

    private func note(_ body: () throws(LogError) -> Void) {
        do {
            try body()
        } catch {
            if !hasClosed { problems.append("\(error)") }
        }
    }

    private var unique: String {
        KafkaUUID(high: random.next(), low: random.next()).description.filter { $0 != "-" }
    }

    // MARK: LogStore

    func openLog(
        _ partition: TopicPartition, topicId: KafkaUUID
    ) throws(LogError) -> PartitionLog {
        let (config, unknown) = cluster.logConfig(ofTopic: partition.topic)
        problems += unknown.map {
            "topic \(partition.topic) goes by the default of one property: \($0)"
        }
        return try directory.openLog(
            partition, topicId: topicId, config: config, nowMs: nowMs, unique: unique)
    }

    func deleteLog(_ log: PartitionLog) {
        note { () throws(LogError) in
            let folder = try directory.delete(log, unique: unique)
            doomedFolders.append((folder, nowMs + log.config.fileDeleteDelayMs))
        }
    }

    /// What is on the disk and not this broker's any more, now that it knows what is.
    func putStraysAside(isAssigned: (TopicPartition) -> Bool) {
        guard !isOffline else { return }
        note { () throws(LogError) in
            try directory.putStraysAside(unique: { unique }, isAssigned: isAssigned)
        }
    }

    /// What was put aside since the last call, in words.
    func takeStrays() -> [(partition: TopicPartition, message: String)] {
        directory.takeStrays().map { partition, folder in
            (
                partition,
                "\(partition) was deleted or moved away while this broker was down: its folder is "
                    + "put aside as \(folder). Remove it when nothing in it is needed"
            )
        }
    }

    // MARK: Housekeeping

    func removeLater(_ files: [DeletedFile], delayMs: Int64) {
        for file in files { doomedFiles.append((file, nowMs + delayMs)) }
    }

    // MARK: Compaction

    /// What a slice of compaction may read and write: about a millisecond's work.
    private static let cleaningBytes = 256 << 10

    var isCleaning: Bool { cleaner.isRunning }
    /// What is being compacted.
    var cleanedPartition: TopicPartition? { cleaner.partition }

    /// Begins with the log that needs it most, if any does.
    func beginCleaning(_ candidates: [CleanerCandidate]) throws(LogError) {
        _ = try cleaner.begin(candidates, nowMs: nowMs)
    }

    func clean() throws(LogError) -> CleanerStep {
        let step = try cleaner.step(nowMs: nowMs, budgetBytes: Self.cleaningBytes)
        if let problem = step.problem { problems.append(problem) }
        return step
    }

    func removeDue() {
        guard !isOffline else { return }
        let now = nowMs
        for entry in doomedFolders where entry.dueMs <= now {
            note { () throws(LogError) in try directory.removeFolder(entry.path) }
        }
        doomedFolders.removeAll { $0.dueMs <= now }
        for entry in doomedFiles where entry.dueMs <= now {
            note { () throws(LogError) in try directory.removeFile(entry.file) }
        }
        doomedFiles.removeAll { $0.dueMs <= now }
    }

    func writeCheckpoints() {
        guard !isOffline else { return }
        note { () throws(LogError) in try directory.writeCheckpoints() }
    }

    func writeHighWatermarks(_ all: [(partition: TopicPartition, highWatermark: Int64)]) {
        guard !isOffline else { return }
        note { () throws(LogError) in try directory.writeHighWatermarks(all) }
    }

    /// Under which epoch the broker was registered when it last ended in order; -1 if it did not.
    var lastBrokerEpoch: Int64 { directory.lastBrokerEpoch }

    /// - Returns: why the next start reads as after a crash, if it does.
    func close(brokerEpoch: Int64) -> String? {
        guard !isOffline, !hasClosed else { return nil }
        cleaner.stop()
        hasClosed = true
        do {
            let unknown = try directory.close(brokerEpoch: brokerEpoch)
            guard let first = unknown.first else { return nil }
            return first.description
                + (unknown.count > 1 ? " and \(unknown.count - 1) others" : "")
                + " could not be opened, or had not been since the last crash"
        } catch {
            return "\(error)"
        }
    }
}
