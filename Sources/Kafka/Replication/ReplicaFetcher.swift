import CommitLog
import KafkaWire
import Timing

/// One partition that is followed.
struct FollowedPartition {
    enum State: Equatable {
        case fetching
        /// Resting after an error, or because it is throttled.
        case delayed
        /// Waiting for the leader to say where its log begins or ends.
        case askingEnd
        case askingStart
    }

    var replica: PartitionReplica?
    var state = State.fetching
    /// The next request has to name it.
    var isDirty = false
    /// The leader's session knows it.
    var isInSession = false
    /// The first request whose answer means anything: those before asked for another place in the
    /// log, or under another epoch.
    var validFrom: UInt64 = 0
    /// The next request that names it asks anew, and does not go on from what was sent.
    var startsAnew = true
    /// The last request that did, and the offset it asked for.
    var start: (correlation: UInt64, offset: Int64) = (0, -1)
    /// Errors in a row.
    var failures = 0
}

/// A fetch whose answer is still to come.
struct FetchUnderWay {
    var correlation: UInt64
    var isFull: Bool
}

/// The follower's side towards one leader: one Fetch session for every partition that is followed
/// from there.
///
/// Requests wait at the leader, several while records flow, so that over a distance no record
/// waits for a request to come back; each answer makes room for the next request, which says how
/// far we are. A partition is named only when there is something new to say of it. When partitions
/// join while requests wait, one more is sent behind them: a leader of ours answers those at once
/// then, another one after its wait.
final class ReplicaFetcher {
    let leader: Int32
    unowned let context: ReplicationContext

    var partitions: [FollowedPartition] = []
    var free: [Int32] = []
    var index: [TopicIdPartition: Int32] = [:]
    private var dirty: [Int32] = []
    /// Partitions of the session that are no longer to be sent.
    var forgotten: Set<TopicIdPartition> = []

    /// How many partitions the leader's session knows.
    private var sessionCount = 0

    var sessionId: Int32 = 0
    private var sessionEpoch: Int32 = 0
    var underWay: [FetchUnderWay] = []
    var nextCorrelation: UInt64 = 1
    /// Partitions have joined that the requests under way do not name.
    private var isUrgent = false
    /// How many requests are kept under way.
    private var depth = ReplicaFetcher.leastDepth
    private var inVain = 0
    private static let leastDepth = 2
    private static let greatestDepth = 8

    /// After a lost connection: nothing is sent before.
    var notBefore: Instant?
    var failures = 0
    var delays = DeadlineHeap()
    var offsetQuestion: OffsetQuestion?
    /// Some partition waits for the leader to say where its log begins or ends.
    var isAsking = false

    init(leader: Int32, context: ReplicationContext) {
        self.leader = leader
        self.context = context
    }

    var count: Int { partitions.count - free.count }

    var nextDeadline: Instant? {
        guard let resting = delays.next else { return underWay.isEmpty ? notBefore : nil }
        guard underWay.isEmpty, let notBefore else { return resting }
        return min(resting, notBefore)
    }

    // MARK: Partitions

