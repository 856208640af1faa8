import AdminAPI
import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// Why the daemon could not be asked. What it answered, if it refuses, is an `APIError`.
package struct AdminClientError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case notRunning, notListening, notAllowed, cannotConnect, timeout, brokenReply
    }
    package var reason: Reason
    package var message: String
    package var hint: String

    package var description: String { "\(message)\n\(hint)" }

    private static let start =
        "start it with: systemctl start slice-gateway, or: slice-gateway --config gateway.conf"

    /// From what connect(2) said about the socket at `path`.
    package init(errno code: CInt, path: String) {
        switch code {
        case ENOENT, ENOTDIR:
            self.init(
                .notRunning, "the gateway is not running: there is no socket at \(path)",
                hint: Self.start)
        case ECONNREFUSED:
            self.init(
                .notListening,
                "the gateway is not running: nobody listens at \(path), which a daemon that "
                    + "ended badly left behind",
                hint: Self.start)
        case EACCES, EPERM:
            self.init(
                .notAllowed, "you may not use \(path)",
                hint: "only root may ask the gateway: try sudo")
        case ENAMETOOLONG:
            self.init(
                .cannotConnect, "\(path) is too long for the path of a socket",
                hint: "107 bytes are the most")
        default:
            self.init(
                .cannotConnect, "cannot connect to \(path): \(String(cString: strerror(code)))",
                hint: "is this the socket of slice-gateway? --socket names another")
        }
    }

    package init(_ reason: Reason, _ message: String, hint: String) {
        self.reason = reason
        self.message = message
        self.hint = hint
    }
}

/// Asks the daemon over its Unix socket: one connection a request, which costs nothing there.
package struct AdminClient: Sendable {
    package static let maximumReplyBytes = 64 << 20

    private let path: String
    private let timeout: TimeAmount
    private let group: any EventLoopGroup

    /// `timeout` is for the whole of one request.
    package init(
        path: String = AdminRoute.defaultSocketPath, timeout: TimeAmount = .seconds(30),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.path = path
        self.timeout = timeout
        self.group = group
    }

    package func version() async throws -> VersionReply { try await ask(.version) }
    package func status() async throws -> StatusReport { try await ask(.status) }
    package func doctor() async throws -> DoctorReport { try await ask(.doctor) }
    package func reload() async throws -> ReloadReply { try await ask(.reload) }

    package func applyManifest(
        _ request: ApplyManifestRequest
    ) async throws -> ApplyManifestReply {
        try await ask(.applyManifest, encode(request))
    }

    package func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply {
        try await ask(.attach(slice: slice), encode(request))
    }

    package func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply {
        try await ask(
            .detach(slice: slice, namespace: request.namespace, name: request.name))
    }

    package func ping(slice: String, _ request: PingRequest) async throws -> PingReply {
        try await ask(.ping(slice: slice), encode(request))
    }

    package func explain(slice: String, _ request: ExplainRequest) async throws -> ExplainReply {
        try await ask(.explainPolicies(slice: slice), encode(request))
    }

    package func dryRun(
        slice: String, _ request: PolicyDryRunRequest
    ) async throws -> PolicyDryRunReply {
        try await ask(.dryRunPolicies(slice: slice), encode(request))
    }

    package func directory(slice: String) async throws -> DirectoryReply {
        try await ask(.directory(slice: slice))
    }

    package func services(slice: String) async throws -> ServicesReply {
        try await ask(.services(slice: slice))
    }

    package func export(
        slice: String, _ request: ExportServiceRequest
    ) async throws -> ServiceChangeReply {
        try await ask(.exportService(slice: slice), encode(request))
    }

    package func unexport(
        slice: String, namespace: String, name: String
    ) async throws -> ServiceChangeReply {
        try await ask(.unexportService(slice: slice, namespace: namespace, name: name))
    }

    package func importService(
        slice: String, _ request: ImportServiceRequest
    ) async throws -> ServiceChangeReply {
        try await ask(.importService(slice: slice), encode(request))
    }

    private func encode(_ value: some Encodable) throws -> [UInt8] {
        Array(try JSONEncoder().encode(value))
    }

    private func ask<Reply: Decodable>(
        _ route: AdminRoute, _ body: [UInt8] = []
    ) async throws -> Reply {
        let (status, bytes) = try await exchange(route, body)
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard status == 200 else {
            if let refusal = try? decoder.decode(APIError.self, from: Data(bytes)) {
                throw refusal
            }
            throw broken("status \(status)")
        }
        do {
            return try decoder.decode(Reply.self, from: Data(bytes))
        } catch {
            throw broken("it is not the JSON that was expected")
        }
    }

    private func broken(_ what: String) -> AdminClientError {
        AdminClientError(
            .brokenReply, "the reply from \(path) makes no sense: \(what)",
            hint: "do slicectl and the daemon have the same version? see: slicectl version")
    }

    private func exchange(_ route: AdminRoute, _ body: [UInt8]) async throws -> (Int, [UInt8]) {
        guard path.utf8.count <= 107 else {
            throw AdminClientError(errno: ENAMETOOLONG, path: path)
        }
        let loop = group.next()
        let reply = loop.makePromise(of: (Int, [UInt8]).self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(
                            ReplyCollector(reply, limit: Self.maximumReplyBytes))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
        } catch {
            reply.fail(error)
            guard let error = error as? IOError else {
                throw AdminClientError(errno: ETIMEDOUT, path: path)
            }
            throw AdminClientError(errno: error.errnoCode, path: path)
        }
        let late = loop.scheduleTask(in: timeout) {
            reply.fail(ChannelError.connectTimeout(timeout))
        }
        defer { late.cancel() }
        send(route, body, on: channel)
        do {
            let answer = try await reply.futureResult.get()
            channel.close(promise: nil)
            return answer
        } catch {
            channel.close(promise: nil)
            if case .connectTimeout? = error as? ChannelError {
                throw AdminClientError(
                    .timeout, "no reply from \(path) within \(timeout.nanoseconds / 1_000_000) ms",
                    hint: "the gateway is busy or stuck: journalctl -u slice-gateway tells more")
            }
            throw broken("the connection ended early")
        }
    }

    private func send(_ route: AdminRoute, _ body: [UInt8], on channel: any Channel) {
        var head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: route.method), uri: route.path)
        // RFC 9112 section 3.2 wants a Host; over a Unix socket there is none to name.
        head.headers.add(name: "Host", value: "slice-gateway")
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Content-Length", value: "\(body.count)")
        if !body.isEmpty { head.headers.add(name: "Content-Type", value: "application/json") }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        let buffer = channel.allocator.buffer(bytes: body)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(buffer)), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }
}

/// Gathers one reply and keeps the promise, whatever happens.
private final class ReplyCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private struct EndedEarly: Error {}

    private let reply: EventLoopPromise<(Int, [UInt8])>
    private let limit: Int
    private var status = 0
    private var body: [UInt8] = []

    init(_ reply: EventLoopPromise<(Int, [UInt8])>, limit: Int) {
        self.reply = reply
        self.limit = limit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let buffer):
            guard body.count + buffer.readableBytes <= limit else {
                reply.fail(EndedEarly())
                context.close(promise: nil)
                return
            }
            body.append(contentsOf: buffer.readableBytesView)
        case .end:
            reply.succeed((status, body))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        reply.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Nothing happens if it was kept before.
        reply.fail(EndedEarly())
        context.fireChannelInactive()
    }
}
