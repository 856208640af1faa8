import BrokerCore
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Testing
import Timing

@Suite struct MetricsTests {
    private func node() throws -> TestNode {
        let node = try TestNode()
        try node.register()
        node.learnTopic("t", TestNode.topicId)
        return node
    }

    private func value(
        _ node: TestNode, _ name: String, _ labels: [(name: String, value: String)] = []
    ) -> Double? {
        node.node.metrics().first {
            $0.name == name && $0.labels.elementsEqual(labels) { $0 == $1 }
        }?.value
    }

    private func produce(
        _ node: TestNode, _ values: [String], topic: KafkaUUID = TestNode.topicId, size: Int? = nil
    ) throws -> ErrorCode? {
        var builder = RecordBatchBuilder()
        for value in values {
            builder.append(key: nil, value: ByteBuffer(string: value), timestamp: node.nowMs)
        }
        let request = ProduceRequest(
            acks: 1, timeoutMs: 1000,
            topicData: [
                .init(
                    topicId: topic,
                    partitionData: [.init(index: 0, records: .bytes(try builder.build()))])
            ])
        return try node.ask(request)?.responses[0].partitionResponses[0].errorCode
    }

    private func fetch(_ node: TestNode, topic: KafkaUUID = TestNode.topicId) throws
        -> FetchResponse?
    {
        try node.ask(
            FetchRequest(
                maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, sessionEpoch: -1,
                topics: [
                    .init(
                        topicId: topic,
                        partitions: [
                            .init(partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20)
                        ])
                ]))
    }