    func add(_ replica: PartitionReplica) {
        let key = TopicIdPartition(replica.topicId, replica.partition)
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
        } else {
            slot = Int32(partitions.count)
            partitions.append(FollowedPartition())
        }
        let wasDirty = partitions[Int(slot)].isDirty
        partitions[Int(slot)] = FollowedPartition(replica: replica, validFrom: nextCorrelation)
        partitions[Int(slot)].isDirty = wasDirty
        index[key] = slot
        replica.fetcherSlot = slot
        mark(slot)
        isUrgent = true
    }

    func remove(_ replica: PartitionReplica) {
        let key = TopicIdPartition(replica.topicId, replica.partition)
        guard let slot = index.removeValue(forKey: key) else { return }
        forget(slot)
        delays.remove(slot)
        partitions[Int(slot)].replica = nil
        replica.fetcherSlot = -1
        free.append(slot)
    }

    /// There is something new to say of a partition.
    func mark(_ slot: Int32) {
        guard !partitions[Int(slot)].isDirty else { return }
        partitions[Int(slot)].isDirty = true
        dirty.append(slot)
    }

    /// Takes a partition out of the leader's session, which would else answer for it.
    func forget(_ slot: Int32) {
        guard partitions[Int(slot)].isInSession, let replica = partitions[Int(slot)].replica else {
            return
        }
        partitions[Int(slot)].isInSession = false
        sessionCount -= 1
        forgotten.insert(TopicIdPartition(replica.topicId, replica.partition))
    }

    /// What is under way asked for another place: only later answers count.
    func restart(_ slot: Int32) {
        partitions[Int(slot)].validFrom = nextCorrelation
        partitions[Int(slot)].startsAnew = true
        isUrgent = true
        partitions[Int(slot)].state = .fetching
        mark(slot)
    }

    /// Lets a partition rest, longer with every error in a row.
    func delay(_ slot: Int32) {
        let failures = min(partitions[Int(slot)].failures, 10)
        partitions[Int(slot)].failures += 1
        let wait = Nanoseconds(Nanoseconds.milliseconds(20).count << Int64(failures))
        delay(slot, until: context.now + min(wait, context.config.replicaFetchBackoff))
    }

    func delay(_ slot: Int32, until deadline: Instant) {
        guard partitions[Int(slot)].state != .delayed else { return }
        partitions[Int(slot)].state = .delayed
        delays.insert(slot, at: deadline)
        forget(slot)
    }

    // MARK: Requests

    /// Sends what is to be sent now.
    func send() {
        while let slot = delays.popDue(context.now) {
            restart(slot)
            isUrgent = true
        }
        askOffsets()
        while maySend, sendOne() {}
    }

    /// More while records come, fewer when all that were under way have waited in vain. One that
    /// tells a high watermark does not count: it follows on records.
    func adaptDepth(hasRecords: Bool, isEmpty: Bool) {
        if hasRecords {
            depth = min(Self.greatestDepth, depth + 1)
            inVain = 0
        } else if isEmpty {
            inVain += 1
            if inVain >= depth {
                depth = max(Self.leastDepth, depth - 1)
                inVain = 0
            }
        }
    }

    /// Whether one was sent, behind which another one may be.
    private func sendOne() -> Bool {
        let isFull = sessionId == 0 || sessionEpoch == 0
        if isFull, !underWay.isEmpty { return false }
        var request = FetchRequest(
            replicaId: context.brokerId,
            replicaState: FetchRequest.ReplicaState(
                replicaId: context.brokerId, replicaEpoch: context.brokerEpoch),
            maxWaitMs: Int32(clamping: context.config.replicaFetchWaitMax.count / 1_000_000),
            minBytes: context.config.replicaFetchMinBytes,
            maxBytes: maxBytes, sessionId: sessionId,
            sessionEpoch: isFull ? 0 : sessionEpoch)
        if isFull { markAllInSession() }
        name(dirty, in: &request, isFull: isFull)
        guard sessionCount > 0 else { return false }
        if !isFull { nameForgotten(in: &request) }
        forgotten.removeAll(keepingCapacity: true)
        if !isFull { sessionEpoch = FetchSessionCache.epoch(after: sessionEpoch) }
        underWay.append(FetchUnderWay(correlation: nextCorrelation, isFull: isFull))
        context.emit(.fetch(leader: leader, correlation: nextCorrelation, request))
        nextCorrelation += 1
        isUrgent = false
        return !isFull
    }

    /// All that may be on its way is as much as one response may hold.
    private var maxBytes: Int32 {
        let all = context.config.replicaFetchResponseMaxBytes
        return max(all / Int32(Self.greatestDepth), min(all, context.config.replicaFetchMaxBytes))
    }

    private var maySend: Bool {
        if let notBefore, context.now < notBefore { return false }
        // What there is to say is said at once: the leader waits for it.
        let limit = isUrgent ? Self.greatestDepth + 1 : dirty.isEmpty ? depth : Self.greatestDepth
        guard underWay.count < limit else { return false }
        guard sessionCount > 0 || !dirty.isEmpty else { return false }
        // With `flush.messages` what we ask for next says what is durable here.
        return dirty.allSatisfy { partitions[Int($0)].replica?.mayAskForMore ?? true }
    }

    /// A full request names every partition that is fetched.
    private func markAllInSession() {
        sessionCount = 0
        for slot in partitions.indices {
            partitions[slot].isInSession = false
            if partitions[slot].replica != nil, partitions[slot].state == .fetching {
                mark(Int32(slot))
            }
        }
    }

    private func name(_ slots: [Int32], in request: inout FetchRequest, isFull: Bool) {
        for slot in slots {
            let place = Int(slot)
            partitions[place].isDirty = false
            guard partitions[place].state == .fetching, let replica = partitions[place].replica,
                let log = replica.log
            else { continue }
            if !partitions[place].isInSession { sessionCount += 1 }
            partitions[place].isInSession = true
            // Named and forgotten in one request would be forgotten.
            forgotten.remove(TopicIdPartition(replica.topicId, replica.partition))
            let part = FetchRequest.FetchPartition(
                partition: replica.partition, currentLeaderEpoch: replica.leaderEpoch,
                fetchOffset: log.logEndOffset, lastFetchedEpoch: log.latestEpoch ?? -1,
                logStartOffset: log.logStartOffset,
                partitionMaxBytes: context.config.replicaFetchMaxBytes,
                highWatermark: replica.highWatermark,
                readAhead: (isFull || partitions[place].startsAnew
                    ? ReadAhead.start : .goOn).rawValue)
            if isFull || partitions[place].startsAnew {
                partitions[place].start = (nextCorrelation, log.logEndOffset)
            }
            partitions[place].startsAnew = false
            if let last = request.topics.indices.last,
                request.topics[last].topicId == replica.topicId
            {
                request.topics[last].partitions.append(part)
            } else {
                request.topics.append(
                    FetchRequest.FetchTopic(
                        topic: replica.topic, topicId: replica.topicId, partitions: [part]))
            }
        }
        dirty.removeAll(keepingCapacity: true)
    }

    private func nameForgotten(in request: inout FetchRequest) {
        guard !forgotten.isEmpty else { return }
        for key in forgotten.sorted() {
            if let last = request.forgottenTopicsData.indices.last,
                request.forgottenTopicsData[last].topicId == key.topicId
            {
                request.forgottenTopicsData[last].partitions.append(key.partition)
            } else {
                request.forgottenTopicsData.append(
                    FetchRequest.ForgottenTopic(
                        topicId: key.topicId, partitions: [key.partition]))
            }
        }
    }

    // MARK: Sessions

    func sessionBegan(_ id: Int32) {
        sessionId = id
        sessionEpoch = id == 0 ? 0 : 1
    }

    /// The session is of no use: the next request is full, and ends it if it is still there.
    func endSession(isGone: Bool) {
        if isGone { sessionId = 0 }
        sessionEpoch = 0
        forgotten.removeAll()
    }
}

