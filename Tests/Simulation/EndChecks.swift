import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Replication
import SimulatedWorld

/// What must be so once the faults have stopped for long enough.
struct EndChecks {
    let cluster: ClusterSimulation

    init(_ cluster: ClusterSimulation) { self.cluster = cluster }

    private var image: MetadataImage? {
        cluster.nodes.first { $0.quorum?.isLeader ?? false }?.quorum?.image
    }

    private func replica(_ node: Int32, _ place: TopicPartition) -> PartitionReplica? {
        cluster.nodes[Int(node) - 1].replica(place)
    }

    private func everyPartition(
        _ image: MetadataImage
    ) -> [(place: TopicPartition, topicId: KafkaUUID, state: PartitionRegistration)] {
        image.topics.flatMap { topic in
            topic.partitions.enumerated().compactMap { number, partition in
                partition.map { (TopicPartition(topic.name, Int32(number)), topic.id, $0) }
            }
        }.sorted { $0.place < $1.place }
    }

    // MARK: Rest

    /// What is not as it should become by itself.
    var unsettled: String? {
        guard let image else { return "no controller leads" }
        for node in cluster.nodes where node.quorum?.image != image {
            return "node \(node.id) has other metadata than the controller"
        }
        for topic in SimulatedTopic.written where image.topic(named: topic.name) == nil {
            return "there is no topic \(topic.name)"
        }
        for (place, topicId, partition) in everyPartition(image) {
            if let what = unsettled(place, topicId, partition) { return what }
        }
        return unsettledMembers
    }

    private func unsettled(
        _ place: TopicPartition, _ topicId: KafkaUUID, _ partition: PartitionRegistration
    ) -> String? {
        if partition.isReassigning {
            return "\(place) is being moved: replicas \(partition.replicas), adding "
                + "\(partition.addingReplicas), removing \(partition.removingReplicas), ISR "
                + "\(partition.isr)"
        }
        guard partition.hasLeader, let leader = replica(partition.leader, place), leader.isLeader,
            let log = leader.log
        else { return "\(place) has no leader" }
        guard Set(partition.isr) == Set(partition.replicas) else {
            return "\(place) has ISR \(partition.isr) of \(partition.replicas), leader "
                + "\(partition.leader)"
        }
        guard leader.highWatermark == log.logEndOffset else {
            return "\(place): high watermark \(leader.highWatermark), end \(log.logEndOffset), "
                + "leader \(partition.leader)"
        }
        for node in partition.replicas {
            guard let other = replica(node, place), other.topicId == topicId else {
                return "node \(node) has no \(place)"
            }
            guard other.log?.logEndOffset == log.logEndOffset,
                other.highWatermark == leader.highWatermark
            else {
                return "\(place): node \(node) ends at \(other.log?.logEndOffset ?? -1), high "
                    + "watermark \(other.highWatermark), leader \(log.logEndOffset)"
            }
        }
        return nil
    }

    private var unsettledMembers: String? {
        for group in ConsumerGroup.all {
            let members = cluster.clients.compactMap { $0 as? SimulatedMember }
                .filter { $0.group.name == group.name }
            let generations = Set(members.map(\.generation))
            guard generations.count == 1 else {
                return "\(group.name) is in generations \(generations.sorted())"
            }
            guard members.flatMap(\.assigned).sorted() == group.places.sorted() else {
                return "the members of \(group.name) do not have each partition once"
            }
            for member in members {
                for place in member.assigned {
                    let end = (1...Int32(cluster.plan.brokers)).compactMap { replica($0, place) }
                        .first(where: \.isLeader)?.highWatermark
                    guard member.positions[place] == end else {
                        return "\(group.name) has read \(place) up to "
                            + "\(member.positions[place] ?? -1) of \(end ?? -1)"
                    }
                }
            }
        }
        return nil
    }

    // MARK: Contents

    func run() throws {
        guard let image else { throw Violation("no controller leads") }
        for (place, topicId, partition) in everyPartition(image) {
            try compare(place, topicId, partition)
        }
        for topic in SimulatedTopic.written {
            for place in topic.places { try checkRecords(place, image) }
        }
        for admin in cluster.clients.compactMap({ $0 as? SimulatedAdmin }) {
            try admin.check(image)
        }
        for node in cluster.nodes { try checkNothingElse(node, image) }
    }

    /// Replicas hold the same batches; compaction and retention are each one's own.
    private func compare(
        _ place: TopicPartition, _ topicId: KafkaUUID, _ partition: PartitionRegistration
    ) throws {
        guard place.topic != TopicName.consumerOffsets else { return }
        var first: [RecordBatchHeader] = []
        var start: Int64 = 0
        for node in partition.replicas {
            guard let log = replica(node, place)?.log else { continue }
            let headers = try Self.headers(log)
            if let problem = cluster.checks.committed(topicId, place.partition)?.compare(headers) {
                throw Violation("node \(node): \(problem)")
            }
            cluster.world.trace.fold(headers.last.map { UInt64($0.crc) } ?? 0)
            if first.isEmpty { first = headers }
            start = max(start, log.logStartOffset)
            guard
                headers.drop(while: { $0.nextOffset <= start }).elementsEqual(
                    first.drop(while: { $0.nextOffset <= start }),
                    by: {
                        $0.baseOffset == $1.baseOffset && $0.crc == $1.crc
                            && $0.partitionLeaderEpoch == $1.partitionLeaderEpoch
                    })
            else { throw Violation("the replicas of \(place) differ: node \(node)") }
        }
    }

