import Addresses
import NIOCore
import NIOPosix
import SliceDNS

/// Asks resolvers of the host for names that are not the slice's. Each question has a socket of
/// its own, so a port that the kernel draws, and a number drawn at random: an answer that
/// somebody else makes up must guess both (RFC 5452 section 9.2). Touched on its event loop only.
final class NameForwarder {
    typealias Done = ([UInt8]) -> Void

    private let service: NameService
    private let loop: any EventLoop
    private var underway: [ObjectIdentifier: Forward] = [:]
    private var bySource: [IPAddress: Int] = [:]

    init(_ service: NameService, _ loop: any EventLoop) {
        self.service = service
        self.loop = loop
    }

    /// `done` is called once, soon or later, unless the server stops.
    func ask(_ query: Query, for source: IPAddress, isStream: Bool, _ done: @escaping Done) {
        guard underway.count < service.options.maximumForwards,
            bySource[source, default: 0] < service.options.maximumForwardsPerSource
        else {
            let failure = ForwardedQuery(query, id: 0, isStream: isStream)
            service.finished(query, .serverFailure, .forwardersBusy, from: source)
            return done(failure.failure(.forwardersBusy))
        }
        let forward = Forward(
            query, isStream: isStream,
            resolvers: service.options.forwarders.prefix(NameServer.Options.maximumForwarders),
            service, loop
        ) { [unowned self] forward, bytes, code, reason in
            leave(forward, source)
            service.finished(query, code, reason, from: source)
            done(bytes)
        }
        service.count { $0.forwarded += 1 }
        underway[ObjectIdentifier(forward)] = forward
        bySource[source, default: 0] += 1
        forward.next()
    }

    private func leave(_ forward: Forward, _ source: IPAddress) {
        guard underway.removeValue(forKey: ObjectIdentifier(forward)) != nil else { return }
        let left = bySource[source, default: 1] - 1
        bySource[source] = left > 0 ? left : nil
    }

    func stop() {
        for forward in Array(underway.values) { forward.cancel() }
        underway = [:]
        bySource = [:]
    }
}

/// One question on its way through the resolvers.
private final class Forward {
    typealias Done = (Forward, [UInt8], ResponseCode, Reason) -> Void

    private let query: Query
    private let isStream: Bool
    private var resolvers: ArraySlice<IPEndpoint>
    private let service: NameService
    private let loop: any EventLoop
    private let done: Done
    /// What arrives for an earlier attempt is not looked at.
    private var attempt = 0
    private var channel: (any Channel)?
    private var timer: Scheduled<Void>?
    private var isOver = false

    init(
        _ query: Query, isStream: Bool, resolvers: ArraySlice<IPEndpoint>, _ service: NameService,
        _ loop: any EventLoop, _ done: @escaping Done
    ) {
        self.query = query
        self.isStream = isStream
        self.resolvers = resolvers
        self.service = service
        self.loop = loop
        self.done = done
    }

    func cancel() {
        isOver = true
        leaveAttempt()
    }

    private func leaveAttempt() {
        attempt += 1
        timer?.cancel()
        timer = nil
        channel?.close(promise: nil)
        channel = nil
    }

    private func finish(_ bytes: [UInt8], _ code: ResponseCode, _ reason: Reason) {
        guard !isOver else { return }
        cancel()
        done(self, bytes, code, reason)
    }

    func next() {
        guard !isOver else { return }
        leaveAttempt()
        let forwarded = ForwardedQuery(
            query, id: UInt16.random(in: 0...UInt16.max), isStream: isStream)
        guard let resolver = resolvers.popFirst(),
            let address = try? SocketAddress(
                ipAddress: resolver.address.description, port: Int(resolver.port))
        else {
            return finish(
                forwarded.failure(.noForwarderAnswered), .serverFailure, .noForwarderAnswered)
        }
        let number = attempt
        timer = loop.assumeIsolated().scheduleTask(in: service.options.forwardTimeout) {
            if self.attempt == number { self.next() }
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        connect(address, forwarded.question) { bytes in
            bound.value.heard(bytes, forwarded, attempt: number)
        }.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel) where self.attempt == number: self.channel = channel
            case .success(let channel): channel.close(promise: nil)
            case .failure: if self.attempt == number { self.next() }
            }
        }
    }

    /// From the host's namespace, in which this process is.
    private func connect(
        _ address: SocketAddress, _ question: [UInt8], _ tell: @escaping ForwardTell
    ) -> EventLoopFuture<any Channel> {
        if isStream {
            return ClientBootstrap(group: loop)
                .connectTimeout(service.options.forwardTimeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            ForwardStream(question, tell))
                    }
                }
                .connect(to: address)
        }
        return DatagramBootstrap(group: loop)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ForwardDatagram(question, address, tell))
                }
            }
            .connect(to: address)
    }

    /// Nil: nothing more comes.
    private func heard(_ bytes: [UInt8]?, _ forwarded: ForwardedQuery, attempt number: Int) {
        guard attempt == number, !isOver else { return }
        guard let bytes else { return next() }
        switch bytes.withUnsafeBytes({ forwarded.judge($0) }) {
        case .answer(let answer, let code): finish(answer, code, .answered)
        case .unusable: next()
        case .foreign:
            service.count { $0.foreignAnswers += 1 }
            // On a stream there is nobody else to wait for.
            if isStream { next() }
        }
    }
}

private typealias ForwardTell = @Sendable ([UInt8]?) -> Void

/// Sends one question over UDP, and tells what comes back from where it went.
private final class ForwardDatagram: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let question: [UInt8]
    private let address: SocketAddress
    private let tell: ForwardTell

    init(_ question: [UInt8], _ address: SocketAddress, _ tell: @escaping ForwardTell) {
        self.question = question
        self.address = address
        self.tell = tell
    }

    func channelActive(context: ChannelHandlerContext) {
        let data = context.channel.allocator.buffer(bytes: question)
        context.writeAndFlush(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: address, data: data)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        tell(Array(unwrapInboundIn(data).data.readableBytesView))
    }

    /// Such as an ICMP error: nobody listens there.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { tell(nil) }
}

/// Sends one question over TCP.
private final class ForwardStream: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let question: [UInt8]
    private let tell: ForwardTell
    private var framer = MessageFramer(limit: MessageLimits.streamBytes)

    init(_ question: [UInt8], _ tell: @escaping ForwardTell) {
        self.question = question
        self.tell = tell
    }

    func channelActive(context: ChannelHandlerContext) {
        let data = context.channel.allocator.buffer(bytes: MessageFramer.framed(question))
        context.writeAndFlush(wrapOutboundOut(data), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        framer.append(unwrapInboundIn(data).readableBytesView)
        switch framer.next() {
        case .message(let bytes): tell(bytes)
        case .needsMore: break
        case .tooLong: tell(nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { tell(nil) }
    func channelInactive(context: ChannelHandlerContext) { tell(nil) }
}
