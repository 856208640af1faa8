import CommitLog
import KafkaWire

/// The topics that are there all the time.
struct SimulatedTopic {
    let name: String
    let partitions: Int32
    var configs: [CreateTopicsRequest.CreatableTopicConfig] = []
    /// Records go from its beginning, by retention and DeleteRecords.
    var isPruned = false

    static let events = SimulatedTopic(name: "events", partitions: 3)
    static let pruned = SimulatedTopic(
        name: "pruned", partitions: 2,
        configs: [.init(name: "retention.bytes", value: "12000")], isPruned: true)
    /// What producers write to.
    static let written = [events, pruned]

    var places: [TopicPartition] { (0..<partitions).map { TopicPartition(name, $0) } }

    static func isPruned(_ topic: String) -> Bool { topic == pruned.name }
}

/// A group of consumers: what they read, and who they are.
struct ConsumerGroup {
    let name: String
    let topics: [SimulatedTopic]
    let size: Int
    /// Members have names of their own (KIP-345), which outlive their processes.
    let isStatic: Bool

    var places: [TopicPartition] { topics.flatMap(\.places) }

    static let all = [
        ConsumerGroup(
            name: "readers", topics: [.events, .pruned], size: 3, isStatic: false),
        ConsumerGroup(name: "named", topics: [.events], size: 2, isStatic: true),
    ]
}