/// The fetchers, one for each leader that is followed.
struct ReplicaFetchers {
    private(set) var fetchers: [ReplicaFetcher] = []

    subscript(leader: Int32) -> ReplicaFetcher? { fetchers.first { $0.leader == leader } }

    var nextDeadline: Instant? {
        var next: Instant?
        for fetcher in fetchers {
            if let deadline = fetcher.nextDeadline { next = min(next ?? deadline, deadline) }
        }
        return next
    }

    mutating func add(_ replica: PartitionReplica, leader: Int32, _ context: ReplicationContext) {
        let fetcher: ReplicaFetcher
        if let known = self[leader] {
            fetcher = known
        } else {
            fetcher = ReplicaFetcher(leader: leader, context: context)
            fetchers.append(fetcher)
            fetchers.sort { $0.leader < $1.leader }
        }
        fetcher.add(replica)
    }

    func remove(_ replica: PartitionReplica, leader: Int32) { self[leader]?.remove(replica) }

    /// Lets every fetcher send; one that follows nothing any more ends.
    mutating func send(_ context: ReplicationContext) {
        var isIdle = false
        for fetcher in fetchers {
            if fetcher.count == 0, fetcher.underWay.isEmpty {
                isIdle = true
            } else {
                fetcher.send()
            }
        }
        guard isIdle else { return }
        fetchers.removeAll { fetcher in
            guard fetcher.count == 0, fetcher.underWay.isEmpty else { return false }
            context.emit(.fetcherStopped(leader: fetcher.leader))
            return true
        }
    }
}
