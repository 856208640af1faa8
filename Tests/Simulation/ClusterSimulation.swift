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

/// What went wrong in a run, in words.
struct Violation: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

struct SimulationOptions {
    var seed: UInt64
    var seconds: Int64 = 60
    var canary: Canary?
    var isVerbose = false
}

enum Canary: String, CaseIterable {
    case votesTwice = "votes-twice"
    case skipsEpochCheck = "skips-epoch-check"
    case forgetsFlush = "forgets-flush"
    case ignoresSync = "ignores-sync"
    case acknowledgesEarly = "acknowledges-early"

    var raft: RaftCanary? {
        switch self {
        case .votesTwice: .votesTwice
        case .skipsEpochCheck: .skipsEpochCheck
        case .forgetsFlush: .forgetsFlush
        default: nil
        }
    }
}

/// A cluster of three nodes, each broker and controller, with clients, in simulated time.
///
/// Frames travel as the process would send them. A frame may be lost, late, or come twice; links
/// are cut, processes pause and crash, disks lose what was not synced. All of it follows from the
/// seed.
final class ClusterSimulation {
    enum Event {
        case wake(Int, generation: Int)
        case arrive(Frame)
        case answer(Answer)
        case start(Int)
        case trouble
        case client(Int)
    }

    struct Frame {
        var from: Origin
        var to: Int
        var part: NodePart
        /// One connection for each lane.
        var lane: String
        var request: UInt64
        var apiKey: Int16
        var version: Int16
        var bytes: ByteBuffer
    }

    struct Answer {
        var to: Origin
        var request: UInt64
        /// Nil: there will be none.
        var body: ByteBuffer?
    }

    enum Origin: Hashable {
        case node(Int, NodePart, generation: Int)
        case client(Int)

        var name: String {
            switch self {
            case .node(let node, let part, let generation):
                "n\(node)p\(part.rawValue)g\(generation)"
            case .client(let client): "c\(client)"
            }
        }
    }

    struct Owed {
        var to: Origin
        var request: UInt64
        var apiKey: Int16
        var version: Int16
    }

    let options: SimulationOptions
    var world: SimulatedWorld<Event>
    var network: SimulatedNetwork
    var nodes: [SimulatedNode] = []
    var clients: [SimulatedProducer] = []
    var owed: [String: Owed] = [:]
    var wakes: [Int: Instant] = [:]
    var isCalm = false
    private var troubleEnds: Instant
    let checks = ClusterChecks()

    static let topic = "events"
    static let partitions: Int32 = 3

    init(_ options: SimulationOptions) throws {
        self.options = options
        world = SimulatedWorld(seed: options.seed)
        let slow = world.random.chance(perMille: 300)
        network = SimulatedNetwork(
            count: 4,
            conditions: LinkConditions(
                delay: slow
                    ? .milliseconds(5) ... .milliseconds(60)
                    : .microseconds(200) ... .milliseconds(12),
                lossPerMille: world.random.pick([0, 2, 10]),
                duplicationPerMille: world.random.pick([0, 5]), reorders: true))
        troubleEnds = world.now + .seconds(options.seconds)
        for id in Int32(1)...3 {
            let disk = SimulatedDisk(seed: world.random.next())
            disk.faults.ignoresSync = options.canary == .ignoresSync
            nodes.append(
                SimulatedNode(
                    id: id, config: try Self.config(id), disk: disk,
                    clock: SimulatedClock(
                        start: world.now, offset: .milliseconds(Int64(id) * 137),
                        partsPerMillion: Int64(world.random.below(400)) - 200)))
            world.schedule(.start(Int(id) - 1), after: world.random.delay(.zero ... .seconds(1)))
        }
        for index in 0..<3 {
            clients.append(SimulatedProducer(index: index, seed: world.random.next()))
            world.schedule(.client(index), after: .seconds(1))
        }
        world.schedule(.trouble, after: .seconds(5))
    }

    private static func config(_ id: Int32) throws -> BrokerConfig {
        try BrokerConfig(
            PropertiesFile(
                parsing: """
                    node.id=\(id)
                    process.roles=broker,controller
                    controller.quorum.voters=1@n1:9093,2@n2:9093,3@n3:9093
                    listeners=PLAINTEXT://n\(id):9092,CONTROLLER://n\(id):9093
                    broker.rack=cluster-\(id)
                    default.replication.factor=3
                    min.insync.replicas=2
                    offsets.topic.num.partitions=2
                    auto.create.topics.enable=false
                    log.flush.interval.messages=1
                    initial.broker.registration.timeout.ms=600000
                    """))
    }

