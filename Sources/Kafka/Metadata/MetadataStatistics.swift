import KafkaWire

/// What an image counts up to, for metrics (the gauges of Kafka's `KafkaController`).
package struct MetadataStatistics: Equatable, Sendable {
    package var topics = 0
    package var partitions = 0
    package var activeBrokers = 0
    package var fencedBrokers = 0
    /// Partitions without a leader.
    package var offlinePartitions = 0
    /// Partitions with fewer in-sync replicas than replicas.
    package var underReplicated = 0
    /// Partitions whose leader is not the preferred one.
    package var imbalanced = 0
    package var reassigning = 0

    package init() {}
}

extension MetadataImage {
    /// Goes through all partitions.
    package var statistics: MetadataStatistics {
        var counts = MetadataStatistics()
        counts.topics = topicCount
        counts.partitions = partitionCount
        for broker in brokers.values {
            if broker.fenced { counts.fencedBrokers += 1 } else { counts.activeBrokers += 1 }
        }
        for topic in topics {
            for case let partition? in topic.partitions {
                if !partition.hasLeader { counts.offlinePartitions += 1 }
                if partition.isr.count < Reassignment.original(partition).count {
                    counts.underReplicated += 1
                }
                if !partition.hasPreferredLeader { counts.imbalanced += 1 }
                if partition.isReassigning { counts.reassigning += 1 }
            }
        }
        return counts
    }

    /// The brokers that clients are told of: those that are there, by id, with where they listen
    /// under a name.
    package func liveBrokers(
        listener: String
    ) -> [(id: Int32, endpoint: Endpoint, rack: String?)] {
        brokerIds.compactMap { id in
            guard let broker = brokers[id], !broker.fenced,
                let endpoint = broker.endpoint(named: listener)
            else { return nil }
            return (id, endpoint, broker.rack)
        }
    }
}
