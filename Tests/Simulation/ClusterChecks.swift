import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import Replication

/// What must hold after every event.
final class ClusterChecks {
    /// Something that a node or a client has found itself.
    var problem: String?
    let groups = GroupChecks()
    let quorum: QuorumChecks
    private var partitions: [TopicIdPartition: CommittedRecords] = [:]

    init(nodes: Int) { quorum = QuorumChecks(nodes: nodes) }

    func started(_ node: SimulatedNode) { quorum.started(node) }

    func committed(_ update: MetadataUpdate, on node: SimulatedNode) {
        if let found = quorum.committed(update, on: node) { problem = found }
    }

    func answered(_ debt: ClusterSimulation.Owed, _ body: ByteBuffer?, by node: SimulatedNode) {
        if let found = quorum.answered(debt, body, by: node) { problem = found }
    }

    func afterEvent(_ simulation: ClusterSimulation, _ touched: [Int]) throws {
        if let problem = problem ?? groups.problem { throw Violation(problem) }
        for index in touched {
            let node = simulation.nodes[index]
            if let quorum = node.quorum { try self.quorum.check(node, quorum) }
            guard let broker = node.broker else { continue }
            for replica in broker.replicas.replicas where replica.isLeader {
                try check(replica, on: node)
            }
        }
    }

    private func check(_ replica: PartitionReplica, on node: SimulatedNode) throws {
        let key = TopicIdPartition(replica.topicId, replica.partition)
        let known: CommittedRecords
        if let found = partitions[key] {
            known = found
        } else {
            known = CommittedRecords(replica.topicPartition)
            partitions[key] = known
        }
        try known.check(replica, on: node)
    }
}

/// What the leaders of a partition have let be read: it stays.
final class CommittedRecords {
    private struct Batch {
        var nextOffset: Int64
        var epoch: Int32
        var crc: UInt32
        /// The leader's epoch when it was committed first.
        var committedIn: Int32
        var producerId: Int64
        var baseSequence: Int32
    }

    /// One leader's time.
    private struct Term: Equatable {
        var epoch: Int32
        var node: Int32
        var generation: Int
    }

    private let partition: TopicPartition
    private var leaders: [Int32: Int32] = [:]
    private var batches: [Batch] = []
    /// The high watermark of each node that leads, or thinks so.
    private var highWatermarks: [Int32: (term: Term, offset: Int64)] = [:]

    private var end: Int64 { batches.last?.nextOffset ?? 0 }
    /// Where the log of some leader began: what is below was deleted, and may be back.
    private(set) var deletedBelow: Int64 = 0

    init(_ partition: TopicPartition) { self.partition = partition }

    func check(_ replica: PartitionReplica, on node: SimulatedNode) throws {
        let term = Term(
            epoch: replica.leaderEpoch, node: node.id, generation: node.generation)
        let highWatermark = replica.highWatermark
        deletedBelow = max(deletedBelow, replica.log?.logStartOffset ?? 0)
        if let before = highWatermarks[node.id], before.term == term {
            guard highWatermark != before.offset else { return }
            guard highWatermark > before.offset else {
                throw Violation(
                    "the high watermark of \(partition) fell from \(before.offset) to "
                        + "\(highWatermark) in epoch \(term.epoch)")
            }
        } else {
            try begins(term, replica)
        }
        highWatermarks[node.id] = (term, highWatermark)
        try commit(replica, upTo: highWatermark, term)
    }

    /// One leader in an epoch, and it has what was committed in earlier ones.
    private func begins(_ term: Term, _ replica: PartitionReplica) throws {
        if let other = leaders.updateValue(term.node, forKey: term.epoch), other != term.node {
            throw Violation(
                "\(partition) has two leaders in epoch \(term.epoch): \(other) and \(term.node)")
        }
        guard let log = replica.log, let last = batches.last(where: { $0.committedIn < term.epoch })
        else { return }
        guard last.nextOffset > log.logStartOffset else { return }
        guard log.logEndOffset >= last.nextOffset, log.epoch(at: last.nextOffset - 1) == last.epoch
        else {
            throw Violation(
                "\(term.node) leads \(partition) in epoch \(term.epoch) with "
                    + "\(log.logStartOffset)..<\(log.logEndOffset), epoch "
                    + "\(log.epoch(at: last.nextOffset - 1) ?? -1) at \(last.nextOffset - 1), "
                    + "without what was committed up to \(last.nextOffset) in epoch \(last.epoch)")
        }
    }

    /// What is committed now; and what was before is the same here.
    private func commit(
        _ replica: PartitionReplica, upTo highWatermark: Int64, _ term: Term
    ) throws {
        guard let log = replica.log else { return }
        if highWatermark <= end {
            // A compacted log may have lost the records by which it knew an epoch.
            guard !log.config.isCompacted,
                let batch = batches.last(where: { $0.nextOffset <= highWatermark }),
                batch.nextOffset > log.logStartOffset,
                log.epoch(at: batch.nextOffset - 1) != batch.epoch
            else { return }
            throw Violation(
                "\(term.node) has \(partition) committed up to \(highWatermark), with another "
                    + "epoch than \(batch.epoch) at \(batch.nextOffset - 1)")
        }
        var next = max(end, log.logStartOffset)
        while next < highWatermark {
            let bytes: ByteBuffer
            do {
                bytes = try log.readBytes(from: next, maxBytes: 1 << 20, before: highWatermark)
            } catch {
                // Its disk has failed: another will tell.
                return
            }
            var reader = RecordBatches(bytes)
            let before = next
            while let header = try reader.nextHeader() {
                batches.append(
                    Batch(
                        nextOffset: header.nextOffset, epoch: header.partitionLeaderEpoch,
                        crc: header.crc, committedIn: term.epoch,
                        producerId: header.producerId, baseSequence: header.baseSequence))
                next = header.nextOffset
            }
            guard next > before else { return }
        }
    }

    /// Whether a batch was committed and has been deleted since.
    func isPruned(producerId: Int64, sequence: Int32, logStart: Int64) -> Bool {
        batches.contains {
            $0.producerId == producerId && $0.baseSequence == sequence
                && $0.nextOffset <= logStart
        }
    }

    /// Whether a log holds the same, as far as it reaches back.
    func compare(_ headers: [RecordBatchHeader]) -> String? {
        var byEnd: [Int64: RecordBatchHeader] = [:]
        for header in headers { byEnd[header.nextOffset] = header }
        guard let first = headers.first else { return nil }
        for batch in batches where batch.nextOffset > first.baseOffset {
            guard let header = byEnd[batch.nextOffset], header.crc == batch.crc,
                header.partitionLeaderEpoch == batch.epoch
            else {
                return "the batch of \(partition) before \(batch.nextOffset), epoch "
                    + "\(batch.epoch), was committed and is not there"
            }
        }
        return nil
    }
}

extension ClusterChecks {
    func committed(_ topicId: KafkaUUID, _ partition: Int32) -> CommittedRecords? {
        partitions[TopicIdPartition(topicId, partition)]
    }
}
