import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import Replication
import SimulatedWorld
import Timing

/// An idempotent producer with acks=all: it writes numbered records to all partitions, several
/// batches at a time, and asks again until each is acknowledged, as Kafka's clients do.
final class SimulatedProducer: SimulatedClient {
    private struct Batch {
        let first: Int64
        let count: Int
        let sequence: Int32
        var isInFlight = false
        var isAcknowledged = false
        /// All before it were acknowledged when it was sent: it must fit.
        var mustFit = false
    }

    private struct Lane {
        let partition: TopicPartition
        /// From the first that is not acknowledged.
        var batches: [Batch] = []
        /// A batch has been acknowledged.
        var isKnown = false
        /// After a failure everything is waited for, then sent again in order.
        var isDraining = false
        var nextNumber: Int64 = 0
        var nextSequence: Int32 = 0
        var retryAt = Instant(nanoseconds: 0)
    }

    /// Kafka's max.in.flight.requests.per.connection: brokers know the last five batches.
    private static let mostInFlight = 5

    private var producerId: Int64 = -1
    private var isAskingId = false
    private var lanes = SimulatedTopic.written.flatMap(\.places).map { Lane(partition: $0) }
    private var isStopping = false

    /// No new records; those under way are still asked for.
    override func stop() { isStopping = true }

    override var unfinished: String? {
        guard let lane = lanes.first(where: { !$0.batches.isEmpty }) else { return nil }
        return "producer \(index) still waits for \(lane.partition), leader "
            + "\(leader(of: lane.partition) ?? -1)"
    }

    override func step() {
        if !hasLeaders(lanes.map(\.partition)) { askMetadata(SimulatedTopic.written.map(\.name)) }
        guard producerId >= 0 else { return askId() }
        for lane in lanes.indices { produce(lane) }
    }

    private func askId() {
        guard !isAskingId else { return }
        isAskingId = true
        let request = InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 0)
        ask(anyBroker, request, version: 4) { [self] response in
            isAskingId = false
            if let response, response.errorCode == .none { producerId = response.producerId }
        }
    }

    private func produce(_ lane: Int) {
        let partition = lanes[lane].partition
        guard let leader = leader(of: partition), now >= lanes[lane].retryAt else { return }
        if lanes[lane].isDraining {
            guard !lanes[lane].batches.contains(where: \.isInFlight) else { return }
            lanes[lane].isDraining = false
        }
        if let again = lanes[lane].batches.firstIndex(where: {
            !$0.isAcknowledged && !$0.isInFlight
        }) {
            return send(lane, again, to: leader)
        }
        // A broker that knows nothing of a producer takes any sequence for its first: the second
        // batch must not overtake one that was refused.
        let most = lanes[lane].isKnown ? Self.mostInFlight : 1
        guard !isStopping, lanes[lane].batches.count < most,
            random.chance(perMille: cluster.plan.producePerMille)
        else { return }
        let count = random.below(4) + 1
        lanes[lane].batches.append(
            Batch(
                first: lanes[lane].nextNumber, count: count,
                sequence: lanes[lane].nextSequence))
        lanes[lane].nextNumber += Int64(count)
        lanes[lane].nextSequence += Int32(count)
        send(lane, lanes[lane].batches.count - 1, to: leader)
    }

    private func send(_ lane: Int, _ position: Int, to leader: Int32) {
        let batch = lanes[lane].batches[position]
        let partition = lanes[lane].partition
        var builder = RecordBatchBuilder()
        builder.producerId = producerId
        builder.producerEpoch = 0
        builder.baseSequence = batch.sequence
        for step in 0..<batch.count {
            builder.append(
                key: nil, value: RecordValue(index, batch.first + Int64(step)).bytes,
                timestamp: 1_700_000_000_000)
        }
        guard let records = try? builder.build() else { return }
        let request = ProduceRequest(
            acks: -1, timeoutMs: 1500,
            topicData: [
                .init(
                    name: partition.topic,
                    partitionData: [.init(index: partition.partition, records: .bytes(records))])
            ])
        lanes[lane].batches[position].isInFlight = true
        lanes[lane].batches[position].mustFit = position == 0
        ask(leader, request, version: 9, lane: .forwarded, isStream: true) { [self] response in
            answered(
                lane, batch.first, response?.responses.first?.partitionResponses.first, leader)
        }
    }

    private func answered(
        _ lane: Int, _ first: Int64, _ answer: ProduceResponse.PartitionProduceResponse?,
        _ leader: Int32
    ) {
        let partition = lanes[lane].partition
        guard let position = lanes[lane].batches.firstIndex(where: { $0.first == first }) else {
            return
        }
        lanes[lane].batches[position].isInFlight = false
        let batch = lanes[lane].batches[position]
        if answer?.errorCode == .outOfOrderSequenceNumber, isPruned(batch, partition, leader) {
            return settled(lane, position)
        }
        guard let answer, answer.errorCode == .none else {
            check(answer, batch, partition, leader)
            forgetLeader(of: partition)
            lanes[lane].isDraining = true
            lanes[lane].retryAt = now + .milliseconds(50)
            return
        }
        for step in 0..<Int64(batch.count) {
            cluster.history.acknowledged(
                RecordValue(index, first + step), partition, at: answer.baseOffset + step)
        }
        settled(lane, position)
    }

    private func settled(_ lane: Int, _ position: Int) {
        lanes[lane].batches[position].isAcknowledged = true
        lanes[lane].isKnown = true
        while lanes[lane].batches.first?.isAcknowledged ?? false {
            lanes[lane].batches.removeFirst()
        }
    }

    /// The batch had been written, its acknowledgement was lost, and retention has dropped it
    /// before it was sent again: a leader whose log begins behind it cannot know it, in Kafka
    /// neither.
    private func isPruned(_ batch: Batch, _ partition: TopicPartition, _ leader: Int32) -> Bool {
        guard SimulatedTopic.isPruned(partition.topic),
            let replica = cluster.nodes[Int(leader) - 1].broker?.replicas.replica(partition),
            let log = replica.log,
            let committed = cluster.checks.committed(replica.topicId, replica.partition)
        else { return false }
        return committed.isPruned(
            producerId: producerId, sequence: batch.sequence, logStart: log.logStartOffset)
    }

    /// What no broker may say to a producer that keeps to the rules.
    private func check(
        _ answer: ProduceResponse.PartitionProduceResponse?, _ batch: Batch,
        _ partition: TopicPartition, _ leader: Int32
    ) {
        guard let answer else { return }
        switch answer.errorCode {
        case .outOfOrderSequenceNumber where !batch.mustFit: return
        case .outOfOrderSequenceNumber, .duplicateSequenceNumber, .unknownProducerId,
            .invalidProducerEpoch, .invalidRecord, .corruptMessage, .invalidTimestamp:
            cluster.checks.problem =
                "producer \(index), \(partition), sequence \(batch.sequence), leader \(leader): "
                + "\(answer.errorCode), \(answer.errorMessage ?? "no message")"
        default: return
        }
    }
}
