import KafkaRecords
import NIOCore

/// What the log changes in a batch beside its place: the time of the append.
enum BatchStamp {
    private static let baseTimestamp = 27
    private static let maxTimestamp = 35

    /// Gives a batch that has no records its times.
    static func setTimes(_ timestamp: Int64, in batch: inout ByteBuffer) {
        let index = batch.readerIndex
        batch.setInteger(timestamp, at: index + baseTimestamp)
        batch.setInteger(timestamp, at: index + maxTimestamp)
        let checksum = batch.withUnsafeReadableBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0.dropFirst(RecordBatchHeader.checkedOffset)))
        }
        batch.setInteger(checksum, at: index + RecordBatchHeader.crcOffset)
    }

    /// Gives all records of a batch one timestamp. Done here field by field, because a slice of
    /// the batch, however short it lives, would make the buffer copy all of itself.
    static func set(
        _ timestamp: Int64, on header: RecordBatchHeader, at index: Int,
        in buffer: inout ByteBuffer
    ) {
        let attributes = header.attributes.union(.logAppendTime)
        buffer.setInteger(attributes.rawValue, at: index + RecordBatchHeader.checkedOffset)
        buffer.setInteger(timestamp, at: index + maxTimestamp)
        let start = index + RecordBatchHeader.checkedOffset - buffer.readerIndex
        let end = index + header.sizeInBytes - buffer.readerIndex
        guard start >= 0, start <= end, end <= buffer.readableBytes else { return }
        let checksum = buffer.withUnsafeReadableBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0[start..<end]))
        }
        buffer.setInteger(checksum, at: index + RecordBatchHeader.crcOffset)
    }
}

/// What a control batch says.
enum ControlMarker: Equatable {
    case end(isAbort: Bool, coordinatorEpoch: Int32, timestamp: Int64)
    /// Raft's and others: without meaning to producers.
    case other
    /// Compaction has taken the record away.
    case empty

    /// Reads the one record of a control batch. Its key is a version and a type (0 abort,
    /// 1 commit), its value a version and the coordinator's epoch.
    init(_ batch: ByteBuffer, header: RecordBatchHeader) throws(LogError) {
        guard let record = try LogRecords.first(batch) else {
            self = .empty
            return
        }
        guard var key = record.key, key.readInteger(as: Int16.self) != nil,
            let type = key.readInteger(as: Int16.self)
        else { throw .corruptBatch("control record without a type") }
        guard type == 0 || type == 1 else {
            self = .other
            return
        }
        guard var value = record.value, value.readInteger(as: Int16.self) != nil,
            let epoch = value.readInteger(as: Int32.self)
        else { throw .corruptBatch("transaction marker without a coordinator epoch") }
        self = .end(isAbort: type == 0, coordinatorEpoch: epoch, timestamp: record.timestamp)
    }
}
