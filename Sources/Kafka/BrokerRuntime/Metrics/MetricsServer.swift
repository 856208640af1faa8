import BrokerConfig
import BrokerCore
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// Answers `GET /metrics` for Prometheus, and `GET /health` for whoever only wants to know that
/// the process runs.
enum MetricsServer {
    /// Whoever watches needs one. They take from what is kept for partitions' files.
    static let maximumConnections = 64

    /// - Parameter collect: asks every node for its figures, on its own loop.
    static func listen(
        _ place: HostAndPort, on loop: any EventLoop, logger: Logger,
        collect: @escaping @Sendable () -> EventLoopFuture<[NodeMetric]>
    ) async throws -> any Channel {
        let census = try await loop.submit {
            NIOLoopBound(
                ConnectionCensus(
                    maximum: maximumConnections, perAddress: maximumConnections, logger: logger,
                    bounds: "are taken for metrics, \(maximumConnections)"), eventLoop: loop)
        }.get()
        return try await ServerBootstrap(group: loop, childGroup: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptErrors("metrics.listener", logger: logger))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let address = channel.remoteAddress?.ipAddress ?? "local"
                    guard census.value.admit(address) != nil else {
                        throw ServerError.tooManyConnections
                    }
                    channel.closeFuture.whenComplete { _ in census.value.leave(address) }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(IdleStateHandler(allTimeout: .seconds(60)))
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
                    try pipeline.addHandler(MetricsHandler(collect: collect))
                }
            }
            .bind(host: place.host.isEmpty ? "::" : place.host, port: Int(place.port)).get()
    }
}

private final class MetricsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let collect: @Sendable () -> EventLoopFuture<[NodeMetric]>
    private var head: HTTPRequestHead?

    init(collect: @escaping @Sendable () -> EventLoopFuture<[NodeMetric]>) {
        self.collect = collect
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let path = head.uri.prefix { $0 != "?" }
        guard head.method == .GET || head.method == .HEAD else {
            return send(.methodNotAllowed, "only GET is answered here\n", head, context)
        }
        switch path {
        case "/health": send(.ok, "ok\n", head, context)
        case "/metrics":
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            collect().hop(to: context.eventLoop).whenComplete { result in
                let (handler, context) = bound.value
                switch result {
                case .success(let metrics):
                    let text = PrometheusText.render(metrics + ProcessMetrics.read())
                    handler.send(.ok, text, head, context)
                case .failure(let error):
                    handler.send(.serviceUnavailable, "\(error)\n", head, context)
                }
            }
        default: send(.notFound, "here are /metrics and /health\n", head, context)
        }
    }

    private func send(
        _ status: HTTPResponseStatus, _ text: String, _ head: HTTPRequestHead,
        _ context: ChannelHandlerContext
    ) {
        let body = ByteBuffer(string: text)
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")
        headers.add(name: "content-length", value: String(body.readableBytes))
        context.write(
            wrapOutboundOut(.head(.init(version: head.version, status: status, headers: headers))),
            promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if !head.isKeepAlive { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
