import BrokerConfig
import BrokerCore
import CommitLog
import KafkaWire
import Metadata
import Replication
import Testing

/// What a broker's file may say, topics can have: nothing is passed over silently.
@Suite struct ConfigTests {
    @Test(arguments: BrokerProperty.all.filter { $0.topicProperty != nil }.map(\.name))
    func whatTheFileTakesTopicsTake(name: String) throws {
        let property = try #require(BrokerConfig.property(name))
        let topic = try #require(property.topicProperty.flatMap(TopicConfig.definition))
        var values: [String]
        switch property.kind {
        case .boolean: values = ["true", "false"]
        case .integer(let range): values = ["\(range.lowerBound)", "\(range.upperBound)", "0"]
        case .decimal(let range): values = ["\(range.lowerBound)", "\(range.upperBound)"]
        case .choice(let words): values = words
        case .list: values = ["delete", "compact,delete", "", "other"]
        case .text: values = [""]
        }
        values.append(property.defaultValue ?? "")
        for value in Set(values).sorted() {
            let file = """
                node.id=1
                controller.quorum.voters=1@one:9093
                listeners=PLAINTEXT://one:9092,CONTROLLER://one:9093
                \(name)=\(value)
                """
            guard let config = try? BrokerConfig(PropertiesFile(parsing: file)) else { continue }
            guard let inherited = config.topicDefaults[topic.name] else { continue }
            #expect(throws: Never.self, "\(name)=\(value)") { try topic.normalize(inherited) }
        }
    }

    @Test func aPropertyThatIsNotUnderstoodCostsOnlyItself() {
        let (config, problems) = LogConfig.understood(of: [
            "segment.bytes": "14", "retention.ms": "77", "nonsense": "1",
            "cleanup.policy": "compact",
        ])
        #expect(problems.map(\.name) == ["nonsense", "segment.bytes"])
        #expect(config.segmentBytes == 1 << 30)
        #expect(config.retentionMs == 77)
        #expect(config.isCompacted)
        #expect(!config.isDeleted)
    }

    /// What the controller lets pass, the quota understands.
    @Test(arguments: [
        ("", true), ("*", true), (" * ", true), ("0:1", true), ("0:1, 2:3", true), ("0:1,", false),
        ("0:1,*", false), ("0", false), ("0:-1", false), ("0:1:2", false), ("0:1,,2:3", false),
        ("all", false),
    ])
    func throttledReplicas(text: String, isGood: Bool) throws {
        let name = "leader.replication.throttled.replicas"
        let property = ConfigProperty(name: name, kind: .replicas, defaultValue: "")
        #expect((property.flaw(in: text) == nil) == isGood)
        let normal = try? TopicConfig.definition(name)?.normalize(text)
        #expect((normal != nil) == isGood)
        #expect((ThrottledReplicas(normal ?? "?") != nil) == isGood)
    }

    // MARK: DescribeConfigs

    private func describe(
        _ node: TestNode, _ type: Int8, _ name: String, _ key: String
    ) throws -> [String] {
        let response = try node.ask(
            DescribeConfigsRequest(
                resources: [
                    .init(resourceType: type, resourceName: name, configurationKeys: [key])
                ], includeSynonyms: true))
        let config = try #require(response?.results.first?.configs.first)
        return ["\(config.value ?? "null") \(config.configSource)"]
            + config.synonyms.map { "\($0.name)=\($0.value ?? "null") \($0.source)" }
    }

    /// Other names of a broker's property count for topics, and are told as they are.
    @Test func whereATopicsValueComesFrom() throws {
        let node = try TestNode("log.retention.hours=24\nlog.roll.ms=5000\nlog.roll.hours=3")
        try node.register()
        node.learnTopic("t", TestNode.topicId)
        #expect(
            try describe(node, 2, "t", "retention.ms") == [
                "86400000 4", "log.retention.hours=24 4", "log.retention.hours=168 5",
            ])
        #expect(
            try describe(node, 2, "t", "segment.ms") == [
                "5000 4", "log.roll.ms=5000 4", "log.roll.hours=3 4", "log.roll.hours=168 5",
            ])
        #expect(try describe(node, 4, "1", "log.retention.ms") == ["null 5"])
        func set(_ resource: String, _ type: Int8, _ name: String, _ value: String) {
            node.learn([
                .config(.init(resourceType: type, resourceName: resource, name: name, value: value))
            ])
        }
        set("", 4, "log.retention.ms", "777")
        set("1", 4, "log.retention.ms", "888")
        set("t", 2, "retention.ms", "999")
        #expect(
            try describe(node, 2, "t", "retention.ms") == [
                "999 1", "retention.ms=999 1", "log.retention.ms=888 2", "log.retention.ms=777 3",
                "log.retention.hours=24 4", "log.retention.hours=168 5",
            ])
        #expect(
            try describe(node, 4, "", "log.retention.ms") == ["777 3", "log.retention.ms=777 3"])
    }
}
