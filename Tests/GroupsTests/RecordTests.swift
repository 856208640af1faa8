import Groups
import KafkaRecords
import KafkaWire
import NIOCore
import Testing

/// What stands in `__consumer_offsets`.
@Suite struct RecordTests {
    private func hex(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        var digits = text.filter { !$0.isWhitespace }[...]
        while let byte = UInt8(digits.prefix(2), radix: 16) {
            buffer.writeInteger(byte)
            digits = digits.dropFirst(2)
        }
        return buffer
    }

    /// Written by hand from the schemas of the keys and values.
    @Test func bytes() throws {
        let broker = TestBroker()
        broker.leadAll()
        var written: [(ByteBuffer?, ByteBuffer?)] = []
        broker.onBatch = { _, bytes in
            var batches = RecordBatches(bytes)
            guard let batch = try? batches.next(), (try? batch.checkCRC()) != nil,
                var records = try? batch.records(limit: 1 << 20)
            else { return }
            while let record = try? records.next() { written.append((record.key, record.value)) }
        }
        func commit(retention: Int64) {
            let request = OffsetCommitRequest(
                groupId: "g", retentionTimeMs: retention,
                topics: [
                    .init(
                        name: "t",
                        partitions: [
                            .init(
                                partitionIndex: 2, committedOffset: 3, committedLeaderEpoch: 4,
                                committedMetadata: "m")
                        ])
                ])
            _ = broker.ask(.offsetCommit(request), version: 4)
        }
        commit(retention: -1)
        commit(retention: 1)
        _ = broker.ask(.deleteGroups(DeleteGroupsRequest(groupsNames: ["g"])), version: 0)
        let key = hex("0001 0001 67 0001 74 00000002")
        try #require(written.count == 4)
        #expect(written[0].0 == key)
        // 1,700,000,000,000 is 0x18bcfe56800.
        #expect(
            written[0].1 == hex("0003 0000000000000003 00000004 0001 6d 0000018bcfe56800"))
        #expect(written[1].0 == key)
        #expect(
            written[1].1
                == hex("0001 0000000000000003 0001 6d 0000018bcfe56800 0000018bcfe56801"))
        #expect(written[2].0 == key && written[2].1 == nil)
        // The group had no metadata, but a tombstone says for certain that it is gone.
        #expect(written[3].0 == hex("0002 0001 67") && written[3].1 == nil)
    }

    /// Values of all versions that any Kafka wrote.
    @Test func versions() throws {
        let key = OffsetCommitKey(group: "g", topic: "t", partition: 1)
        for version in Int16(0)...4 {
            var builder = RecordBatchBuilder()
            for keyVersion in Int16(0)...1 {
                builder.append(
                    key: key.versionPrefixed(version: keyVersion),
                    value: OffsetCommitValue(offset: 9, commitTimestamp: 5)
                        .versionPrefixed(version: version),
                    timestamp: 5)
            }
            let group = GroupMetadataValue(
                protocolType: "consumer", generation: 7, protocol: "range", leader: "m",
                members: [
                    .init(
                        memberId: "m", clientId: "c", clientHost: "/h", sessionTimeout: 9_000,
                        subscription: subscription(["t"]), assignment: ByteBuffer(string: "a"))
                ])
            builder.append(
                key: GroupMetadataKey(group: "g").versionPrefixed(version: 2),
                value: group.versionPrefixed(version: version), timestamp: 5)
            // Kinds that this coordinator does not know: a consumer group of KIP-848.
            builder.append(
                key: hex("0003 0001 67"), value: hex("0000 00000001"), timestamp: 5)
            let broker = TestBroker()
            broker.logs[0] = [try builder.build()]
            broker.leadAll()
            #expect(broker.coordinator.skippedRecords == 0)
            let snapshot = broker.coordinator.snapshot(ofPartition: 0)
            try #require(snapshot.count == 2)
            guard case .group(_, let restored?) = snapshot[0],
                case .offset(_, let offset?) = snapshot[1]
            else { throw Missing() }
            #expect(offset.offset == 9)
            #expect(restored.generation == 7 && restored.leader == "m")
            // Version 0 had one timeout for both.
            #expect(restored.members.first?.rebalanceTimeout == 9_000)
            #expect(restored.members.first?.assignment.text == "a")
        }
    }

    @Test func tombstones() throws {
        let broker = TestBroker()
        func batch(_ append: (inout RecordBatchBuilder) -> Void) throws -> ByteBuffer {
            var builder = RecordBatchBuilder()
            append(&builder)
            return try builder.build()
        }
        let offsetKey = OffsetCommitKey(group: "g", topic: "t").versionPrefixed(version: 1)
        let groupKey = GroupMetadataKey(group: "g").versionPrefixed(version: 2)
        let value = GroupMetadataValue(
            protocolType: "consumer", generation: 2, protocol: nil, leader: nil
        )
        .versionPrefixed(version: 3)
        broker.logs[0] = [
            try batch {
                $0.append(
                    key: offsetKey, value: OffsetCommitValue().versionPrefixed(version: 3),
                    timestamp: 0)
                $0.append(key: groupKey, value: value, timestamp: 0)
                $0.append(key: groupKey, value: nil, timestamp: 0)
            }
        ]
        broker.leadAll()
        // Its offset outlives the group's metadata.
        #expect(broker.coordinator.groupCount == 1 && broker.coordinator.offsetCount == 1)
        broker.lose(0)
        broker.logs[0]?.append(
            try batch { $0.append(key: offsetKey, value: nil, timestamp: 0) })
        broker.leadAll()
        #expect(broker.coordinator.groupCount == 0 && broker.coordinator.offsetCount == 0)
    }

    /// Whatever stands in the log, loading ends, and what was understood is there.
    @Test func damagedLog() throws {
        var random = SplitMix64(state: 5)
        var builder = RecordBatchBuilder()
        for partition in 0..<20 as Range<Int32> {
            builder.append(
                key: OffsetCommitKey(group: "g", topic: "t", partition: partition)
                    .versionPrefixed(version: 1),
                value: OffsetCommitValue(offset: 1).versionPrefixed(version: 3), timestamp: 0)
        }
        let member = GroupMetadataValue.MemberMetadata(
            memberId: "m", groupInstanceId: "i", subscription: subscription(["t"]))
        builder.append(
            key: GroupMetadataKey(group: "g").versionPrefixed(version: 2),
            value: GroupMetadataValue(
                protocolType: "consumer", generation: .max, protocol: "p", leader: "other",
                members: [member, member]
            ).versionPrefixed(version: 3), timestamp: 0)
        let whole = try builder.build()
        for _ in 0..<2_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes.setInteger(
                    UInt8.random(in: 0...255, using: &random),
                    at: Int.random(in: 0..<bytes.writerIndex, using: &random))
            }
            if Bool.random(using: &random) {
                bytes.moveWriterIndex(to: Int.random(in: 0...bytes.writerIndex, using: &random))
            }
            let broker = TestBroker()
            broker.logs[0] = [bytes]
            broker.leadAll()
            #expect(broker.coordinator.offsetCount <= 20)
            broker.wait(milliseconds: 3_600_000)
        }
        // Undamaged: the member twice, and a leader that is none of them.
        let broker = TestBroker()
        broker.logs[0] = [whole]
        broker.leadAll()
        #expect(broker.coordinator.offsetCount == 20)
        guard case .group(_, let group?)? = broker.coordinator.snapshot(ofPartition: 0).first
        else { throw Missing() }
        #expect(group.members.count == 1 && group.leader == "m")
    }

    @Test func fuzzEntry() {
        var random = SplitMix64(state: 6)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { index in
                // Small numbers make more sense at the start.
                index < 8
                    ? UInt8.random(in: 0...4, using: &random)
                    : UInt8.random(in: 0...255, using: &random)
            }
            bytes.withUnsafeBytes { GroupRecord.fuzz($0) }
        }
    }

    @Test(
        arguments: [
            ("0000 00000001 0001 74", ["t"]),
            ("0003 00000002 0001 74 0002 7575 ffffffff", ["t", "uu"]),
            ("0000 00000000", []),
            ("", nil), ("00", nil), ("0000", nil), ("0000 000000", nil),
            ("ffff 00000000", nil),
            ("0000 ffffffff", nil),
            ("0000 7fffffff 0001 74", nil),
            ("0000 00000002 0001 74", nil),
            ("0000 00000001 ffff 74", nil),
            ("0000 00000001 0002 74", nil),
        ] as [(String, [String]?)])
    func subscriptionTopics(bytes: String, topics: [String]?) {
        #expect(SubscriptionTopics.read(hex(bytes)) == topics)
    }
}
