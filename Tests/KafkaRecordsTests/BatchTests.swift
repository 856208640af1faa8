import KafkaRecords
import NIOCore
import Testing

@Suite struct BatchTests {
    @Test func readsTheHeader() throws {
        let batch = try RecordBatch(at: 7, in: shifted(buffer(hex: PythonBatch.three)))
        let header = batch.header
        #expect(header.baseOffset == 0)
        #expect(header.batchLength == 131)
        #expect(header.sizeInBytes == 143)
        #expect(header.partitionLeaderEpoch == 0)
        #expect(header.crc == 0xb271_0f09)
        #expect(header.attributes == .transactional)
        #expect(header.isTransactional && !header.isControl && !header.isLogAppendTime)
        #expect(header.compression == .none)
        #expect(header.lastOffsetDelta == 2)
        #expect(header.lastOffset == 2 && header.nextOffset == 3)
        #expect(header.baseTimestamp == 1_700_000_000_000)
        #expect(header.maxTimestamp == 1_700_000_000_007)
        #expect(header.producerId == 4711 && header.hasProducerId)
        #expect(header.producerEpoch == 3)
        #expect(header.baseSequence == 99 && header.lastSequence == 101)
        #expect(header.recordCount == 3)
        #expect(header.deleteHorizon == nil)
        try batch.checkCRC()
        try header.checkCounts()
        try header.checkProducedCounts()
    }

    static let three = [
        Record(
            offset: 0, timestamp: 1_700_000_000_000, key: nil, value: text("first"),
            headers: [RecordHeader("h1", text("v1")), RecordHeader("h2", nil)]),
        Record(offset: 1, timestamp: 1_700_000_000_007, key: text("k2"), value: nil),
        Record(
            offset: 2, timestamp: 1_699_999_999_990, key: text(""),
            value: text(String(repeating: "x", count: 40)),
            headers: [RecordHeader("é", text(""))]),
    ]

    @Test func readsTheRecords() throws {
        let single = try RecordBatch(at: 0, in: buffer(hex: PythonBatch.single))
        #expect(
            try single.allRecords(limit: 1000) == [
                Record(
                    offset: 0, timestamp: 1_700_000_000_123, key: text("key"),
                    value: text("value"))
            ])
        let three = try RecordBatch(at: 7, in: shifted(buffer(hex: PythonBatch.three)))
        #expect(try three.allRecords(limit: 1000) == Self.three)
        var cursor = try three.records(limit: 1000)
        #expect(cursor.countAtMost == 3)
        for record in Self.three { #expect(try cursor.next() == record) }
        #expect(try cursor.next() == nil)
        #expect(try cursor.next() == nil)
    }

    /// kafka-python writes leader epoch 0, and so does this builder when asked: no byte differs.
    @Test func writesWhatPythonWrites() throws {
        var single = RecordBatchBuilder()
        single.partitionLeaderEpoch = 0
        single.append(key: text("key"), value: text("value"), timestamp: 1_700_000_000_123)
        #expect(try single.build() == buffer(hex: PythonBatch.single))

        var three = RecordBatchBuilder(capacity: 0)
        three.partitionLeaderEpoch = 0
        three.producerId = 4711
        three.producerEpoch = 3
        three.baseSequence = 99
        three.isTransactional = true
        for record in Self.three {
            three.append(
                key: record.key, value: record.value, headers: record.headers,
                timestamp: record.timestamp)
        }
        #expect(three.sizeInBytes == 143)
        #expect(try three.build() == buffer(hex: PythonBatch.three))
    }

