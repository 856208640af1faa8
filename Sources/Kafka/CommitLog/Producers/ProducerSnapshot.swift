import KafkaRecords
import NIOCore

/// The producer snapshot file, Kafka's version 1: version, CRC-32C of what follows, and an array
/// of entries that remember the last batch of each producer.
package enum ProducerSnapshot {
    static let version: Int16 = 1
    static let entrySize = 46
    /// A few million producers; Kafka has no limit.
    static let maxBytes = 256 << 20

    package static func encode(_ producers: [(id: Int64, entry: ProducerEntry)]) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity(10 + producers.count * entrySize)
        bytes.writeMultipleIntegers(version, UInt32(0), Int32(producers.count))
        for (id, entry) in producers {
            let last = entry.batches.last
            bytes.writeInteger(id)
            bytes.writeInteger(entry.producerEpoch)
            bytes.writeInteger(entry.lastSequence)
            bytes.writeInteger(entry.lastOffset)
            bytes.writeInteger(last?.offsetDelta ?? 0)
            bytes.writeInteger(entry.lastTimestamp)
            bytes.writeInteger(entry.coordinatorEpoch)
            bytes.writeInteger(entry.transactionFirstOffset ?? -1)
        }
        bytes.setInteger(checksum(bytes), at: bytes.readerIndex + 2)
        return bytes
    }

    /// Nil where the bytes are not a whole snapshot.
    package static func decode(_ bytes: ByteBuffer) -> [(id: Int64, entry: ProducerEntry)]? {
        var reader = bytes
        guard let found = reader.readInteger(as: Int16.self), found == version,
            let crc = reader.readInteger(as: UInt32.self), crc == checksum(bytes),
            let count = reader.readInteger(as: Int32.self), count >= 0,
            reader.readableBytes == Int(count) * entrySize
        else { return nil }
        var producers: [(id: Int64, entry: ProducerEntry)] = []
        producers.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let id = reader.readInteger(as: Int64.self),
                let epoch = reader.readInteger(as: Int16.self),
                let sequence = reader.readInteger(as: Int32.self),
                let offset = reader.readInteger(as: Int64.self),
                let delta = reader.readInteger(as: Int32.self),
                let timestamp = reader.readInteger(as: Int64.self),
                let coordinatorEpoch = reader.readInteger(as: Int32.self),
                let transaction = reader.readInteger(as: Int64.self)
            else { return nil }
            var entry = ProducerEntry(producerEpoch: epoch)
            if offset >= 0 {
                guard delta >= 0, Int64(delta) <= offset else { return nil }
                entry.add(
                    .init(
                        lastSequence: sequence, lastOffset: offset, offsetDelta: delta,
                        timestamp: timestamp), epoch: epoch)
            }
            entry.lastTimestamp = timestamp
            entry.coordinatorEpoch = coordinatorEpoch
            entry.transactionFirstOffset = transaction >= 0 ? transaction : nil
            producers.append((id, entry))
        }
        return producers
    }

    private static func checksum(_ bytes: ByteBuffer) -> UInt32 {
        var covered = bytes
        covered.moveReaderIndex(forwardBy: min(6, covered.readableBytes))
        return covered.withUnsafeReadableBytes { crc32c($0) }
    }
}
