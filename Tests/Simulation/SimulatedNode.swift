import BrokerConfig
import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import Raft
import Replication
import SimulatedDisk
import SimulatedWorld
import Timing

/// Which of a node's two halves a frame is for: its listener decides.
enum NodePart: Int, CaseIterable {
    case broker, quorum

    init?(port: UInt16) {
        switch port {
        case 9092: self = .broker
        case 9093: self = .quorum
        default: return nil
        }
    }
}

/// One machine: a disk, a clock, and a process that is there at times.
final class SimulatedNode {
    let id: Int32
    let config: BrokerConfig
    var disk: SimulatedDisk
    var clock: SimulatedClock
    /// The wall clock may step while the other one may not.
    var wallOffsetMs: Int64 = 0
    /// Counts processes: what was meant for one that has ended does not reach the next.
    var generation = 0
    var isPaused = false
    /// What happened to a paused process, in order.
    var backlog: [() -> Void] = []
    private(set) var quorum: QuorumNode?
    private(set) var broker: BrokerNode?
    private var logs: LogDirectory?
    var isReady = false
    var hasFailed: String?
    /// Connections of this process, by who made them.
    var connections: [String: UInt64] = [:]
    var sequences: [UInt64: UInt64] = [:]
    var nextConnection: UInt64 = 1

    static let directory = "/data"
    static let clusterID = "simulatedCluster"

    init(id: Int32, config: BrokerConfig, disk: SimulatedDisk, clock: SimulatedClock) {
        self.id = id
        self.config = config
        self.disk = disk
        self.clock = clock
    }

    var isRunning: Bool { quorum != nil }

    func now(_ world: Instant) -> Instant { clock.local(at: world) }

    func nowMs(_ world: Instant) -> Int64 {
        1_700_000_000_000 + Int64(now(world).nanoseconds / 1_000_000) + wallOffsetMs
    }

    func start(seed: UInt64, world: Instant, canary: RaftCanary?) throws {
        let now = now(world)
        let nowMs = nowMs(world)
        disk.nowMs = nowMs
        generation += 1
        connections = [:]
        sequences = [:]
        isReady = false
        hasFailed = nil
        let identity = NodeIdentity(
            clusterID: Self.clusterID, nodeID: id,
            directoryID: KafkaUUID(high: 9, low: UInt64(id)),
            incarnation: KafkaUUID(high: seed | 1, low: UInt64(generation)))
        try disk.createDirectory(Self.directory)
        let metadata = try LogDirectory(
            path: Self.directory, disk: disk, keepsCheckpoints: false)
        let log = try metadata.openLog(
            TopicPartition("__cluster_metadata", 0), topicId: .clusterMetadata,
            config: LogConfig(), nowMs: nowMs, unique: "m")
        quorum = try QuorumNode(
            config: config, identity: identity, disk: disk, metadataLog: log, seed: seed,
            now: now, nowMs: nowMs, canary: canary)
        let directory = try LogDirectory(path: Self.directory, disk: disk)
        logs = directory
        broker = try BrokerNode(
            config: config, identity: identity, directory: directory, seed: seed &+ 99, now: now,
            nowMs: nowMs)
    }

    /// The process ends at once.
    func crash(losesUnsynced: Bool) {
        quorum = nil
        broker = nil
        logs = nil
        generation += 1
        isPaused = false
        isReady = false
        backlog = []
        disk = disk.afterCrash(losesUnsynced: losesUnsynced)
    }

    /// The token of the next request on a connection, which is made if there is none yet.
    func token(from origin: String, part: NodePart) -> (token: ReplyToken, isNew: Bool) {
        let key = "\(part.rawValue) \(origin)"
        var isNew = false
        let connection: UInt64
        if let known = connections[key] {
            connection = known
        } else {
            connection = nextConnection
            nextConnection += 1
            connections[key] = connection
            isNew = true
        }
        let sequence = sequences[connection, default: 0]
        sequences[connection] = sequence + 1
        return (ReplyToken(connection: connection, sequence: sequence), isNew)
    }

    func forget(connection: UInt64) {
        connections = connections.filter { $0.value != connection }
    }

    var nextDeadline: Instant? {
        guard isRunning else { return nil }
        let deadlines = [quorum?.nextDeadline, broker?.nextDeadline].compactMap { $0 }
        return deadlines.min()
    }

    func replica(_ topic: String, _ partition: Int32) -> PartitionReplica? {
        broker?.replicas.replica(TopicPartition(topic, partition))
    }
}
