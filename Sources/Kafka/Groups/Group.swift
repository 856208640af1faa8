import KafkaWire
import NIOCore

/// One group: its members and generation, and its committed offsets.
///
/// Facts here, decisions in `GroupCoordinator`: nothing in this file answers a request or looks at
/// a clock.
final class Group {
    let id: String
    let partition: Int32
    /// Where the partition's list of groups has it.
    var slot = 0

    private(set) var state = GroupState.empty
    private(set) var previousState = GroupState.dead
    /// Wall clock of the last change of state; absent in records of before Kafka 2.1.
    private(set) var stateTimestampMs: Int64?

    private(set) var generation: Int32 = 0
    private(set) var protocolType: String?
    private(set) var protocolName: String?
    private(set) var leader: String?

    private(set) var members: [String: GroupMember] = [:]
    /// Member ids by `group.instance.id`.
    private(set) var staticMembers: [String: String] = [:]
    /// Ids that were handed out with MEMBER_ID_REQUIRED and not used yet.
    var pendingMembers: [String: GroupTimer] = [:]
    /// Members of this generation that have not sent their SyncGroup.
    var pendingSync: Set<String> = []
    var awaitingJoinCount = 0
    /// How many members support each protocol.
    private var supporters: [String: Int] = [:]
    private var nextRank: UInt64 = 0

    /// What the members read; nil where that cannot be known.
    private(set) var subscribedTopics: Set<String>?

    /// Someone came during the initial delay, which therefore starts again.
    var newMemberAdded = false
    /// What is left of the first rebalance timeout after the initial delay that runs now.
    var initialDelayLeftMs: Int64 = 0
    var initialDelayMs: Int64 = 0
    var phaseTimer: GroupTimer?
    var syncTimer: GroupTimer?

    var offsets = OffsetTable()
    // Offsets of open transactions go here, by producer id, when TxnOffsetCommit is served; until
    // then every committed offset is a stable one.

    /// Appends in flight that concern this group, in order.
    var appends: [UInt64] = []
    /// The append of this generation's assignment is in flight.
    var assignmentAppend: UInt64?
    /// A GroupMetadata record may stand in the log, so going away takes a tombstone.
    var isPersisted = false

    init(id: String, partition: Int32) {
        self.id = id
        self.partition = partition
    }

    // MARK: Members

    /// Oldest first.
    var membersInOrder: [GroupMember] {
        members.values.sorted { $0.rank < $1.rank }
    }

    func staticMemberId(_ instanceId: String) -> String? { staticMembers[instanceId] }
    func isLeader(_ memberId: String) -> Bool { leader == memberId }

    var hasAllMembersJoined: Bool {
        members.count == awaitingJoinCount && pendingMembers.isEmpty
    }

    /// The longest that any member asked for.
    var rebalanceTimeoutMs: Int64 {
        members.values.reduce(0) { max($0, Int64($1.rebalanceTimeoutMs)) }
    }

    /// The caller has checked the protocol type and protocols, and that the instance id is free.
    func add(_ member: GroupMember, protocolType: String?) {
        if members.isEmpty { self.protocolType = protocolType }
        if let instanceId = member.instanceId { staticMembers[instanceId] = member.id }
        if leader == nil { leader = member.id }
        member.rank = nextRank
        nextRank += 1
        members[member.id] = member
        count(member, by: 1)
    }

    /// The member's waiting requests have been answered. A leader is followed by the oldest member.
    func remove(_ member: GroupMember) {
        guard members.removeValue(forKey: member.id) != nil else { return }
        _ = setAwaitingJoin(nil, of: member)
        count(member, by: -1)
        if let instanceId = member.instanceId { staticMembers[instanceId] = nil }
        pendingSync.remove(member.id)
        if leader == member.id {
            leader = members.values.min { $0.rank < $1.rank }?.id
        }
    }

    /// The newcomer takes the place, and the rank, of a static member whose process it succeeds.
    func replace(_ old: GroupMember, with new: GroupMember, instanceId: String) {
        members[old.id] = nil
        _ = setAwaitingJoin(nil, of: old)
        count(old, by: -1)
        new.rank = old.rank
        new.assignment = old.assignment
        members[new.id] = new
        count(new, by: 1)
        staticMembers[instanceId] = new.id
        if leader == old.id { leader = new.id }
        if pendingSync.remove(old.id) != nil { pendingSync.insert(new.id) }
    }

    /// Nobody waits for an answer and no timer runs: the partition is being read.
    private func removeAllMembers() {
        members.removeAll()
        staticMembers.removeAll()
        supporters.removeAll()
        pendingSync.removeAll()
        awaitingJoinCount = 0
        leader = nil
    }

