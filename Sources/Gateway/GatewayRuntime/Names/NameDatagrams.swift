import Addresses
import NIOCore
import SliceDNS

/// Queries over UDP. What arrives in one burst is answered in one burst.
final class NameDatagrams: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    /// Longer queries are cut by the kernel, and malformed then.
    static let maximumBytes = 2048

    private let service: NameService
    private let forwarder: NameForwarder

    init(_ service: NameService, _ forwarder: NameForwarder) {
        self.service = service
        self.forwarder = forwarder
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = IPAddress(envelope.remoteAddress), envelope.remoteAddress.port != 0
        else {
            service.count { $0.count(.unanswerable) }
            return
        }
        // Answers that the socket does not take would only pile up.
        guard context.channel.isWritable else {
            service.count { $0.count(.busy) }
            return
        }
        let reaction = envelope.data.withUnsafeReadableBytes {
            service.react(to: $0, from: source, isStream: false)
        }
        switch reaction {
        case .drop: break
        case .reply(let bytes, _): write(bytes, to: envelope.remoteAddress, context)
        case .forward(let query):
            let channel = context.channel
            forwarder.ask(query, for: source, isStream: false) { bytes in
                channel.writeAndFlush(
                    AddressedEnvelope(
                        remoteAddress: envelope.remoteAddress,
                        data: channel.allocator.buffer(bytes: bytes)), promise: nil)
            }
        }
    }

    private func write(
        _ bytes: [UInt8], to address: SocketAddress, _ context: ChannelHandlerContext
    ) {
        let data = context.channel.allocator.buffer(bytes: bytes)
        context.write(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: address, data: data)), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    /// Such as an ICMP error for an answer to somebody who has gone.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