    @Test(arguments: PythonBatch.compressed)
    func readsCompressedBatches(codec: Compression, hex: String) throws {
        let batch = try RecordBatch(at: 0, in: buffer(hex: hex))
        try batch.checkCRC()
        #expect(batch.header.compression == codec)
        let expected = (0..<4).map {
            Record(
                offset: $0, timestamp: 1_700_000_000_000 + $0, key: text("key-\($0 % 2)"),
                value: text("the same value again and again"))
        }
        #expect(try batch.allRecords(limit: 168) == expected)
        #expect(
            recordError { _ = try batch.allRecords(limit: 167) }
                == .decompressedTooLarge(codec, limit: 167))
    }

    @Test(arguments: Compression.allCases)
    func buildsWithEveryCodec(codec: Compression) throws {
        var builder = RecordBatchBuilder(baseOffset: 1 << 40)
        for record in Self.three {
            builder.append(
                key: record.key, value: record.value, headers: record.headers,
                timestamp: record.timestamp)
        }
        let batch = try RecordBatch(at: 0, in: builder.build(compression: codec))
        try batch.checkCRC()
        #expect(batch.header.compression == codec)
        #expect(batch.bytes.readableBytes == batch.header.sizeInBytes)
        let records = try batch.allRecords(limit: 1000)
        #expect(records.map(\.offset) == [0, 1, 2].map { $0 + 1 << 40 })
        #expect(records.map(\.headers) == Self.three.map(\.headers))
    }

    // MARK: Sequences of batches

    private var two: ByteBuffer {
        ByteBuffer(bytes: bytes(hex: PythonBatch.single) + bytes(hex: PythonBatch.three))
    }

    @Test func cursorGoesFromBatchToBatch() throws {
        let all = shifted(two)
        var batches = RecordBatches(all)
        let first = try #require(try batches.next())
        let second = try #require(try batches.next())
        #expect(try batches.next() == nil)
        #expect(first.index == 7 && second.index == 7 + 76 && batches.index == 7 + 76 + 143)
        #expect(first.bytes == buffer(hex: PythonBatch.single))
        #expect(second.bytes == buffer(hex: PythonBatch.three))
        #expect(batches.bytesRead == 219)
        var headers = RecordBatches(all)
        #expect(try headers.nextHeader() == first.header)
        #expect(try headers.nextHeader() == second.header)
        #expect(try headers.nextHeader() == nil)
    }

    @Test func everyPrefixEndsAtAWholeBatch() throws {
        let all = two
        for count in 0...all.readableBytes {
            let prefix = shifted(try #require(all.getSlice(at: 0, length: count)))
            let whole = count < 76 ? 0 : count < 219 ? 76 : 219
            #expect(try RecordBatches.wholeBytes(in: prefix) == whole)
            var batches = RecordBatches(prefix)
            let error = recordError { while try batches.next() != nil {} }
            #expect(batches.bytesRead == whole)
            if count == whole {
                #expect(error == nil)
            } else if case .torn(let at, let needed, let available) = error {
                #expect(at == 7 + whole && available == count - whole && needed > available)
            } else {
                Issue.record("\(count) bytes gave \(String(describing: error))")
            }
        }
    }

    @Test func headerOutsideOfTheBuffer() {
        let all = shifted(two)
        for index in [-1, 0, 6, all.writerIndex, all.writerIndex + 1, Int.max, Int.min] {
            let error = recordError { _ = try RecordBatchHeader(at: index, in: all) }
            guard case .torn = error else {
                Issue.record("\(index) gave \(String(describing: error))")
                continue
            }
        }
    }

    @Test func legacyFormatsAreRefused() {
        for (magic, expected) in [
            (0, RecordError.legacyFormat(at: 7, magic: 0)),
            (1, .legacyFormat(at: 7, magic: 1)),
            (3, .unknownFormat(at: 7, magic: 3)),
            (0xff, .unknownFormat(at: 7, magic: -1)),
        ] {
            // A message of the old formats is shorter than a header of this one.
            var old = bytes(hex: PythonBatch.single).prefix(30)
            old[16] = UInt8(magic)
            let buffer = shifted(ByteBuffer(bytes: old))
            #expect(recordError { _ = try RecordBatchHeader(at: 7, in: buffer) } == expected)
            #expect(recordError { _ = try RecordBatches.wholeBytes(in: buffer) } == expected)
        }
    }

    @Test func impossibleLengthsAreRefused() {
        for length in [Int32.min, -1, 0, 48, Int32.max - 11, Int32.max] {
            var buffer = buffer(hex: PythonBatch.single)
            buffer.setInteger(length, at: 8)
            #expect(
                recordError { _ = try RecordBatchHeader(at: 0, in: buffer) }
                    == .invalidBatchLength(at: 0, length: length))
        }
        var buffer = buffer(hex: PythonBatch.single)
        buffer.setInteger(Int32.max - 12, at: 8)
        #expect(
            recordError { _ = try RecordBatch(at: 0, in: buffer) }
                == .torn(at: 0, needed: Int(Int32.max), available: 76))
    }

    @Test(arguments: 5...7)
    func unknownCodecsAreRefused(id: Int) {
        var buffer = buffer(hex: PythonBatch.single)
        buffer.setInteger(Int16(id), at: 21)
        #expect(
            recordError { _ = try RecordBatchHeader(at: 0, in: buffer) }
                == .unknownCompression(id: id))
    }

    /// Base offset and leader epoch may change; any other bit that turns is found.
    @Test func everySingleBitFlipIsFoundOrHarmless() throws {
        let good = bytes(hex: PythonBatch.three)
        let header = try RecordBatchHeader(at: 0, in: ByteBuffer(bytes: good))
        for bit in 0..<(good.count * 8) {
            var bad = good
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            let error = recordError {
                try RecordBatch(at: 0, in: ByteBuffer(bytes: bad)).checkCRC()
            }
            let isHarmless = (0..<8).contains(bit / 8) || (12..<16).contains(bit / 8)
            #expect((error == nil) == isHarmless, "bit \(bit)")
            if isHarmless {
                var found = try RecordBatchHeader(at: 0, in: ByteBuffer(bytes: bad))
                #expect(found != header)
                found.baseOffset = header.baseOffset
                found.partitionLeaderEpoch = header.partitionLeaderEpoch
                #expect(found == header)
            }
        }
    }

    // MARK: Rewriting

    @Test func rewritesPlaceButNotContent() throws {
        var all = shifted(two)
        let copy = all
        RecordBatches.rewrite(
            baseOffset: 0x0102_0304_0506_0708, leaderEpoch: 0x1112_1314, at: 83, in: &all)
        #expect(copy == shifted(two), "a copy must not change")
        var expected = bytes(hex: PythonBatch.three)
        expected.replaceSubrange(0..<8, with: [1, 2, 3, 4, 5, 6, 7, 8])
        expected.replaceSubrange(12..<16, with: [0x11, 0x12, 0x13, 0x14])
        let second = try RecordBatch(at: 83, in: all)
        #expect(second.bytes == ByteBuffer(bytes: expected))
        #expect(try RecordBatch(at: 7, in: all).bytes == buffer(hex: PythonBatch.single))
        try second.checkCRC()
        #expect(second.header.lastOffset == 0x0102_0304_0506_070a)
        #expect(try second.allRecords(limit: 1000).last?.offset == 0x0102_0304_0506_070a)
    }

    @Test func rewritingOutsideDoesNothing() {
        var all = shifted(two)
        for index in [-1, 6, all.writerIndex - 15, all.writerIndex, Int.max, Int.min] {
            RecordBatches.rewrite(baseOffset: 1, leaderEpoch: 1, at: index, in: &all)
        }
        #expect(all == shifted(two))
    }

    @Test func rewritesTheTimeOfArrival() throws {
        var all = shifted(two)
        try RecordBatches.rewrite(logAppendTime: 77, at: 83, in: &all)
        let batch = try RecordBatch(at: 83, in: all)
        try batch.checkCRC()
        #expect(batch.header.isLogAppendTime && batch.header.isTransactional)
        #expect(batch.header.maxTimestamp == 77)
        #expect(batch.header.baseTimestamp == 1_700_000_000_000)
        #expect(try batch.allRecords(limit: 1000).map(\.timestamp) == [77, 77, 77])
        #expect(throws: RecordError.self) {
            try RecordBatches.rewrite(logAppendTime: 77, at: 84, in: &all)
        }
    }

    // MARK: What the fields say

    @Test func sequencesWrapToZero() {
        #expect(RecordBatchHeader.sequence(5, advancedBy: 3) == 8)
        #expect(RecordBatchHeader.sequence(Int32.max - 1, advancedBy: 1) == Int32.max)
        #expect(RecordBatchHeader.sequence(Int32.max, advancedBy: 1) == 0)
        #expect(RecordBatchHeader.sequence(Int32.max - 2, advancedBy: 5) == 2)
        #expect(RecordBatchHeader.sequence(Int32.max, advancedBy: Int32.max) == Int32.max - 1)
    }

    @Test func countsAreChecked() throws {
        let good = try RecordBatchHeader(at: 0, in: buffer(hex: PythonBatch.three))
        for (records, delta, produced, stored) in [
            (3, 2, true, true), (1, 0, true, true), (2, 2, false, true), (0, 0, false, true),
            (0, -1, false, false), (-1, 2, false, false), (4, 2, false, false),
            (Int32.max, Int32.max, false, true), (Int32.min, Int32.max, false, false),
        ] as [(Int32, Int32, Bool, Bool)] {
            var header = good
            header.recordCount = records
            header.lastOffsetDelta = delta
            let wrong = RecordError.invalidCounts(
                baseOffset: 0, recordCount: records, lastOffsetDelta: delta)
            #expect(recordError { try header.checkProducedCounts() } == (produced ? nil : wrong))
            #expect(recordError { try header.checkCounts() } == (stored ? nil : wrong))
        }
        var header = good
        for (offset, isGood) in [
            (Int64.max, false), (.max - 2, false), (.max - 3, true), (-1, false), (.min, false),
        ] {
            header.baseOffset = offset
            #expect((recordError { try header.checkCounts() } == nil) == isGood)
        }
        // Nonsense does not trap.
        header.baseOffset = .max
        #expect(header.lastOffset < 0)
    }
}
