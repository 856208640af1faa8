import Addresses
import Glibc
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import SliceDirectory
import SliceModel
import Timing

/// Steps a directory's node and carries out what it wants. On one event loop, and only there.
final class DirectoryDriver {
    private var node: DirectoryNode
    private let options: DirectoryService.Options
    private let loop: any EventLoop
    private let logger: Logger
    private let callbacks: DirectoryService.Callbacks
    private var channels: [DirectoryStream: any Channel] = [:]
    private var servers: [IPAddress: any Channel] = [:]
    private var listenFailures: [IPAddress: String] = [:]
    private var isListenRetryDue = false
    private var nextIncoming: UInt64 = 0
    private var timer: Scheduled<Void>?
    private var timerAt: Instant?
    private var isStopped = false
    private var changed: Set<ClusterName> = []
    private var lastTold: Instant?
    private var isTelling = false

    init(
        _ manifest: DirectoryManifest, incarnation: UInt64, options: DirectoryService.Options,
        loop: any EventLoop, logger: Logger, callbacks: DirectoryService.Callbacks
    ) {
        self.options = options
        self.loop = loop
        self.logger = logger
        self.callbacks = callbacks
        let facts = DirectoryFacts(
            manifestVersion: manifest.version, manifestDigest: manifest.digest,
            policyDigest: options.policies)
        node = DirectoryNode(
            manifest.slice, incarnation: incarnation, facts: facts,
            document: manifest.document, seed: UInt64.random(in: 0...(.max)),
            now: MonotonicClock.now(), limits: options.limits, timing: options.timing)
    }

    func start() {
        if !options.restored.isEmpty { step(.restored(options.restored)) }
        listen()
        step(.tick)
    }

    func stop() -> EventLoopFuture<Void> {
        step(.stop)
        isStopped = true
        timer?.cancel()
        let open = Array(servers.values) + Array(channels.values)
        servers = [:]
        channels = [:]
        return EventLoopFuture.andAllComplete(open.map { $0.close() }, on: loop)
    }

    // MARK: The node

    var view: DirectoryView { node.view }
    var stored: [UInt8] { node.stored }

    var report: DirectoryReport {
        let problems = node.problems
        return DirectoryReport(
            incarnation: node.incarnation, version: node.version, peers: node.peerStatus,
            problems: listenFailures.sorted { $0.key < $1.key }.map(\.value)
                + problems.map(\.description),
            refusedClaims: problems.filter {
                $0.isClaim && $0.cluster != node.slice.local.name
            }, listening: servers.keys.sorted())
    }

    func step(_ event: DirectoryEvent) {
        guard !isStopped else { return }
        for effect in node.step(event, now: MonotonicClock.now()) { carryOut(effect) }
        arm()
    }

    func update(_ manifest: DirectoryManifest) {
        let old = node.slice.local.addresses
        step(
            .manifest(
                manifest.slice, version: manifest.version, digest: manifest.digest,
                document: manifest.document))
        guard old != manifest.slice.local.addresses else { return }
        // Connections from an address that is no longer ours would be taken for a stranger's.
        for (address, server) in servers where !manifest.slice.local.addresses.contains(address) {
            servers[address] = nil
            server.close(promise: nil)
        }
        listenFailures = [:]
        for channel in Array(channels.values) { channel.close(promise: nil) }
        listen()
    }

    private func carryOut(_ effect: DirectoryEffect) {
        switch effect {
        case .connect(let stream, let address, _): connect(stream, to: address)
        case .send(let stream, let bytes): send(stream, bytes)
        case .close(let stream): close(stream)
        case .viewChanged(let clusters):
            changed.formUnion(clusters)
            tell()
        case .manifestReceived(let manifest): callbacks.onManifest(manifest)
        case .report(let problem): logger.warning("\(problem)")
        }
    }

