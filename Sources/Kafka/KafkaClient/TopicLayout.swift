import KafkaWire

/// Which broker leads which partition of a topic.
package struct TopicLayout: Equatable, Sendable {
    package struct Partition: Equatable, Sendable {
        package var index: Int32
        /// Nil while there is none.
        package var leader: Int32?
        package var leaderEpoch: Int32
        package var replicas: [Int32]
    }

    package var name: String
    package var topicId: KafkaUUID
    /// By number.
    package var partitions: [Partition]

    package init(_ name: String, _ topic: MetadataResponse.MetadataResponseTopic) {
        self.name = name
        topicId = topic.topicId
        partitions = topic.partitions.map {
            Partition(
                index: $0.partitionIndex, leader: $0.leaderId >= 0 ? $0.leaderId : nil,
                leaderEpoch: $0.leaderEpoch, replicas: $0.replicaNodes)
        }.sorted { $0.index < $1.index }
    }

    package subscript(index: Int32) -> Partition? { partitions.first { $0.index == index } }

    /// Brokers from before topics had ids are asked in versions that have none.
    package func version(withIds: Int16) -> Int16 { topicId == .zero ? withIds - 1 : .max }

    /// The partitions that are wanted, all if none is named.
    package func select(_ wanted: [Int32]?) throws(ClientError) -> [Partition] {
        guard let wanted else { return partitions }
        var found: [Partition] = []
        for index in wanted {
            guard let partition = self[index] else {
                throw .refused(
                    .unknownTopicOrPartition, what: "topic \(name)",
                    detail: "it has no partition \(index), only 0 to \(partitions.count - 1)")
            }
            if !found.contains(partition) { found.append(partition) }
        }
        return found
    }

    /// The partitions of each leader, by the leader's number.
    package static func byLeader(
        _ partitions: [Partition]
    ) -> [(leader: Int32, partitions: [Partition])] {
        var groups: [Int32: [Partition]] = [:]
        for partition in partitions {
            if let leader = partition.leader { groups[leader, default: []].append(partition) }
        }
        return groups.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
