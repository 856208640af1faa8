import KafkaRecords
import NIOCore

enum BatchEnd {
    /// - Returns: the offset behind the last whole batch, or nil if there is none.
    static func nextOffset(after bytes: ByteBuffer) throws(RecordError) -> Int64? {
        var batches = RecordBatches(bytes)
        var last: Int64?
        while let header = try batches.nextHeader() { last = header.lastOffset + 1 }
        return last
    }
}
