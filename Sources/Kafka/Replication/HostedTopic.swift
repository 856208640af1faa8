import KafkaWire

/// The partitions of one topic that are on this broker.
final class HostedTopic {
    let name: String
    let id: KafkaUUID
    var config: ReplicationTopicConfig
    let traffic = TrafficCounters()
    private var partitions: [PartitionReplica?] = []
    private(set) var count = 0

    init(name: String, id: KafkaUUID, config: ReplicationTopicConfig) {
        self.name = name
        self.id = id
        self.config = config
    }

    subscript(partition: Int32) -> PartitionReplica? {
        guard partition >= 0, Int(partition) < partitions.count else { return nil }
        return partitions[Int(partition)]
    }

    func insert(_ replica: PartitionReplica) {
        let index = Int(replica.partition)
        while partitions.count <= index { partitions.append(nil) }
        if partitions[index] == nil { count += 1 }
        partitions[index] = replica
    }

    func remove(_ partition: Int32) {
        guard self[partition] != nil else { return }
        partitions[Int(partition)] = nil
        count -= 1
        while let last = partitions.last, last == nil { partitions.removeLast() }
    }

    func forEach(_ body: (PartitionReplica) -> Void) {
        for replica in partitions { if let replica { body(replica) } }
    }

    /// In order of their numbers.
    var replicas: [PartitionReplica] { partitions.compactMap { $0 } }
}
