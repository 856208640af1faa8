import BrokerCore
import KafkaWire
import Logging
import NIOCore
import NIOPosix
import Telemetry
import Timing

/// Runs a node on one event loop: its connections, its requests to others, its timer.
///
/// Nothing here waits, and nothing leaves the loop but what is handed to it from elsewhere with
/// `onLoop`. Effects are carried out after each burst of requests, so that what came together is
/// answered together, with one write a connection.
final class NodeLoop<Node: SteppedNode>: RequestReceiver {
    let loop: any EventLoop
    let node: Node
    private let logger: Logger
    /// What a line is about stands in its words; beside them it is for machines.
    private let logsSubjects: Bool
    /// Told of effects that only this kind of node has.
    private let special: (Node.Effect) -> Void
    private let failed: (String) -> Void
    private let stopped: () -> Void
    private var pool: PeerPool?
    private var connections: [UInt64: ServerConnection] = [:]
    private var touched: [UInt64] = []
    let budget: RequestBudget
    private var timer: Scheduled<Void>?
    private var timerDeadline: Instant?
    private var isDraining = false
    private var isClosed = false
    private let part: String
    let times = RequestTimes()
    private var share: LoopShare
    private var effectsBegan = Instant(nanoseconds: 0)
    /// When the first request was taken of those that were read together.
    private var burstBegan: Instant?

    /// On its loop, whose thread's time it reads.
    init(
        loop: any EventLoop, node: Node, clientId: String, maximumFrameBytes: Int,
        maximumHeldBytes: Int, logger: Logger, special: @escaping (Node.Effect) -> Void,
        failed: @escaping (String) -> Void, stopped: @escaping () -> Void
    ) {
        self.loop = loop
        self.node = node
        self.logger = logger
        logsSubjects = logger[metadataKey: BrokerService.nodeKey] != nil
        if case .string(let name)? = logger[metadataKey: LogRecord.partKey] {
            part = name
        } else {
            part = ""
        }
        share = LoopShare(now: MonotonicTime.now(), processor: LoopShare.processorTime())
        self.special = special
        self.failed = failed
        self.stopped = stopped
        budget = RequestBudget(limit: maximumHeldBytes, loop: loop)
        pool = PeerPool(loop: loop, clientId: clientId, maximumFrameBytes: maximumFrameBytes) {
            [unowned self] id, result in
            peerReplied(id, result)
        }
    }

    var connectionCount: Int { connections.count }

    // MARK: From connections

    func connectionOpened(_ connection: ServerConnection) {
        connections[connection.id] = connection
        node.connectionOpened(
            ConnectionInfo(
                id: connection.id, host: connection.host, listener: connection.listener))
    }

    func requestReceived(
        _ frame: ByteBuffer, _ sequence: UInt64, _ connection: ServerConnection
    ) {
        let now = MonotonicTime.now()
        let arrived = burstBegan ?? now
        burstBegan = arrived
        node.receive(
            frame, token: ReplyToken(connection: connection.id, sequence: sequence), now: now,
            nowMs: WallClock.nowMs())
        guard let kind = node.requestKind else { return }
        let served = MonotonicTime.now()
        connection.served(
            sequence,
            RequestTiming(
                kind: kind, arrived: arrived, begun: now, served: served, replied: served,
                written: served))
    }

    func connectionClosed(_ connection: ServerConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        if let reason = connection.closeReason, reason != "idle" {
            logger.info("closed the connection of \(connection.host): \(reason)")
        }
        node.connectionClosed(
            connection.id, now: MonotonicTime.now(), nowMs: WallClock.nowMs())
        drain()
    }

    func burstEnded() { drain() }

    private func peerReplied(_ id: UInt64, _ result: Result<ByteBuffer, PeerFailure>) {
        switch result {
        case .success(let body):
            node.peerReplied(id, body, now: MonotonicTime.now(), nowMs: WallClock.nowMs())
        case .failure(let failure):
            logger.debug("request \(id): \(failure)")
            node.peerFailed(id, "\(failure)", now: MonotonicTime.now(), nowMs: WallClock.nowMs())
        }
        // A failure may come while effects are carried out: they go on with what it caused.
        if !isDraining { drain() }
    }

    // MARK: Effects

    /// Lets something happen to the node from its own loop, and carries out what follows.
    func step(_ body: (Node, Instant, Int64) -> Void) {
        guard !isClosed else { return }
        body(node, MonotonicTime.now(), WallClock.nowMs())
        if !isDraining { drain() }
    }

    func drain() {
        guard !isDraining, !isClosed else { return }
        isDraining = true
        let began = MonotonicTime.now()
        // What effects cause at once (a connection that cannot be made) is settled here too, but
        // not for ever: the timer takes over.
        for _ in 0..<16 {
            node.settle(now: MonotonicTime.now(), nowMs: WallClock.nowMs())
            let effects = node.takeEffects()
            if effects.isEmpty { break }
            effectsBegan = MonotonicTime.now()
            for effect in effects {
                if let common = Node.common(effect) { carryOut(common) } else { special(effect) }
            }
        }
        isDraining = false
        for id in touched { connections[id]?.flushIfNeeded(times) }
        touched.removeAll(keepingCapacity: true)
        pool?.flush()
        share.ran(from: burstBegan ?? began, to: MonotonicTime.now())
        burstBegan = nil
        budget.wakeWaiting()
        arm()
    }

    func metrics() -> [NodeMetric] {
        let now = MonotonicTime.now()
        let idle = share.idleShare(now: now, processor: LoopShare.processorTime())
        var all = node.metrics() + times.metrics(part: part, now: now)
        all.append(
            NodeMetric(
                "kafka_network_socketserver_networkprocessoravgidle_percent", .gauge,
                [("part", part)], idle))
        if Node.self == BrokerNode.self {
            all.append(
                NodeMetric(
                    "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", .gauge,
                    [], idle))
        }
        return all
    }

    private func carryOut(_ effect: NodeEffect) {
        switch effect {
        case .reply(let token, let pieces):
            guard let connection = connections[token.connection] else { return }
            connection.reply(token.sequence, pieces, at: effectsBegan)
            touched.append(token.connection)
        case .close(let id, let reason): connections[id]?.close(because: reason)
        case .send(let request): pool?.send(request)
        case .log(let line):
            logger.log(
                level: line.level.logger, "\(line.message)",
                metadata: logsSubjects ? line.about.metadata : nil)
        case .fail(let message): failed(message)
        case .stopped: stopped()
        }
    }

    private func arm() {
        guard let deadline = node.nextDeadline else {
            timer?.cancel()
            timer = nil
            timerDeadline = nil
            return
        }
        if let armed = timerDeadline, armed <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        let bound = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleTask(deadline: .uptimeNanoseconds(deadline.nanoseconds)) {
            bound.value.timerFired()
        }
    }

    private func timerFired() {
        timer = nil
        timerDeadline = nil
        drain()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        timer?.cancel()
        pool?.close()
        for connection in connections.values { connection.close(because: "the node stops") }
    }
}

extension LogSubject {
    fileprivate var metadata: Logger.Metadata {
        Logger.Metadata(uniqueKeysWithValues: fields.map { ($0.name, .string($0.value)) })
    }
}

extension NodeLog.Level {
    fileprivate var logger: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
