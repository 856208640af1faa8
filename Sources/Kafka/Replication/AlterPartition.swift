import KafkaWire
import Timing

/// A change of ISR that a leader has proposed and that is not decided (KIP-497).
struct ISRProposal: Equatable {
    /// Tells this proposal from earlier ones of the same partition.
    var number: UInt64
    var leaderEpoch: Int32
    var partitionEpoch: Int32
    var isr: [Int32]
    var isExpansion: Bool
}

/// What the controller said to a proposal.
enum ISRVerdict: Equatable {
    case accepted(leader: Int32, leaderEpoch: Int32, isr: [Int32], partitionEpoch: Int32)
    case refused(ErrorCode)
}

/// Gathers proposals into AlterPartition requests, of which one is under way at a time: what
/// comes up meanwhile goes with the next.
final class AlterPartitionQueue {
    private struct Item {
        var replica: PartitionReplica
        var number: UInt64
    }

    private var waiting: [Item] = []
    private var underWay: [Item] = []
    private var isUnderWay = false
    private var notBefore: Instant?
    private var lastNumber: UInt64 = 0
    private let backoff: Nanoseconds

    init(backoff: Nanoseconds) { self.backoff = backoff }

    var isIdle: Bool { waiting.isEmpty && !isUnderWay }

    /// When to try again after an error.
    var nextDeadline: Instant? { isUnderWay || waiting.isEmpty ? nil : notBefore }

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    func add(_ replica: PartitionReplica, _ number: UInt64) {
        waiting.append(Item(replica: replica, number: number))
    }

    func removeAll() {
        waiting = []
        underWay = []
    }

    /// The request to send now, if there is one.
    func request(
        brokerId: Int32, brokerEpoch: Int64, now: Instant
    ) -> AlterPartitionRequest? {
        guard !isUnderWay, !waiting.isEmpty else { return nil }
        if let notBefore, now < notBefore { return nil }
        notBefore = nil
        // A proposal that metadata has overtaken is not sent.
        waiting.removeAll { $0.replica.proposal?.number != $0.number }
        guard !waiting.isEmpty else { return nil }
        underWay = waiting
        waiting = []
        isUnderWay = true
        var request = AlterPartitionRequest(brokerId: brokerId, brokerEpoch: brokerEpoch)
        for item in underWay {
            guard let part = item.replica.alterPartitionData(brokerEpoch: brokerEpoch) else {
                continue
            }
            let topicId = item.replica.topicId
            if let last = request.topics.indices.last, request.topics[last].topicId == topicId {
                request.topics[last].partitions.append(part)
            } else {
                request.topics.append(
                    AlterPartitionRequest.TopicData(topicId: topicId, partitions: [part]))
            }
        }
        return request
    }

    /// What came of the request under way: nil when it or its answer was lost, in which case the
    /// controller may or may not have acted, so that the proposals stand and are sent again.
    func done(_ response: AlterPartitionResponse?, now: Instant) {
        guard isUnderWay else { return }
        isUnderWay = false
        let items = underWay
        underWay = []
        guard let response, response.errorCode == .none else {
            retry(items, now)
            return
        }
        var verdicts: [TopicIdPartition: ISRVerdict] = [:]
        for topic in response.topics {
            for part in topic.partitions {
                verdicts[TopicIdPartition(topic.topicId, part.partitionIndex)] =
                    part.errorCode == .none
                    ? .accepted(
                        leader: part.leaderId, leaderEpoch: part.leaderEpoch, isr: part.isr,
                        partitionEpoch: part.partitionEpoch)
                    : .refused(part.errorCode)
            }
        }
        var again: [Item] = []
        for item in items {
            let key = TopicIdPartition(item.replica.topicId, item.replica.partition)
            // No answer for a partition that was asked about: ask again.
            let decided = verdicts[key].map { item.replica.decided(item.number, $0) } ?? false
            if !decided { again.append(item) }
        }
        retry(again, now)
    }

    private func retry(_ items: [Item], _ now: Instant) {
        guard !items.isEmpty else { return }
        waiting.insert(contentsOf: items, at: 0)
        notBefore = now + backoff
    }
}
