import KafkaWire
import NIOCore

// SyncGroup, Heartbeat and LeaveGroup.
extension GroupCoordinator {
    func syncGroup(_ request: SyncGroupRequest, _ waiting: GroupMember.Waiting) {
        let token = waiting.token
        guard !request.groupId.isEmpty else { return refuseSync(token, .invalidGroupId) }
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(let error): return refuseSync(token, error)
        case .here(let found): partition = found
        }
        guard let group = partition.groups[request.groupId], group.state != .empty else {
            return refuseSync(token, .unknownMemberId)
        }
        guard group.state != .dead else { return refuseSync(token, .coordinatorNotAvailable) }
        let member: GroupMember
        switch find(request.memberId, instanceId: request.groupInstanceId, in: group) {
        case .failure(let error): return refuseSync(token, error.code)
        case .success(let found): member = found
        }
        guard request.generationId == group.generation else {
            return refuseSync(token, .illegalGeneration)
        }
        guard agrees(request.protocolType, group.protocolType),
            agrees(request.protocolName, group.protocolName)
        else { return refuseSync(token, .inconsistentGroupProtocol) }

        switch group.state {
        case .preparingRebalance: refuseSync(token, .rebalanceInProgress)
        case .completingRebalance:
            if let before = member.awaitingSync { refuseSync(before.token, .rebalanceInProgress) }
            member.awaitingSync = waiting
            synced(member, in: group)
            if group.isLeader(member.id) { writeAssignment(request, of: group) }
        case .stable:
            synced(member, in: group)
            replySynced(member, token, group)
        case .empty, .dead: refuseSync(token, .unknownMemberId)
        }
    }

    /// A client of before version 5 does not say, and agrees.
    private func agrees(_ asked: String?, _ present: String?) -> Bool {
        guard let asked, let present else { return true }
        return asked == present
    }

    private func synced(_ member: GroupMember, in group: Group) {
        group.pendingSync.remove(member.id)
        if group.pendingSync.isEmpty, let timer = group.syncTimer { timers.cancel(timer) }
    }

    private func writeAssignment(_ request: SyncGroupRequest, of group: Group) {
        // The leader asks twice: what is on its way to the log stays what it is.
        guard group.assignmentAppend == nil else { return }
        var assignment: [String: ByteBuffer] = [:]
        for one in request.assignments where group.members[one.memberId] != nil {
            assignment[one.memberId] = one.assignment.compacted
        }
        group.assignmentAppend = appendMetadata(
            of: group, assignment: assignment,
            work: .assignment(group, generation: group.generation, assignment))
    }

    func refuseSync(_ token: UInt64, _ error: ErrorCode) {
        reply(token, .syncGroup(SyncGroupResponse(errorCode: error)))
    }

    func replySynced(_ member: GroupMember, _ token: UInt64, _ group: Group) {
        reply(
            token,
            .syncGroup(
                SyncGroupResponse(
                    protocolType: group.protocolType, protocolName: group.protocolName,
                    assignment: member.assignment)))
    }

    // MARK: Heartbeat

    func heartbeat(_ request: HeartbeatRequest, token: UInt64) {
        reply(token, .heartbeat(HeartbeatResponse(errorCode: heartbeat(request))))
    }

    private func heartbeat(_ request: HeartbeatRequest) -> ErrorCode {
        guard !request.groupId.isEmpty else { return .invalidGroupId }
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(.coordinatorLoadInProgress): return .none  // Its session starts anew anyway.
        case .refused(let error): return error
        case .here(let found): partition = found
        }
        guard let group = partition.groups[request.groupId] else { return .unknownMemberId }
        guard group.state != .dead else { return .coordinatorNotAvailable }
        switch find(request.memberId, instanceId: request.groupInstanceId, in: group) {
        case .failure(let error): return error.code
        case .success(let member):
            guard request.generationId == group.generation else { return .illegalGeneration }
            restartSession(of: member)
            return group.state == .preparingRebalance ? .rebalanceInProgress : .none
        }
    }

    // MARK: LeaveGroup

    func leaveGroup(_ request: LeaveGroupRequest, _ waiting: GroupMember.Waiting) {
        func refuse(_ error: ErrorCode) {
            reply(waiting.token, .leaveGroup(LeaveGroupResponse(errorCode: error)))
        }
        guard !request.groupId.isEmpty else { return refuse(.invalidGroupId) }
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(let error): return refuse(error)
        case .here(let found): partition = found
        }
        // Before version 3 a member could only speak for itself.
        let leaving =
            waiting.version >= 3
            ? request.members : [LeaveGroupRequest.MemberIdentity(memberId: request.memberId)]
        let group = partition.groups[request.groupId]
        if group?.state == .dead { return refuse(.coordinatorNotAvailable) }
        let size = group?.members.count
        let results = leaving.map { one in
            LeaveGroupResponse.MemberResponse(
                memberId: one.memberId, groupInstanceId: one.groupInstanceId,
                errorCode: group.map { leave($0, one) } ?? .unknownMemberId)
        }
        if waiting.version >= 3 {
            reply(waiting.token, .leaveGroup(LeaveGroupResponse(members: results)))
        } else {
            refuse(results.first?.errorCode ?? .none)
        }
        guard let group else { return }
        switch group.state {
        case .stable, .completingRebalance:
            if group.members.count != size { prepareRebalance(group) }
        case .preparingRebalance: completeJoinUnlessInitial(group)
        case .empty: removeIfHollow(group)
        case .dead: break
        }
    }

    private func leave(_ group: Group, _ one: LeaveGroupRequest.MemberIdentity) -> ErrorCode {
        // An administrator removes a static member by its instance id alone.
        if one.memberId.isEmpty {
            guard let instanceId = one.groupInstanceId,
                let member = group.staticMemberId(instanceId).flatMap({ group.members[$0] })
            else { return .unknownMemberId }
            drop(member, from: group)
            return .none
        }
        if let timer = group.pendingMembers.removeValue(forKey: one.memberId) {
            timers.cancel(timer)
            return .none
        }
        switch find(one.memberId, instanceId: one.groupInstanceId, in: group) {
        case .failure(let error): return error.code
        case .success(let member):
            drop(member, from: group)
            return .none
        }
    }
}
