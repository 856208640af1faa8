import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import Replication
import SimulatedDisk
import SimulatedWorld
import Timing

/// What went wrong in a run, in words.
struct Violation: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A cluster of brokers and controllers, with clients, in simulated time.
///
/// Frames travel as the process would send them. A frame may be lost, late, or come twice; links
/// are cut, processes pause and crash, disks fail and lose what was not synced. All of it follows
/// from the seed.
final class ClusterSimulation {
    enum Event {
        case wake(Int, generation: Int)
        case arrive(Frame)
        case answer(Answer)
        case flush(Int, generation: Int, TopicIdPartition, FlushTicket)
        /// Connections that a process of another node had made are closed.
        case hangUp(Int, from: Int, generation: Int)
        case start(Int)
        /// A process that was hurt ends, and starts with a disk that works.
        case restart(Int, generation: Int)
        case replaceDisk(Int)
        case trouble
        case client(Int)
    }

    struct Frame {
        var from: Origin
        var to: Int
        var part: NodePart
        /// One connection for each lane.
        var lane: PeerLane
        var request: UInt64
        var apiKey: Int16
        var version: Int16
        var bytes: ByteBuffer
        var stream: StreamKey?
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
            case .node(let node, _, _): "n\(node)"
            case .client(let client): "c\(client)"
            }
        }
    }

    /// A request that a node owes an answer to.
    struct Owed {
        var to: Origin
        var request: UInt64
        var apiKey: Int16
        var version: Int16
        /// Who asks for a vote.
        var candidate: Candidate?
    }

    let options: SimulationOptions
    let plan: SimulationPlan
    var world: SimulatedWorld<Event>
    var network: SimulatedNetwork
    var nodes: [SimulatedNode] = []
    var clients: [SimulatedClient] = []
    var streams: [StreamKey: Stream] = [:]
    /// When the last fetch, or answer to one, arrives between two nodes.
    var fetchArrivals: [Instant]
    var isCalm = false
    /// The disk of a node is being replaced: nothing else goes wrong until this time.
    var quietUntil = Instant(nanoseconds: 0)
    private let troubleEnds: Instant
    let checks: ClusterChecks
    let history = History()
    /// Nodes that the present event has changed.
    private var touched: [Int] = []

    init(_ options: SimulationOptions) throws {
        self.options = options
        world = SimulatedWorld(seed: options.seed)
        let plan = SimulationPlan(&world.random)
        self.plan = plan
        network = SimulatedNetwork(count: plan.nodes + 1, conditions: plan.conditions)
        troubleEnds = world.now + .seconds(options.seconds)
        checks = ClusterChecks(nodes: plan.nodes)
        fetchArrivals = Array(repeating: world.now, count: plan.nodes * plan.nodes)
        for index in 0..<plan.nodes {
            let disk = SimulatedDisk(seed: world.random.next())
            disk.faults.ignoresSync = options.canary == .ignoresSync
            nodes.append(
                SimulatedNode(
                    index: index, config: try plan.config(Int32(index) + 1), disk: disk,
                    clock: SimulatedClock(
                        start: world.now, offset: .milliseconds(Int64(index + 1) * 137),
                        partsPerMillion: Int64(world.random.below(400)) - 200)))
            world.schedule(.start(index), after: world.random.delay(.zero ... .seconds(1)))
        }
        addClients()
        for index in clients.indices { world.schedule(.client(index), after: .seconds(1)) }
        world.schedule(.trouble, after: .seconds(4))
    }

    /// What waits for an answer, or for a node to go on, holds what holds it: a run that is over
    /// would never leave memory.
    /// - Returns: what should not be there once this is not.
    func letGo() -> [Remains] {
        for client in clients { client.forgetRequests() }
        for node in nodes { node.letGo() }
        return nodes.flatMap(\.remains)
    }

    private func addClients() {
        func seed() -> UInt64 { world.random.next() }
        for _ in 0..<3 {
            clients.append(SimulatedProducer(index: clients.count, seed: seed(), cluster: self))
        }
        for group in ConsumerGroup.all {
            for number in 0..<group.size {
                clients.append(
                    SimulatedMember(
                        index: clients.count, seed: seed(), cluster: self, group: group,
                        number: number))
            }
        }
        clients.append(SimulatedAdmin(index: clients.count, seed: seed(), cluster: self))
    }

    // MARK: The run

    func run() throws -> UInt64 {
        try advance(until: troubleEnds)
        calm()
        try advance(until: world.now + .seconds(5))
        guard nodes.contains(where: { $0.quorum?.isLeader ?? false }) else {
            throw Violation("no controller leads 5 s after the faults have stopped")
        }
        let end = world.now + .seconds(55)
        while world.now < end, unsettled != nil {
            try advance(until: world.now + .milliseconds(500))
        }
        if let unsettled {
            throw Violation("not settled 60 s after the faults have stopped: \(unsettled)")
        }
        try EndChecks(self).run()
        return world.trace.value
    }

    private func advance(until limit: Instant) throws {
        while let event = world.next(before: limit) {
            touched.removeAll(keepingCapacity: true)
            handle(event)
            try checks.afterEvent(self, touched)
        }
    }

    /// The faults stop: everything runs, and every message arrives.
    private func calm() {
        log("the faults stop")
        isCalm = true
        network.heal()
        network.conditions.lossPerMille = 0
        network.conditions.duplicationPerMille = 0
        for (index, node) in nodes.enumerated() {
            resume(index)
            if node.isHurt { crash(index, losesUnsynced: false) }
            if !node.isRunning { start(index) }
            schedule(index)
        }
        for client in clients { client.stop() }
    }

    /// What has not come to rest yet.
    private var unsettled: String? {
        for client in clients { if let what = client.unfinished { return what } }
        return EndChecks(self).unsettled
    }

    private func handle(_ event: Event) {
        switch event {
        case .wake(let index, let generation):
            let node = nodes[index]
            // Of the wakes that were asked for, only the one that was asked for last counts.
            guard node.generation == generation, node.wakesAt == world.now else { return }
            node.wakesAt = nil
            onNode(index) { _ in }
        case .arrive(let frame): arrive(frame)
        case .answer(let answer): deliver(answer)
        case .flush(let index, let generation, let key, let ticket):
            guard nodes[index].generation == generation else { return }
            var failure: DiskError?
            do { try ticket.perform() } catch { failure = error }
            onNode(index) { [self] node in
                guard node.generation == generation else { return }
                node.broker?.flushed(
                    key, ticket, failure, now: node.now(world.now), nowMs: node.nowMs(world.now))
            }
        case .hangUp(let index, let from, let generation):
            hungUp(index, from: from, generation: generation)
        case .start(let index): start(index)
        case .restart(let index, let generation):
            guard nodes[index].generation == generation else { return }
            crash(index, losesUnsynced: world.random.chance(perMille: 500))
            start(index)
        case .replaceDisk(let index): replaceDisk(index)
        case .trouble: trouble()
        case .client(let index):
            clients[index].step()
            world.schedule(.client(index), after: world.random.delay(plan.clientPause))
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
        if !touched.contains(index) { touched.append(index) }
        settle(index)
    }

    /// Where every replica stands, for who reads about a failure.
    func tellReplicas() {
        for node in nodes {
            for replica in node.broker?.replicas.replicas ?? [] {
                guard let log = replica.log else { continue }
                self.log(
                    "node \(node.id), \(replica.topicPartition): \(log.logStartOffset)..<"
                        + "\(log.logEndOffset), high watermark \(replica.highWatermark), epochs "
                        + "\(log.epochs.entries.map { "\($0.epoch) from \($0.startOffset)" }), "
                        + "\(replica.role), leader \(replica.metadata.leader) in "
                        + "\(replica.leaderEpoch), ISR \(replica.metadata.isr)")
            }
        }
    }

    func log(_ text: @autoclosure () -> String) {
        guard options.isVerbose else { return }
        print("\((world.now.nanoseconds - 1_000_000_000_000) / 1_000_000) ms  \(text())")
    }
}
