import KafkaRecords
import NIOCore
import Testing

@Suite struct ControlRecordTests {
    /// The ids are those of Kafka's message format: 0 abort, 1 commit, and KRaft's from 2 on.
    @Test(
        arguments: [
            (.abort, "00000000"), (.commit, "00000001"), (.leaderChange, "00000002"),
            (.snapshotHeader, "00000003"), (.snapshotFooter, "00000004"),
            (.kraftVersion, "00000005"), (.kraftVoters, "00000006"),
        ] as [(ControlRecordType, String)])
    func keys(type: ControlRecordType, hex: String) throws {
        #expect(type.key == buffer(hex: hex))
        #expect(try ControlRecordType(key: shifted(type.key)) == type)
    }

    @Test func laterAndUnknownKeysAreRead() throws {
        #expect(try ControlRecordType(key: buffer(hex: "0001 0002 ff")) == .leaderChange)
        #expect(try ControlRecordType(key: buffer(hex: "0000 0063")).description == "type 99")
    }

    @Test(arguments: ["", "00", "000000", "ffff0000"])
    func wrongKeysAreRefused(hex: String) {
        #expect(throws: RecordError.self) { try ControlRecordType(key: buffer(hex: hex)) }
        #expect(throws: RecordError.self) { try ControlRecordType(key: nil) }
    }

    @Test(arguments: [true, false])
    func endOfATransaction(isCommit: Bool) throws {
        let marker = EndTransactionMarker(isCommit: isCommit, coordinatorEpoch: 0x0a0b_0c0d)
        let bytes = try RecordBatchBuilder.batch(
            ending: marker, producerId: 17, producerEpoch: 2, baseOffset: 400,
            partitionLeaderEpoch: 6, timestamp: 1_700_000_000_000)
        let batch = try RecordBatch(at: 0, in: bytes)
        try batch.checkCRC()
        #expect(batch.header.isControl && batch.header.isTransactional)
        #expect(batch.header.producerId == 17 && batch.header.producerEpoch == 2)
        #expect(batch.header.baseSequence == -1 && batch.header.lastSequence == -1)
        #expect(batch.header.partitionLeaderEpoch == 6)
        let records = try batch.allRecords(limit: 100)
        #expect(records.map(\.offset) == [400])
        #expect(records.first?.key == buffer(hex: isCommit ? "00000001" : "00000000"))
        #expect(records.first?.value == buffer(hex: "0000 0a0b0c0d"))
        #expect(try records.first.flatMap { try EndTransactionMarker($0) } == marker)
    }

    @Test func markersThatAreNone() throws {
        func record(_ key: String, _ value: String?) -> Record {
            Record(
                offset: 0, timestamp: 0, key: buffer(hex: key),
                value: value.map { buffer(hex: $0) })
        }
        #expect(try EndTransactionMarker(record("00000002", nil)) == nil)
        #expect(
            try EndTransactionMarker(record("00000001", "0003 00000001 ff"))
                == EndTransactionMarker(isCommit: true, coordinatorEpoch: 1))
        for value in [nil, "", "0000", "0000000000", "ffff00000000"] {
            #expect(throws: RecordError.self) {
                try EndTransactionMarker(record("00000001", value))
            }
        }
    }

    @Test func batchesOfTheQuorum() throws {
        var builder = RecordBatchBuilder.control(baseOffset: 8, partitionLeaderEpoch: 3)
        builder.append(control: .kraftVersion, value: text("v"), timestamp: 5)
        builder.append(control: .kraftVoters, value: text("w"), timestamp: 5)
        let batch = try RecordBatch(at: 0, in: builder.build())
        #expect(batch.header.isControl && !batch.header.isTransactional)
        #expect(!batch.header.hasProducerId && batch.header.partitionLeaderEpoch == 3)
        let types = try batch.allRecords(limit: 100).map { try ControlRecordType(key: $0.key) }
        #expect(types == [.kraftVersion, .kraftVoters])
    }
}
