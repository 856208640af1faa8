import AdminAPI
import Addresses
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// The page for people, the status and the metrics, over HTTP/1.1 on a TCP port. It only reads:
/// whoever can reach it sees what the slices are made of, and changes nothing.
package final class HTTPListener: Sendable {
    /// Nil when there is nothing to tell any more.
    package typealias StatusProvider = @Sendable () async -> StatusReport?

    package struct Options: Sendable {
        package var maximumConnections = 64
        package var headerBytes = 16 << 10
        package var headerFields = 64
        /// A request may have a body of so much, which means nothing.
        package var bodyBytes = 64 << 10
        /// From the connection, or from the last reply, to the end of the request: whoever sends
        /// it byte by byte holds a place no longer than somebody who sends none.
        package var requestTime = TimeAmount.seconds(60)
        /// From there until the reply is with the client's kernel.
        package var replyTime = TimeAmount.seconds(30)
        /// So long a report is good for all who ask.
        package var freshFor = Duration.milliseconds(500)
        /// What it may be asked for, beside addresses and localhost.
        package var names: [String] = []

        package init() {}
    }

    /// With the port that was really taken.
    package let address: IPEndpoint
    private let channel: any Channel
    private let connections: OpenConnections

    private init(address: IPEndpoint, channel: any Channel, connections: OpenConnections) {
        self.address = address
        self.channel = channel
        self.connections = connections
    }

    package static func start(
        address: IPEndpoint, handler: @escaping StatusProvider, options: Options = Options(),
        group: any EventLoopGroup, logger: Logger
    ) async throws -> HTTPListener {
        let loop = group.next()
        let connections = try await OpenConnections.on(loop)
        let site = HTTPSite(status: StatusCache(freshFor: options.freshFor, handler))
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = options.headerBytes
        limits.maxHeaderListSize = options.headerBytes
        limits.maxHeaderFieldCount = options.headerFields
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 128)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [limits] child in
                child.eventLoop.makeCompletedFuture {
                    if let refusal = connections.refusal(atMost: options.maximumConnections) {
                        // No warning: a stranger could fill the log.
                        logger.debug("refused a connection of the status page: \(refusal)")
                        throw refusal
                    }
                    connections.add(child)
                    let pipeline = child.pipeline.syncOperations
                    try pipeline.addHandler(HTTPResponseEncoder())
                    try pipeline.addHandler(
                        ByteToMessageHandler(
                            HTTPRequestDecoder(
                                leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)))
                    try pipeline.addHandler(HTTPConnection(site, options))
                }
            }
            .bind(to: try socketAddress(address)).get()
        var bound = address
        bound.port = UInt16(clamping: channel.localAddress?.port ?? Int(address.port))
        return HTTPListener(address: bound, channel: channel, connections: connections)
    }

    /// Takes no more connections, lets requests under way finish for `grace`, then cuts.
    package func stop(grace: TimeAmount = .seconds(2)) async {
        try? await channel.close()
        await connections.drain(grace: grace)
    }

    private static func socketAddress(_ endpoint: IPEndpoint) throws -> SocketAddress {
        let scope = endpoint.scope == 0 ? "" : "%\(endpoint.scope)"
        return try SocketAddress(
            ipAddress: "\(endpoint.address)\(scope)", port: Int(endpoint.port))
    }
}

