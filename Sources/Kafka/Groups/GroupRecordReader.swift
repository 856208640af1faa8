import KafkaRecords
import KafkaWire
import NIOCore

/// Goes through the records of whole batches of `__consumer_offsets`.
package enum GroupRecordReader {
    /// Says how many could not be understood and were passed over.
    package static func forEach(in batches: ByteBuffer, _ body: (GroupRecord) -> Void) -> Int {
        var skipped = 0
        var rest = RecordBatches(batches)
        do {
            while let batch = try rest.next() {
                if batch.header.isControl { continue }
                skipped += forEach(in: batch, body)
            }
        } catch {
            // What is torn or damaged here was damaged on the disk after it was checked.
            skipped += 1
        }
        return skipped
    }

    /// A batch of the coordinator's own is not compressed; another broker's may be.
    private static let decompressionLimit = 128 << 20

    private static func forEach(in batch: RecordBatch, _ body: (GroupRecord) -> Void) -> Int {
        var skipped = 0
        do {
            var records = try batch.records(limit: decompressionLimit)
            while let record = try records.next() {
                if let key = record.key, let known = try? GroupRecord(key: key, value: record.value)
                {
                    body(known)
                } else {
                    skipped += 1
                }
            }
        } catch {
            skipped += 1
        }
        return skipped
    }
}
