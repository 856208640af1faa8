import KafkaWire
import Timing

/// One partition as a fetch session remembers it: the last request's wishes, and what the last
/// answer told.
struct SessionPartition {
    var topic: String
    var topicId: KafkaUUID
    var partition: Int32
    var fetchOffset: Int64 = 0
    /// The follower's own; -1 from consumers.
    var logStartOffset: Int64 = -1
    var maxBytes: Int32 = 0
    var currentLeaderEpoch: Int32 = -1
    /// Where the next read begins: beyond `fetchOffset` by what is on its way to a follower that
    /// reads ahead.
    var position: Int64 = 0
    /// What is sent to it once is not sent again, unless it asks anew.
    var readsAhead = false
    /// More was sent, from a file, and how much only the follower can tell.
    var awaitsName = false
    var lastFetchedEpoch: Int32 = -1

    var sentHighWatermark: Int64 = -1
    var sentLogStart: Int64 = -1

    /// Nil where the partition is not here.
    var replica: PartitionReplica?
    /// Where the replica keeps its watcher for this one.
    var watchIndex: Int32 = -1
    /// It stands in the session's `ready`.
    var isReady = false
    var isUsed = true
}

extension SessionPartition {
    /// Whether it has to ask again for what it was sent already.
    var isAhead: Bool { position > fetchOffset }

    mutating func name(_ request: FetchRequest.FetchPartition, isFollower: Bool) {
        let wish = isFollower ? ReadAhead(rawValue: request.readAhead) : .no
        let goesOn =
            wish == .goOn && readsAhead && request.currentLeaderEpoch == currentLeaderEpoch
            && request.fetchOffset >= fetchOffset
            && (request.fetchOffset <= position || awaitsName)
        fetchOffset = request.fetchOffset
        if !goesOn || request.fetchOffset > position {
            position = request.fetchOffset
            awaitsName = false
        }
        readsAhead = wish == .start || wish == .goOn
        // What was answered before it asked anew it may not have taken.
        if wish == .start {
            sentHighWatermark = -1
            sentLogStart = -1
        }
    }
}

/// What a follower of ours says of a partition that it names in a fetch. Over a distance it keeps
/// several requests under way, so that records need not wait for a request to come back.
enum ReadAhead: Int8 {
    /// As Apache Kafka: every request is for what lies behind its offset.
    case no = 0
    /// From this offset on; what was sent before is of no use.
    case start = 1
    /// The follower has all below this offset; what is on its way is good.
    case goOn = 2
}

/// A session looks at a partition. The replica tells it when there may be something to read.
struct Watcher {
    let session: FetchSession
    let slot: Int32
}

/// The key of a partition within a session: its topic's id, or its name for old versions.
struct SessionKey: Hashable {
    var topic: String
    var topicId: KafkaUUID
    var partition: Int32
}

/// The partitions that one fetcher reads (KIP-227), or those of a single request without session.
///
/// Kafka looks at every partition of a session whenever a fetch arrives. Here replicas mark the
/// partitions that have something to tell (`ready`), and only those are looked at: a follower of
/// ten thousand partitions of which three are written to costs three.
final class FetchSession {
    private(set) var usesTopicIds: Bool
    /// 0 outside of the cache.
    var id: Int32 = 0
    var epoch: Int32 = 0
    /// The follower that reads; -1 for consumers, -2 for tools.
    var replicaId: Int32
    /// Reads what is not committed, so that an append is news.
    var readsToLogEnd: Bool
    var createdAt: Instant
    var lastUsed: Instant
    /// When the last request came.
    var lastRequest: Instant

    private(set) var slots: [SessionPartition] = []
    private var free: [Int32] = []
    private var index: [SessionKey: Int32] = [:]
    /// Slots that may have something to tell, in the order in which they are served.
    private(set) var ready: [Int32] = []

    /// The request that waits, if one does: the first of those that are under way.
    var waiting: WaitingFetch?
    /// Behind it, of a follower that reads ahead.
    var queued: [WaitingFetch] = []
    /// It stands in the context's `woken`.
    var isWoken = false
    /// The cache let go of it while a fetch waited: it ends with the answer.
    var isEvicted = false

    init(usesTopicIds: Bool, replicaId: Int32, readsToLogEnd: Bool, now: Instant) {
        self.usesTopicIds = usesTopicIds
        self.replicaId = replicaId
        self.readsToLogEnd = readsToLogEnd
        createdAt = now
        lastUsed = now
        lastRequest = now
    }

