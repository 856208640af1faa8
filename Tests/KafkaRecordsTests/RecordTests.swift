import KafkaRecords
import NIOCore
import Testing

@Suite struct RecordTests {
    private func header(records: Int32, lastOffsetDelta: Int32) -> RecordBatchHeader {
        RecordBatchHeader(
            baseOffset: 100, batchLength: 1000, partitionLeaderEpoch: 0, crc: 0, attributes: [],
            lastOffsetDelta: lastOffsetDelta, baseTimestamp: 0, maxTimestamp: 0, producerId: -1,
            producerEpoch: -1, baseSequence: -1, recordCount: records)
    }

    private func error(
        _ hex: String, records: Int32 = 1, lastOffsetDelta: Int32 = 9
    ) -> RecordError? {
        var cursor = RecordCursor(
            header: header(records: records, lastOffsetDelta: lastOffsetDelta),
            body: shifted(buffer(hex: hex)))
        return recordError { while try cursor.next() != nil {} }
    }

    /// Lengths and counts are zigzag: 02 is one, 01 is minus one.
    @Test(
        arguments: [
            ("", .truncated), ("ff", .truncated), ("0c 00 00 00 01 01", .truncated),
            ("01", .length), ("0a 00 00 00 01 01 00", .truncated),
            ("0e 00 00 00 01 01 00 00", .length),
            ("ffffffffff 00", .varint), ("ffffffff7f 00 00 00 01 01 00", .varint),
            ("20 00 ffffffffffffffffff02 00 01 01 00 000000", .varint),
            ("0c 00 00 00 03 01 00", .keyLength), ("0c 00 00 00 08 01 00", .keyLength),
            ("0c 00 00 00 01 03 00", .valueLength), ("0c 00 00 00 01 04 00", .valueLength),
            ("0c 00 00 00 01 01 01", .headerCount), ("0c 00 00 00 01 01 02", .headerCount),
            ("0e 00 00 00 01 01 02 00", .headerCount),
            ("10 00 00 00 01 01 02 01 00", .headerLength),
            ("10 00 00 00 01 01 02 00 05", .headerLength),
            ("10 00 00 00 01 01 02 00 02", .headerLength),
            ("0c 00 00 14 01 01 00", .offsetDelta), ("0c 00 00 01 01 01 00", .offsetDelta),
            ("14 00 00 fe ff ff ff 1f 01 01 00", .varint),
        ] as [(String, RecordFault)])
    func malformedRecords(hex: String, fault: RecordFault) {
        #expect(error(hex) == .invalidRecord(baseOffset: 100, index: 0, fault: fault))
    }

