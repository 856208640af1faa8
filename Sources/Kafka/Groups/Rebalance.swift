import KafkaWire
import NIOCore

// The phases of a rebalance: members join (PreparingRebalance), the leader assigns
// (CompletingRebalance), the assignment is written down and handed out (Stable).
extension GroupCoordinator {
    /// Membership or metadata changed.
    func rebalanceOrCompleteJoin(_ group: Group) {
        switch group.state {
        case .empty, .completingRebalance, .stable: prepareRebalance(group)
        case .preparingRebalance: completeJoinUnlessInitial(group)
        case .dead: break
        }
    }

    func prepareRebalance(_ group: Group) {
        if group.state == .completingRebalance { dropAssignment(of: group, .rebalanceInProgress) }
        group.pendingSync.removeAll()
        if let timer = group.syncTimer { timers.cancel(timer) }
        let isInitial = group.state == .empty
        move(group, to: .preparingRebalance)
        if isInitial {
            // The first to come wait for others, and longer as others keep coming, up to the
            // rebalance timeout (KIP-134).
            let delay = Int64(config.initialRebalanceDelayMs)
            group.newMemberAdded = false
            startInitialDelay(
                group, delay: delay, left: max(group.rebalanceTimeoutMs - delay, 0))
        } else if group.hasAllMembersJoined {
            completeJoin(group)
        } else {
            startPhaseTimer(group, .join, afterMs: group.rebalanceTimeoutMs)
        }
    }

    /// How often, at most, a group asks whether one of its absent static members has come back.
    private static let shortestAbsenceMs: Int64 = 1000

    private func startInitialDelay(_ group: Group, delay: Int64, left: Int64) {
        group.initialDelayMs = delay
        group.initialDelayLeftMs = left
        startPhaseTimer(group, .initialDelay, afterMs: delay)
    }

    private func startPhaseTimer(
        _ group: Group, _ purpose: GroupTimer.Purpose, afterMs milliseconds: Int64
    ) {
        if let timer = group.phaseTimer { timers.cancel(timer) }
        let timer = GroupTimer(partition: group.partition, groupId: group.id, purpose: purpose)
        group.phaseTimer = timer
        schedule(timer, afterMs: milliseconds)
    }

    func initialDelayOver(_ group: Group) {
        guard group.newMemberAdded, group.initialDelayLeftMs > 0 else { return completeJoin(group) }
        group.newMemberAdded = false
        let left = group.initialDelayLeftMs
        startInitialDelay(
            group, delay: min(Int64(config.initialRebalanceDelayMs), left),
            left: max(left - group.initialDelayMs, 0))
    }

    /// While the initial delay runs, more members are expected, even if all have joined.
    func completeJoinUnlessInitial(_ group: Group) {
        guard group.state == .preparingRebalance, group.previousState != .empty,
            group.hasAllMembersJoined
        else { return }
        completeJoin(group)
    }

    /// The join phase ends: with everybody, or with those that came in time.
    func completeJoin(_ group: Group) {
        guard group.state == .preparingRebalance else { return }
        if let timer = group.phaseTimer { timers.cancel(timer) }
        // Static members keep their place until their session ends (KIP-345).
        for member in group.membersInOrder
        where member.awaitingJoin == nil && member.instanceId == nil {
            drop(member, from: group)
        }
        if !group.members.isEmpty, !group.electLeaderAmongJoined() {
            // Only static members are left, and none is there. A timeout of nothing must not make
            // this timer due again at once, and again.
            return startPhaseTimer(
                group, .join, afterMs: max(group.rebalanceTimeoutMs, Self.shortestAbsenceMs))
        }
        move(group, to: group.startNextGeneration())
        guard group.state == .completingRebalance else {
            appendMetadata(of: group, work: .emptied(group))
            return
        }
        for member in group.membersInOrder {
            if let waiting = group.setAwaitingJoin(nil, of: member) {
                let members = group.isLeader(member.id) ? joinedMembers(of: group) : []
                replyJoined(member, waiting, group, members: members)
            }
            restartSession(of: member)
            member.isNew = false
            group.pendingSync.insert(member.id)
        }
        let timer = GroupTimer(partition: group.partition, groupId: group.id, purpose: .sync)
        if let before = group.syncTimer { timers.cancel(before) }
        group.syncTimer = timer
        schedule(timer, afterMs: group.rebalanceTimeoutMs)
    }

    /// Some took the generation and never asked for their assignment (KAFKA-12558's cure): without
    /// this a leader that hangs would hold up the group as long as it sends heartbeats.
    func syncOverdue(_ group: Group) {
        guard group.state == .completingRebalance || group.state == .stable,
            !group.pendingSync.isEmpty
        else { return }
        for memberId in group.pendingSync.sorted() {
            if let member = group.members[memberId] { drop(member, from: group) }
        }
        prepareRebalance(group)
    }

    // MARK: Members go

    /// Takes a member out of the group, and leaves what follows to the caller.
    func drop(_ member: GroupMember, from group: Group) {
        answerWaiting(member, in: group, .unknownMemberId)
        timers.cancel(member.session)
        group.remove(member)
    }

    func sessionExpired(_ memberId: String, in group: Group) {
        if group.pendingMembers.removeValue(forKey: memberId) != nil {
            completeJoinUnlessInitial(group)
            return removeIfHollow(group)
        }
        guard let member = group.members[memberId], !member.isExcusedFromHeartbeats else { return }
        drop(member, from: group)
        switch group.state {
        case .stable, .completingRebalance: prepareRebalance(group)
        case .preparingRebalance: completeJoinUnlessInitial(group)
        case .empty, .dead: break
        }
    }

    struct Refusal: Error {
        let code: ErrorCode
    }

    /// The member, if it is who it says it is.
    func find(
        _ memberId: String, instanceId: String?, in group: Group
    ) -> Result<GroupMember, Refusal> {
        if let instanceId {
            guard let current = group.staticMemberId(instanceId) else {
                return .failure(Refusal(code: .unknownMemberId))
            }
            guard current == memberId else { return .failure(Refusal(code: .fencedInstanceId)) }
        }
        guard let member = group.members[memberId] else {
            return .failure(Refusal(code: .unknownMemberId))
        }
        return .success(member)
    }

    // MARK: The assignment

    /// What was assigned does not hold any more.
    func dropAssignment(of group: Group, _ error: ErrorCode) {
        group.assignmentAppend = nil
        for member in group.membersInOrder {
            member.assignment = ByteBuffer()
            guard let waiting = member.awaitingSync else { continue }
            member.awaitingSync = nil
            refuseSync(waiting.token, error)
            restartSession(of: member)
        }
    }

    /// The leader's assignment stands in the log.
    func assignmentWritten(
        _ group: Group, generation: Int32, _ assignment: [String: ByteBuffer]
    ) {
        // Another member may have come in the meantime.
        guard group.state == .completingRebalance, group.generation == generation else { return }
        group.assignmentAppend = nil
        for member in group.membersInOrder {
            member.assignment = assignment[member.id] ?? ByteBuffer()
        }
        move(group, to: .stable)
        for member in group.membersInOrder {
            guard let waiting = member.awaitingSync else { continue }
            member.awaitingSync = nil
            replySynced(member, waiting.token, group)
            restartSession(of: member)
        }
    }

    func assignmentRefused(_ group: Group, generation: Int32, _ error: ErrorCode) {
        guard group.state == .completingRebalance, group.generation == generation else { return }
        dropAssignment(of: group, error)
        prepareRebalance(group)
    }
}
