import CommitLog
import KafkaWire
import Timing

/// Opens and deletes the logs of partitions, in the directories it chooses.
package protocol LogStore: AnyObject {
    /// Opens the log of a partition, or creates it.
    func openLog(_ partition: TopicPartition, topicId: KafkaUUID) throws(LogError) -> PartitionLog
    /// The broker no longer replicates the partition: its files go.
    func deleteLog(_ log: PartitionLog)
}

/// The partitions of this broker, and every request that reads or writes them.
///
/// All of it is owned by one event loop. A step is `begin`, then any number of requests and
/// events, then `settle`, which gives back what is to be done: requests that arrive together wake
/// followers once, and records that arrive together travel together.
package final class ReplicaManager {
    let context: ReplicationContext
    let logs: any LogStore
    let directory: any TopicDirectory
    private var topicsByName: [String: HostedTopic] = [:]
    private var topicsById: [KafkaUUID: HostedTopic] = [:]
    /// By name, for everything in which an order can show.
    private(set) var topics: [HostedTopic] = []
    private var checkpoint: [TopicPartition: Int64]

    var sessions: FetchSessionCache
    /// Closed sessions, to be used again.
    var spareSessions: [FetchSession] = []
    var fetchResults: [FetchResult] = []
    var sparePass = FetchPass()
    var pendingAcks: [PendingAck] = []
    var fetchers = ReplicaFetchers()
    private var nextISRCheck: Instant?
    private var hurried: Set<Int32> = []

    /// Lets go of fetch sessions: they and the replicas hold each other. For who has many of these
    /// in one process.
    package func abandonSessions() { sessions.removeAll() }

    package init(
        brokerId: Int32, config: ReplicationConfig, directory: any TopicDirectory,
        logs: any LogStore, seed: UInt64, highWatermarks: [TopicPartition: Int64] = [:]
    ) {
        context = ReplicationContext(brokerId: brokerId, config: config)
        self.directory = directory
        self.logs = logs
        checkpoint = highWatermarks
        sessions = FetchSessionCache(
            maxCount: config.maxFetchSessions, eviction: config.fetchSessionEviction, seed: seed)
    }

    /// Replicas hold the sessions that read them and the context, and sessions and context hold
    /// replicas: all of it, with the logs, goes when the manager goes.
    deinit {
        for topic in topics { topic.forEach { $0.watchers = [] } }
        context.letGo()
    }

    package var brokerId: Int32 { context.brokerId }
    package var brokerEpoch: Int64 {
        get { context.brokerEpoch }
        set { context.brokerEpoch = newValue }
    }
    package var canary: ReplicationCanary? {
        get { context.canary }
        set { context.canary = newValue }
    }
    package var config: ReplicationConfig {
        get { context.config }
        set {
            context.config = newValue
            sessions.maxCount = newValue.maxFetchSessions
            context.leaderQuota.rate = newValue.leaderThrottledRate
            context.followerQuota.rate = newValue.followerThrottledRate
        }
    }

    /// Partitions of one topic, by their numbers.
    package static let maxPartitions: Int32 = 1_000_000

    // MARK: Steps

    /// Begins a step: the time that everything in it goes by.
    package func begin(at now: Instant, wallMs: Int64) {
        context.now = max(now, context.now)
        context.nowMs = wallMs
    }

    /// Ends a step: answers what has become due or ready, and gives back all that is to be done.
    package func settle(into effects: inout [ReplicationEffect]) {
        answerHurried()
        expire()
        checkISRs()
        repeat {
            var index = 0
            while index < context.woken.count {
                let session = context.woken[index]
                session.isWoken = false
                retry(session, isDue: false)
                index += 1
            }
            context.woken.removeAll(keepingCapacity: true)
            sendFetches()
        } while !context.woken.isEmpty
        if let request = context.alterPartitions.request(
            brokerId: context.brokerId, brokerEpoch: context.brokerEpoch, now: context.now)
        {
            context.emit(.alterPartition(request))
        }
        if effects.isEmpty {
            swap(&effects, &context.effects)
        } else {
            effects.append(contentsOf: context.effects)
            context.effects.removeAll(keepingCapacity: true)
        }
    }

    /// When a step is due though nothing has happened.
    package var nextDeadline: Instant? {
        var next = nextISRCheck
        func include(_ other: Instant?) {
            if let other { next = min(next ?? other, other) }
        }
        include(context.produces.nextDeadline)
        include(context.fetchWaits.nextDeadline)
        include(context.deleteWaits.nextDeadline)
        include(context.alterPartitions.nextDeadline)
        include(fetchers.nextDeadline)
        return next
    }

    /// Followers whose waiting fetch does not name a partition that is led from here now: they
    /// could name it only when that fetch is answered, and until then nothing of the partition
    /// could be acknowledged. So it is answered at once, with what there is.
    private func answerHurried() {
        guard !hurried.isEmpty else { return }
        context.fetchWaits.end(of: hurried, at: context.now)
        hurried.removeAll(keepingCapacity: true)
    }

    private func expire() {
        while let effect = context.produces.popTimedOut(context.now) {
            context.counters.expiredProduces += 1
            context.emit(effect)
        }
        while let effect = context.deleteWaits.popTimedOut(context.now) { context.emit(effect) }
        while let session = context.fetchWaits.popDue(context.now) {
            if session.isFollower {
                context.counters.expiredFollowerFetches += 1
            } else {
                context.counters.expiredConsumerFetches += 1
            }
            retry(session, isDue: true)
        }
    }

    /// Followers that lag are looked for every half of `replica.lag.time.max.ms`, as Kafka does,
    /// and those that the controller would not take at least every half second.
    private func checkISRs() {
        if let next = nextISRCheck, context.now < next { return }
        let half = Nanoseconds(context.config.replicaLagTimeMax.count / 2)
        nextISRCheck = context.now + min(half, .milliseconds(500))
        for replica in leaders { replica.reconsider() }
    }

    // MARK: Partitions

    package func replica(_ topicId: KafkaUUID, _ partition: Int32) -> PartitionReplica? {
        topicsById[topicId]?[partition]
    }

    package func replica(_ partition: TopicPartition) -> PartitionReplica? {
        topicsByName[partition.topic]?[partition.partition]
    }

    func topic(named name: String) -> HostedTopic? { topicsByName[name] }
    func topic(_ id: KafkaUUID) -> HostedTopic? { topicsById[id] }

    /// All, sorted by topic and number.
    package var replicas: [PartitionReplica] {
        topics.flatMap(\.replicas)
    }

    private var leaders: [PartitionReplica] {
        var found: [PartitionReplica] = []
        for topic in topics { topic.forEach { if $0.isLeader { found.append($0) } } }
        return found
    }

    // MARK: Metadata

    /// The brokers of the cluster. A broker that is no longer fenced may be let into ISRs.
    package func setBrokers(_ brokers: BrokerTable) {
        guard brokers != context.brokers else { return }
        context.brokers = brokers
        for replica in leaders {
            replica.considerExpansion()
            replica.advanceHighWatermark()
            replica.settleDeletes()
        }
    }

    /// A partition that this broker replicates, new or changed.
    package func assign(
        topic: String, topicId: KafkaUUID, partition: Int32, _ metadata: PartitionMetadata
    ) {
        guard (0..<Self.maxPartitions).contains(partition) else { return }
        let hosted = host(topic, topicId)
        let replica: PartitionReplica
        if let known = hosted[partition] {
            replica = known
        } else {
            replica = PartitionReplica(
                topic: topic, topicId: topicId, partition: partition, traffic: hosted.traffic,
                context: context)
            replica.config = hosted.config
            hosted.insert(replica)
        }
        if replica.log == nil, replica.role != .offline { open(replica) }
        apply(metadata, to: replica)
    }

    private func apply(_ metadata: PartitionMetadata, to replica: PartitionReplica) {
        let leaderBefore = replica.metadata.leader
        let begins = replica.apply(metadata)
        if begins, replica.role == .leader {
            for follower in metadata.replicas where follower != brokerId {
                hurried.insert(follower)
            }
        }
        follow(replica, leaderBefore: leaderBefore, begins: begins)
    }

    private func host(_ name: String, _ id: KafkaUUID) -> HostedTopic {
        if let hosted = topicsById[id] { return hosted }
        // A topic of that name under another id has been deleted.
        if let old = topicsByName[name] {
            for replica in old.replicas { unassign(replica, deletesLog: true) }
        }
        let hosted = HostedTopic(name: name, id: id, config: ReplicationTopicConfig())
        topicsById[id] = hosted
        topicsByName[name] = hosted
        topics.insert(hosted, at: topics.firstIndex { $0.name > name } ?? topics.count)
        return hosted
    }

    private func open(_ replica: PartitionReplica) {
        do {
            let log = try logs.openLog(replica.topicPartition, topicId: replica.topicId)
            replica.attach(
                log,
                checkpointedHighWatermark: checkpoint.removeValue(forKey: replica.topicPartition))
        } catch {
            context.emit(.storageFailed(replica.topicPartition, error))
            replica.goOffline()
        }
    }

    private func follow(_ replica: PartitionReplica, leaderBefore: Int32, begins: Bool) {
        let leader = replica.metadata.leader
        if replica.role == .follower, leader >= 0 {
            if begins || replica.fetcherSlot < 0 {
                fetchers.remove(replica, leader: leaderBefore)
                fetchers.add(replica, leader: leader, context)
            }
        } else {
            fetchers.remove(replica, leader: leaderBefore)
        }
    }

    package func setConfig(topicId: KafkaUUID, _ config: ReplicationTopicConfig) {
        guard let topic = topicsById[topicId] else { return }
        topic.config = config
        for replica in topic.replicas { replica.config = config }
    }

    /// A topic's own properties have changed.
    package func setLogConfig(topicId: KafkaUUID, _ config: LogConfig) {
        guard let topic = topicsById[topicId] else { return }
        for replica in topic.replicas {
            replica.log?.config = config
            replica.advanceHighWatermark()
        }
    }

    /// A partition that this broker no longer replicates. The log goes with it, unless the
    /// broker is only shutting down.
    package func unassign(topicId: KafkaUUID, partition: Int32, deletesLog: Bool) {
        guard let replica = topicsById[topicId]?[partition] else { return }
        unassign(replica, deletesLog: deletesLog)
    }

    private func unassign(_ replica: PartitionReplica, deletesLog: Bool) {
        fetchers.remove(replica, leader: replica.metadata.leader)
        let log = replica.log
        replica.stop()
        replica.letGoOfWatchers()
        replica.log = nil
        if let topic = topicsById[replica.topicId] {
            topic.remove(replica.partition)
            if topic.count == 0 {
                topicsById[topic.id] = nil
                if topicsByName[topic.name] === topic { topicsByName[topic.name] = nil }
                topics.removeAll { $0 === topic }
            }
        }
        if deletesLog, let log { logs.deleteLog(log) }
    }

    // MARK: Storage

    /// A log directory has gone offline, and these partitions with it.
    package func storageFailed(_ partitions: [TopicPartition]) {
        for partition in partitions {
            guard let replica = replica(partition), replica.role != .offline else { continue }
            replica.goOffline()
            fetchers.remove(replica, leader: replica.metadata.leader)
        }
    }

    /// A log could not be opened, or not be used, for want of descriptors or memory: it is tried
    /// again. Whether it is open now.
    package func reopen(_ partition: TopicPartition) -> Bool {
        guard let replica = replica(partition), replica.role == .offline else { return false }
        open(replica)
        guard replica.log != nil else { return false }
        apply(replica.metadata, to: replica)
        return true
    }

    /// A flush that an effect asked for has been carried out.
    package func flushed(_ key: TopicIdPartition, _ ticket: FlushTicket, _ error: DiskError?) {
        replica(key.topicId, key.partition)?.flushed(ticket, error)
    }

    /// Retention has dropped records at the front of a log: followers and DeleteRecords requests
    /// that wait for it are told.
    package func logStartMoved(_ partition: TopicPartition) {
        guard let replica = replica(partition) else { return }
        if let start = replica.log?.logStartOffset { replica.keepHighWatermark(above: start) }
        replica.wakeAll()
        replica.settleDeletes()
        // The leader waits for a follower's log start, and in a session only news are told.
        if replica.role == .follower, replica.fetcherSlot >= 0 {
            fetchers[replica.metadata.leader]?.mark(replica.fetcherSlot)
        }
    }

    /// What `replication-offset-checkpoint` is to hold, sorted; of one log directory, or all.
    package func highWatermarks(
        in directory: LogDirectory? = nil
    ) -> [(partition: TopicPartition, highWatermark: Int64)] {
        replicas.compactMap { replica in
            guard let log = replica.log, directory == nil || log.directory === directory else {
                return nil
            }
            return (replica.topicPartition, replica.highWatermark)
        }
    }

    // MARK: The controller's answers

    /// What came of the AlterPartition request: nil where it or its answer was lost.
    package func alterPartitionDone(_ response: AlterPartitionResponse?) {
        context.alterPartitions.done(response, now: context.now)
    }
}
