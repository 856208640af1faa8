import NIOCore

package struct RecordHeader: Equatable, Sendable {
    /// UTF-8, but nobody has checked.
    package var key: ByteBuffer
    package var value: ByteBuffer?

    package init(key: ByteBuffer, value: ByteBuffer?) {
        self.key = key
        self.value = value
    }

    package init(_ key: String, _ value: ByteBuffer?) {
        self.init(key: ByteBuffer(string: key), value: value)
    }
}

package struct Record: Equatable, Sendable {
    package var offset: Int64
    /// Milliseconds since 1970, or -1.
    package var timestamp: Int64
    package var key: ByteBuffer?
    package var value: ByteBuffer?
    package var headers: [RecordHeader]

    package init(
        offset: Int64, timestamp: Int64, key: ByteBuffer?, value: ByteBuffer?,
        headers: [RecordHeader] = []
    ) {
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }
}

extension RecordBatch {
    /// The records, decoded one by one as they are asked for. Compressed ones are decompressed
    /// here, to at most `limit` bytes.
    package func records(limit: Int) throws(RecordError) -> RecordCursor {
        var body = bytes
        body.moveReaderIndex(forwardBy: RecordBatchHeader.size)
        // Compaction may leave nothing of a batch but its header.
        if header.recordCount == 0, body.readableBytes == 0 {
            return RecordCursor(header: header, body: body)
        }
        return RecordCursor(
            header: header, body: try header.compression.decompress(body, limit: limit))
    }

    /// All the records at once.
    package func allRecords(limit: Int) throws(RecordError) -> [Record] {
        var cursor = try records(limit: limit)
        var records: [Record] = []
        records.reserveCapacity(cursor.countAtMost)
        while let record = try cursor.next() { records.append(record) }
        return records
    }
}

/// The records of one batch. Keys, values and headers share the storage of the batch, or of what
/// it was decompressed to.
package struct RecordCursor: Sendable {
    package let header: RecordBatchHeader
    private let body: ByteBuffer
    private var position = 0
    private var count = 0
    private var lastDelta: Int = -1

    /// `body` is what follows the header, decompressed.
    package init(header: RecordBatchHeader, body: ByteBuffer) {
        self.header = header
        self.body = body
    }

    /// The least size of a record: length, attributes, timestamp, offset, key, value, headers.
    private static let leastSize = 7

    /// As many records as the header tells of and the bytes have room for.
    package var countAtMost: Int {
        min(max(0, Int(header.recordCount)), body.readableBytes / Self.leastSize)
    }

    /// The next record, or nil when there were as many as the header tells of.
    package mutating func next() throws(RecordError) -> Record? {
        guard count < Int(header.recordCount) else {
            guard header.recordCount >= 0 else {
                throw .invalidCounts(
                    baseOffset: header.baseOffset, recordCount: header.recordCount,
                    lastOffsetDelta: header.lastOffsetDelta)
            }
            let rest = body.readableBytes - position
            guard rest == 0 else {
                throw .trailingBytes(baseOffset: header.baseOffset, count: rest)
            }
            return nil
        }
        let parsed: ParsedRecord
        do throws(RecordFault) {
            parsed = try body.withUnsafeReadableBytes { bytes throws(RecordFault) in
                try ParsedRecord(bytes, at: position)
            }
            guard parsed.offsetDelta > lastDelta, parsed.offsetDelta <= Int(header.lastOffsetDelta)
            else { throw .offsetDelta }
        } catch {
            throw .invalidRecord(baseOffset: header.baseOffset, index: count, fault: error)
        }
        position = parsed.end
        lastDelta = parsed.offsetDelta
        count += 1
        return Record(
            offset: header.baseOffset &+ Int64(parsed.offsetDelta),
            timestamp: header.isLogAppendTime
                ? header.maxTimestamp : header.baseTimestamp &+ parsed.timestampDelta,
            key: slice(parsed.key), value: slice(parsed.value),
            headers: parsed.headers.map {
                RecordHeader(key: slice($0.key) ?? ByteBuffer(), value: slice($0.value))
            })
    }

    private func slice(_ range: Range<Int>?) -> ByteBuffer? {
        guard let range else { return nil }
        return body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
    }
}

/// Where the parts of a record are.
private struct ParsedRecord {
    var end: Int
    var timestampDelta: Int64
    var offsetDelta: Int
    var key: Range<Int>?
    var value: Range<Int>?
    var headers: [(key: Range<Int>, value: Range<Int>?)] = []

    init(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(RecordFault) {
        var prefix = FieldReader(bytes, from: start, to: bytes.count)
        let length = try prefix.varint()
        guard length >= 0 else { throw .length }
        guard length <= prefix.remaining else { throw .truncated }
        end = prefix.index + length

        var reader = FieldReader(bytes, from: prefix.index, to: end)
        try reader.skipByte()  // attributes: none are defined
        timestampDelta = try reader.varlong()
        offsetDelta = try reader.varint()
        key = try reader.field(orFault: .keyLength)
        value = try reader.field(orFault: .valueLength)
        let headerCount = try reader.varint()
        // A header takes two bytes at least.
        guard headerCount >= 0, headerCount <= reader.remaining / 2 else { throw .headerCount }
        headers.reserveCapacity(headerCount)
        for _ in 0..<headerCount {
            guard let key = try reader.field(orFault: .headerLength) else { throw .headerLength }
            headers.append((key, try reader.field(orFault: .headerLength)))
        }
        guard reader.remaining == 0 else { throw .length }
    }
}