    @Test func countsOfRecords() {
        let first = "0c 00 00 00 01 01 00"
        let second = "0c 00 00 02 01 01 00"
        #expect(error(first) == nil)
        #expect(error(first + second, records: 2) == nil)
        #expect(error(first + second) == .trailingBytes(baseOffset: 100, count: 7))
        #expect(error(first, records: 0) == .trailingBytes(baseOffset: 100, count: 7))
        #expect(
            error(first, records: 2)
                == .invalidRecord(baseOffset: 100, index: 1, fault: .truncated))
        #expect(
            error(first + first, records: 2)
                == .invalidRecord(baseOffset: 100, index: 1, fault: .offsetDelta))
        #expect(
            error("", records: -1)
                == .invalidCounts(baseOffset: 100, recordCount: -1, lastOffsetDelta: 9))
        #expect(error("", records: 0) == nil)
        // So many records cannot be in so few bytes: nothing is reserved for them.
        let cursor = RecordCursor(
            header: header(records: .max, lastOffsetDelta: .max), body: buffer(hex: first))
        #expect(cursor.countAtMost == 1)
    }

    @Test func everyPrefixOfTheRecordsIsRefused() throws {
        let batch = try RecordBatch(at: 0, in: buffer(hex: PythonBatch.three))
        let body = try #require(
            batch.bytes.getSlice(at: 61, length: batch.bytes.readableBytes - 61))
        for count in 0..<body.readableBytes {
            let prefix = try #require(body.getSlice(at: body.readerIndex, length: count))
            var cursor = RecordCursor(header: batch.header, body: prefix)
            let error = recordError { while try cursor.next() != nil {} }
            guard case .invalidRecord(_, _, .truncated) = error else {
                Issue.record("\(count) bytes gave \(String(describing: error))")
                continue
            }
        }
    }

    /// Numbers at the edges of their lengths, and timestamps whose difference does not fit.
    @Test func extremeNumbersComeBack() throws {
        let times: [Int64] = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, .max, .min, 1 << 35]
        for first in times {
            for second in times {
                var builder = RecordBatchBuilder()
                builder.append(key: nil, value: nil, timestamp: first)
                builder.append(key: nil, value: nil, timestamp: second)
                let batch = try RecordBatch(at: 0, in: builder.build())
                #expect(try batch.allRecords(limit: 1000).map(\.timestamp) == [first, second])
                #expect(batch.header.maxTimestamp == max(first, second, -1))
            }
        }
        for size in [0, 1, 63, 64, 8191, 8192, 1_048_575, 1_048_576] {
            var builder = RecordBatchBuilder()
            let value = ByteBuffer(repeating: 7, count: size)
            builder.append(key: value, value: value, headers: [.init("h", value)], timestamp: 0)
            #expect(
                builder.sizeInBytes - 61
                    <= RecordBatchBuilder.estimatedSize(
                        key: value, value: value, headers: [.init("h", value)]))
            let batch = try RecordBatch(at: 0, in: builder.build())
            let records = try batch.allRecords(limit: 1 << 23)
            #expect(records.first?.key == value && records.first?.headers.first?.value == value)
        }
    }

    // MARK: Building

    @Test func offsetsWithGaps() throws {
        var builder = RecordBatchBuilder(baseOffset: 50, deleteHorizon: 9000)
        builder.lastOffset = 70
        builder.append(Record(offset: 52, timestamp: 8000, key: text("a"), value: nil))
        builder.append(Record(offset: 60, timestamp: 8001, key: text("b"), value: nil))
        let batch = try RecordBatch(at: 0, in: builder.build())
        #expect(batch.header.lastOffset == 70 && batch.header.recordCount == 2)
        #expect(batch.header.deleteHorizon == 9000)
        try batch.header.checkCounts()
        let records = try batch.allRecords(limit: 1000)
        #expect(records.map(\.offset) == [52, 60])
        #expect(records.map(\.timestamp) == [8000, 8001])
    }

    @Test(arguments: Compression.allCases)
    func batchWithoutRecords(codec: Compression) throws {
        var builder = RecordBatchBuilder(baseOffset: 50)
        builder.producerId = 4
        builder.producerEpoch = 0
        builder.baseSequence = 10
        builder.lastOffset = 55
        let batch = try RecordBatch(at: 0, in: builder.build(compression: codec))
        try batch.checkCRC()
        #expect(batch.header.sizeInBytes == 61)
        #expect(batch.header.compression == .none)
        #expect(batch.header.lastOffset == 55 && batch.header.lastSequence == 15)
        #expect(try batch.allRecords(limit: 0) == [])
    }

    @Test func whatCannotBeBuiltIsRefused() {
        func error(_ baseOffset: Int64, last: Int64?, _ offsets: Int64...) -> Bool {
            var builder = RecordBatchBuilder(baseOffset: baseOffset)
            builder.lastOffset = last
            for offset in offsets {
                builder.append(Record(offset: offset, timestamp: 0, key: nil, value: nil))
            }
            guard case .unbuildable = recordError({ _ = try builder.build() }) else {
                return false
            }
            return true
        }
        #expect(error(0, last: nil))
        #expect(error(5, last: nil, 4))
        #expect(error(5, last: nil, 6, 6))
        #expect(error(5, last: 5, 6))
        #expect(error(5, last: 4))
        #expect(error(0, last: Int64(Int32.max)))
        #expect(error(0, last: nil, Int64(Int32.max)))
        #expect(error(.min, last: nil, .max))
        #expect(error(.min, last: .max))
        #expect(!error(0, last: nil, Int64(Int32.max) - 1))
    }

    @Test func timeOfArrivalFromTheStart() throws {
        var builder = RecordBatchBuilder()
        builder.logAppendTime = 5
        builder.append(key: nil, value: text("x"), timestamp: 3)
        let batch = try RecordBatch(at: 0, in: builder.build())
        #expect(batch.header.isLogAppendTime && batch.header.maxTimestamp == 5)
        #expect(try batch.allRecords(limit: 100).map(\.timestamp) == [5])
    }
}
