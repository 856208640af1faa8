import CZlib
import NIOCore

/// RFC 1952 by zlib. Several members behind each other are one stream, as they are to Java.
enum GzipCodec {
    static let levels = 1...9
    /// zlib's largest window, and 16 for the gzip header.
    private static let windowBits: Int32 = 15 + 16

    static func compress(
        _ bytes: ByteBuffer, level: Int?, into buffer: inout ByteBuffer
    ) throws(RecordError) {
        var stream = z_stream()
        guard
            deflateInit2_(
                &stream, level.map { Int32($0) } ?? Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits,
                8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { throw .compressionFailed(.gzip, reason: "zlib does not start") }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(bytes.readableBytes)))
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            try buffer.writeCompressed(atMost: bound) { space throws(RecordError) in
                feed(&stream, input[...])
                stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(clamping: space.count)
                guard deflate(&stream, Z_FINISH) == Z_STREAM_END else {
                    throw .compressionFailed(.gzip, reason: "more than its bound")
                }
                return space.count - Int(stream.avail_out)
            }
        }
    }

    static func decompress(
        _ bytes: ByteBuffer, into output: inout BoundedOutput
    ) throws(RecordError) {
        var stream = z_stream()
        guard
            inflateInit2_(
                &stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { throw .compressionFailed(.gzip, reason: "zlib does not start") }
        defer { inflateEnd(&stream) }
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            feed(&stream, input[...])
            while true {
                let (_, status) = try output.write { space in
                    stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
                    stream.avail_out = UInt32(clamping: space.count)
                    let status = inflate(&stream, Z_NO_FLUSH)
                    return (space.count - Int(stream.avail_out), status)
                }
                switch status {
                case Z_OK: continue
                case Z_STREAM_END:
                    if stream.avail_in == 0 { return }
                    inflateReset(&stream)
                case Z_BUF_ERROR: throw output.corrupt("it ends early")
                case Z_MEM_ERROR: throw .compressionFailed(.gzip, reason: "out of memory")
                default: throw output.corrupt(stream.msg.map { String(cString: $0) } ?? "bad data")
                }
            }
        }
    }

    private static func feed(_ stream: inout z_stream, _ input: UnsafeRawBufferPointer.SubSequence)
    {
        let whole = UnsafeRawBufferPointer(rebasing: input)
        stream.next_in = UnsafeMutablePointer(
            mutating: whole.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(clamping: whole.count)
    }
}
