import BrokerConfig
import BrokerCore
import CommitLog
import KafkaWire
import Logging
import NIOCore
import NIOPosix
import Replication
import Supervision
import Timing

/// A running node: its event loops, its listeners, its data.
///
/// One loop owns the broker (partitions, groups, clients), one the metadata quorum, whose log is
/// flushed before anything is said and so would hold up clients. A third thread flushes partitions
/// where `flush.messages` or `flush.ms` ask for it.
package final class BrokerProcess: Sendable {
    private let config: BrokerConfig
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let brokerLoop: any EventLoop
    private let quorumLoop: any EventLoop
    private let flushers: NIOThreadPool
    private let ended: EndOfProcess
    /// Keeps its directories locked for as long as the process may write to them.
    private let data = LockedBox<DataDirectory?>(nil)
    /// Keeps the quorum's part, whose loop knows its host without holding it.
    private let quorum = LockedBox<NIOLoopBound<QuorumHost>?>(nil)

    /// - Parameter end: told once, when the node has come to its end: nil for a shutdown that was
    ///   asked for, otherwise why it cannot go on.
    package init(
        _ config: BrokerConfig, logger: Logger, end: @escaping @Sendable (String?) -> Void
    ) {
        self.config = config
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        brokerLoop = group.next()
        quorumLoop = group.next()
        flushers = NIOThreadPool(numberOfThreads: 1)
        ended = EndOfProcess(end)
    }

    /// Opens the data, listens, and lets the nodes run.
    /// - Parameter ready: called when clients are served; of a controller alone, when it has read
    ///   that the one that leads knows it.
    /// - Throws: what keeps the node from starting, in words for who has to mend it.
    package func start(ready: @escaping @Sendable () -> Void) async throws {
        flushers.start()
        let data = try DataDirectory.open(config)
        self.data.withValue { $0 = data }
        let files = OpenFiles.raised()
        let limits = ServerLimits(config, files)
        if let problem = limits.shortage(config, files) { logger.warning("\(problem)") }
        let quorum = try await startQuorum(data, limits, ready: ready)
        let broker =
            config.isBroker ? try await startBroker(data, quorum, limits, ready: ready) : nil
        if let place = HostAndPort(config.text("metrics.listener")) {
            try await listenForMetrics(place, broker, quorum)
        }
    }

    // MARK: The quorum

    private func startQuorum(
        _ data: DataDirectory, _ limits: ServerLimits, ready: @escaping @Sendable () -> Void
    ) async throws -> NIOLoopBound<QuorumHost> {
        let config = config
        let logger = logger
        let loop = quorumLoop
        let ended = ended
        let host = try await loop.submit {
            let node = try QuorumNode(
                config: config, identity: data.identity, disk: data.disk,
                metadataLog: try data.openMetadataLog(nowMs: WallClock.nowMs()),
                seed: .random(in: .min ... .max), now: MonotonicTime.now(),
                nowMs: WallClock.nowMs())
            let host = QuorumHost(isBroker: config.isBroker, ready: ready) { ended.stop() }
            host.nodeLoop = NodeLoop(
                loop: loop, node: node, clientId: "node-\(config.nodeID)",
                maximumFrameBytes: limits.maximumFrameBytes,
                maximumHeldBytes: Int(config.integer("queued.max.request.bytes")),
                logger: Self.logger(logger, "quorum"),
                special: { [unowned host] in host.carryOut($0) },
                failed: { ended.fail($0) }, stopped: { [unowned host] in host.stopped() })
            return NIOLoopBound(host, eventLoop: loop)
        }.get()
        quorum.withValue { $0 = host }
        shutDownFirst.withValue { shutDown in
            shutDown = { loop.execute { host.value.shutDown() } }
        }
        let census = try await loop.submit {
            NIOLoopBound(
                ConnectionCensus(
                    maximum: limits.maximumQuorumConnections,
                    perAddress: limits.maximumConnectionsPerAddress,
                    logger: Self.logger(logger, "quorum")), eventLoop: loop)
        }.get()
        let nodeLoop = try await loop.submit {
            NIOLoopBound(host.value.loop, eventLoop: loop)
        }.get()
        for listener in config.controllerListeners {
            try await listen(listener, nodeLoop, census, loop, limits)
        }
        status.withValue { status in
            status.quorum = {
                let node = nodeLoop.value.node
                let leader = node.leaderID.map { "controller \($0) leads" } ?? "no controller leads"
                return "node \(config.nodeID): \(leader) in epoch \(node.epoch)"
            }
        }
        try await loop.submit { host.value.loop.drain() }.get()
        return host
    }

    // MARK: The broker

    private func startBroker(
        _ data: DataDirectory, _ quorum: NIOLoopBound<QuorumHost>, _ limits: ServerLimits,
        ready: @escaping @Sendable () -> Void
    ) async throws -> NIOLoopBound<NodeLoop<BrokerNode>> {
        let config = config
        let logger = logger
        let loop = brokerLoop
        let ended = ended
        let flushers = flushers
        let quorumLoop = quorumLoop
        let nodeLoop = try await loop.submit {
            let node = try BrokerNode(
                config: config, identity: data.identity, directory: try data.openLogs(),
                seed: .random(in: .min ... .max), now: MonotonicTime.now(),
                nowMs: WallClock.nowMs())
            let host = BrokerHost(flushers: flushers, loop: loop, ready: ready)
            let nodeLoop = NodeLoop(
                loop: loop, node: node, clientId: "broker-\(config.nodeID)",
                maximumFrameBytes: limits.maximumFrameBytes,
                maximumHeldBytes: Int(config.integer("queued.max.request.bytes")),
                logger: Self.logger(logger, "broker"), special: { host.carryOut($0) },
                failed: { ended.fail($0) },
                stopped: {
                    // The broker is out: now its part of the quorum hands over and ends.
                    host.nodeLoop?.close()
                    if let unclean = host.nodeLoop?.node.closeLogs(nowMs: WallClock.nowMs()) {
                        Self.logger(logger, "broker").warning("\(unclean)")
                    }
                    quorumLoop.execute { quorum.value.shutDown() }
                })
            host.nodeLoop = nodeLoop
            return NIOLoopBound(nodeLoop, eventLoop: loop)
        }.get()
        let census = try await loop.submit {
            NIOLoopBound(
                ConnectionCensus(
                    maximum: limits.maximumConnections,
                    perAddress: limits.maximumConnectionsPerAddress,
                    logger: Self.logger(logger, "broker")), eventLoop: loop)
        }.get()
        for listener in config.brokerListeners {
            try await listen(listener, nodeLoop, census, loop, limits)
        }
        quorumLoop.execute {
            quorum.value.attach { effect in
                loop.execute {
                    nodeLoop.value.step { node, now, nowMs in
                        switch effect {
                        case .metadata(let update):
                            node.metadataChanged(update, now: now, nowMs: nowMs)
                        case .leader(let id, _):
                            node.controllerChanged(id, now: now, nowMs: nowMs)
                        case .node, .ready: break
                        }
                    }
                }
            }
        }
        status.withValue { status in
            status.broker = {
                let hosted = nodeLoop.value.node.replicas.replicas
                return "\(hosted.count) partitions, \(hosted.count(where: \.isLeader)) led, "
                    + "\(nodeLoop.value.connectionCount) connections"
            }
        }
        shutDownFirst.withValue { shutDown in
            shutDown = {
                loop.execute {
                    nodeLoop.value.step { node, now, nowMs in
                        node.shutDown(now: now, nowMs: nowMs)
                    }
                }
            }
        }
        try await loop.submit { nodeLoop.value.drain() }.get()
        return nodeLoop
    }

    private func listenForMetrics(
        _ place: HostAndPort, _ broker: NIOLoopBound<NodeLoop<BrokerNode>>?,
        _ quorum: NIOLoopBound<QuorumHost>
    ) async throws {
        let loop = brokerLoop
        let quorumLoop = quorumLoop
        do {
            _ = try await MetricsServer.listen(
                place, on: loop, logger: Self.logger(logger, "metrics")
            ) {
                quorumLoop.submit { quorum.value.loop.metrics() }.hop(to: loop).map {
                    $0 + (broker?.value.metrics() ?? [])
                }
            }
        } catch {
            throw NodeStartError(
                "cannot listen for metrics at \(place.host):\(place.port): "
                    + SystemFailure.words(error))
        }
    }

    /// Shuts down what has to go first: the broker, after which its part of the quorum follows, or
    /// the quorum's part, which hands its lead over.
    private let shutDownFirst = LockedBox<(@Sendable () -> Void)?>(nil)

    /// Begins a shutdown; `end` is told when it is done.
    package func shutDown() {
        if let shutDownFirst = shutDownFirst.withValue({ $0 }) {
            shutDownFirst()
        } else {
            ended.stop()
        }
    }

    // MARK: What it says of itself

    /// One line for who looks at the service.
    func summary() async -> String {
        let quorum = try? await quorumLoop.submit { [status] in
            status.withValue { $0.quorum }?() ?? ""
        }.get()
        let broker = try? await brokerLoop.submit { [status] in
            status.withValue { $0.broker }?() ?? ""
        }.get()
        return [quorum, broker].compactMap { $0 }.filter { !$0.isEmpty }
            .joined(separator: "; ")
    }

    func supervisor(_ notifier: ServiceNotifier) -> Supervisor {
        Supervisor(
            notifier, [("broker", brokerLoop), ("metadata quorum", quorumLoop)], logger: logger)
    }

    /// Each is called on its part's loop.
    private struct Status {
        var quorum: (@Sendable () -> String)?
        var broker: (@Sendable () -> String)?
    }

    private let status = LockedBox(Status())

    package func close() async {
        try? await group.shutdownGracefully()
        try? await flushers.shutdownGracefully()
        shutDownFirst.withValue { $0 = nil }
        quorum.withValue { $0 = nil }
        data.withValue { $0 = nil }
    }

    // MARK: Inside

    private func listen<Node>(
        _ listener: Listener, _ nodeLoop: NIOLoopBound<NodeLoop<Node>>,
        _ census: NIOLoopBound<ConnectionCensus>, _ loop: any EventLoop, _ limits: ServerLimits
    ) async throws {
        do {
            _ = try await Server.listen(
                listener, for: nodeLoop, census: census, on: loop, limits: limits,
                logger: logger)
        } catch {
            throw NodeStartError(
                "cannot listen at \(listener): \(SystemFailure.words(error)). Is another process "
                    + "using the port, or the address not on this host?")
        }
        logger.info("listening at \(listener)")
    }

    private static func logger(_ base: Logger, _ part: String) -> Logger {
        var logger = base
        logger[metadataKey: "part"] = .string(part)
        return logger
    }
}
