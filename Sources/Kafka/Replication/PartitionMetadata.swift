import KafkaWire

/// One partition as the metadata has it: who leads, who replicates, who is in sync.
package struct PartitionMetadata: Equatable, Sendable {
    /// -1: nobody leads.
    package var leader: Int32
    package var leaderEpoch: Int32
    package var partitionEpoch: Int32
    package var replicas: [Int32]
    package var isr: [Int32]
    /// Not in sync, but elected before any other when nobody in sync is left (KIP-966).
    package var eligibleLeaders: [Int32]
    package var addingReplicas: [Int32]
    package var removingReplicas: [Int32]
    /// The leader was elected uncleanly and has not said yet that it has recovered (KIP-704).
    package var isRecovering: Bool

    package init(
        leader: Int32, leaderEpoch: Int32, partitionEpoch: Int32, replicas: [Int32], isr: [Int32],
        eligibleLeaders: [Int32] = [], addingReplicas: [Int32] = [], removingReplicas: [Int32] = [],
        isRecovering: Bool = false
    ) {
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.replicas = replicas
        self.isr = isr
        self.eligibleLeaders = eligibleLeaders
        self.addingReplicas = addingReplicas
        self.removingReplicas = removingReplicas
        self.isRecovering = isRecovering
    }
}

/// A partition by its topic's id, under which a topic of the same name made later is another.
package struct TopicIdPartition: Hashable, Comparable, Sendable {
    package var topicId: KafkaUUID
    package var partition: Int32

    package init(_ topicId: KafkaUUID, _ partition: Int32) {
        self.topicId = topicId
        self.partition = partition
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.topicId, a.partition) < (b.topicId, b.partition)
    }
}

/// What a topic's configuration says to replication beyond what its log goes by.
package struct ReplicationTopicConfig: Equatable, Sendable {
    /// `leader.replication.throttled.replicas`
    package var leaderThrottledReplicas: ThrottledReplicas
    /// `follower.replication.throttled.replicas`
    package var followerThrottledReplicas: ThrottledReplicas

    package init(
        leaderThrottledReplicas: ThrottledReplicas = .none,
        followerThrottledReplicas: ThrottledReplicas = .none
    ) {
        self.leaderThrottledReplicas = leaderThrottledReplicas
        self.followerThrottledReplicas = followerThrottledReplicas
    }
}