/// One client, one request at a time. While a reply is under way nothing is read; what was
/// decoded already waits.
private final class HTTPConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        /// So many bytes of a body that means nothing.
        case receiving(HTTPRequestHead, Int)
        case replying
        case closed
    }

    private let site: HTTPSite
    private let options: HTTPListener.Options
    private var state = State.idle
    private var waiting: CircularBuffer<HTTPServerRequestPart> = []
    private var readIsHeld = false
    private var isClosing = false
    private var deadline: Scheduled<Void>?

    init(_ site: HTTPSite, _ options: HTTPListener.Options) {
        self.site = site
        self.options = options
    }

    func channelActive(context: ChannelHandlerContext) {
        allow(options.requestTime, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        state = .closed
        context.fireChannelInactive()
    }

    private func allow(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = bound.value
            handler.close(context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        proceed(context)
    }

    func read(context: ChannelHandlerContext) {
        if case .replying = state {
            readIsHeld = true
        } else {
            context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed, is ChannelShouldQuiesceEvent:
            isClosing = true
            if case .replying = state { return }
            close(context)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isClosing = true
        switch state {
        case .replying, .closed: break
        case .idle, .receiving:
            guard let error = error as? HTTPParserError else { return close(context) }
            // RFC 6585 section 5: 431 is for header fields.
            send(
                error == .headerOverflow
                    ? .refusal(
                        APIError(.tooLarge, "the request's headers are too long"), status: 431)
                    : .refusal(APIError(.invalidRequest, "this is not an HTTP/1.1 request")),
                to: nil, context)
        }
    }

    private func close(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        state = .closed
        waiting.removeAll()
        context.close(promise: nil)
    }

    private func proceed(_ context: ChannelHandlerContext) {
        while !waiting.isEmpty {
            switch state {
            case .replying: return
            case .closed: return waiting.removeAll()
            case .idle, .receiving: take(waiting.removeFirst(), context)
            }
        }
    }

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (part, state) {
        case (.head(let head), _):
            state = .receiving(head, 0)
            // The client waits for our word before it sends a body, and this is it.
            if head.headers.contains(name: "expect") {
                isClosing = true
                answer(head, context)
            }
        case (.body(let buffer), .receiving(let head, let count)):
            let sum = count + buffer.readableBytes
            state = .receiving(head, sum)
            guard sum > options.bodyBytes else { return }
            isClosing = true
            answer(head, context)
        case (.end, .receiving(let head, _)): answer(head, context)
        case (.body, _), (.end, _): break
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        state = .replying
        allow(options.replyTime, context)
        let host = HTTPHost(names: Set(options.names))
        if let refusal = host.refusal(
            head.headers["host"], isOld: head.version != .http1_1)
        {
            return send(refusal, to: head, context)
        }
        let (site, method, target) = (site, head.method.rawValue, head.uri)
        let answered = context.eventLoop.makeFutureWithTask {
            await site.reply(method: method, target: target)
        }
        answered.assumeIsolated().whenSuccess { reply in
            guard case .replying = self.state, context.channel.isActive else { return }
            self.send(reply, to: head, context)
        }
    }

    private func send(
        _ reply: HTTPSite.Reply, to request: HTTPRequestHead?, _ context: ChannelHandlerContext
    ) {
        state = .replying
        let stays = !isClosing && request?.isKeepAlive == true
        var head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status))
        head.headers.add(name: "Content-Type", value: reply.contentType)
        head.headers.add(name: "Content-Length", value: "\(reply.body.count)")
        head.headers.add(name: "Cache-Control", value: "no-store")
        head.headers.add(name: "X-Content-Type-Options", value: "nosniff")
        head.headers.add(name: "Referrer-Policy", value: "no-referrer")
        for (name, value) in reply.headers { head.headers.add(name: name, value: value) }
        if !stays { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request?.method != .HEAD {
            let body = context.channel.allocator.buffer(bytes: reply.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
        written.futureResult.assumeIsolated().whenComplete { result in
            self.written(result, stays: stays && !self.isClosing, context)
        }
    }

    private func written(
        _ result: Result<Void, any Error>, stays: Bool, _ context: ChannelHandlerContext
    ) {
        if case .closed = state { return }
        guard stays, case .success = result, context.channel.isActive else {
            close(context)
            return
        }
        state = .idle
        allow(options.requestTime, context)
        proceed(context)
        if case .replying = state { return }
        if readIsHeld {
            readIsHeld = false
            context.read()
        }
    }
}