    // MARK: The run

    func run() throws -> UInt64 {
        try advance(until: troubleEnds)
        calm()
        let leaderBy = world.now + .seconds(5)
        try advance(until: leaderBy)
        guard nodes.contains(where: { $0.quorum?.isLeader ?? false }) else {
            throw Violation("no controller leads 5 s after the faults have stopped")
        }
        let end = world.now + .seconds(60)
        while world.now < end, !isSettled {
            try advance(until: world.now + .milliseconds(500))
        }
        guard isSettled else {
            throw Violation("not settled 65 s after the faults have stopped: \(whatIsUnsettled)")
        }
        try checks.checkEnd(nodes: nodes, clients: clients)
        return world.trace.value
    }

    private func advance(until limit: Instant) throws {
        while let event = world.next(before: limit) {
            handle(event)
            try checks.afterEvent(nodes)
        }
    }

    /// The faults stop: everything runs, and every message arrives.
    private func calm() {
        isCalm = true
        network.heal()
        network.conditions.lossPerMille = 0
        network.conditions.duplicationPerMille = 0
        for index in nodes.indices {
            resume(index)
            if !nodes[index].isRunning { start(index) }
            schedule(index)
        }
        for client in clients { client.stop() }
    }

    private var isSettled: Bool { whatIsUnsettled.isEmpty }

    private var whatIsUnsettled: String {
        if let waiting = clients.first(where: { !$0.isDone }) {
            return "producer \(waiting.index) still waits: \(waiting.state)"
        }
        for partition in 0..<Self.partitions {
            let replicas = nodes.compactMap { $0.replica(Self.topic, partition) }
            guard let leader = replicas.first(where: \.isLeader), let log = leader.log else {
                return "partition \(partition) has no leader"
            }
            guard leader.metadata.isr.count == 3 else {
                return "partition \(partition) has ISR \(leader.metadata.isr)"
            }
            guard leader.highWatermark == log.logEndOffset else {
                return "partition \(partition): high watermark \(leader.highWatermark), end "
                    + "\(log.logEndOffset)"
            }
            if let other = replicas.first(where: { $0.log?.logEndOffset != log.logEndOffset }) {
                return "partition \(partition): ends \(other.log?.logEndOffset ?? -1), leader "
                    + "\(log.logEndOffset)"
            }
        }
        return ""
    }

    private func handle(_ event: Event) {
        switch event {
        case .wake(let index, let generation):
            wakes[index] = nil
            guard nodes[index].generation == generation else { return }
            onNode(index) { _ in }
        case .arrive(let frame): arrive(frame)
        case .answer(let answer):
            deliver(answer)
            for client in clients where client.problem != nil && checks.problem == nil {
                checks.problem = client.problem
                tellReplicas()
            }
        case .start(let index): start(index)
        case .trouble: trouble()
        case .client(let index):
            let client = clients[index]
            client.step(now: world.now) { [self] node, lane, id, apiKey, version, body in
                send(
                    PeerRequest(
                        id: id, node: node, host: "", port: 9092, lane: lane, apiKey: apiKey,
                        version: version, body: body, timeout: .seconds(2)),
                    from: .client(index))
            }
            world.schedule(
                .client(index), after: world.random.delay(.milliseconds(2) ... .milliseconds(25)))
        }
    }

    // MARK: Processes

    func start(_ index: Int) {
        let node = nodes[index]
        guard !node.isRunning else { return }
        do {
            try node.start(
                seed: world.random.next(), world: world.now, canary: options.canary?.raft)
            if options.canary == .acknowledgesEarly {
                node.broker?.replicas.canary = .acknowledgesEarly
            }
            log("node \(node.id) starts, process \(node.generation)")
            onNode(index) { _ in }
        } catch {
            checks.problem = "node \(node.id) cannot start: \(error)"
        }
    }

