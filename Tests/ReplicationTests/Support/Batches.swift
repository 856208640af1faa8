import KafkaRecords
import KafkaWire
import NIOCore

/// A batch as a producer sends it: one record for each text.
func batch(
    _ values: [String], producerId: Int64 = -1, producerEpoch: Int16 = 0, sequence: Int32 = -1,
    timestamp: Int64 = 1_000, isTransactional: Bool = false
) -> ByteBuffer {
    var builder = RecordBatchBuilder()
    if producerId >= 0 {
        builder.producerId = producerId
        builder.producerEpoch = producerEpoch
        builder.baseSequence = sequence
        builder.isTransactional = isTransactional
    }
    for value in values {
        builder.append(key: nil, value: ByteBuffer(string: value), timestamp: timestamp)
    }
    do {
        return try builder.build()
    } catch {
        preconditionFailure("\(error)")
    }
}

/// The values in batches, by offset.
func values(_ records: ByteBuffer) throws -> [(offset: Int64, value: String)] {
    var found: [(Int64, String)] = []
    var batches = RecordBatches(records)
    while let batch = try batches.next() {
        for record in try batch.allRecords(limit: 1 << 20) {
            found.append((record.offset, record.value.map { String(buffer: $0) } ?? ""))
        }
    }
    return found
}

func produceRequest(
    _ records: ByteBuffer?, acks: Int16 = -1, topic: String = "t", partition: Int32 = 0,
    timeoutMs: Int32 = 1_000
) -> ProduceRequest {
    ProduceRequest(
        acks: acks, timeoutMs: timeoutMs,
        topicData: [
            .init(
                name: topic,
                partitionData: [
                    .init(index: partition, records: records.map { .bytes($0) })
                ])
        ])
}
