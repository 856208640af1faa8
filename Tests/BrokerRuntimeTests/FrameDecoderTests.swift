import BrokerRuntime
import NIOCore
import NIOEmbedded
import Testing

struct FrameDecoderTests {
    static func frame(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(Int32(text.utf8.count))
        buffer.writeString(text)
        return buffer
    }

    static func channel(maximum: Int = 100) -> EmbeddedChannel {
        EmbeddedChannel(handler: ByteToMessageHandler(FrameDecoder(maximumBytes: maximum)))
    }

    static func received(_ channel: EmbeddedChannel) throws -> [String] {
        var all: [String] = []
        while let frame = try channel.readInbound(as: ByteBuffer.self) {
            all.append(String(buffer: frame))
        }
        return all
    }

    @Test func cutsSeveralFrames() throws {
        let channel = Self.channel()
        var bytes = Self.frame("one")
        bytes.writeImmutableBuffer(Self.frame(""))
        bytes.writeImmutableBuffer(Self.frame("three"))
        try channel.writeInbound(bytes)
        #expect(try Self.received(channel) == ["one", "", "three"])
    }

    @Test(arguments: 1...9) func takesThemDripByDrip(_ step: Int) throws {
        let channel = Self.channel()
        var bytes = Self.frame("hello")
        bytes.writeImmutableBuffer(Self.frame("world"))
        while bytes.readableBytes > 0 {
            let part = bytes.readSlice(length: min(step, bytes.readableBytes))
            try channel.writeInbound(#require(part))
        }
        #expect(try Self.received(channel) == ["hello", "world"])
    }

    @Test(arguments: [Int32(101), -1, .max, .min]) func refusesLengths(_ length: Int32) {
        let channel = Self.channel()
        var bytes = ByteBuffer()
        bytes.writeInteger(length)
        #expect(throws: FrameError.self) { try channel.writeInbound(bytes) }
    }

    @Test func halfAFrameAtTheEndIsNothing() throws {
        let channel = Self.channel()
        var bytes = Self.frame("hello")
        bytes.moveWriterIndex(to: bytes.writerIndex - 1)
        try channel.writeInbound(bytes)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(try Self.received(channel).isEmpty)
    }
}
