import KafkaWire
import NIOCore
import Timing

/// What a node's event loop does with connections: implemented by the loop that owns the node.
package protocol RequestReceiver: AnyObject {
    func connectionOpened(_ connection: ServerConnection)
    func requestReceived(_ frame: ByteBuffer, _ sequence: UInt64, _ connection: ServerConnection)
    func connectionClosed(_ connection: ServerConnection)
    /// Called at the end of a burst of requests: what they caused is carried out then.
    func burstEnded()
}

/// One client's connection: frames in, replies out in order, and no more at a time than is allowed.
///
/// It lives on one event loop and is used on that loop alone.
package final class ServerConnection: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = IOData

    package let id: UInt64
    /// The name of the listener it came in through.
    let listener: String
    private(set) var host = "?"
    private let receiver: any RequestReceiver
    private let budget: RequestBudget
    private let maximumInFlight: Int
    private var context: ChannelHandlerContext?
    private var replies = ReplyQueue()
    private struct Held {
        var bytes: Int
        var timing: RequestTiming?
    }
    /// Each request that has no reply yet, by its place in line.
    private var held: [UInt64: Held] = [:]
    /// Replies that wait for those to earlier requests.
    private var early: [UInt64: RequestTiming] = [:]
    /// Replies that wait for the flush.
    private var unsent: [RequestTiming] = []
    /// What the budget has set aside for the request that is coming in.
    private var reserved = 0
    /// The length of a request that waits until the budget has room for it.
    private var awaited: Int?
    /// When something of the request came last that has bytes set aside.
    private(set) var lastProgress = NIODeadline.distantPast
    private var readIsPending = false
    private var needsFlush = false
    private var isClosing = false

    package init(
        id: UInt64, listener: String, receiver: any RequestReceiver, budget: RequestBudget,
        maximumInFlight: Int
    ) {
        self.id = id
        self.listener = listener
        self.receiver = receiver
        self.budget = budget
        self.maximumInFlight = maximumInFlight
    }

    // MARK: What the channel says

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func channelActive(context: ChannelHandlerContext) {
        host = context.remoteAddress?.ipAddress ?? "local"
        receiver.connectionOpened(self)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        for request in held.values { budget.release(request.bytes) }
        held.removeAll()
        early.removeAll()
        unsent.removeAll()
        awaited = nil
        budget.forget(self, reserved: reserved)
        reserved = 0
        receiver.connectionClosed(self)
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        let frame = unwrapInboundIn(data)
        let sequence = replies.begin()
        held[sequence] = Held(bytes: frame.readableBytes)
        if reserved > 0 { budget.forget(self, reserved: reserved) }
        reserved = 0
        awaited = nil
        budget.take(frame.readableBytes)
        receiver.requestReceived(frame, sequence, self)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        receiver.burstEnded()
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        readIfAllowed()
        context.fireChannelWritabilityChanged()
    }

    /// A client that sends nonsense, or goes away in the middle of something, loses its connection.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(because: SystemFailure.words(error))
    }

    /// More has come of a request that is not whole yet. A large one is read on only when the
    /// budget has set its length aside: then it can come to its end, whatever others do.
    package func frameGrows(toLength length: Int) {
        guard length > RequestBudget.freeBytes, !isClosing else { return }
        if reserved > 0 {
            lastProgress = budget.now
        } else if awaited == nil {
            awaited = length
            roomMayHaveCome()
        }
    }

    /// Asks the budget again.
    func roomMayHaveCome() {
        if let length = awaited {
            guard budget.reserve(length, for: self) else { return budget.wait(self) }
            awaited = nil
            reserved = length
            lastProgress = budget.now
        }
        readIfAllowed()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent, replies.count == 0 {
            close(because: "idle")
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Reading waits while there is enough to do: the client then feels it in its socket.
    package func read(context: ChannelHandlerContext) {
        if isBlocked { readIsPending = true } else { context.read() }
    }

    // MARK: What the node says

    /// The node has served a request that was just received; what it waits for comes later.
    func served(_ sequence: UInt64, _ timing: RequestTiming) { held[sequence]?.timing = timing }

    package func reply(_ sequence: UInt64, _ pieces: [Piece]) {
        reply(sequence, pieces, at: Instant(nanoseconds: 0))
    }

    func reply(_ sequence: UInt64, _ pieces: [Piece], at now: Instant) {
        var place = replies.oldest
        var itself: RequestTiming?
        if let request = held.removeValue(forKey: sequence) {
            budget.release(request.bytes)
            itself = request.timing
            itself?.replied = now
            if sequence != place { early[sequence] = itself }
        }
        replies.finish(sequence, pieces)
        guard let context, !isClosing else { return }
        while let next = replies.next() {
            write(next, context)
            if var timing = place == sequence ? itself : early.removeValue(forKey: place) {
                timing.written = now
                unsent.append(timing)
            }
            place = replies.oldest
        }
    }

    func flushIfNeeded(_ times: RequestTimes) {
        if needsFlush, let context {
            needsFlush = false
            context.flush()
            readIfAllowed()
        }
        guard !unsent.isEmpty else { return }
        let now = MonotonicTime.now()
        for timing in unsent { times.record(timing, sent: now) }
        unsent.removeAll(keepingCapacity: true)
    }

    package func close(because reason: String) {
        guard !isClosing, let context else { return }
        isClosing = true
        closeReason = reason
        context.close(promise: nil)
    }

    package private(set) var closeReason: String?

    func readIfAllowed() {
        guard readIsPending, !isBlocked, let context else { return }
        readIsPending = false
        context.read()
    }

    private var isBlocked: Bool {
        guard let context, !isClosing else { return true }
        if replies.count >= maximumInFlight || !context.channel.isWritable { return true }
        if awaited != nil { return true }
        if budget.isExhausted, replies.count > 0 {
            budget.wait(self)
            return true
        }
        return false
    }

    /// No pieces is no reply (acks=0); otherwise they are a whole frame with its length.
    private func write(_ pieces: [Piece], _ context: ChannelHandlerContext) {
        for piece in pieces {
            switch piece {
            case .bytes(let buffer):
                context.write(wrapOutboundOut(.byteBuffer(buffer)), promise: nil)
            case .file(let region):
                guard let file = region.file as? PosixFile else {
                    close(because: "a reply with bytes of an unknown file")
                    return
                }
                // The file stays open until its bytes are sent, even if its segment is deleted.
                let sent = context.eventLoop.makePromise(of: Void.self)
                sent.futureResult.whenComplete { _ in withExtendedLifetime(file) {} }
                context.write(
                    wrapOutboundOut(.fileRegion(file.region(region.offset, region.length))),
                    promise: sent)
            }
        }
        needsFlush = needsFlush || !pieces.isEmpty
    }
}
