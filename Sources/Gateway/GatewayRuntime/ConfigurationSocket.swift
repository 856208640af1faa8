import Addresses
import Glibc
import Logging
import NIOCore
import Tunnel

/// The socket that `wg` talks to: WireGuard's cross-platform configuration protocol at
/// /var/run/wireguard/NAME.sock.
package final class ConfigurationSocket: Sendable {
    package struct Device: Sendable {
        package var get: @Sendable () async throws -> DeviceStatus
        /// A thrown `ConfigurationRefusal` or `DeviceChangeError` keeps its number.
        package var set: @Sendable (DeviceChange) async throws -> ConfigurationErrno

        package init(
            get: @escaping @Sendable () async throws -> DeviceStatus,
            set: @escaping @Sendable (DeviceChange) async throws -> ConfigurationErrno
        ) {
            self.get = get
            self.set = set
        }
    }

    package struct Options: Sendable {
        package var server = UnixServerOptions()
        package var limits = ConfigurationLimits()
        /// Leave keys that are secret out of replies.
        package var hideSecrets = false
        package var directory = ConfigurationSocket.defaultDirectory

        package init() {}
    }

    /// Where `wg` looks. The path is compiled into it.
    package static let defaultDirectory = "/var/run/wireguard"

    private let server: UnixServer

    package var path: String { server.path }

    private init(_ server: UnixServer) { self.server = server }

    /// `onRemoved`: by custom, whoever removes the socket file asks the interface to go.
    package static func start(
        interface: String, device: Device, options: Options = Options(),
        group: any EventLoopGroup, logger: Logger,
        onRemoved: (@Sendable () -> Void)? = nil
    ) async throws -> ConfigurationSocket {
        guard isUsable(interface) else {
            throw UnixServerError.system(
                operation: "name of an interface", path: interface, errno: EINVAL)
        }
        let server = try await UnixServer.start(
            path: "\(options.directory)/\(interface).sock", options: options.server,
            group: group, logger: logger, onRemoved: onRemoved
        ) { channel in
            try channel.pipeline.syncOperations.addHandler(
                ConfigurationConnection(device: device, options: options, logger: logger))
        }
        return ConfigurationSocket(server)
    }

    package func stop(grace: TimeAmount = .seconds(5)) async { await server.stop(grace: grace) }

    /// Linux's rule for interface names (dev_valid_name): 1 to 15 bytes, not `.` or `..`, no
    /// slash, colon or white space.
    static func isUsable(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a }
    }
}

/// One client. Requests are answered one after the other: while one is worked on, or its reply
/// is not yet written, nothing more is read, so a client costs one request and one reply.
private final class ConfigurationConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let device: ConfigurationSocket.Device
    private let hideSecrets: Bool
    private let logger: Logger
    private var parser: ConfigurationParser
    private var pending: ByteBuffer?
    private var isBusy = false
    private var readIsHeld = false
    private var isClosing = false

    init(
        device: ConfigurationSocket.Device, options: ConfigurationSocket.Options, logger: Logger
    ) {
        self.device = device
        self.logger = logger
        hideSecrets = options.hideSecrets
        parser = ConfigurationParser(limits: options.limits) { name in
            let index = if_nametoindex(name)
            return index == 0 ? nil : index
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if pending == nil {
            pending = buffer
        } else {
            pending?.writeBuffer(&buffer)
        }
        proceed(context)
    }

    func read(context: ChannelHandlerContext) {
        if isBusy {
            readIsHeld = true
        } else {
            context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed, is ChannelShouldQuiesceEvent:
            // What was asked for in full is still answered.
            isClosing = true
            proceed(context)
        case is IdleStateHandler.IdleStateEvent:
            if !isBusy { context.close(promise: nil) }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func proceed(_ context: ChannelHandlerContext) {
        while !isBusy, var buffer = pending, buffer.readableBytes > 0 {
            let (consumed, request) = buffer.withUnsafeReadableBytes { parser.feed($0) }
            let start = buffer.readerIndex
            // It may have held keys. Not copied first: the memory itself is meant.
            buffer.withVeryUnsafeMutableBytes { bytes in
                for index in start..<(start + consumed) { bytes[index] = 0 }
            }
            buffer.moveReaderIndex(forwardBy: consumed)
            pending = buffer.readableBytes > 0 ? buffer : nil
            if let request { answer(request, context) }
        }
        if isBusy { return }
        if isClosing {
            context.close(promise: nil)
        } else if readIsHeld {
            readIsHeld = false
            context.read()
        }
    }

    private func answer(_ request: ConfigurationRequest, _ context: ChannelHandlerContext) {
        isBusy = true
        if case .refused(let refusal) = request {
            logger.notice(
                "refused a configuration request: \(refusal.reason)",
                metadata: [
                    "errno": "\(refusal.errno.rawValue)", "line": "\(refusal.line)",
                ])
            if refusal.hangUp { isClosing = true }
            reply(ConfigurationText.reply(refusal.errno), context)
            return
        }
        let (device, hideSecrets, logger) = (device, hideSecrets, logger)
        let answered = context.eventLoop.makeFutureWithTask { () -> [UInt8] in
            await Self.perform(request, device, hideSecrets: hideSecrets, logger)
        }
        answered.assumeIsolated().whenSuccess { bytes in self.reply(bytes, context) }
    }

    private static func perform(
        _ request: ConfigurationRequest, _ device: ConfigurationSocket.Device,
        hideSecrets: Bool, _ logger: Logger
    ) async -> [UInt8] {
        do {
            switch request {
            case .get:
                return ConfigurationText.reply(to: try await device.get(), hideSecrets: hideSecrets)
            case .set(let change):
                return ConfigurationText.reply(try await device.set(change))
            case .refused(let refusal):
                return ConfigurationText.reply(refusal.errno)
            }
        } catch {
            logger.notice("a configuration request failed: \(error)")
            switch error {
            case let refusal as ConfigurationRefusal:
                return ConfigurationText.reply(refusal.errno)
            case let error as DeviceChangeError:
                return ConfigurationText.reply(ConfigurationErrno(error))
            default:
                return ConfigurationText.reply(.unknown)
            }
        }
    }

    private func reply(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        var buffer = context.channel.allocator.buffer(capacity: bytes.count)
        buffer.writeBytes(bytes)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: written)
        written.futureResult.assumeIsolated().whenComplete { result in
            buffer.withVeryUnsafeMutableBytes { memory in
                for index in memory.indices { memory[index] = 0 }
            }
            self.isBusy = false
            if case .failure = result { self.isClosing = true }
            if context.channel.isActive { self.proceed(context) }
        }
    }
}
