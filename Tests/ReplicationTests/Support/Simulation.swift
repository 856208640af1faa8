import CommitLog
import KafkaWire
import NIOCore
import Replication
import SimulatedDisk
import Timing

/// Randomness from a seed (SplitMix64).
struct TestRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// A bug put in on purpose, which the simulation has to find.
enum Canary {
    /// Answers as soon as the leader has a record, not when it is committed.
    case acknowledgeBeforeHighWatermark
    /// Followers do not tell which epoch they fetched last, nor leaders which they lead under.
    case skipEpochCheck
}

/// The controller, as it should be: it never fails, and every decision is made at once.
struct OracleController {
    var leader: Int32 = 1
    var leaderEpoch: Int32 = 0
    var partitionEpoch: Int32 = 0
    var isr: [Int32] = [1, 2, 3]
    let replicas: [Int32] = [1, 2, 3]
    /// Under which epoch each broker is registered, and whether it is alive.
    var brokers: [Int32: (epoch: Int64, isFenced: Bool)] = [:]
    /// Raised by every change.
    var version = 0

    var table: BrokerTable {
        BrokerTable(
            brokers.keys.sorted().compactMap { id in
                brokers[id].map {
                    BrokerStatus(id: id, epoch: $0.epoch, rack: "r\(id)", isFenced: $0.isFenced)
                }
            })
    }

    var metadata: PartitionMetadata {
        PartitionMetadata(
            leader: leader, leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch,
            replicas: replicas, isr: isr)
    }

    func isAlive(_ id: Int32) -> Bool { brokers[id].map { !$0.isFenced } ?? false }

    mutating func register(_ id: Int32, epoch: Int64) {
        if brokers[id] != nil { fence(id) }
        brokers[id] = (epoch, true)
        version += 1
    }

    mutating func unfence(_ id: Int32) {
        brokers[id]?.isFenced = false
        version += 1
        if leader == -1, isr.contains(id) { elect(id) }
    }

    mutating func fence(_ id: Int32) {
        brokers[id]?.isFenced = true
        version += 1
        if isr.count > 1, isr.contains(id) {
            isr.removeAll { $0 == id }
            partitionEpoch += 1
        }
        guard leader == id else { return }
        elect(isr.first { isAlive($0) } ?? -1)
    }

    mutating func elect(_ id: Int32) {
        leader = id
        leaderEpoch += 1
        partitionEpoch += 1
        version += 1
    }

    mutating func alter(
        _ request: AlterPartitionRequest
    ) -> AlterPartitionResponse {
        guard brokers[request.brokerId]?.epoch == request.brokerEpoch else {
            return AlterPartitionResponse(errorCode: .staleBrokerEpoch)
        }
        var response = AlterPartitionResponse()
        for topic in request.topics {
            response.topics.append(
                .init(
                    topicId: topic.topicId,
                    partitions: topic.partitions.map { alter($0, by: request.brokerId) }))
        }
        return response
    }

    private mutating func alter(
        _ asked: AlterPartitionRequest.PartitionData, by broker: Int32
    ) -> AlterPartitionResponse.PartitionData {
        var answer = AlterPartitionResponse.PartitionData(partitionIndex: asked.partitionIndex)
        if asked.leaderEpoch != leaderEpoch || broker != leader {
            answer.errorCode = .fencedLeaderEpoch
        } else if asked.partitionEpoch != partitionEpoch {
            answer.errorCode = .invalidUpdateVersion
        } else if !asked.newIsrWithEpochs.allSatisfy({
            isAlive($0.brokerId)
                && ($0.brokerEpoch == -1 || $0.brokerEpoch == brokers[$0.brokerId]?.epoch)
        }) {
            answer.errorCode = .ineligibleReplica
        } else {
            isr = asked.newIsrWithEpochs.map(\.brokerId)
            partitionEpoch += 1
            version += 1
            answer.leaderId = leader
            answer.leaderEpoch = leaderEpoch
            answer.isr = isr
            answer.partitionEpoch = partitionEpoch
        }
        return answer
    }
}

