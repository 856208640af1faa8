import KafkaWire
import NIOCore

// JoinGroup: who may be in the group. What becomes of the group then is in Rebalance.swift.
//
// The rules and error codes are those of Apache Kafka's coordinator for classic groups (KIP-62,
// KIP-134, KIP-345, KIP-394, KIP-389, KIP-814), as its documentation and sources describe them.
extension GroupCoordinator {
    typealias Protocols = [GroupMember.SupportedProtocol]

    func joinGroup(
        _ request: JoinGroupRequest, _ waiting: GroupMember.Waiting, _ client: GroupClient
    ) {
        guard !request.groupId.isEmpty else {
            return refuse(waiting, .invalidGroupId, memberId: request.memberId)
        }
        guard config.sessionTimeoutsMs.contains(request.sessionTimeoutMs) else {
            return refuse(waiting, .invalidSessionTimeout, memberId: request.memberId)
        }
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(let error): return refuse(waiting, error, memberId: request.memberId)
        case .here(let found): partition = found
        }
        if let group = partition.groups[request.groupId] {
            joinGroup(request, group, waiting, client)
        } else if !request.memberId.isEmpty {
            refuse(waiting, .unknownMemberId, memberId: request.memberId)
        } else if groupCount >= config.maxGroups {
            refuse(waiting, .policyViolation, memberId: "")
        } else {
            let group = createGroup(request.groupId, in: partition)
            joinGroup(request, group, waiting, client)
            removeIfHollow(group)
        }
    }

    private func joinGroup(
        _ request: JoinGroupRequest, _ group: Group, _ waiting: GroupMember.Waiting,
        _ client: GroupClient
    ) {
        let protocols = request.protocols.map {
            GroupMember.SupportedProtocol(name: $0.name, metadata: $0.metadata.compacted)
        }
        if !hasRoom(group, for: request.memberId) {
            refuse(waiting, .groupMaxSizeReached, memberId: "")
            turnAway(request.memberId, from: group)
        } else if group.state == .dead {
            refuse(waiting, .coordinatorNotAvailable, memberId: request.memberId)
        } else if !group.accepts(protocolType: request.protocolType, protocols: protocols) {
            refuse(waiting, .inconsistentGroupProtocol, memberId: request.memberId)
        } else if request.memberId.isEmpty {
            joinNewMember(request, protocols, group, waiting, client)
        } else if request.groupInstanceId == nil,
            let timer = group.pendingMembers.removeValue(forKey: request.memberId)
        {
            timers.cancel(timer)
            addMember(request.memberId, request, protocols, group, waiting, client)
        } else {
            rejoin(request, protocols, group, waiting)
        }
    }

    /// `group.max.size` (KIP-389). During a join phase those count that have joined, so that the
    /// last ones are turned away when the limit was lowered.
    private func hasRoom(_ group: Group, for memberId: String) -> Bool {
        let member = group.members[memberId]
        switch group.state {
        case .empty, .dead: return true
        case .preparingRebalance:
            return member?.awaitingJoin != nil || group.awaitingJoinCount < config.maxGroupSize
        case .completingRebalance, .stable:
            return member != nil || group.members.count < config.maxGroupSize
        }
    }

    /// The others need not wait for one that was turned away.
    private func turnAway(_ memberId: String, from group: Group) {
        if let timer = group.pendingMembers.removeValue(forKey: memberId) { timers.cancel(timer) }
        if let member = group.members[memberId] { drop(member, from: group) }
        completeJoinUnlessInitial(group)
    }

    private func joinNewMember(
        _ request: JoinGroupRequest, _ protocols: Protocols, _ group: Group,
        _ waiting: GroupMember.Waiting, _ client: GroupClient
    ) {
        if let instanceId = request.groupInstanceId {
            let memberId = makeMemberId(prefix: instanceId)
            if let former = group.staticMemberId(instanceId).flatMap({ group.members[$0] }) {
                replaceStaticMember(former, by: memberId, request, protocols, group, waiting)
            } else {
                addMember(memberId, request, protocols, group, waiting, client)
            }
            return
        }
        let memberId = makeMemberId(prefix: client.clientId)
        guard client.version >= 4 else {
            return addMember(memberId, request, protocols, group, waiting, client)
        }
        // KIP-394: the member comes again with its id, so that a lost answer leaves no ghost.
        guard group.pendingMembers.count < config.maxPendingMembers else {
            return refuse(waiting, .groupMaxSizeReached, memberId: "")
        }
        let timer = GroupTimer(
            partition: group.partition, groupId: group.id, purpose: .session(memberId: memberId))
        group.pendingMembers[memberId] = timer
        schedule(timer, afterMs: Int64(request.sessionTimeoutMs))
        refuse(waiting, .memberIdRequired, memberId: memberId)
    }

    private func addMember(
        _ memberId: String, _ request: JoinGroupRequest, _ protocols: Protocols, _ group: Group,
        _ waiting: GroupMember.Waiting, _ client: GroupClient
    ) {
        let member = GroupMember(
            id: memberId, instanceId: request.groupInstanceId, clientId: client.clientId,
            clientHost: client.host, protocols: protocols,
            sessionTimeoutMs: request.sessionTimeoutMs,
            rebalanceTimeoutMs: rebalanceTimeout(request, version: client.version),
            session: GroupTimer(
                partition: group.partition, groupId: group.id,
                purpose: .session(memberId: memberId)))
        member.isNew = true
        if group.state == .preparingRebalance, group.previousState == .empty {
            group.newMemberAdded = true
        }
        group.add(member, protocolType: request.protocolType)
        setAwaitingJoin(waiting, of: member, in: group)
        schedule(member.session, afterMs: Int64(config.newMemberJoinTimeoutMs))
        rebalanceOrCompleteJoin(group)
    }

    /// A member that the group knows, or ought to know, comes again.
    private func rejoin(
        _ request: JoinGroupRequest, _ protocols: Protocols, _ group: Group,
        _ waiting: GroupMember.Waiting
    ) {
        let member: GroupMember
        switch find(request.memberId, instanceId: request.groupInstanceId, in: group) {
        case .failure(let error):
            return refuse(waiting, error.code, memberId: request.memberId)
        case .success(let found): member = found
        }
        let isUnchanged = member.protocols == protocols
        switch group.state {
        case .completingRebalance where isUnchanged:
            // The answer to its first JoinGroup may have been lost.
            let members = group.isLeader(member.id) ? joinedMembers(of: group) : []
            replyJoined(member, waiting, group, members: members)
        case .stable where isUnchanged && !group.isLeader(member.id):
            // It learns the generation and will fetch its assignment.
            replyJoined(member, waiting, group, members: [])
        case .preparingRebalance, .completingRebalance, .stable:
            // In a stable group it is the leader, which asks for a rebalance in this way (the
            // topics changed, say), or one that changed what it supports.
            update(member, request, protocols, version: waiting.version, in: group)
            setAwaitingJoin(waiting, of: member, in: group)
            rebalanceOrCompleteJoin(group)
        case .empty, .dead:
            refuse(waiting, .unknownMemberId, memberId: request.memberId)
        }
    }

    private func update(
        _ member: GroupMember, _ request: JoinGroupRequest, _ protocols: Protocols,
        version: Int16, in group: Group
    ) {
        group.setProtocols(protocols, of: member)
        member.sessionTimeoutMs = request.sessionTimeoutMs
        member.rebalanceTimeoutMs = rebalanceTimeout(request, version: version)
    }

    /// Version 0 knew one timeout for both (KIP-62).
    private func rebalanceTimeout(_ request: JoinGroupRequest, version: Int16) -> Int32 {
        version == 0 ? request.sessionTimeoutMs : max(0, request.rebalanceTimeoutMs)
    }

    // MARK: Static members (KIP-345)

    private func replaceStaticMember(
        _ old: GroupMember, by memberId: String, _ request: JoinGroupRequest,
        _ protocols: Protocols, _ group: Group, _ waiting: GroupMember.Waiting
    ) {
        // A former process that is still there learns that it has been replaced.
        answerWaiting(old, in: group, .fencedInstanceId)
        timers.cancel(old.session)
        let leaderBefore = group.leader
        let member = GroupMember(
            id: memberId, instanceId: old.instanceId, clientId: old.clientId,
            clientHost: old.clientHost, protocols: protocols,
            sessionTimeoutMs: request.sessionTimeoutMs,
            rebalanceTimeoutMs: rebalanceTimeout(request, version: waiting.version),
            session: GroupTimer(
                partition: group.partition, groupId: group.id,
                purpose: .session(memberId: memberId)))
        group.replace(old, with: member, instanceId: request.groupInstanceId ?? "")
        setAwaitingJoin(waiting, of: member, in: group)
        restartSession(of: member)

        switch group.state {
        case .stable where group.selectProtocol() == group.protocolName:
            // Nothing changes for the others: no rebalance.
            let former = StaticMemberWork.Former(
                id: old.id, protocols: old.protocols, sessionTimeoutMs: old.sessionTimeoutMs,
                rebalanceTimeoutMs: old.rebalanceTimeoutMs)
            appendMetadata(
                of: group,
                work: .staticMember(
                    StaticMemberWork(
                        group: group, member: member, instanceId: request.groupInstanceId ?? "",
                        former: former, leaderBefore: leaderBefore, generation: group.generation,
                        request: waiting)))
        case .stable, .completingRebalance:
            // While an assignment is being made for the former member id, it would reach nobody.
            prepareRebalance(group)
        case .preparingRebalance:
            completeJoinUnlessInitial(group)
        case .empty, .dead:
            break  // These have no members.
        }
    }

    /// The new member id stands in the log.
    func staticMemberWritten(_ work: StaticMemberWork) {
        let group = work.group
        guard group.state == .stable, group.generation == work.generation,
            work.member.awaitingJoin?.token == work.request.token
        else { return }  // A rebalance will answer it, or has.
        _ = group.setAwaitingJoin(nil, of: work.member)
        // KIP-814: a leader of version 9 learns that it leads and that there is nothing to assign.
        // An older one must believe that another leads, else it would assign anew.
        let knowsSkipping = work.request.version >= 9
        let isLeader = group.isLeader(work.member.id)
        replyJoined(
            work.member, work.request, group,
            members: knowsSkipping && isLeader ? joinedMembers(of: group) : [],
            leader: knowsSkipping ? group.leader : work.leaderBefore,
            skipsAssignment: knowsSkipping && isLeader)
    }

    /// It does not, and never will: the former member is back.
    func staticMemberRefused(_ work: StaticMemberWork, _ error: ErrorCode) {
        let group = work.group
        guard group.members[work.member.id] === work.member, group.state == .stable,
            group.generation == work.generation
        else { return }
        if let waiting = group.setAwaitingJoin(nil, of: work.member) {
            refuse(waiting, error, memberId: "")
        }
        answerWaiting(work.member, in: group, .unknownMemberId)
        timers.cancel(work.member.session)
        let former = GroupMember(
            id: work.former.id, instanceId: work.member.instanceId,
            clientId: work.member.clientId, clientHost: work.member.clientHost,
            protocols: work.former.protocols, sessionTimeoutMs: work.former.sessionTimeoutMs,
            rebalanceTimeoutMs: work.former.rebalanceTimeoutMs,
            session: GroupTimer(
                partition: group.partition, groupId: group.id,
                purpose: .session(memberId: work.former.id)))
        group.replace(work.member, with: former, instanceId: work.instanceId)
        restartSession(of: former)
    }

    // MARK: Answers

    /// A member's second JoinGroup takes the place of its first, which is told to try again.
    func setAwaitingJoin(
        _ waiting: GroupMember.Waiting, of member: GroupMember, in group: Group
    ) {
        if let before = group.setAwaitingJoin(waiting, of: member) {
            refuse(before, .rebalanceInProgress, memberId: member.id)
        }
    }

    func refuse(_ waiting: GroupMember.Waiting, _ error: ErrorCode, memberId: String) {
        reply(
            waiting.token,
            .joinGroup(
                JoinGroupResponse(
                    errorCode: error, protocolName: nil,
                    memberId: memberId)))
    }

    func replyJoined(
        _ member: GroupMember, _ waiting: GroupMember.Waiting, _ group: Group,
        members: [JoinGroupResponse.JoinGroupResponseMember], leader: String?? = nil,
        skipsAssignment: Bool = false
    ) {
        let leader = leader ?? group.leader
        reply(
            waiting.token,
            .joinGroup(
                JoinGroupResponse(
                    generationId: group.generation, protocolType: group.protocolType,
                    protocolName: group.protocolName, leader: leader ?? "",
                    skipAssignment: skipsAssignment, memberId: member.id, members: members)))
    }

    func joinedMembers(of group: Group) -> [JoinGroupResponse.JoinGroupResponseMember] {
        group.membersInOrder.map {
            JoinGroupResponse.JoinGroupResponseMember(
                memberId: $0.id, groupInstanceId: $0.instanceId,
                metadata: $0.metadata(of: group.protocolName))
        }
    }

    /// Whoever waits for an answer to this member's requests gets this one.
    func answerWaiting(_ member: GroupMember, in group: Group, _ error: ErrorCode) {
        if let waiting = group.setAwaitingJoin(nil, of: member) {
            refuse(waiting, error, memberId: error == .unknownMemberId ? "" : member.id)
        }
        if let waiting = member.awaitingSync {
            member.awaitingSync = nil
            refuseSync(waiting.token, error)
        }
    }

    // MARK: Member ids

    /// Kafka's form: the client's id, or a static member's instance id, and a random UUID.
    private func makeMemberId(prefix: String) -> String {
        let high = random.next() & ~0xF000 | 0x4000
        let low = random.next() & ~(3 << 62) | 2 << 62
        func hex(_ value: UInt64, _ range: Range<Int>) -> String {
            let digits = String(value, radix: 16)
            let padded = String(repeating: "0", count: 16 - digits.count) + digits
            return String(padded.dropFirst(range.lowerBound).prefix(range.count))
        }
        return "\(prefix)-\(hex(high, 0..<8))-\(hex(high, 8..<12))-\(hex(high, 12..<16))"
            + "-\(hex(low, 0..<4))-\(hex(low, 4..<16))"
    }
}

extension ByteBuffer {
    /// A copy of just these bytes, which does not keep the whole request in memory.
    var compacted: ByteBuffer { ByteBuffer(bytes: readableBytesView) }
}
