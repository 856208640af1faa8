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
            case .node(let node, let part, let generation): "n\(node)p\(part.rawValue)g\(generation)"
            case .client(let client): "c\(client)"
            }
        }
    }

    private struct Owed {
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
    private var owed: [String: Owed] = [:]
    private var wakes: [Int: Instant] = [:]
    private var isCalm = false
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

    private func schedule(_ index: Int) {
        let node = nodes[index]
        guard let deadline = node.nextDeadline else { return }
        let due = max(node.clock.world(at: deadline), world.now + .microseconds(1))
        if let armed = wakes[index], armed <= due, armed > world.now { return }
        wakes[index] = due
        world.schedule(.wake(index, generation: node.generation), at: due)
    }

    private func carryOut(
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

    private func carryOut(
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

    private func carryOut(_ effect: NodeEffect, _ index: Int, _ part: NodePart) {
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
                for other in nodes {
                    for partition in 0..<Self.partitions {
                        guard let replica = other.replica(Self.topic, partition),
                            let log = replica.log
                        else { continue }
                        self.log(
                            "node \(other.id) \(partition): \(log.logStartOffset)..."
                                + "\(log.logEndOffset) epoch \(log.latestEpoch ?? -1), leader "
                                + "\(replica.metadata.leader) in \(replica.leaderEpoch)")
                    }
                }
                checks.problem = "node \(node.id): \(line.message)"
            }
            if options.isVerbose, line.level >= .info { log("node \(node.id): \(line.message)") }
        case .fail(let reason):
            node.hasFailed = reason
            checks.problem = "node \(node.id) gives up: \(reason)"
        case .stopped: break
        }
    }

    // MARK: Frames

    private func key(_ index: Int, _ part: NodePart, _ token: ReplyToken) -> String {
        "\(index) \(nodes[index].generation) \(part.rawValue) \(token.connection) \(token.sequence)"
    }

    private func place(_ origin: Origin) -> Int {
        switch origin {
        case .node(let index, _, _): index
        // The clients live in a place of their own, which is never cut off from all.
        case .client: 3
        }
    }

    func send(_ request: PeerRequest, from origin: Origin) {
        let to = Int(request.node) - 1
        guard nodes.indices.contains(to), let part = NodePart(port: request.port) else { return }
        var writer = WireWriter()
        RequestHeader(
            requestApiKey: request.apiKey, requestApiVersion: request.version, correlationId: 1,
            clientId: origin.name
        ).encode(
            to: &writer,
            version: HeaderVersion.request(apiKey: request.apiKey, version: request.version))
        writer.raw(request.body)
        let frame = Frame(
            from: origin, to: to, part: part, lane: "\(request.lane.rawValue)",
            request: request.id, apiKey: request.apiKey, version: request.version,
            bytes: writer.finishInOneBuffer())
        for arrival in network.arrivals(
            from: place(origin), to: to, now: world.now, random: &world.random)
        {
            world.schedule(.arrive(frame), at: arrival)
        }
        // Whatever becomes of it, the sender hears of it by then.
        world.schedule(
            .answer(Answer(to: origin, request: request.id, body: nil)),
            after: request.timeout)
    }

    private func arrive(_ frame: Frame) {
        guard !network.isCut(from: place(frame.from), to: frame.to) else { return }
        let node = nodes[frame.to]
        guard node.isRunning else {
            // Nobody listens: the sender is told so by the other machine.
            refuse(frame)
            return
        }
        onNode(frame.to) { [self] node in
            let (token, isNew) = node.token(
                from: frame.from.name + frame.lane, part: frame.part)
            if isNew {
                node.broker.map { broker in
                    if frame.part == .broker {
                        broker.connectionOpened(
                            ConnectionInfo(
                                id: token.connection, host: "10.0.0.1", listener: "PLAINTEXT"))
                    }
                }
            }
            owed[key(frame.to, frame.part, token)] = Owed(
                to: frame.from, request: frame.request, apiKey: frame.apiKey,
                version: frame.version)
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            switch frame.part {
            case .broker: node.broker?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
            case .quorum: node.quorum?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
            }
        }
    }

    private func refuse(_ frame: Frame) {
        let back = network.arrivals(
            from: frame.to, to: place(frame.from), now: world.now, random: &world.random)
        guard let arrival = back.first else { return }
        world.schedule(
            .answer(Answer(to: frame.from, request: frame.request, body: nil)), at: arrival)
    }

    private func answer(_ debt: Owed, from index: Int, body: ByteBuffer?) {
        for arrival in network.arrivals(
            from: index, to: place(debt.to), now: world.now, random: &world.random)
        {
            world.schedule(
                .answer(Answer(to: debt.to, request: debt.request, body: body)), at: arrival)
        }
    }

    private func deliver(_ answer: Answer) {
        switch answer.to {
        case .client(let index):
            clients[index].answered(answer.request, answer.body, now: world.now)
        case .node(let index, let part, let generation):
            guard nodes[index].generation == generation else { return }
            onNode(index) { [self] node in
                guard node.generation == generation else { return }
                let now = node.now(world.now)
                let nowMs = node.nowMs(world.now)
                switch part {
                case .broker:
                    node.broker?.peerReplied(answer.request, answer.body, now: now, nowMs: nowMs)
                case .quorum:
                    node.quorum?.peerReplied(answer.request, answer.body, now: now, nowMs: nowMs)
                }
            }
        }
    }

    private func break_(connection: UInt64, of index: Int, _ part: NodePart) {
        let node = nodes[index]
        node.forget(connection: connection)
        let prefix = "\(index) \(node.generation) \(part.rawValue) \(connection) "
        for name in owed.keys.filter({ $0.hasPrefix(prefix) }).sorted() {
            if let debt = owed.removeValue(forKey: name) {
                answer(debt, from: index, body: nil)
            }
        }
        let now = node.now(world.now)
        let nowMs = node.nowMs(world.now)
        switch part {
        case .broker: node.broker?.connectionClosed(connection, now: now, nowMs: nowMs)
        case .quorum: node.quorum?.connectionClosed(connection, now: now, nowMs: nowMs)
        }
    }

    /// The body of a reply's frame; nil for one that is not sent at all.
    private static func body(
        _ pieces: [Piece], _ apiKey: Int16, _ version: Int16
    ) -> ByteBuffer? {
        var whole = ByteBuffer()
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): whole.writeImmutableBuffer(bytes)
            case .file(let region):
                guard let file = region.file as? any DiskFile,
                    let bytes = try? file.read(at: region.offset, count: region.length)
                else { return nil }
                whole.writeImmutableBuffer(bytes)
            }
        }
        guard whole.readInteger(as: Int32.self) != nil else { return nil }
        var reader = WireReader(whole)
        let header = HeaderVersion.response(apiKey: apiKey, version: version)
        guard (try? ResponseHeader(from: &reader, version: header)) != nil else { return nil }
        return reader.buffer
    }

    // MARK: Trouble

    private func trouble() {
        guard !isCalm else { return }
        let index = world.random.below(3)
        let node = nodes[index]
        let others = (0..<3).filter { $0 != index }
        switch world.random.below(10) {
        case 0, 1:
            if node.isRunning {
                let loses = world.random.chance(perMille: 500)
                log("node \(node.id) crashes\(loses ? ", the power fails" : "")")
                crash(index, losesUnsynced: loses)
                world.schedule(
                    .start(index), after: world.random.delay(.milliseconds(50) ... .seconds(6)))
            }
        case 2:
            log("node \(node.id) is cut off")
            network.partition([index])
            network.setCut(false, from: 3, to: index)
            network.setCut(false, from: index, to: 3)
        case 3:
            let other = world.random.pick(others)
            log("link \(node.id) > \(nodes[other].id) is cut")
            network.setCut(true, from: index, to: other)
        case 4:
            if node.isRunning, !node.isPaused {
                log("node \(node.id) pauses")
                node.isPaused = true
            }
        case 5:
            log("clock of \(node.id) jumps")
            node.clock.jump(
                ahead: world.random.delay(.milliseconds(1) ... .seconds(3)), now: world.now)
            schedule(index)
        case 6: node.wallOffsetMs = Int64(world.random.below(20_000)) - 10_000
        case 7:
            let other = world.random.pick(others)
            network.clog(
                from: index, to: other,
                until: world.now + world.random.delay(.milliseconds(100) ... .seconds(2)))
        default:
            log("healed")
            network.heal()
            for other in 0..<3 { resume(other) }
        }
        world.schedule(
            .trouble, after: world.random.delay(.milliseconds(200) ... .seconds(4)))
    }

    private func crash(_ index: Int, losesUnsynced: Bool) {
        let node = nodes[index]
        let prefix = "\(index) \(node.generation) "
        for name in owed.keys.filter({ $0.hasPrefix(prefix) }).sorted() {
            guard let debt = owed.removeValue(forKey: name) else { continue }
            // A process that is killed closes its connections; a power cut says nothing.
            if !losesUnsynced { answer(debt, from: index, body: nil) }
        }
        node.crash(losesUnsynced: losesUnsynced)
        node.disk.faults.ignoresSync = options.canary == .ignoresSync
        wakes[index] = nil
        checks.crashed(node)
    }

    private func resume(_ index: Int) {
        let node = nodes[index]
        guard node.isPaused else { return }
        node.isPaused = false
        let backlog = node.backlog
        node.backlog = []
        for event in backlog { event() }
        onNode(index) { _ in }
    }

    func log(_ text: String) {
        guard options.isVerbose else { return }
        let seconds = Double(world.now.nanoseconds - 1_000_000_000_000) / 1e9
        print("\(Int(seconds * 1000)) ms  \(text)")
    }
}
