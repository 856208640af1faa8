import KafkaWire
import Metadata
import Testing

@Suite struct TopicTests {
    // MARK: - Names

    @Test func names() {
        for good in ["a", "A-1_2.z", "__consumer_offsets", String(repeating: "x", count: 249)] {
            #expect(TopicName.flaw(in: good) == nil)
        }
        for bad in ["", ".", "..", "a b", "a/b", "ü", "a\0", String(repeating: "x", count: 250)] {
            #expect(TopicName.flaw(in: bad) != nil)
        }
    }

    // MARK: - CreateTopics

    @Test func aTopicInThreeClusters() {
        let lab = Lab()
        let racks = ["west", "middle", "east"]
        lab.start(1...6) { racks[Int($0) % 3] }
        let result = lab.create(
            "orders", partitions: 12, factor: 3, configs: ["min.insync.replicas": "2"])
        #expect(result.errorCode == .none)
        #expect((result.numPartitions, result.replicationFactor) == (12, 3))
        #expect(result.topicId == lab.image.topicId(named: "orders"))
        let topic = lab.image.topic(named: "orders")
        for case let partition? in topic?.partitions ?? [] {
            #expect(Set(partition.replicas.map { $0 % 3 }).count == 3)
            #expect(partition.isr == partition.replicas)
            #expect(partition.leader == partition.replicas[0])
            #expect((partition.leaderEpoch, partition.partitionEpoch) == (0, 0))
            #expect(partition.directories == partition.replicas.map(Lab.directory))
        }
        for id: Int32 in 1...6 {
            #expect(topic?.partitions.count { $0?.leader == id } == 2)
        }
        // The configuration as it is in force, with where it comes from.
        let configs = result.configs ?? []
        #expect(configs.map(\.name) == Lab.topicProperties.properties.map(\.name))
        let minimum = configs.first { $0.name == "min.insync.replicas" }
        #expect((minimum?.value, minimum?.configSource) == ("2", 1))
        #expect(configs.first { $0.name == "retention.ms" }?.configSource == 5)
    }

    @Test func defaultsAreTheBrokers() {
        let lab = Lab {
            $0.defaultPartitions = 4
            $0.defaultReplicationFactor = 2
        }
        lab.start(1...3)
        let result = lab.create("t")
        #expect((result.numPartitions, result.replicationFactor) == (4, 2))
    }

    @Test func validateOnlyWritesNothing() {
        let lab = Lab()
        lab.start(1...3)
        let end = lab.end
        #expect(lab.create("t", partitions: 3, validateOnly: true).numPartitions == 3)
        #expect(lab.create("t", partitions: 0, validateOnly: true).errorCode == .invalidPartitions)
        #expect(lab.end == end)
    }