    private func arm() {
        guard !isStopped, let deadline = node.nextDeadline, timerAt != deadline else { return }
        timer?.cancel()
        timerAt = deadline
        let wait = max(0, (deadline - MonotonicClock.now()).count)
        timer = loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait)) { [self] in
            timerAt = nil
            step(.tick)
        }
    }

    /// At once, and then not again at once: whoever listens has work with each.
    private func tell() {
        guard !isTelling, !isStopped else { return }
        let now = MonotonicClock.now()
        let next = lastTold.map { $0 + options.pause } ?? now
        isTelling = true
        // Never from within: the step that is under way comes to its end first.
        let wait = max(0, (next - now).count)
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait)) { [self] in
            isTelling = false
            guard !isStopped, !changed.isEmpty else { return }
            lastTold = MonotonicClock.now()
            let clusters = changed.sorted()
            changed = []
            callbacks.onChange(node.view, clusters)
        }
    }

    // MARK: Listening

    /// On each of the gateway's addresses; those that are not there yet are tried again.
    private func listen() {
        guard !isStopped else { return }
        for address in node.slice.local.addresses where servers[address] == nil {
            do {
                try listen(on: address)
            } catch {
                failedToListen(address, error)
            }
        }
    }

    private func listen(on address: IPAddress) throws {
        let bound = NIOLoopBound(self, eventLoop: loop)
        ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.accept(channel) }
            }
            .bind(to: try Self.socketAddress(address, options.port))
            .assumeIsolated().whenComplete { [self] result in
                switch result {
                case .success(let channel): listening(address, channel)
                case .failure(let error): failedToListen(address, error)
                }
            }
    }

    private func listening(_ address: IPAddress, _ channel: any Channel) {
        guard !isStopped, node.slice.local.addresses.contains(address), servers[address] == nil
        else { return channel.close(promise: nil) }
        servers[address] = channel
        if listenFailures.removeValue(forKey: address) != nil {
            logger.notice("the directory listens on \(address) now")
        }
    }

    private func failedToListen(_ address: IPAddress, _ error: any Error) {
        guard !isStopped else { return }
        let code = (error as? IOError)?.errnoCode
        let text =
            switch code {
            case EADDRNOTAVAIL:
                "the directory cannot listen on \(address): the address is not on the tunnel's "
                    + "device yet; it is tried again"
            case EADDRINUSE:
                "the directory cannot listen on \(address): TCP port \(options.port) is in use "
                    + "in the router namespace (`ss -ltnp` in it shows by whom)"
            default: "the directory cannot listen on \(address): \(error)"
            }
        if listenFailures.updateValue(text, forKey: address) != text {
            logger.warning("\(text)")
        }
        // One for all addresses: each attempt tries them all.
        guard !isListenRetryDue else { return }
        isListenRetryDue = true
        loop.assumeIsolated().scheduleTask(
            in: .nanoseconds(options.listenRetry.count)
        ) { [self] in
            isListenRetryDue = false
            listen()
        }
    }

    private func accept(_ channel: any Channel) throws {
        guard !isStopped, let source = channel.remoteAddress.flatMap(Self.address) else {
            throw ChannelError.ioOnClosedChannel
        }
        nextIncoming += 1
        let stream = DirectoryStream.incoming(nextIncoming)
        try adopt(channel, stream)
        // Whoever it is not to be is closed by the node, before a byte is read.
        step(.accepted(stream, from: source))
    }

    // MARK: Connections

    private func connect(_ stream: DirectoryStream, to address: IPAddress) {
        let own = node.slice.local.addresses.first { $0.isIPv4 == address.isIPv4 }
        guard let own else { return ended(stream, "no own address of the family of \(address)") }
        do {
            let bound = NIOLoopBound(self, eventLoop: loop)
            // The node has its own patience; this one only ends what the node has forgotten.
            let attempt = ClientBootstrap(group: loop)
                .connectTimeout(.nanoseconds(options.timing.connectTimeout.count * 2))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .bind(to: try Self.socketAddress(own, 0))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try bound.value.adopt(channel, stream) }
                }
                .connect(to: try Self.socketAddress(address, options.port))
            attempt.assumeIsolated().whenComplete { [self] result in
                switch result {
                case .success: if channels[stream] != nil { step(.connected(stream)) }
                case .failure(let error): ended(stream, Self.words(error))
                }
            }
        } catch {
            ended(stream, Self.words(error))
        }
    }

    private func adopt(_ channel: any Channel, _ stream: DirectoryStream) throws {
        channels[stream] = channel
        try channel.pipeline.syncOperations.addHandler(DirectoryHandler(self, stream))
    }

    private func send(_ stream: DirectoryStream, _ bytes: [UInt8]) {
        guard let channel = channels[stream] else { return }
        // The node waits for this, so what is buffered here stays within its window.
        channel.writeAndFlush(ByteBuffer(bytes: bytes)).assumeIsolated().whenSuccess { [self] in
            // Never within a step: a socket with room answers at once.
            loop.assumeIsolated().execute { [self] in
                step(.drained(stream, byteCount: bytes.count))
            }
        }
    }

    /// After what was sent, for which the peer has a moment.
    private func close(_ stream: DirectoryStream) {
        guard let channel = channels.removeValue(forKey: stream) else { return }
        let goodbye = channel.writeAndFlush(ByteBuffer())
        let deadline = loop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            channel.close(promise: nil)
        }
        goodbye.assumeIsolated().whenComplete { _ in
            deadline.cancel()
            channel.close(promise: nil)
        }
    }

    func received(_ stream: DirectoryStream, _ bytes: [UInt8]) {
        guard channels[stream] != nil else { return }
        step(.received(stream, bytes))
    }

    /// The node hears of it unless it was its wish. Never within a step.
    func ended(_ stream: DirectoryStream, _ reason: String) {
        channels[stream] = nil
        loop.assumeIsolated().execute { [self] in step(.closed(stream, reason)) }
    }

    private static func words(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        return "\(error)"
    }

    private static func socketAddress(
        _ address: IPAddress, _ port: UInt16
    ) throws -> SocketAddress {
        try SocketAddress(ipAddress: address.description, port: Int(port))
    }

    private static func address(_ socket: SocketAddress) -> IPAddress? {
        socket.ipAddress.flatMap { IPAddress($0) }
    }
}

/// Bytes of one connection, to the driver.
private final class DirectoryHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let driver: DirectoryDriver
    private let stream: DirectoryStream
    private var reason = "closed by the peer"

    init(_ driver: DirectoryDriver, _ stream: DirectoryStream) {
        self.driver = driver
        self.stream = stream
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        driver.received(stream, Array(buffer: unwrapInboundIn(data)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        driver.ended(stream, reason)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
        context.close(promise: nil)
    }
}

extension DirectoryProblem {
    /// Whether somebody says that he is, or has, what is another's.
    fileprivate var isClaim: Bool {
        switch kind {
        case .claim, .claims, .otherCluster, .twoGateways: true
        default: false
        }
    }
}
