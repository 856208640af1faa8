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
enum NodePart: Int {
    case broker, quorum

    init?(port: UInt16) {
        switch port {
        case 9092: self = .broker
        case 9093: self = .quorum
        default: return nil
        }
    }
}

/// What tells whether a process is still in memory: whatever it has leads to its log directories.
struct Remains {
    private weak var directory: LogDirectory?

    init(_ directory: LogDirectory) { self.directory = directory }

    var isInMemory: Bool { directory != nil }
}

/// One machine: a disk, a clock, and a process that is there at times.
final class SimulatedNode {
    typealias Owed = ClusterSimulation.Owed

    private struct Connection: Hashable {
        var from: ClusterSimulation.Origin
        var part: NodePart
        var lane: PeerLane
    }

    private struct DebtKey: Hashable, Comparable {
        var part: Int
        var connection: UInt64
        var sequence: UInt64

        static func < (a: Self, b: Self) -> Bool {
            (a.part, a.connection, a.sequence) < (b.part, b.connection, b.sequence)
        }
    }

    let index: Int
    let config: BrokerConfig
    var disk: SimulatedDisk
    var clock: SimulatedClock
    /// The wall clock may step while the other one may not.
    var wallOffsetMs: Int64 = 0
    /// Counts processes: what was meant for one that has ended does not reach the next.
    private(set) var generation = 0
    var isPaused = false
    /// Its disk has been made to fail: it may end, and starts again with one that works.
    var isHurt = false
    /// What happened to a paused process, in order.
    var backlog: [() -> Void] = []
    /// What the process has open: it and its logs hold each other.
    private var directories: [LogDirectory] = []
    /// Of all its processes.
    private(set) var remains: [Remains] = []
    var wakesAt: Instant?
    private(set) var quorum: QuorumNode?
    private(set) var broker: BrokerNode?
    private(set) var metadataLog: PartitionLog?
    /// Counts disks that it has had.
    private var diskNumber: UInt64 = 0
    private var connections: [Connection: UInt64] = [:]
    private var sequences: [UInt64: UInt64] = [:]
    private var nextConnection: UInt64 = 1
    private var debts: [DebtKey: Owed] = [:]

    static let directory = "/data"
    static let clusterID = "simulatedCluster"

    init(index: Int, config: BrokerConfig, disk: SimulatedDisk, clock: SimulatedClock) {
        self.index = index
        self.config = config
        self.disk = disk
        self.clock = clock
    }

    var id: Int32 { Int32(index) + 1 }
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
        wakesAt = nil
        let identity = NodeIdentity(
            clusterID: Self.clusterID, nodeID: id,
            directoryID: KafkaUUID(high: 9 + diskNumber, low: UInt64(id)),
            incarnation: KafkaUUID(high: seed | 1, low: UInt64(generation)))
        try disk.createDirectory(Self.directory)
        let metadata = try LogDirectory(
            path: Self.directory, disk: disk, keepsCheckpoints: false)
        directories = [metadata]
        remains.append(Remains(metadata))
        // So small that snapshots let segments go.
        var logConfig = QuorumNode.logConfig(config)
        logConfig.segmentBytes = 64 << 10
        let log = try metadata.openLog(
            TopicPartition("__cluster_metadata", 0), topicId: .clusterMetadata,
            config: logConfig, nowMs: nowMs, unique: "m")
        metadataLog = log
        quorum = try QuorumNode(
            config: config, identity: identity, disk: disk, metadataLog: log, seed: seed,
            now: now, nowMs: nowMs, canary: canary)
        guard config.isBroker else { return }
        let directory = try LogDirectory(path: Self.directory, disk: disk)
        directories.append(directory)
        remains.append(Remains(directory))
        broker = try BrokerNode(
            config: config, identity: identity, directory: directory, seed: seed &+ 99, now: now,
            nowMs: nowMs)
    }

    /// The process ends at once. The next one finds a disk that works.
    func crash(losesUnsynced: Bool) {
        letGo()
        generation += 1
        isPaused = false
        isHurt = false
        backlog = []
        wakesAt = nil
        debts = [:]
        disk = disk.afterCrash(losesUnsynced: losesUnsynced)
        disk.faults.capacity = .max
    }

    /// Memory is the process's own: nothing of it outlives it.
    func letGo() {
        for directory in directories { directory.abandon() }
        directories = []
        quorum = nil
        broker = nil
        metadataLog = nil
        backlog = []
    }

    /// The broker has stopped, its listener with it; the process goes on for the quorum.
    func closeBroker(nowMs: Int64) {
        broker?.closeLogs(nowMs: nowMs)
        broker = nil
    }

    func replaceDisk(seed: UInt64) {
        disk = SimulatedDisk(seed: seed)
        diskNumber += 1
    }

    // MARK: Connections

    /// The token of the next request on a connection, which is made if there is none yet.
    func token(
        from origin: ClusterSimulation.Origin, _ part: NodePart, _ lane: PeerLane
    ) -> (token: ReplyToken, isNew: Bool) {
        let key = Connection(from: origin, part: part, lane: lane)
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

    /// Those that a process of another node has made.
    func connections(
        from other: Int, generation: Int
    ) -> [(connection: UInt64, part: NodePart)] {
        let found = connections.filter { entry in
            guard case .node(other, _, generation: generation) = entry.key.from else {
                return false
            }
            return true
        }
        return found.map { ($0.value, $0.key.part) }.sorted { $0.0 < $1.0 }
    }

    func forget(connection: UInt64) {
        for (key, known) in connections where known == connection { connections[key] = nil }
        sequences[connection] = nil
    }

    // MARK: Answers that are owed

    func owe(_ debt: Owed, _ part: NodePart, _ token: ReplyToken) {
        let key = DebtKey(
            part: part.rawValue, connection: token.connection, sequence: token.sequence)
        debts[key] = debt
    }

    func settleDebt(_ part: NodePart, _ token: ReplyToken) -> Owed? {
        debts.removeValue(
            forKey: DebtKey(
                part: part.rawValue, connection: token.connection, sequence: token.sequence))
    }

    /// All of them, or those of one connection, in order.
    func takeDebts(of connection: UInt64? = nil) -> [Owed] {
        let keys = debts.keys.filter { connection == nil || $0.connection == connection }.sorted()
        return keys.compactMap { debts.removeValue(forKey: $0) }
    }

    var nextDeadline: Instant? {
        switch (quorum?.nextDeadline, broker?.nextDeadline) {
        case (let a?, let b?): min(a, b)
        case (let a, let b): a ?? b
        }
    }

    func replica(_ partition: TopicPartition) -> PartitionReplica? {
        broker?.replicas.replica(partition)
    }
}
