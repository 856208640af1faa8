import BrokerConfig
import Testing

struct BrokerConfigTests {
    static let base = """
        node.id=1
        process.roles=broker,controller
        controller.quorum.voters=1@a:9093,2@[fd00::2]:9093,3@c:9093
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093
        advertised.listeners=PLAINTEXT://10.0.0.1:9092
        broker.rack=west
        log.dir=/data

        """

    static func config(_ more: String = "") throws -> BrokerConfig {
        try BrokerConfig(PropertiesFile(parsing: base + more))
    }

    static func problems(_ text: String) throws -> [String] {
        let file = try PropertiesFile(parsing: text)
        do {
            _ = try BrokerConfig(file)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    /// Topics would inherit it and could not have it.
    @Test(arguments: [
        ("log.segment.bytes=1048575", "log.segment.bytes must be from 1048576"),
        ("offsets.topic.segment.bytes=1000", "offsets.topic.segment.bytes must be from 1048576"),
        ("log.preallocate=true", "log.preallocate takes only false"),
        ("log.retention.ms=0", "log.retention.ms must be at least 1, or -1"),
        ("log.retention.hours=0", "log.retention.hours must be at least 1, or -1"),
        ("log.cleanup.policy=delete,shred", "log.cleanup.policy knows delete and compact"),
        (
            "log.cleaner.max.compaction.lag.ms=5\nlog.cleaner.min.compaction.lag.ms=6",
            "log.cleaner.min.compaction.lag.ms would keep records"
        ),
    ])
    func whatTopicsCannotHave(line: String, problem: String) throws {
        let problems = try Self.problems(Self.base + line)
        #expect(problems.count == 1)
        #expect(problems.first?.contains(problem) == true, "\(problems)")
    }

    @Test func readsWhatIsThere() throws {
        let config = try Self.config("log.retention.hours=2\nmin.insync.replicas=2\n")
        #expect(config.nodeID == 1)
        #expect(config.isBroker && config.isController)
        #expect(config.voters.map(\.description) == ["1@a:9093", "2@[fd00::2]:9093", "3@c:9093"])
        #expect(config.rack == "west")
        #expect(config.logDirectory == "/data")
        #expect(config.metadataDirectory == "/data")
        #expect(config.brokerListeners.map(\.name) == ["PLAINTEXT"])
        #expect(config.controllerListeners.map(\.port) == [9093])
        #expect(
            config.topicDefaults == ["retention.ms": "7200000", "min.insync.replicas": "2"])
    }

    @Test func everyDefaultIsValid() {
        for property in BrokerProperty.all {
            guard let value = property.defaultValue, !value.isEmpty else { continue }
            #expect(property.problem(with: value) == nil, "\(property.name)=\(value)")
            #expect(!property.documentation.isEmpty)
        }
        #expect(Set(BrokerProperty.all.map(\.name)).count == BrokerProperty.all.count)
    }

    @Test(arguments: [
        ("advertised.listeners=FOO", "given before"),
        ("num.network.threads=3", "not supported"),
        ("num.io.threads=8", "not supported"),
        ("log.retention.hour=1", "did you mean log.retention.hours"),
        ("zookeeper.connect=a:2181", "no ZooKeeper"),
        ("num.partitions=0", "must be from 1"),
        ("auto.create.topics.enable=yes", "must be true or false"),
        ("node.id=1", "given before, in line 1"),
        ("advertised.listeners=PLAINTEXT://0.0.0.0:9092", "given before"),
        ("log.dirs=/a,/b", "one directory"),
        ("log.cleanup.policy=shrink", "delete and compact"),
        ("listener.security.protocol.map=PLAINTEXT:SSL", "only PLAINTEXT"),
        ("broker.session.timeout.ms=300", "twice"),
        (
            "replica.selector.class=com.example.Mine",
            "must be one of org.apache.kafka.common.replica.LeaderSelector, org.apache.kafka.common"
                + ".replica.RackAwareReplicaSelector, empty, and is"
        ),
        ("compression.type=zstd", "can only be producer, and is \"zstd\""),
        ("metrics.listener=9404", "host:port"),
        ("log.format=xml", "must be one of text, json"),
        ("inter.broker.listener.name=OTHER", "not in listeners"),
    ]) func refuses(_ line: String, _ message: String) throws {
        let problems = try Self.problems(Self.base + line)
        #expect(problems.contains { $0.contains(message) }, "\(problems)")
        let given = line.prefix { $0 != "=" }
        #expect(problems.contains { $0.hasPrefix("line 8: ") && $0.contains(given) })
    }

    @Test func reportsEverythingAtOnce() throws {
        let problems = try Self.problems("num.partitions=x\nfoo=1\n")
        #expect(problems.count >= 4)
        #expect(problems.contains { $0.hasPrefix("node.id is missing") })
        #expect(problems.contains { $0.hasPrefix("controller.quorum.voters is missing") })
    }

    @Test func aListenerNeedsItsShape() throws {
        let text = Self.base.replacing("PLAINTEXT://:9092,", with: "FOO,")
        #expect(try Self.problems(text).contains { $0.contains("not NAME://host:port") })
    }

    @Test func aControllerMustVote() throws {
        let text = Self.base.replacing("node.id=1", with: "node.id=9")
        #expect(try Self.problems(text).contains { $0.contains("does not have this node, 9") })
    }
}
