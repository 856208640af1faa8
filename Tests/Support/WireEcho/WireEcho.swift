import Glibc
import KafkaWire
import NIOCore

/// Decodes messages and encodes them again, for the tests that hold KafkaWire against other
/// implementations.
///
/// In: the length of what follows in four bytes, a message's name and a zero byte, the version in
/// two bytes, the message. Out: the length of what follows in four bytes, 0 for a message or 1 for
/// an error, then how many bytes were left over in four bytes and the message, or the error's text.
/// An empty name asks for the list of messages: a name and its versions a line.
@main
struct WireEcho {
    static func main() {
        while let request = readFrame() {
            var answer = ByteBuffer()
            do throws(WireError) {
                answer.writeInteger(UInt8(0))
                answer.writeImmutableBuffer(try reply(to: request))
            } catch {
                answer.clear()
                answer.writeInteger(UInt8(1))
                answer.writeString("\(error)")
            }
            var frame = ByteBuffer()
            frame.writeInteger(UInt32(answer.readableBytes))
            frame.writeImmutableBuffer(answer)
            write(frame)
        }
    }

    static func reply(to request: ByteBuffer) throws(WireError) -> ByteBuffer {
        var name: [UInt8] = []
        var reader = WireReader(request)
        while case let byte = try reader.int8(), byte != 0 { name.append(UInt8(bitPattern: byte)) }
        if name.isEmpty { return list() }
        let wanted = String(decoding: name, as: UTF8.self)
        let version = try reader.int16()
        guard let type = KafkaMessages.all.first(where: { "\($0)" == wanted }) else {
            throw .unsupportedVersion(message: wanted, version: version)
        }
        let message = try type.init(from: &reader, version: version)
        var reply = ByteBuffer()
        reply.writeInteger(UInt32(reader.remaining))
        reply.writeImmutableBuffer(message.encoded(version: version))
        return reply
    }

    static func list() -> ByteBuffer {
        var list = ByteBuffer()
        list.writeInteger(UInt32(0))
        for type in KafkaMessages.all {
            let (low, high) = (type.validVersions.lowerBound, type.validVersions.upperBound)
            list.writeString("\(type) \(low) \(high)\n")
        }
        return list
    }

    static func readFrame() -> ByteBuffer? {
        guard var head = readExactly(4), let length = head.readInteger(as: UInt32.self) else {
            return nil
        }
        return readExactly(Int(length))
    }

    static func readExactly(_ count: Int) -> ByteBuffer? {
        var buffer = ByteBuffer()
        while buffer.readableBytes < count {
            let left = count - buffer.readableBytes
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: left) { space in
                max(0, read(STDIN_FILENO, space.baseAddress, left))
            }
            if got == 0 { return nil }
        }
        return buffer
    }

    static func write(_ frame: ByteBuffer) {
        var rest = frame
        while rest.readableBytes > 0 {
            let written = rest.readWithUnsafeReadableBytes { bytes in
                max(0, Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count))
            }
            if written == 0 { exit(1) }
        }
    }
}