/// Three brokers, one partition, a controller that is always right, and clients, on a network
/// and disks that are not. The same seed gives the same run.
final class Simulation {
    enum Event {
        case timer(node: Int32, incarnation: Int)
        case metadata(node: Int32, OracleController)
        case fetch(from: Int32, Int, to: Int32, correlation: UInt64, FetchRequest)
        case fetched(to: Int32, Int, from: Int32, correlation: UInt64, FetchResponse?)
        case listOffsets(from: Int32, Int, to: Int32, correlation: UInt64, ListOffsetsRequest)
        case listed(to: Int32, Int, from: Int32, correlation: UInt64, ListOffsetsResponse?)
        case alter(from: Int32, Int, AlterPartitionRequest)
        case altered(to: Int32, Int, AlterPartitionResponse?)
        case flush(node: Int32, Int, TopicIdPartition, FlushTicket)
        case produce
        case acknowledged(value: String, ProduceResponse)
        case restart(Int32)
        case detect(Int32, epoch: Int64)
        case unfence(Int32, epoch: Int64)
        case fault
        case heal
    }

    struct Failure: Error, CustomStringConvertible { var description: String }

    let seed: UInt64
    let canary: Canary?
    let flushes: Bool
    var random: TestRandom
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let start = Instant(nanoseconds: 1_000_000_000_000)
    var controller = OracleController()
    var nodes: [Int32: TestNode] = [:]
    var disks: [Int32: SimulatedDisk] = [:]
    var incarnations: [Int32: Int] = [:]
    var brokerEpoch: Int64 = 0
    let topics = TestTopics()
    /// The latest version of the metadata that each node knows.
    var known: [Int32: Int] = [:]
    var isolated: Set<Int32> = []
    var isQuiet = false

    private var events: [(time: Instant, order: UInt64, event: Event)] = []
    private var lastOrder: UInt64 = 0
    private var timers: [Int32: Instant] = [:]
    private struct Owner {
        var node: Int32
        var incarnation: Int
        var correlation: UInt64
        var server: Int32
    }

    private var owners: [RequestToken: Owner] = [:]
    private var clients: [RequestToken: String] = [:]
    private var lastToken: UInt64 = 0

    var sent = 0
    var acknowledged: [(offset: Int64, value: String)] = []
    /// What leaders have declared committed, by offset.
    var committed: [Int64: String] = [:]
    var committedEnd: Int64 = 0
    var highWatermarks: [Int32: (epoch: Int32, incarnation: Int, offset: Int64)] = [:]
    var leaderChanges = 0
    var trace: UInt64 = 0

    init(seed: UInt64, flushes: Bool, canary: Canary? = nil) throws {
        self.seed = seed
        self.canary = canary
        self.flushes = flushes
        random = TestRandom(seed: seed)
        topics.topics = [("t", topicA, 1)]
        for id in Int32(1)...3 {
            disks[id] = SimulatedDisk(seed: seed &* 8 &+ UInt64(id))
            try boot(id)
            controller.unfence(id)
        }
        controller.isr = [1, 2, 3]
        controller.elect(1)
        tellAll()
        schedule(.produce, after: 10)
        schedule(.fault, after: 2_000)
    }

    // MARK: Time

