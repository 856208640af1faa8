import KafkaWire
import NIOCore

/// Why a request to another node has no answer.
enum PeerFailure: Error, CustomStringConvertible {
    case notConnected(String)
    case connectionLost(String)
    case timedOut

    var description: String {
        switch self {
        case .notConnected(let why): why
        case .connectionLost(let why): "the connection was lost: \(why)"
        case .timedOut: "no answer in time"
        }
    }
}

/// A connection to another node: requests out, each with its answer or a failure.
final class PeerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = IOData

    /// What becomes of a request is told to the pool, by the request's own id.
    private let finished: (UInt64, Result<ByteBuffer, PeerFailure>) -> Void
    private let lost: (String) -> Void
    private var context: ChannelHandlerContext?
    private var nextCorrelation: Int32 = 0
    private var inFlight: [Int32: (request: UInt64, apiKey: Int16, version: Int16)] = [:]
    private var needsFlush = false

    init(
        finished: @escaping (UInt64, Result<ByteBuffer, PeerFailure>) -> Void,
        lost: @escaping (String) -> Void
    ) {
        self.finished = finished
        self.lost = lost
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func send(
        _ request: UInt64, apiKey: Int16, version: Int16, clientId: String, body: ByteBuffer
    ) {
        guard let context else {
            finished(request, .failure(.notConnected("it has ended")))
            return
        }
        let correlation = nextCorrelation
        nextCorrelation = nextCorrelation == .max ? 0 : nextCorrelation + 1
        inFlight[correlation] = (request, apiKey, version)
        var header = RequestHeader()
        header.requestApiKey = apiKey
        header.requestApiVersion = version
        header.correlationId = correlation
        header.clientId = clientId
        var writer = WireWriter()
        header.encode(
            to: &writer, version: HeaderVersion.request(apiKey: apiKey, version: version))
        let head = writer.finishInOneBuffer()
        var frame = context.channel.allocator.buffer(capacity: 4 + head.readableBytes)
        frame.writeInteger(Int32(truncatingIfNeeded: head.readableBytes + body.readableBytes))
        frame.writeImmutableBuffer(head)
        context.write(wrapOutboundOut(.byteBuffer(frame)), promise: nil)
        context.write(wrapOutboundOut(.byteBuffer(body)), promise: nil)
        needsFlush = true
    }

    func flushIfNeeded() {
        guard needsFlush else { return }
        needsFlush = false
        context?.flush()
    }

    func close() { context?.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        guard let correlation = frame.getInteger(at: frame.readerIndex, as: Int32.self),
            let sent = inFlight.removeValue(forKey: correlation)
        else {
            context.close(promise: nil)
            return
        }
        var reader = WireReader(frame)
        let version = HeaderVersion.response(apiKey: sent.apiKey, version: sent.version)
        guard (try? ResponseHeader(from: &reader, version: version)) != nil else {
            finished(sent.request, .failure(.connectionLost("a malformed answer")))
            context.close(promise: nil)
            return
        }
        finished(sent.request, .success(reader.buffer))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let orphans = inFlight.sorted { $0.key < $1.key }
        inFlight.removeAll()
        for (_, sent) in orphans {
            finished(sent.request, .failure(.connectionLost("it was closed by the other end")))
        }
        lost("closed by the other end")
        context.fireChannelInactive()
    }
}
