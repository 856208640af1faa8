import CommitLog
import KafkaWire
import Timing

/// One partition on this broker: its log, and its part in replicating it.
///
/// What a leader does is in `+Leading`, what it does about its ISR in `+ISR`, what a follower does
/// in `+Following`, and reading, which both do, in `+Reading`.
package final class PartitionReplica {
    package enum Role: Equatable, Sendable {
        /// Nothing is known yet, or the broker no longer replicates this partition.
        case none
        case leader
        case follower
        /// The log, or the directory it is in, has failed.
        case offline
    }

    package let topic: String
    package let topicId: KafkaUUID
    package let partition: Int32
    let context: ReplicationContext
    /// Of the topic.
    let traffic: TrafficCounters

    package internal(set) var role = Role.none
    package internal(set) var log: PartitionLog?
    /// What the metadata, or the controller's answer to a proposal, said last.
    package internal(set) var metadata: PartitionMetadata
    package internal(set) var config = ReplicationTopicConfig()

    /// Everything below it is on every in-sync replica and may be read by consumers. It never
    /// falls, except where a follower has to truncate below it after an unclean election.
    package internal(set) var highWatermark: Int64 = 0
    /// What the leader said last, which may be beyond the log's end here.
    var leaderHighWatermark: Int64 = 0
    /// Where this leader's epoch began.
    package internal(set) var epochStart: Int64 = 0
    /// The followers, as their leader knows them; empty at a follower.
    package internal(set) var followers: [RemoteReplica] = []

    var proposal: ISRProposal?
    /// Requests with `acks=all`, by the high watermark that acknowledges them.
    var acks = AckQueue()
    /// What producers have to send again first.
    var refused = RefusedSequences()
    /// Requests with `acks=1` to a topic with `flush.messages`, by the durable end.
    var flushAcks = AckQueue()
    var deletes: [DeleteTicket] = []
    var watchers: [Watcher] = []
    /// Where the fetcher that follows the leader keeps this partition; -1: nowhere.
    var fetcherSlot: Int32 = -1

    init(
        topic: String, topicId: KafkaUUID, partition: Int32, traffic: TrafficCounters,
        context: ReplicationContext
    ) {
        self.topic = topic
        self.topicId = topicId
        self.partition = partition
        self.traffic = traffic
        self.context = context
        metadata = PartitionMetadata(
            leader: -1, leaderEpoch: -1, partitionEpoch: -1, replicas: [], isr: [])
    }

    package var topicPartition: TopicPartition { TopicPartition(topic, partition) }
    package var isLeader: Bool { role == .leader }
    package var leaderEpoch: Int32 { metadata.leaderEpoch }
    package var partitionEpoch: Int32 { metadata.partitionEpoch }
    /// The ISR that the controller has committed.
    package var isr: [Int32] { metadata.isr }
    package var isReassigning: Bool {
        !metadata.addingReplicas.isEmpty || !metadata.removingReplicas.isEmpty
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    package var effectiveMinISR: Int {
        min(Int(log?.config.minInsyncReplicas ?? 1), followers.count + 1)
    }
    package var isUnderMinISR: Bool { isLeader && metadata.isr.count < effectiveMinISR }
    package var isAtMinISR: Bool { isLeader && metadata.isr.count == effectiveMinISR }
    package var isUnderReplicated: Bool {
        isLeader
            && metadata.replicas.count - metadata.addingReplicas.count > metadata.isr.count
    }

    /// Committed, and past every transaction that is still open.
    package var lastStableOffset: Int64 {
        guard let unstable = log?.firstUnstableOffset else { return highWatermark }
        return min(highWatermark, unstable)
    }

    // MARK: Roles

    /// Takes a log that has just been opened. The high watermark is what the checkpoint says, or
    /// what it was when the log was open before, within what the log holds.
    func attach(_ log: PartitionLog, checkpointedHighWatermark: Int64?) {
        self.log = log
        let known = max(checkpointedHighWatermark ?? log.logStartOffset, highWatermark)
        highWatermark = max(log.logStartOffset, min(known, log.logEndOffset))
        if role == .offline { role = .none }
        // What recovery has found may not have reached the disk yet.
        beginFlushIfDue()
    }

    /// Applies what the metadata says. Gives back whether this replica begins a part in a leader
    /// epoch: as its leader, or as a follower whose fetcher has to begin anew.
    @discardableResult
    func apply(_ new: PartitionMetadata) -> Bool {
        guard role != .offline, log != nil else {
            metadata = new
            return false
        }
        if role != .none, new.partitionEpoch <= metadata.partitionEpoch {
            if new.partitionEpoch == metadata.partitionEpoch { reassign(new) }
            return false
        }
        return new.leader == context.brokerId ? lead(new) : follow(new)
    }

    /// The change that AlterPartition's answer has told already. Of its ISR all is known; who
    /// else may lead, and a reassignment that it completed, is news.
    private func reassign(_ new: PartitionMetadata) {
        guard new.leaderEpoch == metadata.leaderEpoch else { return }
        metadata.replicas = new.replicas
        metadata.eligibleLeaders = new.eligibleLeaders
        metadata.addingReplicas = new.addingReplicas
        metadata.removingReplicas = new.removingReplicas
        guard role == .leader else { return }
        setFollowers(metadata, keepsKnown: true)
        advanceHighWatermark()
        settleDeletes()
        considerExpansion()
    }

    /// Ends every part this replica plays: it was deleted, or is no longer ours.
    func stop() {
        let wasLeader = role == .leader
        role = .none
        endLeadership(.notLeaderOrFollower)
        followers = []
        if wasLeader { context.emit(.leadership(topicPartition, epoch: nil)) }
        wakeAll()
    }

    /// The log failed. What waits here gets KAFKA_STORAGE_ERROR.
    func goOffline() {
        guard role != .offline else { return }
        let wasLeader = role == .leader
        role = .offline
        log = nil
        endLeadership(.kafkaStorageError)
        followers = []
        if wasLeader { context.emit(.leadership(topicPartition, epoch: nil)) }
        wakeAll()
    }

    /// An operation on the log failed. When it was the storage the whole directory is lost.
    func noteFailure(_ error: LogError) {
        guard error.errorCode == .kafkaStorageError else { return }
        context.emit(.storageFailed(topicPartition, error))
        goOffline()
    }

    func endLeadership(_ error: ErrorCode) {
        proposal = nil
        while let ticket = acks.popFirst() ?? flushAcks.popFirst() {
            if let effect = context.produces.settle(ticket, error) { context.emit(effect) }
        }
        failDeletes(error)
    }

    // MARK: Leader epochs

    /// The check that Fetch, ListOffsets, OffsetForLeaderEpoch share: does the asker know the
    /// leader epoch that we know (KIP-320), and are we the one to ask? -1 is no epoch given.
    func check(askedEpoch: Int32, onlyLeader: Bool) -> ErrorCode {
        if role == .offline { return .kafkaStorageError }
        if askedEpoch >= 0 {
            if askedEpoch < metadata.leaderEpoch { return .fencedLeaderEpoch }
            if askedEpoch > metadata.leaderEpoch { return .unknownLeaderEpoch }
        }
        if onlyLeader, role != .leader { return .notLeaderOrFollower }
        if role == .none || log == nil { return .notLeaderOrFollower }
        return .none
    }
}
