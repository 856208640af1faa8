import CommitLog
import KafkaWire
import Timing

/// What the topics of the cluster are, from the metadata. Partitions of ours are known without
/// it; it tells a partition that stands elsewhere from one that does not exist.
package protocol TopicDirectory: AnyObject {
    func topicId(named name: String) -> KafkaUUID?
    func topicName(of id: KafkaUUID) -> String?
    func hasPartition(_ partition: Int32, ofTopic id: KafkaUUID) -> Bool
    /// Who leads a partition that stands elsewhere, for the hint of KIP-951.
    func leader(ofTopic id: KafkaUUID, _ partition: Int32) -> (id: Int32, epoch: Int32)?
}

/// What the partitions of one event loop share. Everything here is touched by that loop only.
final class ReplicationContext {
    let brokerId: Int32
    var brokerEpoch: Int64 = -1
    var config: ReplicationConfig
    var brokers = BrokerTable()
    var now = Instant(nanoseconds: 0)
    var nowMs: Int64 = 0

    var effects: [ReplicationEffect] = []
    /// Sessions whose waiting fetch may have become due; looked at when the step ends, so that a
    /// request that touches many partitions wakes each of them once.
    var woken: [FetchSession] = []
    var produces = WaitingProduces()
    let alterPartitions: AlterPartitionQueue
    var leaderQuota: ReplicationQuota
    var followerQuota: ReplicationQuota
    /// Sessions with a waiting fetch, by slot, and until when they wait.
    var fetchWaits = FetchWaits()
    var deleteWaits = WaitingDeletes()
    /// Of all topics, those that are gone included.
    let traffic = TrafficCounters()
    var counters = ReplicationCounters()
    /// Set by a simulation only.
    var canary: ReplicationCanary?

    init(brokerId: Int32, config: ReplicationConfig) {
        self.brokerId = brokerId
        self.config = config
        alterPartitions = AlterPartitionQueue(backoff: config.alterPartitionBackoff)
        leaderQuota = ReplicationQuota(rate: config.leaderThrottledRate)
        followerQuota = ReplicationQuota(rate: config.followerThrottledRate)
    }

    /// The manager goes: replicas hold this, so this must not hold what holds replicas.
    func letGo() {
        woken = []
        fetchWaits = FetchWaits()
        alterPartitions.removeAll()
    }

    func emit(_ effect: ReplicationEffect) { effects.append(effect) }

    func warn(_ replica: PartitionReplica, _ warning: ReplicationWarning) {
        emit(.warning(replica.topicPartition, warning))
    }
}
