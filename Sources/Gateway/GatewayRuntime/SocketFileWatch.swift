import Glibc
import NIOCore
import NIOPosix

/// Tells, on an event loop, that something happened in the directory of a file: inotify(7), so
/// that nobody has to wake each second to look.
enum SocketFileWatch {
    /// Null where the kernel has no watch left for us (fs.inotify.max_user_instances): whoever
    /// asks must look by himself then.
    static func start(
        directoryOf path: String, on loop: any EventLoop, _ happened: @escaping @Sendable () -> Void
    ) async -> (any Channel)? {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        let events =
            IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF
            | IN_ONLYDIR
        guard inotify_add_watch(descriptor, directory, UInt32(events)) >= 0 else {
            close(descriptor)
            return nil
        }
        do {
            return try await NIOPipeBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Handler(happened))
                    }
                }
                .takingOwnershipOfDescriptor(input: descriptor).get()
        } catch {
            close(descriptor)
            return nil
        }
    }

    /// What happened is not read from the events: the file is looked at instead, which is also
    /// right when events were lost (IN_Q_OVERFLOW).
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let happened: @Sendable () -> Void

        init(_ happened: @escaping @Sendable () -> Void) { self.happened = happened }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { happened() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
