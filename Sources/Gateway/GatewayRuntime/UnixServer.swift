import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization

package struct UnixServerOptions: Sendable {
    package var mode: mode_t = 0o600
    package var directoryMode: mode_t = 0o755
    package var maximumConnections = 64
    /// A connection on which nothing happens for so long is closed.
    package var idleTimeout = TimeAmount.seconds(60)
    /// How often to look whether somebody removed the socket file, where the kernel does not
    /// tell; see `onRemoved`.
    package var removalCheck = TimeAmount.seconds(1)
    /// Where it does (inotify): for what happens to directories above.
    package var watchedRemovalCheck = TimeAmount.seconds(60)
    package var usesWatch = true

    package init() {}
}

/// A stream server on a Unix socket, on one event loop. Only root and our own user get in, by
/// the kernel's word (SO_PEERCRED, unix(7)), whatever the modes of the file came to.
package final class UnixServer: Sendable {
    package let path: String
    private let socket: UnixServerSocket
    private let channel: any Channel
    private let connections: OpenConnections
    private let removal: Removal?

    private init(
        socket: UnixServerSocket, channel: any Channel,
        connections: OpenConnections, removal: Removal?
    ) {
        path = socket.path
        self.socket = socket
        self.channel = channel
        self.connections = connections
        self.removal = removal
    }

    /// Listens until `stop`. `handlers` fills each connection's pipeline; handlers get an
    /// `IdleStateHandler.IdleStateEvent` after `idleTimeout`, `ChannelEvent.inputClosed` when
    /// the client is done talking, and `ChannelShouldQuiesceEvent` when we stop.
    /// `onRemoved` is called once if the socket file is removed or replaced by someone.
    package static func start(
        path: String, options: UnixServerOptions = UnixServerOptions(),
        group: any EventLoopGroup, logger: Logger,
        onRemoved: (@Sendable () -> Void)? = nil,
        handlers: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> UnixServer {
        let socket = try UnixServerSocket(
            path: path, mode: options.mode, directoryMode: options.directoryMode)
        let loop = group.next()
        let connections = try await OpenConnections.on(loop)
        let channel: any Channel
        do {
            channel = try await ServerBootstrap(group: loop)
                .serverChannelOption(.backlog, value: 128)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { child in
                    child.eventLoop.makeCompletedFuture {
                        try admit(child, to: connections, options, logger)
                        try child.pipeline.syncOperations.addHandler(
                            IdleStateHandler(allTimeout: options.idleTimeout))
                        try handlers(child)
                    }
                }
                .withBoundSocket(socket.descriptor).get()
        } catch {
            socket.removeFile()
            throw error
        }
        var removal: Removal?
        if let onRemoved { removal = await watch(socket, options, loop, onRemoved) }
        return UnixServer(
            socket: socket, channel: channel, connections: connections, removal: removal)
    }

    /// What looks for the removal of the socket file.
    private struct Removal {
        var task: RepeatedTask
        var channel: (any Channel)?
        var isOver: Once

        /// Before we remove it ourselves.
        func stop() {
            _ = isOver.isFirst()
            task.cancel()
            channel?.close(promise: nil)
        }
    }

    private final class Once: Sendable {
        private let isTaken = Atomic<Bool>(false)
        func isFirst() -> Bool { !isTaken.exchange(true, ordering: .relaxed) }
    }

    private static func watch(
        _ socket: UnixServerSocket, _ options: UnixServerOptions, _ loop: any EventLoop,
        _ onRemoved: @escaping @Sendable () -> Void
    ) async -> Removal {
        let isOver = Once()
        let look: @Sendable () -> Void = {
            if !socket.isInPlace, isOver.isFirst() { onRemoved() }
        }
        var channel: (any Channel)?
        if options.usesWatch {
            channel = await SocketFileWatch.start(directoryOf: socket.path, on: loop, look)
        }
        let pause = channel == nil ? options.removalCheck : options.watchedRemovalCheck
        // At once, too: it may have gone before there was a watch.
        let task = loop.scheduleRepeatedTask(initialDelay: .zero, delay: pause) { _ in look() }
        return Removal(task: task, channel: channel, isOver: isOver)
    }

    /// Takes no more connections, lets requests under way finish for `grace`, then cuts.
    package func stop(grace: TimeAmount = .seconds(5)) async {
        removal?.stop()
        // The file goes first: a new daemon may start at once.
        socket.removeFile()
        try? await channel.close()
        await connections.drain(grace: grace)
    }

    private static func admit(
        _ child: any Channel, to connections: OpenConnections, _ options: UnixServerOptions,
        _ logger: Logger
    ) throws {
        if let refusal = connections.refusal(atMost: options.maximumConnections) {
            if case .tooMany = refusal {
                logger.warning(
                    "refused a connection: there are too many",
                    metadata: ["limit": "\(options.maximumConnections)"])
            }
            throw refusal
        }
        let user = try peerUser(of: child)
        guard user == 0 || user == geteuid() else {
            logger.warning("refused a connection: not root", metadata: ["uid": "\(user)"])
            throw Refused.notAllowed
        }
        connections.add(child)
    }

    private enum Refused: Error {
        case notAllowed, noCredentials
    }

    /// `struct ucred` of unix(7): pid, uid, gid.
    private struct PeerCredentials: Sendable {
        var pid: Int32 = 0
        var uid: UInt32 = .max
        var gid: UInt32 = .max
    }

    private static func peerUser(of child: any Channel) throws -> UInt32 {
        guard let options = child as? any SocketOptionProvider else {
            throw Refused.noCredentials
        }
        let future: EventLoopFuture<PeerCredentials> = options.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        // We are on the channel's loop: the future is complete already.
        var user: UInt32?
        future.assumeIsolated().whenSuccess { user = $0.uid }
        guard let user else { throw Refused.noCredentials }
        return user
    }
}
