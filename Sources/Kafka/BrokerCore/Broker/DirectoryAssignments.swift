import BrokerConfig
import KafkaWire
import Metadata
import Timing

/// Replicas of this broker that the metadata has in another directory than they are in: after a
/// directory was replaced, none of them may lead until the controller is told (KIP-858, Kafka's
/// AssignmentsManager).
struct DirectoryAssignments {
    /// Kafka's MAX_ASSIGNMENTS_PER_REQUEST
    static let mostAtATime = 2250
    private static let shortestPause = Nanoseconds.milliseconds(100)
    private static let longestPause = Nanoseconds.seconds(2)

    private(set) var misplaced: Set<PartitionKey> = []
    /// What the request under way speaks of.
    private var asked: [PartitionKey] = []
    private var pause = Self.shortestPause
    private var due: Instant?

    var nextAttempt: Instant? { asked.isEmpty && !misplaced.isEmpty ? due : nil }

    mutating func learned(_ key: PartitionKey, isMisplaced: Bool, now: Instant) {
        if isMisplaced {
            if misplaced.insert(key).inserted, due == nil { due = now }
        } else {
            forget(key)
        }
    }

    mutating func forget(_ key: PartitionKey) {
        misplaced.remove(key)
        if misplaced.isEmpty { due = nil }
    }

    mutating func request(
        directory: KafkaUUID, broker: Int32, epoch: Int64
    ) -> AssignReplicasToDirsRequest {
        asked = Array(misplaced.sorted().prefix(Self.mostAtATime))
        var topics: [AssignReplicasToDirsRequest.TopicData] = []
        for key in asked {
            if topics.last?.topicId != key.topicId { topics.append(.init(topicId: key.topicId)) }
            topics[topics.count - 1].partitions.append(.init(partitionIndex: key.partition))
        }
        return AssignReplicasToDirsRequest(
            brokerId: broker, brokerEpoch: epoch,
            directories: [.init(id: directory, topics: topics)])
    }

    mutating func answered(_ response: AssignReplicasToDirsResponse?, now: Instant) {
        asked = []
        guard let response, response.errorCode == .none else { return tryLater(now) }
        var isRefused = false
        for topic in response.directories.flatMap(\.topics) {
            for partition in topic.partitions {
                switch partition.errorCode {
                case .none, .notLeaderOrFollower, .unknownTopicId, .unknownTopicOrPartition:
                    // Told, or not to be told of any more.
                    misplaced.remove(PartitionKey(topic.topicId, partition.partitionIndex))
                default: isRefused = true
                }
            }
        }
        if isRefused { return tryLater(now) }
        pause = Self.shortestPause
        due = misplaced.isEmpty ? nil : now
    }

    private mutating func tryLater(_ now: Instant) {
        due = now + pause
        pause = min(Nanoseconds(pause.count * 2), Self.longestPause)
    }
}

extension BrokerNode {
    /// A replica was assigned to this broker, or changed. One that is not in sync is not said to be
    /// here yet: were it the last leader, and its disk a new one, it would be elected for what it
    /// had, and the others would throw away what they have. The only replica has nobody to get it
    /// from: there the partition begins anew.
    func checkDirectory(of key: PartitionKey, _ partition: PartitionRegistration) {
        let isElsewhere = partition.directory(of: config.nodeID) != identity.directoryID
        let hasAll =
            partition.isr.contains(config.nodeID) || partition.replicas == [config.nodeID]
        assignments.learned(key, isMisplaced: isElsewhere && hasAll, now: now)
    }

    var nextAssignment: Instant? {
        lifecycle.state == .registered && !logs.isOffline ? assignments.nextAttempt : nil
    }

    /// Tells the controller where replicas are that it has elsewhere.
    func assignDirectories() {
        guard let due = nextAssignment, due <= now else { return }
        let request = assignments.request(
            directory: identity.directoryID, broker: config.nodeID, epoch: lifecycle.epoch)
        if !askController(request, .directoryAssignment) {
            assignments.answered(nil, now: now)
        }
    }
}
