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
}