    @Test func whatIsRefused() {
        let lab = Lab { config in
            config.limits.partitions = 100
            config.limits.partitionsPerTopic = 60
            config.limits.recordsPerRequest = 80
            config.limits.topics = 3
        }
        #expect(lab.create("t").errorCode == .invalidReplicationFactor)
        lab.start(1...3)
        lab.register(lab.registration(4))
        lab.create("a.b", factor: 1)
        let table: [(CreateTopicsResponse.CreatableTopicResult, ErrorCode, String)] = [
            (lab.create("a.b"), .topicAlreadyExists, "already exists"),
            (lab.create("a_b"), .invalidTopicException, "collides with existing topic: a.b"),
            (lab.create("bad name"), .invalidTopicException, "ASCII alphanumerics"),
            (lab.create(""), .invalidTopicException, "the empty string"),
            (lab.create("__cluster_metadata"), .invalidRequest, "prohibited"),
            (lab.create("t", partitions: 0), .invalidPartitions, "non-positive"),
            (lab.create("t", partitions: -2), .invalidPartitions, "non-positive"),
            (lab.create("t", factor: 0), .invalidReplicationFactor, "larger than 0"),
            (
                lab.create("t", factor: 5), .invalidReplicationFactor,
                "only 4 broker(s) are registered, 3 of them unfenced"
            ),
            (lab.create("t", factor: 100), .invalidReplicationFactor, "limit of 64"),
            (lab.create("t", partitions: 61), .invalidPartitions, "60"),
            (
                lab.create("t", factor: 1, assignments: [[1]]), .invalidRequest,
                "replication factor"
            ),
            (
                lab.create("t", partitions: 1, assignments: [[1]]), .invalidRequest, "numPartitions"
            ),
            (lab.create("t", assignments: [[]]), .invalidReplicaAssignment, "empty replica list"),
            (lab.create("t", assignments: [[1, 1]]), .invalidReplicaAssignment, "more than once"),
            (lab.create("t", assignments: [[9]]), .invalidReplicaAssignment, "no such broker"),
            (
                lab.create("t", assignments: [[1], [1, 2]]), .invalidReplicaAssignment,
                "not consistent"
            ),
            (lab.create("t", assignments: [[4]]), .invalidReplicaAssignment, "are fenced"),
            (
                lab.create("t", configs: ["no.such": "1"]), .invalidConfig,
                "Unknown topic config name: no.such"
            ),
            (
                lab.create("t", configs: ["min.insync.replicas": "0"]), .invalidConfig, "at least 1"
            ),
            (lab.create("t", configs: ["retention.ms": "x"]), .invalidConfig, "Not a number"),
            (
                lab.create("t", configs: ["retention.ms": String(repeating: "1", count: 40_000)]),
                .invalidConfig, "longer than 32768"
            ),
            (
                lab.create(
                    "t",
                    configs: ["min.compaction.lag.ms": "9", "max.compaction.lag.ms": "8"]),
                .invalidConfig, "min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"
            ),
        ]
        for (result, code, words) in table {
            #expect(result.errorCode == code, "\(words)")
            #expect(result.errorMessage?.contains(words) == true, "\(result)")
        }
        #expect(lab.image.topicCount == 1)
        lab.create("t", partitions: 60)
        #expect(lab.create("u", partitions: 40).errorCode == .invalidPartitions)
        #expect(lab.create("u", partitions: 39).errorCode == .none)
        #expect(lab.image.partitionCount == 100)
        #expect(lab.create("v").errorCode == .invalidPartitions)
        lab.ask(.deleteTopics(.init(topicNames: ["t"])))
        lab.create("v")
        #expect(lab.create("w").errorCode == .policyViolation)
    }

    @Test func assignmentsByHand() {
        let lab = Lab()
        lab.start(1...2)
        lab.register(lab.registration(3))
        #expect(lab.create("t", assignments: [[3, 1], [2, 3]]).errorCode == .none)
        #expect(lab.partition("t", 0).replicas == [3, 1])
        // 3 is fenced: it is no member of the ISR and does not lead.
        #expect((lab.partition("t", 0).isr, lab.partition("t", 0).leader) == ([1], 1))
        let gap = CreateTopicsRequest(topics: [
            .init(
                name: "u", numPartitions: -1, replicationFactor: -1,
                assignments: [
                    .init(partitionIndex: 0, brokerIds: [1]),
                    .init(partitionIndex: 2, brokerIds: [1]),
                ])
        ])
        let twice = CreateTopicsRequest(topics: [
            .init(
                name: "u", numPartitions: -1, replicationFactor: -1,
                assignments: [
                    .init(partitionIndex: 0, brokerIds: [1]),
                    .init(partitionIndex: 0, brokerIds: [2]),
                ])
        ])
        for request in [gap, twice] {
            guard case .createTopics(let response)? = lab.ask(.createTopics(request)) else {
                Issue.record("no answer")
                continue
            }
            #expect(response.topics.first?.errorCode == .invalidReplicaAssignment)
        }
    }

