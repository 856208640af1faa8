import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Replication

/// What must hold after every event, and at the end.
final class ClusterChecks {
    /// Something that a node itself has reported.
    var problem: String?
    private var leaders: [Int32: Int32] = [:]
    private var epochs: [Int32: Int32] = [:]
    private var highWatermarks: [Int32: Int64] = [:]
    private var partitionLeaders: [String: Int32] = [:]
    private var partitionWatermarks: [String: Int64] = [:]
    /// Records of each stretch of the metadata log, by the offset after it.
    private var metadata: [Int64: [MetadataRecord]] = [:]

    func crashed(_ node: SimulatedNode) {
        // What is persisted may not go back either, but a node tells it only as it runs.
        highWatermarks[node.id] = nil
    }

    func committed(_ update: MetadataUpdate, on node: SimulatedNode) {
        guard update.image == nil else { return }
        if let known = metadata[update.nextOffset] {
            if known != update.records {
                problem =
                    "node \(node.id) committed other metadata than another at offset "
                    + "\(update.nextOffset)"
            }
        } else {
            metadata[update.nextOffset] = update.records
        }
    }

    func afterEvent(_ nodes: [SimulatedNode]) throws {
        if let problem { throw Violation(problem) }
        for node in nodes {
            guard let quorum = node.quorum else { continue }
            if let before = epochs[node.id], quorum.epoch < before {
                throw Violation(
                    "the epoch of node \(node.id) fell from \(before) to \(quorum.epoch)")
            }
            epochs[node.id] = quorum.epoch
            if let before = highWatermarks[node.id], quorum.highWatermark < before {
                throw Violation("the high watermark of node \(node.id) fell from \(before)")
            }
            highWatermarks[node.id] = quorum.highWatermark
            guard quorum.isLeader else { continue }
            if let other = leaders[quorum.epoch], other != node.id {
                throw Violation("epoch \(quorum.epoch) has two leaders, \(other) and \(node.id)")
            }
            leaders[quorum.epoch] = node.id
        }
        try checkPartitions(nodes)
    }

    private func checkPartitions(_ nodes: [SimulatedNode]) throws {
        for node in nodes where node.isRunning {
            for partition in 0..<ClusterSimulation.partitions {
                guard let replica = node.replica(ClusterSimulation.topic, partition),
                    replica.isLeader
                else { continue }
                let epoch = "\(partition) \(replica.leaderEpoch)"
                if let other = partitionLeaders[epoch], other != node.id {
                    throw Violation(
                        "partition \(partition) has two leaders in epoch \(replica.leaderEpoch): "
                            + "\(other) and \(node.id)")
                }
                partitionLeaders[epoch] = node.id
                let place = "\(epoch) \(node.generation)"
                if let before = partitionWatermarks[place], replica.highWatermark < before {
                    throw Violation(
                        "the high watermark of partition \(partition) fell from \(before) to "
                            + "\(replica.highWatermark) in one epoch")
                }
                partitionWatermarks[place] = replica.highWatermark
            }
        }
    }

    // MARK: The end

    func checkEnd(nodes: [SimulatedNode], clients: [SimulatedProducer]) throws {
        for client in clients { if let problem = client.problem { throw Violation(problem) } }
        for partition in 0..<ClusterSimulation.partitions {
            var contents: [[String]] = []
            for node in nodes {
                guard let log = node.replica(ClusterSimulation.topic, partition)?.log else {
                    throw Violation("node \(node.id) has no partition \(partition)")
                }
                contents.append(try Self.values(log))
            }
            guard contents.allSatisfy({ $0 == contents[0] }) else {
                throw Violation("the replicas of partition \(partition) differ")
            }
            try check(contents[0], partition, clients)
        }
    }

    /// One value per offset; an offset without a record does not occur here.
    private static func values(_ log: PartitionLog) throws -> [String] {
        var result: [String] = []
        var offset = log.logStartOffset
        while offset < log.logEndOffset {
            let bytes = try log.readBytes(
                from: offset, maxBytes: 1 << 20, before: log.logEndOffset)
            var batches = RecordBatches(bytes)
            while let batch = try batches.next() {
                try batch.checkCRC()
                for record in try batch.allRecords(limit: 1 << 20) {
                    guard record.offset == Int64(result.count) else {
                        throw Violation(
                            "\(log.topicPartition): offset \(record.offset) after "
                                + "\(result.count) records")
                    }
                    result.append(record.value.map { String(buffer: $0) } ?? "")
                }
                offset = batch.header.lastOffset + 1
            }
        }
        return result
    }

    private func check(
        _ values: [String], _ partition: Int32, _ clients: [SimulatedProducer]
    ) throws {
        var count: [String: Int] = [:]
        for value in values { count[value, default: 0] += 1 }
        if let twice = count.first(where: { $0.value > 1 }) {
            throw Violation("\(twice.key) is there \(twice.value) times")
        }
        for client in clients {
            var last: Int64 = -1
            for (number, offset) in client.acknowledged[Int(partition)] {
                let wanted = String(
                    buffer: SimulatedProducer.value(client.index, partition, number))
                guard offset >= 0, offset < Int64(values.count), values[Int(offset)] == wanted
                else {
                    throw Violation(
                        "\(wanted) was acknowledged at offset \(offset), where there is "
                            + (offset < Int64(values.count) ? values[Int(offset)] : "nothing"))
                }
                guard offset > last else {
                    throw Violation("\(wanted) is out of order")
                }
                last = offset
            }
        }
    }
}
