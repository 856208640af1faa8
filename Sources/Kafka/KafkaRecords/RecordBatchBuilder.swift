import NIOCore

/// Makes one batch. The fields before the first record are set as wanted, then records are
/// appended, then the batch is built.
package struct RecordBatchBuilder: Sendable {
    package let baseOffset: Int64
    package var partitionLeaderEpoch: Int32 = RecordBatchHeader.noLeaderEpoch
    package var producerId: Int64 = RecordBatchHeader.noProducerId
    package var producerEpoch: Int16 = RecordBatchHeader.noProducerEpoch
    package var baseSequence: Int32 = RecordBatchHeader.noSequence
    package var isTransactional = false
    package var isControl = false
    /// All records get this time instead of their own.
    package var logAppendTime: Int64?
    /// The offset of the batch's last record, where compaction has taken that record away.
    package var lastOffset: Int64?

    private let deleteHorizon: Int64?
    private var baseTimestamp: Int64?
    private var maxTimestamp = RecordBatchHeader.noTimestamp
    private var lastDelta: Int32 = -1
    package private(set) var recordCount: Int32 = 0
    /// The header (filled in at the end) and the records.
    private var buffer: ByteBuffer
    private var problem: RecordError?

    /// `deleteHorizon` is for compaction: see `RecordBatchHeader.deleteHorizon`.
    package init(baseOffset: Int64 = 0, deleteHorizon: Int64? = nil, capacity: Int = 512) {
        self.baseOffset = baseOffset
        self.deleteHorizon = deleteHorizon
        baseTimestamp = deleteHorizon
        buffer = ByteBuffer()
        buffer.reserveCapacity(RecordBatchHeader.size + min(max(0, capacity), Int(Int32.max)))
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.size)
    }

    /// The size of the batch so far, if it is not compressed.
    package var sizeInBytes: Int { buffer.writerIndex }

    /// The bytes that one more record would take, give or take the width of its deltas.
    package static func estimatedSize(
        key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader] = []
    ) -> Int {
        fieldsSize(key: key, value: value, headers: headers) + 21
    }

    /// Appends a record behind the last one.
    package mutating func append(
        key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader] = [], timestamp: Int64
    ) {
        append(
            Record(
                offset: baseOffset &+ Int64(lastDelta) &+ 1, timestamp: timestamp, key: key,
                value: value, headers: headers))
    }

    /// Appends a record at its own offset, which is above those of the ones before. What cannot be
    /// appended is left out, and `build` fails.
    package mutating func append(_ record: Record) {
        guard problem == nil else { return }
        let (delta, overflow) = record.offset.subtractingReportingOverflow(baseOffset)
        guard !overflow, delta > Int64(lastDelta), delta < Int64(Int32.max) else {
            problem = .unbuildable(
                reason: "offset \(record.offset) behind \(lastDelta) others from \(baseOffset)")
            return
        }
        let base = baseTimestamp ?? record.timestamp
        // Wraps, and wraps back when it is read.
        let timestampDelta = record.timestamp &- base
        let size =
            1 + Varint.size(timestampDelta) + Varint.size(delta)
            + Self.fieldsSize(key: record.key, value: record.value, headers: record.headers)
        let room = Int(Int32.max) - buffer.writerIndex - RecordBatchHeader.lengthPrefix - 5
        guard size <= room else {
            problem = .unbuildable(reason: "more than \(Int32.max) bytes")
            return
        }
        baseTimestamp = base
        maxTimestamp = max(maxTimestamp, record.timestamp)
        lastDelta = Int32(truncatingIfNeeded: delta)
        recordCount += 1

        Varint.write(size, to: &buffer)
        buffer.writeInteger(0 as Int8)
        Varint.write(timestampDelta, to: &buffer)
        Varint.write(delta, to: &buffer)
        Self.writeField(record.key, to: &buffer)
        Self.writeField(record.value, to: &buffer)
        Varint.write(record.headers.count, to: &buffer)
        for header in record.headers {
            Self.writeField(header.key, to: &buffer)
            Self.writeField(header.value, to: &buffer)
        }
    }

    /// The batch. One without records needs `lastOffset`: compaction leaves such batches so that
    /// a producer's last sequence number is not forgotten.
    package consuming func build(
        compression: Compression = .none, level: Int? = nil
    ) throws(RecordError) -> ByteBuffer {
        if let problem { throw problem }
        // Nothing is not compressed: not every reader takes what a codec makes of it.
        let compression = recordCount == 0 ? .none : compression
        let (last, overflow) = (lastOffset ?? baseOffset &+ Int64(lastDelta))
            .subtractingReportingOverflow(baseOffset)
        guard !overflow, last >= 0, last >= Int64(lastDelta), last < Int64(Int32.max) else {
            throw .unbuildable(reason: "no last offset, or one below that of the last record")
        }
        var attributes = RecordBatchAttributes(compression: compression)
        if logAppendTime != nil { attributes.insert(.logAppendTime) }
        if isTransactional { attributes.insert(.transactional) }
        if isControl { attributes.insert(.control) }
        if deleteHorizon != nil { attributes.insert(.deleteHorizon) }

        var batch = buffer
        if compression != .none {
            let body = buffer.getSlice(
                at: RecordBatchHeader.size, length: buffer.writerIndex - RecordBatchHeader.size)
            batch = ByteBuffer()
            batch.writeRepeatingByte(0, count: RecordBatchHeader.size)
            try compression.compress(body ?? ByteBuffer(), level: level, into: &batch)
        }
        guard
            let length = Int32(exactly: batch.writerIndex - RecordBatchHeader.lengthPrefix)
        else { throw .unbuildable(reason: "more than \(Int32.max) bytes") }
        let header = RecordBatchHeader(
            baseOffset: baseOffset, batchLength: length,
            partitionLeaderEpoch: partitionLeaderEpoch, crc: 0, attributes: attributes,
            lastOffsetDelta: Int32(truncatingIfNeeded: last),
            baseTimestamp: baseTimestamp ?? RecordBatchHeader.noTimestamp,
            maxTimestamp: logAppendTime ?? maxTimestamp, producerId: producerId,
            producerEpoch: producerEpoch, baseSequence: baseSequence, recordCount: recordCount)
        var start = ByteBuffer()
        header.write(to: &start)
        batch.setBuffer(start, at: 0)
        RecordBatches.resetCRC(of: header, at: 0, in: &batch)
        return batch
    }

    private static func fieldsSize(
        key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader]
    ) -> Int {
        var size = fieldSize(key) + fieldSize(value) + Varint.size(headers.count)
        for header in headers { size += fieldSize(header.key) + fieldSize(header.value) }
        return size
    }

    private static func fieldSize(_ field: ByteBuffer?) -> Int {
        guard let field else { return Varint.size(-1) }
        return Varint.size(field.readableBytes) + field.readableBytes
    }

    private static func writeField(_ field: ByteBuffer?, to buffer: inout ByteBuffer) {
        guard let field else { return Varint.write(-1, to: &buffer) }
        Varint.write(field.readableBytes, to: &buffer)
        buffer.writeImmutableBuffer(field)
    }
}
