import KafkaWire
import Metadata
import Testing

/// Large images; how long they take is printed by the bench of the same shape, not asserted.
@Suite struct ScaleTests {
    @Test func manyPartitions() throws {
        var image = MetadataImage()
        var changes: [MetadataChange] = []
        for topic in 0..<200 {
            let id = KafkaUUID(high: 1, low: UInt64(topic))
            try image.apply(.topic(.init(name: "t\(topic)", topicId: id)), into: &changes)
            for partition: Int32 in 0..<50 {
                let replicas: [Int32] = [partition % 3, (partition + 1) % 3, (partition + 2) % 3]
                try image.apply(
                    .partition(
                        .init(
                            partitionId: partition, topicId: id, replicas: replicas, isr: replicas,
                            leader: replicas[0], leaderEpoch: 0, partitionEpoch: 0)),
                    into: &changes)
            }
        }
        #expect(image.partitionCount == 10_000)
        var copy = MetadataImage()
        var others: [MetadataChange] = []
        image.forEachSnapshotRecord { record in try? copy.apply(record, into: &others) }
        #expect(copy == image)
        for change in changes.reversed() { image.revert(change) }
        #expect(image.isEmpty)
        #expect(image.partitionCount == 0)
        // A slot that was freed is used again.
        try image.apply(
            .topic(.init(name: "t", topicId: KafkaUUID(high: 2, low: 2))), into: &changes)
        #expect(image.topicCount == 1)
    }

    @Test func limitsOfAnImage() throws {
        var limits = MetadataLimits()
        limits.topics = 2
        limits.partitions = 3
        limits.brokers = 1
        var image = MetadataImage(limits: limits)
        var changes: [MetadataChange] = []
        let ids = (0..<3).map { KafkaUUID(high: 1, low: UInt64($0)) }
        try image.apply(.topic(.init(name: "a", topicId: ids[0])), into: &changes)
        try image.apply(.topic(.init(name: "b", topicId: ids[1])), into: &changes)
        #expect(throws: MetadataError.tooMany("topics", limit: 2)) {
            try image.apply(.topic(.init(name: "c", topicId: ids[2])), into: &changes)
        }
        for index: Int32 in 0..<3 {
            try image.apply(
                .partition(.init(partitionId: index, topicId: ids[0])), into: &changes)
        }
        #expect(throws: MetadataError.tooMany("partitions", limit: 3)) {
            try image.apply(.partition(.init(partitionId: 0, topicId: ids[1])), into: &changes)
        }
        try image.apply(.registerBroker(.init(brokerId: 1)), into: &changes)
        #expect(throws: MetadataError.tooMany("brokers", limit: 1)) {
            try image.apply(.registerBroker(.init(brokerId: 2)), into: &changes)
        }
    }
}
