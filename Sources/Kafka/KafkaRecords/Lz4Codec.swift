import CLz4
import NIOCore

/// The LZ4 frame format. Kafka's own reader wants blocks that do not need each other, and computes
/// the content checksum in its own way: so frames are written as Kafka writes them, with blocks of
/// 64 KiB and without content size and checksums. (The wrong header checksum of KIP-57 was never
/// right in message format 2.)
enum Lz4Codec {
    static let levels = 1...17

    static func compress(
        _ bytes: ByteBuffer, level: Int?, into buffer: inout ByteBuffer
    ) throws(RecordError) {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.compressionLevel = Int32(level ?? 0)
        let bound = LZ4F_compressFrameBound(bytes.readableBytes, &preferences)
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            try buffer.writeCompressed(atMost: bound) { space throws(RecordError) in
                let count = LZ4F_compressFrame(
                    space.baseAddress, space.count, input.baseAddress, input.count, &preferences)
                guard LZ4F_isError(count) == 0 else {
                    throw .compressionFailed(
                        .lz4, reason: String(cString: LZ4F_getErrorName(count)))
                }
                return count
            }
        }
    }

    static func decompress(
        _ bytes: ByteBuffer, into output: inout BoundedOutput
    ) throws(RecordError) {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0
        else { throw .compressionFailed(.lz4, reason: "out of memory") }
        defer { LZ4F_freeDecompressionContext(context) }
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            guard let start = input.baseAddress, input.count > 0 else {
                throw output.corrupt("it is empty")
            }
            var index = 0
            while true {
                var consumed = 0
                let (produced, hint) = try output.write { space in
                    var produced = space.count
                    consumed = input.count - index
                    let hint = LZ4F_decompress(
                        context, space.baseAddress, &produced, start + index, &consumed, nil)
                    return (LZ4F_isError(hint) == 0 ? produced : 0, hint)
                }
                guard LZ4F_isError(hint) == 0 else {
                    throw output.corrupt(String(cString: LZ4F_getErrorName(hint)))
                }
                index += consumed
                // Nothing more is wanted: the frame is whole.
                if hint == 0, index == input.count { return }
                if hint != 0, consumed == 0, produced == 0 { throw output.corrupt("it ends early") }
            }
        }
    }
}
