import CChecksum
import NIOCore

/// The CRC-32C (Castagnoli) of the bytes, behind others whose CRC-32C was `previous`.
package func crc32c(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
    guard let start = bytes.baseAddress else { return previous }
    return cchecksum_crc32c(previous, start, bytes.count)
}

/// The CRC-32C (Castagnoli) of the readable bytes, behind others whose CRC-32C was `previous`.
package func crc32c(_ buffer: ByteBuffer, after previous: UInt32 = 0) -> UInt32 {
    buffer.withUnsafeReadableBytes { crc32c($0, after: previous) }
}

/// How the processor computes CRC-32C: for tests, and for a word in the log.
package enum ChecksumWay: UInt32, CaseIterable, Sendable {
    case table = 0
    /// The instruction of SSE4.2 or ARMv8.
    case instruction = 1
    /// The same in three lanes, joined by a carry-less product.
    case threeLanes = 2

    /// What this processor has, and uses.
    package static var best: ChecksumWay {
        ChecksumWay(rawValue: cchecksum_best_way().rawValue) ?? .table
    }

    /// The checksum computed in this way, or in the best one below it.
    package func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let start = bytes.baseAddress else { return 0 }
        return cchecksum_crc32c_by(cchecksum_way(rawValue: rawValue), 0, start, bytes.count)
    }
}
