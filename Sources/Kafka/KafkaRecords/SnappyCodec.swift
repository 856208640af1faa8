import CSnappy
import NIOCore

/// Snappy has no framing of its own that Kafka uses. Java's library (xerial) has one, which Java
/// and kafka-python write: a header of 16 bytes (the magic, a version and the oldest version that
/// can read it), then chunks, each behind its length. librdkafka writes one bare block. All of them
/// read both. Here both are read and Java's is written, as a Java broker writes it.
enum SnappyCodec {
    static let magic: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
    private static let headerSize = 16
    /// The bytes that Java's library puts into one chunk.
    private static let chunkSize = 32 * 1024
    /// An element that copies makes at most 64 bytes of three (snappy's format description): a
    /// block that claims to become more than so many times itself lies.
    private static let greatestRatio = 22

    static func compress(_ bytes: ByteBuffer, into buffer: inout ByteBuffer) throws(RecordError) {
        buffer.writeBytes(magic)
        buffer.writeInteger(1 as Int32)
        buffer.writeInteger(1 as Int32)
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            var rest = input[...]
            while !rest.isEmpty {
                let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(chunkSize))
                rest = rest.dropFirst(chunkSize)
                let lengthIndex = buffer.writerIndex
                buffer.writeInteger(0 as Int32)
                let bound = snappy_max_compressed_length(chunk.count)
                try buffer.writeCompressed(atMost: bound) { space throws(RecordError) in
                    var count = space.count
                    let status = snappy_compress(
                        chunk.bindMemory(to: CChar.self).baseAddress, chunk.count,
                        space.bindMemory(to: CChar.self).baseAddress, &count)
                    guard status == SNAPPY_OK else {
                        throw .compressionFailed(.snappy, reason: "status \(status.rawValue)")
                    }
                    return count
                }
                let length = buffer.writerIndex - lengthIndex - 4
                buffer.setInteger(Int32(truncatingIfNeeded: length), at: lengthIndex)
            }
        }
    }

    static func decompress(
        _ bytes: ByteBuffer, into output: inout BoundedOutput
    ) throws(RecordError) {
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            // Less than a header is one bare block to Java. The versions in the header are not
            // looked at: not every producer writes them in the right byte order.
            guard input.count >= headerSize, input.starts(with: magic) else {
                return try decompress(block: input, into: &output)
            }
            var index = headerSize
            while index < input.count {
                guard input.count - index >= 4 else { throw output.corrupt("a length is torn") }
                let length = Int(
                    Int32(bigEndian: input.loadUnaligned(fromByteOffset: index, as: Int32.self)))
                // Streams behind each other: the next one's magic is where a length would be.
                if length < 0, input.count - index >= headerSize,
                    input[index...].starts(with: magic)
                {
                    index += headerSize
                    continue
                }
                index += 4
                guard length >= 0, length <= input.count - index else {
                    throw output.corrupt("a chunk of \(length) bytes in \(input.count - index)")
                }
                let block = UnsafeRawBufferPointer(rebasing: input[index..<(index + length)])
                try decompress(block: block, into: &output)
                index += length
            }
        }
    }

    private static func decompress(
        block: UnsafeRawBufferPointer, into output: inout BoundedOutput
    ) throws(RecordError) {
        let start = block.bindMemory(to: CChar.self).baseAddress
        var claimed = 0
        guard let start, snappy_uncompressed_length(start, block.count, &claimed) == SNAPPY_OK
        else { throw output.corrupt("no length") }
        guard claimed <= block.count * greatestRatio else {
            throw output.corrupt("\(block.count) bytes claim to be \(claimed)")
        }
        let (_, status) = try output.write(exactly: claimed) { space in
            var count = claimed
            let status = snappy_uncompress(
                start, block.count, space.bindMemory(to: CChar.self).baseAddress, &count)
            return (status == SNAPPY_OK ? count : 0, status)
        }
        guard status == SNAPPY_OK else { throw output.corrupt("status \(status.rawValue)") }
    }
}
