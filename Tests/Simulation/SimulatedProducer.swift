import BrokerCore
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedWorld
import Timing

/// An idempotent producer with acks=all: it writes numbered records to all partitions, and asks
/// again until each is acknowledged, as Kafka's clients do.
final class SimulatedProducer {
    typealias Send = (Int32, PeerLane, UInt64, Int16, Int16, ByteBuffer) -> Void

    private enum Waiting {
        case metadata, creation, producerId
        case produce(partition: Int32)
    }

    private struct Lane {
        var leader: Int32 = -1
        var epoch: Int32 = -1
        /// First number and count of the batch under way.
        var batch: (first: Int64, count: Int64)?
        var isInFlight = false
        var nextNumber: Int64 = 0
        var sequence: Int32 = 0
        var retryAt = Instant(nanoseconds: 0)
    }

    let index: Int
    private var random: SeededRandom
    private var producerId: Int64 = -1
    private var waiting: [UInt64: Waiting] = [:]
    private var nextRequest: UInt64 = 1
    private var lanes: [Lane]
    private var knowsTopic = false
    private var isAskingMetadata = false
    private var isAskingId = false
    private var mustCreate = false
    private var isCreating = false
    private var metadataAt = Instant(nanoseconds: 0)
    private var isStopping = false
    /// By partition: number and offset of what was acknowledged.
    private(set) var acknowledged: [[(number: Int64, offset: Int64)]]
    private(set) var problem: String?

    init(index: Int, seed: UInt64) {
        self.index = index
        random = SeededRandom(seed: seed)
        let count = Int(ClusterSimulation.partitions)
        lanes = Array(repeating: Lane(), count: count)
        acknowledged = Array(repeating: [], count: count)
    }

    /// No new records; those under way are still asked for.
    func stop() { isStopping = true }

    var isDone: Bool { isStopping && lanes.allSatisfy { $0.batch == nil } }

    var state: String {
        lanes.enumerated().filter { $0.element.batch != nil }.map {
            "partition \($0.offset) leader \($0.element.leader) in flight \($0.element.isInFlight)"
        }.joined(separator: ", ")
    }

    static func value(_ producer: Int, _ partition: Int32, _ number: Int64) -> ByteBuffer {
        ByteBuffer(string: "\(producer)/\(partition)/\(number)")
    }

    // MARK: Steps

    func step(now: Instant, send: Send) {
        if !isAskingMetadata, now >= metadataAt,
            !knowsTopic || lanes.contains(where: { $0.leader < 0 })
        {
            askMetadata(now, send)
        }
        if mustCreate, !isCreating { create(send) }
        guard knowsTopic else { return }
        if producerId < 0 {
            if !isAskingId { askId(send) }
            return
        }
        for partition in lanes.indices { produce(partition, now, send) }
    }

    private func request(_ what: Waiting) -> UInt64 {
        let id = nextRequest
        nextRequest += 1
        waiting[id] = what
        return id
    }

    private var anyNode: Int32 { Int32(random.below(3)) + 1 }

    private func askMetadata(_ now: Instant, _ send: Send) {
        isAskingMetadata = true
        metadataAt = now + .milliseconds(100)
        let body = MetadataRequest(
            topics: [.init(name: ClusterSimulation.topic)], allowAutoTopicCreation: false)
        send(
            anyNode, .control, request(.metadata), MetadataRequest.apiKey, 12,
            body.encoded(version: 12))
    }

    private func create(_ send: Send) {
        isCreating = true
        mustCreate = false
        let body = CreateTopicsRequest(
            topics: [
                .init(
                    name: ClusterSimulation.topic, numPartitions: ClusterSimulation.partitions,
                    replicationFactor: 3)
            ], timeoutMs: 1000)
        send(
            anyNode, .control, request(.creation), CreateTopicsRequest.apiKey, 5,
            body.encoded(version: 5))
    }