    @Test func whatClientsMoveIsCounted() throws {
        let node = try node()
        let traffic = "kafka_server_brokertopicmetrics_"
        #expect(value(node, traffic + "messagesin_total") == 0)
        #expect(try produce(node, ["a", "b", "c"]) == ErrorCode.none)
        #expect(try produce(node, ["d"]) == ErrorCode.none)
        let bytes = try #require(value(node, traffic + "bytesin_total"))
        #expect(bytes > 100)
        for labels in [[], [(name: "topic", value: "t")]] {
            #expect(value(node, traffic + "messagesin_total", labels) == 4)
            #expect(value(node, traffic + "bytesin_total", labels) == bytes)
            #expect(value(node, traffic + "totalproducerequests_total", labels) == 2)
            #expect(value(node, traffic + "failedproducerequests_total", labels) == 0)
            #expect(value(node, traffic + "bytesout_total", labels) == 0)
        }
        _ = try #require(try fetch(node))
        #expect(node.node.requestKind?.name(isBroker: true) == "FetchConsumer")
        for labels in [[], [(name: "topic", value: "t")]] {
            #expect(value(node, traffic + "bytesout_total", labels) == bytes)
            #expect(value(node, traffic + "totalfetchrequests_total", labels) == 1)
            #expect(value(node, traffic + "failedfetchrequests_total", labels) == 0)
        }
        #expect(
            value(node, "kafka_network_requestmetrics_requests_total", [("request", "Produce")])
                == 2)
    }

    @Test func whatIsRefusedIsCountedUnlessItIsOnlyElsewhere() throws {
        let node = try node()
        let traffic = "kafka_server_brokertopicmetrics_"
        #expect(try produce(node, ["a"], topic: TestNode.offsetsId) == .unknownTopicId)
        #expect(value(node, traffic + "totalproducerequests_total") == 1)
        #expect(value(node, traffic + "failedproducerequests_total") == 0)
        let large = String(repeating: "x", count: 2_000_000)
        #expect(try produce(node, [large]) == .messageTooLarge)
        for labels in [[], [(name: "topic", value: "t")]] {
            #expect(value(node, traffic + "failedproducerequests_total", labels) == 1)
            #expect(try #require(value(node, traffic + "bytesrejected_total", labels)) > 2_000_000)
            #expect(value(node, traffic + "messagesin_total", labels) == 0)
        }
    }

    @Test func whatWaitsIsCounted() throws {
        let node = try node()
        let size = "kafka_server_delayedoperationpurgatory_purgatorysize"
        _ = node.send(
            FetchRequest(
                maxWaitMs: 500, minBytes: 1, maxBytes: 1 << 20, sessionEpoch: -1,
                topics: [
                    .init(
                        topicId: TestNode.topicId,
                        partitions: [
                            .init(partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20)
                        ])
                ]))
        #expect(value(node, size, [("delayedOperation", "Fetch")]) == 1)
        node.pass(.milliseconds(600))
        #expect(value(node, size, [("delayedOperation", "Fetch")]) == 0)
        #expect(
            value(
                node, "kafka_server_delayedfetchmetrics_expires_total",
                [("fetcherType", "consumer")]) == 1)
    }

    @Test func electionsAreToldFromOtherChanges() throws {
        let topic = TestNode.topicId
        var replay = MetadataReplay()
        var changes: [MetadataChange] = []
        var offset: Int64 = 0
        var counters = ElectionCounters()
        func learn(_ records: [MetadataRecord]) throws {
            changes = []
            offset += Int64(records.count)
            try replay.replay(records, nextOffset: offset, into: &changes)
            counters.count(changes, now: replay.image)
        }
        func change(leader: Int32? = nil, isr: [Int32]? = nil) -> MetadataRecord {
            var record = PartitionChangeRecord(partitionId: 0, topicId: topic)
            if let leader { record.leader = leader }
            record.isr = isr
            return .partitionChange(record)
        }
        try learn([
            .topic(.init(name: "t", topicId: topic)),
            .partition(
                .init(
                    partitionId: 0, topicId: topic, replicas: [1, 2, 3], isr: [1, 2, 3], leader: 1,
                    leaderEpoch: 0, partitionEpoch: 0)),
        ])
        // A topic that is made, an ISR that shrinks, a leader that is lost and one that stays.
        try learn([change(isr: [1, 2])])
        try learn([change(leader: -1)])
        #expect(counters.all == 0)
        try learn([change(leader: 2)])
        #expect(counters.all == 1 && counters.unclean == 0)
        try learn([change(leader: 2)])
        #expect(counters.all == 1)
        // Two in one batch, of which the second takes one that was not in sync.
        try learn([change(leader: 1), change(leader: 3, isr: [3])])
        #expect(counters.all == 3 && counters.unclean == 1)
    }

    /// A new name needs a line in the catalogue, and with it one in Docs/Metrics.md.
    @Test func everyMetricIsInTheCatalogue() throws {
        let node = try node()
        _ = try produce(node, ["a"])
        let families = Dictionary(uniqueKeysWithValues: MetricCatalogue.all.map { ($0.name, $0) })
        let metrics = node.node.metrics()
        #expect(metrics.count > 50)
        for metric in metrics {
            let family = try #require(families[metric.name], "\(metric.name)")
            #expect(family.kind == metric.kind, "\(metric.name)")
            #expect(metric.labels.allSatisfy { family.labels.contains($0.name) }, "\(metric.name)")
        }
        for family in families.values {
            #expect(family.help.hasSuffix("."), "\(family.name)")
            let isCount = family.name.hasSuffix("_total") || family.name.hasSuffix("ms_count")
            #expect(isCount == (family.kind == .counter), "\(family.name)")
            #expect(!family.help.contains("\n") && !family.help.contains("\\"))
        }
    }

    @Test func familiesStandTogetherUnderTheirHead() throws {
        let node = try node()
        _ = try produce(node, ["a"])
        let lines = PrometheusText.render(node.node.metrics()).split(separator: "\n")
        var heads: [Substring] = []
        for (index, line) in lines.enumerated() {
            if line.hasPrefix("# HELP ") { heads.append(line.split(separator: " ")[2]) }
            if line.hasPrefix("# TYPE ") {
                #expect(lines[index - 1].hasPrefix("# HELP "))
                #expect(line.split(separator: " ")[2] == heads.last)
            }
            if !line.hasPrefix("#") {
                #expect(line.prefix { $0 != "{" && $0 != " " } == heads.last ?? "")
            }
        }
        #expect(Set(heads).count == heads.count && heads.count > 30)
    }
}
