import KafkaWire
import NIOCore
import Timing

/// The group coordinator of one broker: consumer groups and their committed offsets.
///
/// Stepped: it is told what happened and when, and says what to append and what to answer. Every
/// request is answered exactly once, at the latest when its partition is lost.
package final class GroupCoordinator {
    package let config: GroupCoordinatorConfig
    /// How many partitions `__consumer_offsets` has; nil until it is known.
    package var partitionCount: Int32?

    var partitions: [Int32: CoordinatedPartition] = [:]
    var timers = GroupTimers()
    var appends: [UInt64: PendingAppend] = [:]
    var stableFetches: [UInt64: StableFetch] = [:]
    var deadlines = AnswerDeadlines()
    var nextToken: UInt64 = 1
    var random: any RandomNumberGenerator
    var nextExpiration: Instant?

    package internal(set) var groupCount = 0
    package internal(set) var offsetCount = 0
    var stateCounts = [Int](repeating: 0, count: GroupState.allCases.count)
    /// Records of loaded partitions that could not be understood and were passed over.
    package internal(set) var skippedRecords = 0

    // Of the step that runs now.
    var now = Instant(nanoseconds: 0)
    var wallMs: Int64 = 0
    var effects: [GroupEffect] = []

    /// `random` makes member ids; clients must not be able to guess each other's.
    package init(
        config: GroupCoordinatorConfig, partitionCount: Int32? = nil,
        random: any RandomNumberGenerator
    ) {
        self.config = config
        self.partitionCount = partitionCount
        self.random = random
    }

    /// `wallMs` is the time since 1970, for what is written down.
    package func step(_ event: GroupEvent, now: Instant, wallMs: Int64) -> [GroupEffect] {
        self.now = now
        self.wallMs = wallMs
        switch event {
        case .request(let token, let request, let client):
            serve(request, token: token, client: client)
        case .partitionLed(let index, let epoch):
            startLoading(index, epoch: epoch)
        case .loadRecords(let index, let epoch, let batches):
            load(batches, index: index, epoch: epoch)
        case .loadFinished(let index, let epoch):
            finishLoading(index, epoch: epoch)
        case .partitionLost(let index, let epoch):
            lose(index, epoch: epoch)
        case .appended(let token, let outcome):
            appended(token, outcome)
        case .timer:
            fireTimers()
        case .topicsDeleted(let topics):
            deleteOffsets(ofTopics: topics)
        case .expireOffsets:
            startExpiration()
            expireSlice()
        }
        defer { effects = [] }
        return effects
    }

    /// When `.timer` is wanted. It may come early for nothing.
    package var nextDeadline: Instant? {
        [timers.next, deadlines.next, nextExpiration].compactMap { $0 }.min()
    }

    package func groupCount(in state: GroupState) -> Int { stateCounts[state.rawValue] }

    private func fireTimers() {
        while let timer = timers.popDue(now) { fire(timer) }
        while let due = deadlines.popDue(now) {
            switch due {
            case .append(let token): appendOverdue(token)
            case .stableFetch(let id): stableFetchOverdue(id)
            }
        }
        if let nextExpiration, nextExpiration <= now { expireSlice() }
    }

    private func fire(_ timer: GroupTimer) {
        guard let group = partitions[timer.partition]?.groups[timer.groupId] else { return }
        switch timer.purpose {
        case .session(let memberId): sessionExpired(memberId, in: group)
        case .initialDelay: initialDelayOver(group)
        case .join: completeJoin(group)
        case .sync: syncOverdue(group)
        }
    }

    // MARK: Where a group lives

    /// The partition of `__consumer_offsets` of a group, as every Kafka broker and tool has it:
    /// Java's `String.hashCode` of the id, its absolute value (of the lowest number, 0), modulo.
    package static func partition(forGroup groupId: String, count: Int32) -> Int32 {
        guard count > 0 else { return 0 }
        var hash: Int32 = 0
        for unit in groupId.utf16 { hash = hash &* 31 &+ Int32(unit) }
        return (hash == .min ? 0 : abs(hash)) % count
    }

    enum Route {
        case here(CoordinatedPartition)
        case refused(ErrorCode)
    }

    func route(_ groupId: String) -> Route {
        guard let partitionCount, partitionCount > 0 else {
            return .refused(.coordinatorNotAvailable)
        }
        let index = Self.partition(forGroup: groupId, count: partitionCount)
        guard let partition = partitions[index] else { return .refused(.notCoordinator) }
        return partition.isLoading ? .refused(.coordinatorLoadInProgress) : .here(partition)
    }

    private func serve(_ request: GroupRequest, token: UInt64, client: GroupClient) {
        let waiting = GroupMember.Waiting(token: token, version: client.version)
        switch request {
        case .joinGroup(let join): joinGroup(join, waiting, client)
        case .syncGroup(let sync): syncGroup(sync, waiting)
        case .heartbeat(let heartbeat): self.heartbeat(heartbeat, token: token)
        case .leaveGroup(let leave): leaveGroup(leave, waiting)
        case .offsetCommit(let commit): offsetCommit(commit, waiting)
        case .offsetFetch(let fetch): offsetFetch(fetch, waiting)
        case .offsetDelete(let delete): offsetDelete(delete, token: token)
        case .listGroups(let list): reply(token, .listGroups(listGroups(list)))
        case .describeGroups(let describe):
            reply(token, .describeGroups(describeGroups(describe, version: client.version)))
        case .deleteGroups(let delete): deleteGroups(delete, token: token)
        }
    }

    func reply(_ token: UInt64, _ response: GroupResponse) {
        effects.append(.reply(token: token, response))
    }

    // MARK: Groups come and go

    func createGroup(_ id: String, in partition: CoordinatedPartition) -> Group {
        let group = Group(id: id, partition: partition.index)
        partition.insert(group)
        groupCount += 1
        stateCounts[group.state.rawValue] += 1
        return group
    }

    func removeGroup(_ group: Group) {
        guard let partition = partitions[group.partition], partition.groups[group.id] === group
        else { return }
        cancelTimers(of: group)
        partition.remove(group)
        groupCount -= 1
        stateCounts[group.state.rawValue] -= 1
        offsetCount -= group.offsets.count
    }

    func removeIfHollow(_ group: Group) {
        if group.isHollow { removeGroup(group) }
    }

    func cancelTimers(of group: Group) {
        for member in group.members.values { timers.cancel(member.session) }
        for timer in group.pendingMembers.values { timers.cancel(timer) }
        if let timer = group.phaseTimer { timers.cancel(timer) }
        if let timer = group.syncTimer { timers.cancel(timer) }
    }

    func move(_ group: Group, to state: GroupState) {
        stateCounts[group.state.rawValue] -= 1
        group.transition(to: state, wallMs: wallMs)
        stateCounts[state.rawValue] += 1
    }

    func setDead(_ group: Group, _ isDead: Bool) {
        stateCounts[group.state.rawValue] -= 1
        group.setDead(isDead)
        stateCounts[group.state.rawValue] += 1
    }

    // MARK: Offsets come and go

    func setOffset(_ value: CommittedOffset, topic: String, partition: Int32, of group: Group) {
        let before = group.offsets.count
        group.offsets.set(value, topic: topic, partition: partition)
        offsetCount += group.offsets.count - before
    }

    func removeOffset(topic: String, partition: Int32, of group: Group) {
        let before = group.offsets.count
        group.offsets.remove(topic: topic, partition: partition)
        offsetCount += group.offsets.count - before
    }

    // MARK: Timers

    func schedule(_ timer: GroupTimer, afterMs milliseconds: Int64) {
        timers.schedule(timer, at: now + .milliseconds(max(0, milliseconds)))
    }

    /// The member has been heard of.
    func restartSession(of member: GroupMember) {
        schedule(member.session, afterMs: Int64(member.sessionTimeoutMs))
    }
}

/// When requests that wait for the log have waited long enough. They all wait equally long, so the
/// first to come is the first to go.
struct AnswerDeadlines {
    enum Subject {
        case append(UInt64)
        case stableFetch(UInt64)
    }

    private var queue: [(due: Instant, subject: Subject)] = []
    private var head = 0

    var next: Instant? { head < queue.count ? queue[head].due : nil }

    mutating func append(_ subject: Subject, due: Instant) { queue.append((due, subject)) }

    mutating func popDue(_ now: Instant) -> Subject? {
        guard let next, next <= now else { return nil }
        defer { advance() }
        return queue[head].subject
    }

    /// Takes what has been answered from the front, so that `next` wakes nobody for nothing.
    mutating func dropFirst(while isDone: (Subject) -> Bool) {
        while head < queue.count, isDone(queue[head].subject) { advance() }
    }

    private mutating func advance() {
        head += 1
        guard head == queue.count || head >= 1_024 && head * 2 >= queue.count else { return }
        queue.removeFirst(head)
        head = 0
    }
}