    private func askId(_ send: Send) {
        isAskingId = true
        let body = InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 0)
        send(
            anyNode, .control, request(.producerId), InitProducerIdRequest.apiKey, 4,
            body.encoded(version: 4))
    }

    private func produce(_ partition: Int, _ now: Instant, _ send: Send) {
        guard !lanes[partition].isInFlight, lanes[partition].leader > 0,
            now >= lanes[partition].retryAt
        else { return }
        if lanes[partition].batch == nil {
            guard !isStopping, random.chance(perMille: 400) else { return }
            let count = Int64(random.below(4) + 1)
            lanes[partition].batch = (lanes[partition].nextNumber, count)
            lanes[partition].nextNumber += count
        }
        guard let batch = lanes[partition].batch else { return }
        var builder = RecordBatchBuilder()
        builder.producerId = producerId
        builder.producerEpoch = 0
        builder.baseSequence = lanes[partition].sequence
        for number in batch.first..<(batch.first + batch.count) {
            builder.append(
                key: nil, value: Self.value(index, Int32(partition), number),
                timestamp: 1_700_000_000_000)
        }
        guard let records = try? builder.build() else { return }
        let body = ProduceRequest(
            acks: -1, timeoutMs: 1500,
            topicData: [
                .init(
                    name: ClusterSimulation.topic,
                    partitionData: [.init(index: Int32(partition), records: .bytes(records))])
            ])
        lanes[partition].isInFlight = true
        send(
            lanes[partition].leader, .forwarded, request(.produce(partition: Int32(partition))),
            ProduceRequest.apiKey, 9, body.encoded(version: 9))
    }

    // MARK: Answers

    func answered(_ id: UInt64, _ body: ByteBuffer?, now: Instant) {
        guard let what = waiting.removeValue(forKey: id) else { return }
        switch what {
        case .metadata:
            isAskingMetadata = false
            if let body, let response = try? MetadataResponse(body, version: 12) { learn(response) }
        case .creation: isCreating = false
        case .producerId:
            isAskingId = false
            if let body, let response = try? InitProducerIdResponse(body, version: 4),
                response.errorCode == .none
            {
                producerId = response.producerId
            }
        case .produce(let partition):
            let response = body.flatMap { try? ProduceResponse($0, version: 9) }
            produced(
                Int(partition), response?.responses.first?.partitionResponses.first, now)
        }
    }

    private func learn(_ response: MetadataResponse) {
        guard let topic = response.topics.first else { return }
        guard topic.errorCode == .none else {
            mustCreate = topic.errorCode == .unknownTopicOrPartition
            return
        }
        knowsTopic = true
        for partition in topic.partitions {
            let index = Int(partition.partitionIndex)
            // A broker that is cut off tells of a leader of long ago: clients go by the epoch
            // (KIP-320).
            guard lanes.indices.contains(index), partition.leaderEpoch >= lanes[index].epoch
            else { continue }
            lanes[index].leader = partition.leaderId
            lanes[index].epoch = partition.leaderEpoch
        }
    }

    private func produced(
        _ partition: Int, _ answer: ProduceResponse.PartitionProduceResponse?, _ now: Instant
    ) {
        lanes[partition].isInFlight = false
        guard let batch = lanes[partition].batch else { return }
        guard let answer, answer.errorCode == .none else {
            if answer?.errorCode == .outOfOrderSequenceNumber {
                problem =
                    "producer \(index), partition \(partition), leader "
                    + "\(lanes[partition].leader): \(answer?.errorMessage ?? "out of order"); sent "
                    + "\(lanes[partition].sequence)"
            }
            lanes[partition].leader = -1
            lanes[partition].retryAt = now + .milliseconds(50)
            return
        }
        for step in 0..<batch.count {
            acknowledged[partition].append((batch.first + step, answer.baseOffset + step))
        }
        lanes[partition].sequence += Int32(batch.count)
        lanes[partition].batch = nil
    }
}