    func schedule(_ event: Event, after milliseconds: Int) {
        lastOrder += 1
        let time = now + .milliseconds(Int64(milliseconds))
        // Later ones stand in front, so that the next is taken from the end.
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].time > time { low = middle + 1 } else { high = middle }
        }
        events.insert((time, lastOrder, event), at: low)
    }

    func latency() -> Int { 1 + random.below(random.chance(10) ? 60 : 12) }
    /// Messages are lost with their connection.
    func isLost() -> Bool { !isQuiet && random.chance(2) }

    /// Runs for so many simulated milliseconds.
    func run(for milliseconds: Int) throws {
        let end = now + .milliseconds(Int64(milliseconds))
        while let last = events.last, last.time <= end {
            events.removeLast()
            now = last.time
            trace = trace &* 31 &+ now.nanoseconds &+ UInt64(events.count)
            try handle(last.event)
            try check()
        }
        now = end
    }

    // MARK: Tokens

    func newToken() -> RequestToken {
        lastToken += 1
        return RequestToken(low: lastToken)
    }

    func owe(
        _ token: RequestToken, _ node: Int32, _ incarnation: Int, _ correlation: UInt64,
        server: Int32
    ) {
        owners[token] = Owner(
            node: node, incarnation: incarnation, correlation: correlation, server: server)
    }

    /// The connections to a broker that has died break.
    func breakConnections(to server: Int32) {
        for token in owners.keys.sorted(by: { $0.low < $1.low }) {
            guard let owner = owners[token], owner.server == server else { continue }
            owners[token] = nil
            schedule(
                .fetched(
                    to: owner.node, owner.incarnation, from: server,
                    correlation: owner.correlation, nil),
                after: 1 + random.below(50))
        }
    }

    func remember(_ token: RequestToken, _ value: String) { clients[token] = value }

    // MARK: Nodes

    func boot(_ id: Int32) throws {
        var config = ReplicationConfig()
        config.replicaLagTimeMax = .seconds(3)
        config.replicaFetchBackoff = .milliseconds(300)
        var log = LogConfig()
        log.minInsyncReplicas = 2
        if flushes { log.flushMessages = 1 }
        let disk = disks[id] ?? SimulatedDisk()
        disks[id] = disk
        brokerEpoch += 1
        let node = try TestNode(id: id, config: config, log: log, disk: disk, topics: topics)
        node.manager.brokerEpoch = brokerEpoch
        nodes[id] = node
        incarnations[id, default: 0] += 1
        known[id] = 0
        timers[id] = nil
        controller.register(id, epoch: brokerEpoch)
        tellAll()
        schedule(.unfence(id, epoch: brokerEpoch), after: 50 + random.below(400))
    }

    func tellAll() {
        for id in nodes.keys.sorted() where !isolated.contains(id) {
            schedule(.metadata(node: id, controller), after: latency())
        }
    }

    func step(_ id: Int32, _ body: (ReplicaManager) -> Void) {
        guard let node = nodes[id] else { return }
        node.now = now
        node.wallMs = 1_700_000_000_000 + (now - start).count / 1_000_000
        let effects = node.step(body)
        for effect in effects { carry(id, effect) }
        guard let deadline = node.manager.nextDeadline else { return }
        if let timer = timers[id], timer > now, timer <= deadline { return }
        timers[id] = deadline
        schedule(
            .timer(node: id, incarnation: incarnations[id] ?? 0),
            after: Int(max(1, ((deadline - now).count + 999_999) / 1_000_000)))
    }

    func carry(_ id: Int32, _ effect: ReplicationEffect) {
        let incarnation = incarnations[id] ?? 0
        switch effect {
        case .fetch(let leader, let correlation, var request):
            if canary == .skipEpochCheck { request = Self.withoutEpochs(request) }
            send(
                id, leader,
                .fetch(
                    from: id, incarnation, to: leader, correlation: correlation, request),
                orElse: .fetched(
                    to: id, incarnation, from: leader, correlation: correlation, nil))
        case .fetched(let token, let response):
            guard let owner = owners.removeValue(forKey: token) else { return }
            send(
                id, owner.node,
                .fetched(
                    to: owner.node, owner.incarnation, from: id, correlation: owner.correlation,
                    inMemory(response)),
                orElse: .fetched(
                    to: owner.node, owner.incarnation, from: id, correlation: owner.correlation,
                    nil))
        case .listOffsets(let leader, let correlation, let request):
            send(
                id, leader,
                .listOffsets(
                    from: id, incarnation, to: leader, correlation: correlation, request),
                orElse: .listed(to: id, incarnation, from: leader, correlation: correlation, nil))
        case .alterPartition(let request):
            send(
                id, 0, .alter(from: id, incarnation, request),
                orElse: .altered(to: id, incarnation, nil))
        case .produced(let token, let response):
            guard let value = clients.removeValue(forKey: token) else { return }
            schedule(.acknowledged(value: value, response), after: latency())
        case .flush(let key, let ticket):
            schedule(.flush(node: id, incarnation, key, ticket), after: 1 + random.below(5))
        default:
            break
        }
    }

    private static func withoutEpochs(_ request: FetchRequest) -> FetchRequest {
        var request = request
        for topic in request.topics.indices {
            for part in request.topics[topic].partitions.indices {
                request.topics[topic].partitions[part].lastFetchedEpoch = -1
                request.topics[topic].partitions[part].currentLeaderEpoch = -1
            }
        }
        return request
    }

    /// Node 0 is the controller.
    func send(_ from: Int32, _ to: Int32, _ event: Event, orElse lost: Event) {
        if isLost() || isolated.contains(from) || isolated.contains(to) {
            schedule(lost, after: 200 + random.below(800))
        } else {
            schedule(event, after: latency())
        }
    }
}
