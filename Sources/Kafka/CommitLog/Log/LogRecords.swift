import KafkaRecords
import NIOCore

/// Records out of batches, for the few places where the log looks into them.
enum LogRecords {
    /// What a batch may unpack to: a bomb is refused, not unpacked.
    static let maxBytes = 256 << 20

    /// Shows the records of a batch one by one, until the body has seen enough and says false.
    static func each(
        _ batch: ByteBuffer, _ body: (Record) throws(LogError) -> Bool
    ) throws(LogError) {
        var cursor: RecordCursor
        do {
            cursor = try RecordBatch(at: batch.readerIndex, in: batch).records(limit: maxBytes)
        } catch {
            throw .corruptBatch("\(error)")
        }
        while true {
            let record: Record?
            do {
                record = try cursor.next()
            } catch {
                throw .corruptBatch("\(error)")
            }
            guard let record, try body(record) else { return }
        }
    }

    static func first(
        _ batch: ByteBuffer, where condition: (Record) -> Bool = { _ in true }
    ) throws(LogError) -> Record? {
        var found: Record?
        try each(batch) { record throws(LogError) in
            guard condition(record) else { return true }
            found = record
            return false
        }
        return found
    }
}
