import KafkaRecords
import NIOCore

/// Records out of batches, for the few places where the log looks into them.
enum LogRecords {
    /// What a batch may unpack to: a bomb is refused, not unpacked.
    static let maxBytes = 256 << 20

    static func decode(_ batch: ByteBuffer) throws(LogError) -> [Record] {
        []
    }
}
