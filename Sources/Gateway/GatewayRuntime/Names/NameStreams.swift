import Addresses
import NIOCore
import SliceDNS

/// The TCP connections of one name server: who may come in. Touched on its event loop only.
final class NameStreams {
    private enum Refused: Error {
        case unanswerable, tooMany
    }

    private let service: NameService
    private let forwarder: NameForwarder
    private var open: [ObjectIdentifier: any Channel] = [:]
    private var bySource: [IPAddress: Int] = [:]
    private var isStopping = false

    init(_ service: NameService, _ forwarder: NameForwarder) {
        self.service = service
        self.forwarder = forwarder
    }

    func admit(_ child: any Channel) throws {
        guard let source = IPAddress(child.remoteAddress) else { throw Refused.unanswerable }
        guard !isStopping, open.count < service.options.maximumConnections,
            bySource[source, default: 0] < service.options.maximumConnectionsPerSource
        else {
            service.count { $0.connectionsRefused += 1 }
            throw Refused.tooMany
        }
        try child.pipeline.syncOperations.addHandler(
            NameConnection(service, forwarder, source))
        let key = ObjectIdentifier(child)
        open[key] = child
        bySource[source, default: 0] += 1
        service.count { $0.connections += 1 }
        let bound = NIOLoopBound(self, eventLoop: child.eventLoop)
        child.closeFuture.whenComplete { _ in bound.value.leave(key, source) }
    }

    private func leave(_ key: ObjectIdentifier, _ source: IPAddress) {
        guard open.removeValue(forKey: key) != nil else { return }
        service.count { $0.connections -= 1 }
        let left = bySource[source, default: 1] - 1
        bySource[source] = left > 0 ? left : nil
    }

    func closeAll() {
        isStopping = true
        // A copy: closing takes from the original.
        for child in Array(open.values) { child.close(promise: nil) }
    }
}

/// One client over TCP (RFC 7766). Queries may come in one piece or in many, and many at once;
/// answers to what is forwarded come when they come.
final class NameConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let service: NameService
    private let forwarder: NameForwarder
    private let source: IPAddress
    private var framer = MessageFramer()
    private var idle: Scheduled<Void>?
    private var forwards = 0
    private var isInputClosed = false
    private var isClosing = false
    private var readIsHeld = false

    init(_ service: NameService, _ forwarder: NameForwarder, _ source: IPAddress) {
        self.service = service
        self.forwarder = forwarder
        self.source = source
    }

    func channelActive(context: ChannelHandlerContext) {
        restartIdleTimer(context)
        context.fireChannelActive()
    }

    /// Counts from the last whole query on, so that single bytes do not keep a place.
    private func restartIdleTimer(_ context: ChannelHandlerContext) {
        idle?.cancel()
        idle = context.eventLoop.assumeIsolated().scheduleTask(in: service.options.idleTimeout) {
            if self.forwards > 0 {
                self.restartIdleTimer(context)
            } else {
                context.close(promise: nil)
            }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        framer.append(unwrapInboundIn(data).readableBytesView)
        work(context)
    }

    private func work(_ context: ChannelHandlerContext) {
        while !isClosing {
            // A client that sends and does not read is not read from either.
            guard context.channel.isWritable else {
                readIsHeld = true
                return
            }
            switch framer.next() {
            case .needsMore: return
            case .tooLong: return close(context)
            case .message(let bytes):
                restartIdleTimer(context)
                react(to: bytes, context)
            }
        }
    }

    private func react(to bytes: [UInt8], _ context: ChannelHandlerContext) {
        let reaction = bytes.withUnsafeBytes {
            service.react(to: $0, from: source, isStream: true)
        }
        switch reaction {
        // Nothing that follows is better than what came.
        case .drop: close(context)
        case .reply(let bytes, _): write(bytes, context)
        case .forward(let query):
            forwards += 1
            forwarder.ask(query, for: source, isStream: true) { bytes in
                self.forwards -= 1
                guard !self.isClosing else { return }
                self.write(bytes, context)
                context.flush()
                self.closeIfDone(context)
            }
        }
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        let data = context.channel.allocator.buffer(bytes: MessageFramer.framed(bytes))
        context.write(wrapOutboundOut(data), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func read(context: ChannelHandlerContext) {
        if !readIsHeld { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, readIsHeld {
            readIsHeld = false
            work(context)
            context.flush()
            if !readIsHeld {
                closeIfDone(context)
                context.read()
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            isInputClosed = true
            closeIfDone(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func closeIfDone(_ context: ChannelHandlerContext) {
        if isInputClosed, forwards == 0, !readIsHeld { close(context) }
    }

    /// Behind what is being written.
    private func close(_ context: ChannelHandlerContext) {
        guard !isClosing else { return }
        isClosing = true
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        idle?.cancel()
        context.fireChannelInactive()
    }
}

extension NameConnection: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
}
