import KafkaWire
import Timing

/// What a controller is told at its start. Durations follow Kafka's property names.
package struct ControllerConfig: Sendable {
    package var nodeId: Int32
    package var clusterId: String
    /// All voters of the quorum: a feature can only be raised once each has said what it supports.
    package var quorumIds: [Int32]
    package var supportedFeatures = SupportedFeature.ours
    /// What the first controller of a new cluster writes.
    package var bootstrap: [MetadataRecord] = Self.bootstrap()

    /// num.partitions, default.replication.factor
    package var defaultPartitions: Int32 = 1
    package var defaultReplicationFactor: Int16 = 3
    package var deleteTopicsEnabled = true

    /// broker.heartbeat.interval.ms and broker.session.timeout.ms. Kafka's are 2 s and 9 s: ours
    /// find a dead broker soon enough for its partitions to be led again within two seconds.
    package var heartbeatInterval = Nanoseconds.milliseconds(250)
    package var sessionTimeout = Nanoseconds.milliseconds(1_200)
    /// How long a new controller waits for the first heartbeat of a broker that was alive under the
    /// one before. A broker sends it when it hears of the new controller: at a round trip of 100 ms
    /// that takes 50 to hear, 100 to connect and 50 more, and a lost segment costs 300.
    package var firstHeartbeatGrace = Nanoseconds.milliseconds(800)
    /// How long a broker whose connection broke may take to send a heartbeat on another. At a round
    /// trip of 100 ms that takes half a trip until the broker knows, one to connect, one to agree
    /// on versions and half for the heartbeat, 300 ms; and twice that leaves room for one lost
    /// packet.
    package var connectionLossGrace = Nanoseconds.milliseconds(600)

    /// leader.imbalance.check.interval.seconds; nil where auto.leader.rebalance.enable is false.
    package var leaderBalanceInterval: Nanoseconds? = .seconds(300)
    /// unclean.leader.election.interval.ms
    package var uncleanElectionInterval: Nanoseconds? = .seconds(300)
    /// Leaders that one round of balancing moves.
    package var electionsPerRound = 1_000
    /// metadata.max.idle.interval.ms: how long the log may rest before a record that says nothing;
    /// nil for ever.
    package var maximumIdle: Nanoseconds? = .milliseconds(500)

    package var topicProperties = ConfigTable([])
    package var brokerProperties = ConfigTable([])
    /// The property of topics that lists the racks their leaders should be placed in, if there is
    /// such a property.
    package var leaderRacksProperty: String?
    /// What the file says, by the names of brokers' properties.
    package var fileConfigs: [String: String] = [:]
    package var limits = MetadataLimits()

    package init(nodeId: Int32, clusterId: String, quorumIds: [Int32]) {
        self.nodeId = nodeId
        self.clusterId = clusterId
        self.quorumIds = quorumIds
    }

    package static func bootstrap(
        metadataVersion: MetadataVersion = .newest, eligibleLeaderReplicas: Bool = true
    ) -> [MetadataRecord] {
        var records: [MetadataRecord] = [
            .featureLevel(
                .init(name: FeatureName.metadataVersion, featureLevel: metadataVersion.level))
        ]
        if eligibleLeaderReplicas, metadataVersion.mayRecordEligibleLeaders {
            records.append(
                .featureLevel(.init(name: FeatureName.eligibleLeaderReplicas, featureLevel: 1)))
        }
        return records
    }
}
