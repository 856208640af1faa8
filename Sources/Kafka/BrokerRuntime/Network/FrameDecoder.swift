import NIOCore

/// Cuts a stream into Kafka's frames: four bytes of length, then so many bytes.
///
/// The frame handed on shares the memory of what was read; nothing is copied.
package struct FrameDecoder: ByteToMessageDecoder {
    package typealias InboundOut = ByteBuffer

    private let maximumBytes: Int
    /// Told of each piece of a frame that is not whole, with the frame's length.
    private let incomplete: ((Int) -> Void)?

    package init(maximumBytes: Int, incomplete: ((Int) -> Void)? = nil) {
        self.maximumBytes = maximumBytes
        self.incomplete = incomplete
    }

    package mutating func decode(
        context: ChannelHandlerContext, buffer: inout ByteBuffer
    ) throws -> DecodingState {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: Int32.self) else {
            return .needMoreData
        }
        guard length >= 0, Int(length) <= maximumBytes else {
            throw FrameError.length(length, maximum: maximumBytes)
        }
        guard buffer.readableBytes >= 4 + Int(length) else {
            // Grow once to what is announced, but not far beyond what has come: a length is cheap
            // to claim.
            buffer.reserveCapacity(min(4 + Int(length), max(65_536, 2 * buffer.readableBytes)))
            incomplete?(Int(length))
            return .needMoreData
        }
        buffer.moveReaderIndex(forwardBy: 4)
        guard let frame = buffer.readSlice(length: Int(length)) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(frame))
        return .continue
    }

    package mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        // Half a frame at the end of a connection is nothing.
        try decode(context: context, buffer: &buffer)
    }

    package func shouldReclaimBytes(buffer: ByteBuffer) -> Bool {
        // Reclaiming moves bytes and copies what frames still share; a fresh buffer costs less.
        buffer.readableBytes == 0 && buffer.storageCapacity > 1 << 20
    }
}

package enum FrameError: Error, CustomStringConvertible {
    case length(Int32, maximum: Int)

    package var description: String {
        switch self {
        case .length(let length, let maximum):
            "a request says it has \(length) bytes; at most \(maximum) are taken "
                + "(socket.request.max.bytes)"
        }
    }
}