    func setProtocols(_ protocols: [GroupMember.SupportedProtocol], of member: GroupMember) {
        count(member, by: -1)
        member.protocols = protocols
        count(member, by: 1)
    }

    private func count(_ member: GroupMember, by step: Int) {
        for name in Set(member.protocols.map(\.name)) {
            let supporters = supporters[name, default: 0] + step
            self.supporters[name] = supporters > 0 ? supporters : nil
        }
    }

    /// If the leader has not joined again, the oldest member that has takes over. Says whether the
    /// group has a leader that will do the work.
    func electLeaderAmongJoined() -> Bool {
        guard let leader, let current = members[leader] else { return false }
        if current.awaitingJoin != nil { return true }
        let joined = members.values.filter { $0.awaitingJoin != nil }
        guard let successor = joined.min(by: { $0.rank < $1.rank }) else { return false }
        self.leader = successor.id
        return true
    }

    // MARK: Protocols

    /// Whether a member that offers these could be in the group.
    func accepts(protocolType: String, protocols: [GroupMember.SupportedProtocol]) -> Bool {
        guard !protocols.isEmpty else { return false }
        if state == .empty { return !protocolType.isEmpty }
        guard self.protocolType == protocolType else { return false }
        return protocols.contains { supporters[$0.name] == members.count || members.isEmpty }
    }

    /// Each member votes for the first of its protocols that all support. Where votes are equal,
    /// the one that was voted for first wins: Kafka leaves that open.
    func selectProtocol() -> String? {
        var votes: [(name: String, count: Int)] = []
        for member in membersInOrder {
            let vote = member.protocols.first { supporters[$0.name] == members.count }
            guard let name = vote?.name else { continue }
            if let index = votes.firstIndex(where: { $0.name == name }) {
                votes[index].count += 1
            } else {
                votes.append((name, 1))
            }
        }
        guard let most = votes.map(\.count).max() else { return nil }
        return votes.first { $0.count == most }?.name
    }

    static let consumerProtocolType = "consumer"

    var usesConsumerProtocol: Bool { protocolType == Self.consumerProtocolType }

    /// What cannot be read counts as subscribed, so that nothing is deleted by mistake.
    func isSubscribed(to topic: String) -> Bool {
        subscribedTopics?.contains(topic) ?? usesConsumerProtocol
    }

    private func findSubscribedTopics() {
        subscribedTopics = nil
        guard usesConsumerProtocol else { return }
        var topics: Set<String> = []
        for member in members.values {
            guard let protocolName,
                let some = SubscriptionTopics.read(member.metadata(of: protocolName))
            else { return }
            topics.formUnion(some)
        }
        subscribedTopics = topics
    }

    // MARK: States

    /// `GroupCoordinator.move` calls it, which keeps count.
    func transition(to state: GroupState, wallMs: Int64) {
        previousState = self.state
        self.state = state
        stateTimestampMs = wallMs
    }

    /// An empty group waits for its deletion, or the deletion did not come about. Neither moves the
    /// time from which its offsets age.
    func setDead(_ isDead: Bool) { state = isDead ? .dead : .empty }

    /// The join phase is over: the state that follows it.
    func startNextGeneration() -> GroupState {
        generation = generation >= 0 && generation < .max ? generation + 1 : 1
        protocolName = selectProtocol()
        findSubscribedTopics()
        pendingSync.removeAll()
        assignmentAppend = nil
        return members.isEmpty ? .empty : .completingRebalance
    }

    /// Nothing of it is in the log or in anyone's hands.
    var isHollow: Bool {
        state == .empty && !isPersisted && offsets.isEmpty && members.isEmpty
            && pendingMembers.isEmpty && appends.isEmpty
    }

    /// Takes the state that a record of the log describes, in place of the present one.
    func restore(_ record: GroupMetadataValue, members restored: [GroupMember]) {
        removeAllMembers()
        state = record.members.isEmpty ? .empty : .stable
        previousState = .dead
        generation = record.generation
        protocolName = record.protocol
        stateTimestampMs = record.currentStateTimestamp == -1 ? nil : record.currentStateTimestamp
        let type = record.protocolType.isEmpty ? nil : record.protocolType
        protocolType = type
        for member in restored where members[member.id] == nil {
            add(member, protocolType: type)
        }
        if let recorded = record.leader, members[recorded] != nil { leader = recorded }
        isPersisted = true
        findSubscribedTopics()
    }

    /// A tombstone was met: what is left is a group that only has offsets.
    func forgetMetadata() {
        removeAllMembers()
        state = .empty
        previousState = .dead
        stateTimestampMs = nil
        generation = 0
        protocolType = nil
        protocolName = nil
        subscribedTopics = nil
        isPersisted = false
    }
}