    private static func headers(_ log: PartitionLog) throws -> [RecordBatchHeader] {
        var result: [RecordBatchHeader] = []
        var offset = log.logStartOffset
        while offset < log.logEndOffset {
            let bytes = try log.readBytes(
                from: offset, maxBytes: 1 << 20, before: log.logEndOffset)
            var batches = RecordBatches(bytes)
            while let batch = try batches.next() {
                try batch.checkCRC()
                result.append(batch.header)
                offset = batch.header.nextOffset
            }
        }
        return result
    }

    /// What was acknowledged is there once and in order, as was said and as was read.
    private func checkRecords(_ place: TopicPartition, _ image: MetadataImage) throws {
        guard let id = image.topicId(named: place.topic),
            let leader = image.partition(id, place.partition)?.leader,
            let log = replica(leader, place)?.log
        else { throw Violation("there is no \(place)") }
        let values = try Self.values(log)
        let start = log.logStartOffset
        guard start == 0 || SimulatedTopic.isPruned(place.topic) else {
            throw Violation("\(place) begins at \(start), and nobody has deleted anything")
        }
        let processes = cluster.nodes.map(\.generation)
        for deletion in cluster.history.deletions[place] ?? []
        where deletion.processes == processes && start < deletion.before {
            throw Violation("\(place) begins at \(start); \(deletion.before) were deleted")
        }
        // A leader does not know batches that were deleted, and takes one that is sent again; after
        // a loss of power everywhere what was deleted may be back (Docs/Faults.md).
        let deleted = cluster.checks.committed(id, place.partition)?.deletedBelow ?? 0
        var offsets: [RecordValue: Int64] = [:]
        for (offset, value) in values {
            if let other = offsets.updateValue(offset, forKey: value),
                min(other, offset) >= deleted
            {
                throw Violation("\(place) has \(value) at \(other) and at \(offset)")
            }
        }
        var last: [Int32: (number: Int64, offset: Int64)] = [:]
        let acknowledged = cluster.history.acknowledged[place] ?? []
        for entry in acknowledged.sorted(by: { $0.value.number < $1.value.number }) {
            if let before = last[entry.value.producer], before.offset >= entry.offset {
                throw Violation(
                    "\(place): \(entry.value) at \(entry.offset) is out of order, number "
                        + "\(before.number) is at \(before.offset)")
            }
            last[entry.value.producer] = (entry.value.number, entry.offset)
            guard entry.offset < start || values[entry.offset] == entry.value else {
                throw Violation(
                    "\(place): \(entry.value) was acknowledged at \(entry.offset), where there is "
                        + (values[entry.offset].map { "\($0)" } ?? "nothing"))
            }
        }
        for (offset, value) in cluster.history.read[place] ?? [:] where offset >= start {
            guard values[offset] == value else {
                throw Violation("\(place): \(value) was read at \(offset), and is not there")
            }
        }
        for group in ConsumerGroup.all where group.places.contains(place) {
            let read = cluster.history.readByGroup[group.name]?[place] ?? []
            let first = max(start, cluster.history.skipped[place] ?? 0)
            if let missed = values.keys.filter({ $0 >= first && !read.contains($0) }).min() {
                throw Violation("\(group.name) has never read offset \(missed) of \(place)")
            }
        }
    }

    private static func values(_ log: PartitionLog) throws -> [Int64: RecordValue] {
        var result: [Int64: RecordValue] = [:]
        var offset = log.logStartOffset
        while offset < log.logEndOffset {
            let bytes = try log.readBytes(
                from: offset, maxBytes: 1 << 20, before: log.logEndOffset)
            var batches = RecordBatches(bytes)
            while let batch = try batches.next() {
                for record in try batch.allRecords(limit: 1 << 20)
                where record.offset >= log.logStartOffset {
                    result[record.offset] = RecordValue(record.value)
                }
                offset = batch.header.nextOffset
            }
        }
        return result
    }

    /// No node goes on with a partition that is none of its own.
    private func checkNothingElse(_ node: SimulatedNode, _ image: MetadataImage) throws {
        for replica in node.broker?.replicas.replicas ?? [] {
            let registered = image.partition(replica.topicId, replica.partition)
            guard registered?.replicas.contains(node.id) ?? false else {
                throw Violation("node \(node.id) still has \(replica.topicPartition)")
            }
        }
    }
}
