import KafkaRecords
import NIOCore
import Testing

@Suite struct BatchTests {
    @Test func roundTrip() throws {
        var builder = RecordBatchBuilder(baseOffset: 42)
        builder.append(
            key: ByteBuffer(string: "k"), value: ByteBuffer(string: "value"),
            headers: [RecordHeader("h", nil)], timestamp: 1000)
        builder.append(key: nil, value: nil, timestamp: 990)
        let batch = try RecordBatch(at: 0, in: builder.build())
        try batch.checkCRC()
        #expect(batch.header.lastOffset == 43)
        #expect(batch.header.maxTimestamp == 1000)
        let records = try batch.allRecords(limit: 1000)
        #expect(records.map(\.offset) == [42, 43])
        #expect(records.map(\.timestamp) == [1000, 990])
        #expect(records[0].headers == [RecordHeader("h", nil)])
    }
}
