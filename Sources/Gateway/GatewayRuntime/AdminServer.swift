import AdminAPI
import Logging
import NIOCore
import NIOHTTP1

/// The admin interface: HTTP/1.1 with JSON bodies over a Unix socket that only root may use.
package final class AdminServer: Sendable {
    package struct Options: Sendable {
        package var server = UnixServerOptions()
        /// A manifest of the largest size, as a JSON string.
        package var bodyBytes = 40 << 20
        package var headerBytes = 16 << 10
        package var headerFields = 64

        package init() {
            // Nobody else has business in there, not even to look.
            server.directoryMode = 0o700
        }
    }

    private let server: UnixServer

    package var path: String { server.path }

    private init(_ server: UnixServer) { self.server = server }

    package static func start(
        path: String = AdminRoute.defaultSocketPath, handler: any AdminHandler,
        options: Options = Options(), group: any EventLoopGroup, logger: Logger
    ) async throws -> AdminServer {
        let router = AdminRouter(handler, logger: logger)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = options.headerBytes
        limits.maxHeaderListSize = options.headerBytes
        limits.maxHeaderFieldCount = options.headerFields
        let bodyBytes = options.bodyBytes
        let server = try await UnixServer.start(
            path: path, options: options.server, group: group, logger: logger
        ) { [limits] channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(HTTPResponseEncoder())
            try pipeline.addHandler(
                ByteToMessageHandler(
                    HTTPRequestDecoder(
                        leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)))
            try pipeline.addHandler(AdminConnection(router: router, bodyLimit: bodyBytes))
        }
        return AdminServer(server)
    }

    /// Requests under way are finished first, for as long as `grace`.
    package func stop(grace: TimeAmount = .seconds(5)) async { await server.stop(grace: grace) }
}

/// One client. One request at a time; while it is worked on nothing is read, and what was
/// decoded already (pipelined requests in the same packet) waits.
private final class AdminConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case receiving(HTTPRequestHead, [UInt8])
        /// The body is over the limit. It is read and dropped, up to a limit as well, because a
        /// client that is still writing would not see our reply.
        case dropping(HTTPRequestHead, Int)
        case responding
        case closed
    }

    private let router: AdminRouter
    private let bodyLimit: Int
    private var state = State.idle
    private var waiting: CircularBuffer<HTTPServerRequestPart> = []
    private var readIsHeld = false
    private var isClosing = false

    init(router: AdminRouter, bodyLimit: Int) {
        self.router = router
        self.bodyLimit = bodyLimit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        proceed(context)
    }

    func read(context: ChannelHandlerContext) {
        if case .responding = state {
            readIsHeld = true
        } else {
            context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed, is ChannelShouldQuiesceEvent:
            isClosing = true
            switch state {
            case .idle: close(context)
            case .receiving, .dropping:
                // With the input closed the rest never comes; when stopping it may.
                if case ChannelEvent.inputClosed = event { close(context) }
            case .responding, .closed: break
            }
        case is IdleStateHandler.IdleStateEvent:
            if case .responding = state { return }
            close(context)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isClosing = true
        switch state {
        case .responding, .closed: break
        case .idle, .receiving, .dropping:
            guard error is HTTPParserError else {
                close(context)
                return
            }
            let overflow = error as? HTTPParserError == .headerOverflow
            let refusal =
                overflow
                ? APIError(.tooLarge, "the request's headers are too long")
                : APIError(.invalidRequest, "this is not an HTTP/1.1 request")
            var reply = AdminRouter.Reply(refusal)
            // RFC 6585 section 5: 431 is for header fields, 413 for content.
            if overflow { reply.status = 431 }
            respond(reply, keepAlive: false, context)
        }
    }

    private func close(_ context: ChannelHandlerContext) {
        state = .closed
        waiting.removeAll()
        context.close(promise: nil)
    }

    private func proceed(_ context: ChannelHandlerContext) {
        while !waiting.isEmpty {
            switch state {
            case .responding: return
            case .closed:
                waiting.removeAll()
                return
            case .idle, .receiving, .dropping: break
            }
            take(waiting.removeFirst(), context)
        }
    }

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (part, state) {
        case (.head(let head), _): begin(head, context)
        case (.body(let buffer), .receiving(let head, var body)):
            guard body.count + buffer.readableBytes <= bodyLimit else {
                state = .dropping(head, body.count + buffer.readableBytes)
                return
            }
            // Taken out first, so that the array grows in place.
            state = .idle
            body.append(contentsOf: buffer.readableBytesView)
            state = .receiving(head, body)
        case (.body(let buffer), .dropping(let head, let dropped)):
            let sum = dropped + buffer.readableBytes
            state = .dropping(head, sum)
            if sum > bodyLimit * 8 { respond(tooLarge, keepAlive: false, context) }
        case (.end, .receiving(let head, let body)): perform(head, body, context)
        case (.end, .dropping(let head, _)):
            respond(tooLarge, keepAlive: head.isKeepAlive, context)
        case (.body, _), (.end, _): break
        }
    }

    private var tooLarge: AdminRouter.Reply {
        AdminRouter.Reply(
            APIError(.tooLarge, "a request's body may have \(bodyLimit) bytes at most"))
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        let expects = head.headers[canonicalForm: "expect"].contains { $0 == "100-continue" }
        if length > bodyLimit {
            if expects {
                // The client waits for our word before it sends, and this is it.
                respond(tooLarge, keepAlive: false, context)
            } else {
                state = .dropping(head, 0)
            }
            return
        }
        state = .receiving(head, [])
        if expects {
            let go = HTTPResponseHead(version: .http1_1, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(go)), promise: nil)
        }
    }

    private func perform(
        _ head: HTTPRequestHead, _ body: [UInt8], _ context: ChannelHandlerContext
    ) {
        state = .responding
        let (router, method, target) = (router, head.method.rawValue, head.uri)
        let answered = context.eventLoop.makeFutureWithTask {
            await router.reply(method: method, target: target, body: body)
        }
        answered.assumeIsolated().whenSuccess { reply in
            if context.channel.isActive {
                self.respond(reply, keepAlive: head.isKeepAlive, context)
            }
        }
    }

    private func respond(
        _ reply: AdminRouter.Reply, keepAlive: Bool, _ context: ChannelHandlerContext
    ) {
        state = .responding
        let stays = keepAlive && !isClosing
        var head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status))
        head.headers.add(name: "Content-Type", value: "application/json")
        head.headers.add(name: "Content-Length", value: "\(reply.body.count)")
        head.headers.add(name: "Cache-Control", value: "no-store")
        if !stays { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        let body = context.channel.allocator.buffer(bytes: reply.body)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
        written.futureResult.assumeIsolated().whenComplete { result in
            self.written(result, stays: stays && !self.isClosing, context)
        }
    }

    private func written(
        _ result: Result<Void, any Error>, stays: Bool, _ context: ChannelHandlerContext
    ) {
        guard stays, case .success = result, context.channel.isActive else {
            close(context)
            return
        }
        state = .idle
        proceed(context)
        if case .responding = state { return }
        if readIsHeld {
            readIsHeld = false
            context.read()
        }
    }
}
