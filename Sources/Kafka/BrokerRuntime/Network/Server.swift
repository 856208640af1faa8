import BrokerConfig
import Logging
import NIOCore
import NIOPosix

/// What a server asks of its connections.
struct ServerLimits: Sendable {
    var maximumFrameBytes: Int
    var maximumConnections: Int
    /// The same for the controllers' listener, to which only nodes connect.
    var maximumQuorumConnections: Int
    var maximumConnectionsPerAddress: Int
    var maximumInFlight: Int
    var idleTimeout: TimeAmount
    var backlog: Int
    /// -1 leaves a size to the system.
    var sendBufferBytes: Int
    var receiveBufferBytes: Int

    init(_ config: BrokerConfig, _ files: OpenFiles) {
        maximumFrameBytes = Int(config.integer("socket.request.max.bytes"))
        let most = Int(config.integer("max.connections"))
        maximumConnections = min(most, files.forClients)
        maximumQuorumConnections = min(most, files.forQuorum)
        maximumConnectionsPerAddress = Int(config.integer("max.connections.per.ip"))
        maximumInFlight = Int(config.integer("max.inflight.requests.per.connection"))
        idleTimeout = .milliseconds(min(config.integer("connections.max.idle.ms"), 1 << 40))
        backlog = Int(config.integer("socket.listen.backlog.size"))
        sendBufferBytes = Int(config.integer("socket.send.buffer.bytes"))
        receiveBufferBytes = Int(config.integer("socket.receive.buffer.bytes"))
    }

    /// What to say if the files that may be open do not suffice for what is configured.
    func shortage(_ config: BrokerConfig, _ files: OpenFiles) -> String? {
        guard maximumConnections < Int(config.integer("max.connections")) else { return nil }
        return "max.connections=\(config.text("max.connections")) does not fit into the "
            + "\(files.limit) files this process may have open: \(maximumConnections) connections "
            + "are taken at a time; raise LimitNOFILE (ulimit -n), or lower max.connections"
    }
}

/// Counts connections and gives them their numbers. One event loop owns it.
final class ConnectionCensus {
    private let maximum: Int
    private let maximumPerAddress: Int
    private var nextID: UInt64 = 1
    private var byAddress: [String: Int] = [:]
    private(set) var count = 0
    private(set) var refused = 0
    private var refusals: Refusals
    private let bounds: String

    /// - Parameter bounds: what sets them, in words.
    init(
        maximum: Int, perAddress: Int, logger: Logger,
        bounds: String =
            "max.connections, max.connections.per.ip or the limit of open files allow"
    ) {
        self.bounds = bounds
        self.maximum = maximum
        maximumPerAddress = perAddress
        refusals = Refusals(logger)
    }

    /// - Returns: nil if there are enough connections, of all or of this address.
    func admit(_ address: String) -> UInt64? {
        guard count < maximum, byAddress[address, default: 0] < maximumPerAddress
        else {
            refused += 1
            refusals.say(
                .warning,
                "a connection of \(address) is refused: there are as many as \(bounds)")
            return nil
        }
        count += 1
        byAddress[address, default: 0] += 1
        defer { nextID += 1 }
        return nextID
    }

    func leave(_ address: String) {
        count -= 1
        let left = byAddress[address, default: 1] - 1
        byAddress[address] = left > 0 ? left : nil
    }
}

/// Takes connections of one listener for a node's loop.
enum Server {
    /// - Throws: why the address cannot be listened at.
    static func listen<Node>(
        _ listener: Listener, for nodeLoop: NIOLoopBound<NodeLoop<Node>>,
        census: NIOLoopBound<ConnectionCensus>, on loop: any EventLoop, limits: ServerLimits,
        logger: Logger
    ) async throws -> any Channel {
        var bootstrap = ServerBootstrap(group: loop, childGroup: loop)
            .serverChannelOption(.backlog, value: Int32(clamping: limits.backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptErrors("\(listener)", logger: logger))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: 1 << 20, high: 4 << 20)
            )
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 2048, initial: 8192, maximum: 1 << 20)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try initialize(channel, listener, nodeLoop.value, census.value, limits)
                }
            }
        if limits.sendBufferBytes > 0 {
            bootstrap = bootstrap.childChannelOption(
                .socketOption(.so_sndbuf), value: SocketOptionValue(limits.sendBufferBytes))
        }
        if limits.receiveBufferBytes > 0 {
            bootstrap = bootstrap.childChannelOption(
                .socketOption(.so_rcvbuf), value: SocketOptionValue(limits.receiveBufferBytes))
        }
        if listener.host.isEmpty {
            do {
                return try await bootstrap.bind(host: "::", port: Int(listener.port)).get()
            } catch {
                // A machine without IPv6.
                return try await bootstrap.bind(host: "0.0.0.0", port: Int(listener.port)).get()
            }
        }
        return try await bootstrap.bind(host: listener.host, port: Int(listener.port)).get()
    }

    private static func initialize<Node>(
        _ channel: any Channel, _ listener: Listener, _ nodeLoop: NodeLoop<Node>,
        _ census: ConnectionCensus, _ limits: ServerLimits
    ) throws {
        let address = channel.remoteAddress?.ipAddress ?? "local"
        guard let id = census.admit(address) else {
            throw ServerError.tooManyConnections
        }
        let bound = NIOLoopBound(census, eventLoop: channel.eventLoop)
        channel.closeFuture.whenComplete { _ in bound.value.leave(address) }
        let connection = ServerConnection(
            id: id, listener: listener.name, receiver: nodeLoop, budget: nodeLoop.budget,
            maximumInFlight: limits.maximumInFlight)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(IdleStateHandler(allTimeout: limits.idleTimeout))
        let decoder = FrameDecoder(maximumBytes: limits.maximumFrameBytes) {
            [weak connection] length in connection?.frameGrows(toLength: length)
        }
        try pipeline.addHandler(ByteToMessageHandler(decoder))
        try pipeline.addHandler(connection)
    }
}

enum ServerError: Error {
    case tooManyConnections
}