    var isFollower: Bool { replicaId >= 0 }
    var count: Int { slots.count - free.count }
    var isEmpty: Bool { count == 0 }

    // MARK: Partitions

    /// Takes over what a request says of one partition, which makes it ready. Gives back its
    /// slot, or nil where the session is full.
    func update(
        topic: String, topicId: KafkaUUID, _ request: FetchRequest.FetchPartition, limit: Int,
        find: () -> PartitionReplica?
    ) -> Int32? {
        let key = SessionKey(topic: topic, topicId: topicId, partition: request.partition)
        let slot: Int32
        if let known = index[key] {
            slot = known
            if slots[Int(slot)].replica == nil { attach(slot, to: find()) }
        } else {
            guard count < limit else { return nil }
            var new = SessionPartition(
                topic: topic, topicId: topicId, partition: request.partition)
            if let reused = free.popLast() {
                slot = reused
                // The one before may still stand in `ready`.
                new.isReady = slots[Int(slot)].isReady
                slots[Int(slot)] = new
            } else {
                slot = Int32(slots.count)
                slots.append(new)
            }
            index[key] = slot
            attach(slot, to: find())
        }
        let place = Int(slot)
        slots[place].name(request, isFollower: isFollower)
        slots[place].logStartOffset = request.logStartOffset
        slots[place].maxBytes = request.partitionMaxBytes
        slots[place].currentLeaderEpoch = request.currentLeaderEpoch
        slots[place].lastFetchedEpoch = request.lastFetchedEpoch
        mark(slot)
        return slot
    }

    func forget(topic: String, topicId: KafkaUUID, partition: Int32) {
        let key = SessionKey(topic: topic, topicId: topicId, partition: partition)
        guard let slot = index.removeValue(forKey: key) else { return }
        release(slot)
    }

    private func release(_ slot: Int32) {
        detach(slot)
        slots[Int(slot)].isUsed = false
        slots[Int(slot)].topic = ""
        free.append(slot)
    }

    /// Looks again for a partition that was not here.
    func attach(_ slot: Int32, to replica: PartitionReplica?) {
        guard let replica, slots[Int(slot)].replica == nil else { return }
        slots[Int(slot)].replica = replica
        slots[Int(slot)].watchIndex = replica.watch(self, slot)
    }

    func detach(_ slot: Int32) {
        guard let replica = slots[Int(slot)].replica else { return }
        slots[Int(slot)].replica = nil
        replica.unwatch(at: slots[Int(slot)].watchIndex)
    }

    func watcherMoved(_ slot: Int32, to index: Int32) { slots[Int(slot)].watchIndex = index }

    /// Lets go of every partition. Small ones keep their memory for the next use.
    func close() {
        for slot in slots.indices where slots[slot].isUsed { detach(Int32(slot)) }
        let keeps = slots.capacity <= 64
        slots.removeAll(keepingCapacity: keeps)
        free.removeAll(keepingCapacity: keeps)
        index.removeAll(keepingCapacity: keeps)
        ready.removeAll(keepingCapacity: keeps)
    }

    /// Makes a closed one new.
    func reuse(usesTopicIds: Bool, replicaId: Int32, readsToLogEnd: Bool, now: Instant) {
        self.usesTopicIds = usesTopicIds
        self.replicaId = replicaId
        self.readsToLogEnd = readsToLogEnd
        id = 0
        epoch = 0
        isEvicted = false
        createdAt = now
        lastUsed = now
        lastRequest = now
    }

    // MARK: Readiness

    func mark(_ slot: Int32) {
        guard !slots[Int(slot)].isReady else { return }
        slots[Int(slot)].isReady = true
        ready.append(slot)
    }

    /// There is news: a waiting fetch is looked at when the step ends.
    func wake(_ slot: Int32, _ context: ReplicationContext) {
        mark(slot)
        guard waiting != nil, !isWoken else { return }
        isWoken = true
        context.woken.append(self)
    }

    /// Sets what goes on being ready; the old array is given back for use again.
    func exchangeReady(_ next: inout [Int32]) { swap(&ready, &next) }

    func unmark(_ slot: Int32) { slots[Int(slot)].isReady = false }

    func sent(_ result: FetchResult) {
        let place = Int(result.slot)
        slots[place].sentHighWatermark = result.data.highWatermark
        slots[place].sentLogStart = result.data.logStartOffset
        guard slots[place].readsAhead, result.data.byteCount > 0 else { return }
        if let next = result.nextOffset {
            slots[place].position = next
        } else {
            slots[place].awaitsName = true
        }
    }
}
