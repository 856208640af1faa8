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
