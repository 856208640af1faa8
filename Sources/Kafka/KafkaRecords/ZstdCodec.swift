import CZstd
import NIOCore

/// Zstandard frames (RFC 8878), one or more. Decompressed in one go into room for all: so the
/// window that a frame asks for is never allocated, and where its size is not known, the room is
/// enlarged only after less has turned out to be too little.
enum ZstdCodec {
    static let levels = Int(ZSTD_minCLevel())...Int(ZSTD_maxCLevel())
    // Macros of zstd.h that Swift does not import.
    private static let contentSizeError = UInt64.max - 1
    private static let contentSizeUnknown = UInt64.max

    static func compress(
        _ bytes: ByteBuffer, level: Int?, into buffer: inout ByteBuffer
    ) throws(RecordError) {
        let bound = ZSTD_compressBound(bytes.readableBytes)
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            try buffer.writeCompressed(atMost: bound) { space throws(RecordError) in
                let count = ZSTD_compress(
                    space.baseAddress, space.count, input.baseAddress, input.count,
                    level.map { Int32($0) } ?? ZSTD_CLEVEL_DEFAULT)
                guard ZSTD_isError(count) == 0 else {
                    throw .compressionFailed(
                        .zstd, reason: String(cString: ZSTD_getErrorName(count)))
                }
                return count
            }
        }
    }

    static func decompress(
        _ bytes: ByteBuffer, into output: inout BoundedOutput
    ) throws(RecordError) {
        guard let context = ZSTD_createDCtx() else {
            throw .compressionFailed(.zstd, reason: "out of memory")
        }
        defer { ZSTD_freeDCtx(context) }
        try bytes.withUnsafeReadableBytes { input throws(RecordError) in
            guard let start = input.baseAddress, input.count > 0 else {
                throw output.corrupt("it is empty")
            }
            let claimed = ZSTD_getFrameContentSize(start, input.count)
            guard claimed != contentSizeError else { throw output.corrupt("no frame") }
            let isKnown = claimed != contentSizeUnknown
            guard !isKnown || claimed <= UInt64(output.limit) else { throw output.tooLarge }
            // What a frame claims is believed as far as ordinary text goes.
            var room = isKnown ? min(Int(claimed), 65_536 + 64 * input.count) : 8 * input.count
            room = min(max(room, 1024), output.limit)
            while true {
                let (_, status) = try output.write(exactly: room) { space in
                    let status = ZSTD_decompressDCtx(
                        context, space.baseAddress, space.count, start, input.count)
                    return (ZSTD_isError(status) == 0 ? status : 0, status)
                }
                if ZSTD_isError(status) == 0 { return }
                guard ZSTD_getErrorCode(status) == ZSTD_error_dstSize_tooSmall else {
                    throw output.corrupt(String(cString: ZSTD_getErrorName(status)))
                }
                guard room < output.limit else { throw output.tooLarge }
                room = min(4 * room, output.limit)
            }
        }
    }
}