    @Test func severalInOneRequest() {
        let lab = Lab()
        lab.start(1...3)
        let end = lab.end
        func topic(_ name: String, _ partitions: Int32 = 1) -> CreateTopicsRequest.CreatableTopic {
            .init(
                name: name, numPartitions: partitions, replicationFactor: 1,
                configs: name == "n" ? [.init(name: "retention.ms", value: nil)] : [])
        }
        let request = CreateTopicsRequest(topics: [
            topic("a"), topic("b"), topic("a"), topic("x.y"), topic("x_y"), topic("n"), topic("c"),
        ])
        guard case .createTopics(let response)? = lab.ask(.createTopics(request)) else {
            Issue.record("no answer")
            return
        }
        #expect(
            response.topics.map(\.errorCode) == [
                .invalidRequest, .none, .none, .invalidTopicException, .invalidConfig, .none,
            ])
        #expect(lab.image.topicNames == ["b", "c", "x.y"])
        // One batch: all of it or nothing.
        #expect(lab.end == end + 6)
        let large = CreateTopicsRequest(topics: [topic("l1", 6_000), topic("l2", 6_000)])
        guard case .createTopics(let refused)? = lab.ask(.createTopics(large)) else {
            Issue.record("no answer")
            return
        }
        #expect(refused.topics.map(\.errorCode) == [.policyViolation, .policyViolation])
        #expect(lab.end == end + 6)
    }

    @Test func leadersWhereTheTopicWantsThem() {
        let lab = Lab { $0.leaderRacksProperty = "leader.racks" }
        lab.start(1...3) { "r\($0)" }
        lab.create("t", partitions: 6, factor: 3, configs: ["leader.racks": "r2"])
        #expect(lab.image.topic(named: "t")?.partitions.allSatisfy { $0?.leader == 2 } == true)
    }

    // MARK: - DeleteTopics

    @Test func deletion() {
        let lab = Lab()
        lab.start(1...1)
        for name in ["a", "b", "c", "d"] { lab.create(name, factor: 1) }
        lab.setConfig(.topic("a"), "retention.ms", "5")
        let ids = ["a", "b", "c"].map { lab.image.topicId(named: $0) ?? .zero }
        let unknown = KafkaUUID(high: 9, low: 9)
        let request = DeleteTopicsRequest(topics: [
            .init(name: "a"), .init(topicId: ids[1]), .init(name: "b"), .init(name: "nope"),
            .init(topicId: unknown), .init(), .init(name: "c", topicId: ids[2]), .init(name: "d"),
            .init(name: "d"),
        ])
        guard case .deleteTopics(let response)? = lab.ask(.deleteTopics(request)) else {
            Issue.record("no answer")
            return
        }
        func code(_ name: String?, _ id: KafkaUUID) -> ErrorCode? {
            response.responses.first { $0.name == name && $0.topicId == id }?.errorCode
        }
        #expect(response.responses.count == 8)
        #expect(code("a", ids[0]) == ErrorCode.none)
        #expect(code("b", ids[1]) == ErrorCode.none)
        #expect(code("nope", .zero) == .unknownTopicOrPartition)
        #expect(code(nil, unknown) == .unknownTopicId)
        #expect(code(nil, .zero) == .invalidRequest)
        #expect(code("c", ids[2]) == .invalidRequest)
        #expect(code("d", .zero) == .invalidRequest)
        #expect(lab.image.topicNames == ["c", "d"])
        #expect(lab.image.configs[.topic("a")] == nil)
        // The name is free again, for another topic.
        lab.create("a", factor: 1)
        #expect(lab.image.topicId(named: "a") != ids[0])
        let forbidden = Lab { $0.deleteTopicsEnabled = false }
        guard
            case .deleteTopics(let refused)? = forbidden.ask(
                .deleteTopics(.init(topicNames: ["a"])))
        else { return }
        #expect(refused.responses.first?.errorCode == .topicDeletionDisabled)
    }

    // MARK: - CreatePartitions

    @Test func growing() {
        let lab = Lab { $0.limits.partitionsPerTopic = 20 }
        lab.start(1...3)
        lab.create("t", partitions: 2, factor: 2)
        func grow(
            _ name: String, _ count: Int32, _ assignments: [[Int32]]? = nil,
            validateOnly: Bool = false
        ) -> ErrorCode? {
            let request = CreatePartitionsRequest(
                topics: [
                    .init(
                        name: name, count: count,
                        assignments: assignments.map { $0.map { .init(brokerIds: $0) } })
                ], validateOnly: validateOnly)
            guard case .createPartitions(let response)? = lab.ask(.createPartitions(request)) else {
                return nil
            }
            return response.results.first?.errorCode
        }
        #expect(grow("nope", 4) == .unknownTopicOrPartition)
        #expect(grow("t", 2) == .invalidPartitions)
        #expect(grow("t", 1) == .invalidPartitions)
        #expect(grow("t", 21) == .invalidPartitions)
        #expect(grow("t", 3, []) == .invalidReplicaAssignment)
        #expect(grow("t", 3, [[1]]) == .invalidReplicaAssignment)
        #expect(grow("t", 3, [[1, 9]]) == .invalidReplicaAssignment)
        #expect(grow("t", 4, validateOnly: true) == ErrorCode.none)
        #expect(lab.image.topic(named: "t")?.partitionCount == 2)
        #expect(grow("t", 3, [[3, 1]]) == ErrorCode.none)
        #expect(lab.partition("t", 2).replicas == [3, 1])
        #expect(grow("t", 6) == ErrorCode.none)
        #expect(lab.image.topic(named: "t")?.partitionCount == 6)
        for id: Int32 in 1...3 {
            #expect(
                lab.image.topic(named: "t")?.partitions.count { $0?.replicas.contains(id) == true }
                    == 4)
        }
    }
}