    /// Lets something happen on a node, now or when its pause ends, and carries out what follows.
    func onNode(_ index: Int, _ body: @escaping (SimulatedNode) -> Void) {
        let node = nodes[index]
        guard node.isRunning else { return }
        if node.isPaused {
            node.backlog.append { [self] in onNode(index, body) }
            return
        }
        body(node)
        settle(index)
    }

    private func settle(_ index: Int) {
        let node = nodes[index]
        for _ in 0..<32 {
            guard let quorum = node.quorum, let broker = node.broker else { return }
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            quorum.settle(now: now, nowMs: nowMs)
            let quorumEffects = quorum.takeEffects()
            for effect in quorumEffects { carryOut(effect, index, broker, now, nowMs) }
            broker.settle(now: now, nowMs: nowMs)
            let brokerEffects = broker.takeEffects()
            for effect in brokerEffects { carryOut(effect, index, broker, now, nowMs) }
            if quorumEffects.isEmpty, brokerEffects.isEmpty { break }
        }
        schedule(index)
    }

    func schedule(_ index: Int) {
        let node = nodes[index]
        guard let deadline = node.nextDeadline else { return }
        let due = max(node.clock.world(at: deadline), world.now + .microseconds(1))
        if let armed = wakes[index], armed <= due, armed > world.now { return }
        wakes[index] = due
        world.schedule(.wake(index, generation: node.generation), at: due)
    }

    func carryOut(
        _ effect: QuorumEffect, _ index: Int, _ broker: BrokerNode, _ now: Instant, _ nowMs: Int64
    ) {
        switch effect {
        case .node(let effect): carryOut(effect, index, .quorum)
        case .metadata(let update):
            checks.committed(update, on: nodes[index])
            broker.metadataChanged(update, now: now, nowMs: nowMs)
        case .leader(let id, _): broker.controllerChanged(id, now: now, nowMs: nowMs)
        }
    }

    func carryOut(
        _ effect: BrokerEffect, _ index: Int, _ broker: BrokerNode, _ now: Instant, _ nowMs: Int64
    ) {
        switch effect {
        case .node(let effect): carryOut(effect, index, .broker)
        case .ready: nodes[index].isReady = true
        case .flush(let key, let ticket):
            var failure: DiskError?
            do { try ticket.perform() } catch { failure = error }
            broker.flushed(key, ticket, failure, now: now, nowMs: nowMs)
        }
    }

    func carryOut(_ effect: NodeEffect, _ index: Int, _ part: NodePart) {
        let node = nodes[index]
        switch effect {
        case .reply(let token, let pieces):
            guard let debt = owed.removeValue(forKey: key(index, part, token)) else { return }
            answer(debt, from: index, body: Self.body(pieces, debt.apiKey, debt.version))
        case .close(let connection, let reason):
            log("node \(node.id) closes a connection: \(reason)")
            break_(connection: connection, of: index, part)
        case .send(let request):
            send(request, from: .node(index, part, generation: node.generation))
        case .log(let line):
            if line.message.contains("below the high watermark") {
                tellReplicas()
                checks.problem = "node \(node.id): \(line.message)"
            }
            if options.isVerbose, line.level >= .info { log("node \(node.id): \(line.message)") }
        case .fail(let reason):
            node.hasFailed = reason
            checks.problem = "node \(node.id) gives up: \(reason)"
        case .stopped: break
        }
    }

    /// Where every replica stands, for who reads about a failure.
    private func tellReplicas() {
        for node in nodes {
            for partition in 0..<Self.partitions {
                guard let replica = node.replica(Self.topic, partition), let log = replica.log
                else {
                    continue
                }
                let acknowledged =
                    clients.flatMap { $0.acknowledged[Int(partition)] }
                    .map(\.offset).max() ?? -1
                self.log(
                    "node \(node.id), partition \(partition): \(log.logStartOffset)..."
                        + "\(log.logEndOffset), high watermark \(replica.highWatermark), epoch "
                        + "\(log.latestEpoch ?? -1), leader \(replica.metadata.leader) in "
                        + "\(replica.leaderEpoch), ISR \(replica.metadata.isr), acknowledged up to "
                        + "\(acknowledged)")
            }
        }
    }

    func log(_ text: String) {
        guard options.isVerbose else { return }
        let seconds = Double(world.now.nanoseconds - 1_000_000_000_000) / 1e9
        print("\(Int(seconds * 1000)) ms  \(text)")
    }
}
