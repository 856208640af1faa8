import BrokerConfig
import BrokerCore
import CommitLog
import Glibc
import KafkaWire

/// The formatted directory of a node, locked for this process.
struct DataDirectory: Sendable {
    let identity: NodeIdentity
    let disk: PosixDisk
    private let path: String
    private let metadataPath: String
    private let metadataLogConfig: LogConfig
    private let producerIdExpirationMs: Int64
    /// Held as long as this lives.
    private let locks: [DirectoryLock]

    /// - Throws: why it cannot be used, in words for who has to mend it.
    static func open(_ config: BrokerConfig) throws -> DataDirectory {
        let disk = PosixDisk()
        let paths = Set([config.logDirectory, config.metadataDirectory]).sorted()
        let locks = try paths.map { try DirectoryLock($0) }
        let meta = try check(config.logDirectory, config, disk)
        var metadataID = meta.directoryId
        if config.metadataDirectory != config.logDirectory {
            let other = try check(config.metadataDirectory, config, disk)
            guard other.clusterId == meta.clusterId else {
                throw NodeStartError(
                    "\(config.metadataDirectory) belongs to cluster \(other.clusterId), and "
                        + "\(config.logDirectory) to \(meta.clusterId)")
            }
            metadataID = other.directoryId
        }
        return DataDirectory(
            identity: NodeIdentity(
                clusterID: meta.clusterId, nodeID: config.nodeID, directoryID: meta.directoryId,
                metadataDirectoryID: metadataID,
                incarnation: KafkaUUID(
                    high: .random(in: 1 ... .max), low: .random(in: .min ... .max))),
            disk: disk, path: config.logDirectory, metadataPath: config.metadataDirectory,
            metadataLogConfig: QuorumNode.logConfig(config),
            producerIdExpirationMs: config.integer("producer.id.expiration.ms"), locks: locks)
    }

    private static func check(
        _ path: String, _ config: BrokerConfig, _ disk: PosixDisk
    ) throws -> MetaProperties {
        guard let meta = try MetaProperties.read(from: path, disk) else {
            throw NodeStartError(
                "\(path) is not formatted (there is no \(MetaProperties.fileName)): run "
                    + "`slice-broker format` with the id of the cluster this node is to join")
        }
        guard meta.nodeId == config.nodeID else {
            throw NodeStartError(
                "\(path) belongs to node \(meta.nodeId), and the configuration says node.id="
                    + "\(config.nodeID); check log.dir and node.id")
        }
        return meta
    }

    private var settings: LogDirectory.Settings {
        var settings = LogDirectory.Settings()
        settings.producerIdExpirationMs = producerIdExpirationMs
        return settings
    }

    /// The partitions' logs, for the broker's loop.
    func openLogs() throws -> LogDirectory {
        try LogDirectory(path: path, disk: disk, settings: settings)
    }

    /// The metadata log, for the quorum's loop.
    func openMetadataLog(nowMs: Int64) throws -> PartitionLog {
        let directory = try LogDirectory(
            path: metadataPath, disk: disk, settings: settings, keepsCheckpoints: false)
        return try directory.openLog(
            TopicPartition("__cluster_metadata", 0), topicId: .clusterMetadata,
            config: metadataLogConfig, nowMs: nowMs, unique: "metadata")
    }
}

/// Keeps a second process out of a directory, as Kafka does, with a lock on the file `.lock`.
final class DirectoryLock: Sendable {
    private let descriptor: CInt

    init(_ directory: String) throws(NodeStartError) {
        let path = directory + "/.lock"
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            let reason =
                errno == ENOENT
                ? "the directory does not exist; run `slice-broker format`"
                : String(cString: strerror(errno))
            throw NodeStartError("cannot use \(directory): \(reason)")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw NodeStartError(
                "\(directory) is in use by another process; stop that first, or check log.dir")
        }
    }

    deinit { close(descriptor) }
}
