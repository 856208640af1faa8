import BrokerConfig
import CommitLog
import KafkaWire
import Metadata
import Replication

/// What this broker knows of the cluster: the committed metadata, and what follows from it for
/// topics. The one place that holds the image: a second copy would make every change copy it.
final class ClusterState: TopicDirectory {
    let nodeID: Int32
    /// What the broker's file says, under the topics' names.
    private let fileDefaults: [String: String]
    var replay = MetadataReplay()

    init(_ config: BrokerConfig) {
        nodeID = config.nodeID
        fileDefaults = config.topicDefaults
    }

    var image: MetadataImage { replay.image }

    // MARK: TopicDirectory

    func topicId(named name: String) -> KafkaUUID? { replay.image.topicId(named: name) }

    func topicName(of id: KafkaUUID) -> String? { replay.image.topic(id)?.name }

    func hasPartition(_ partition: Int32, ofTopic id: KafkaUUID) -> Bool {
        replay.image.partition(id, partition) != nil
    }

    func leader(ofTopic id: KafkaUUID, _ partition: Int32) -> (id: Int32, epoch: Int32)? {
        guard let known = replay.image.partition(id, partition), known.hasLeader else { return nil }
        return (known.leader, known.leaderEpoch)
    }

    // MARK: Properties

    /// What has been said of a topic: its own properties over the brokers' over the file's.
    func properties(ofTopic name: String) -> [String: String] {
        let resolver = ConfigResolver(
            table: ConfigTables.topic, image: replay.image, node: nodeID, file: [:])
        var result = fileDefaults
        for entry in resolver.all(topic: replay.image.configs[.topic(name)] ?? [:])
        where entry.source != .builtIn {
            if let value = entry.value { result[entry.property.name] = value }
        }
        return result
    }

    /// - Returns: with it, what is not understood. The controller and the start have checked it,
    ///   but a newer controller may have let more pass.
    func logConfig(ofTopic name: String) -> (config: LogConfig, problems: [ConfigError]) {
        LogConfig.understood(of: properties(ofTopic: name))
    }

    func replicationConfig(ofTopic name: String) -> ReplicationTopicConfig {
        let properties = properties(ofTopic: name)
        var result = ReplicationTopicConfig()
        result.leaderThrottledReplicas =
            properties["leader.replication.throttled.replicas"].flatMap { ThrottledReplicas($0) }
            ?? .none
        result.followerThrottledReplicas =
            properties["follower.replication.throttled.replicas"].flatMap { ThrottledReplicas($0) }
            ?? .none
        return result
    }
}
