import KafkaWire
import NIOCore

// ListGroups and DescribeGroups.
extension GroupCoordinator {
    func listGroups(_ request: ListGroupsRequest) -> ListGroupsResponse {
        // Before the first group there is no topic for groups, and no group.
        guard partitionCount != nil else { return ListGroupsResponse() }
        let states = Set(request.statesFilter.map(\.lowercasedTrimmed))
        let types = Set(request.typesFilter.map(\.lowercasedTrimmed))
        guard types.isEmpty || types.contains("classic") else { return ListGroupsResponse() }
        var listed: [ListGroupsResponse.ListedGroup] = []
        for partition in partitions.values {
            // Half a list would look like a whole one.
            if partition.isLoading {
                return ListGroupsResponse(errorCode: .coordinatorLoadInProgress)
            }
            for group in partition.slots
            where states.isEmpty || states.contains(group.state.name.lowercased()) {
                listed.append(
                    ListGroupsResponse.ListedGroup(
                        groupId: group.id, protocolType: group.protocolType ?? "",
                        groupState: group.state.name, groupType: "classic"))
            }
        }
        listed.sort { $0.groupId < $1.groupId }
        return ListGroupsResponse(groups: listed)
    }

    func describeGroups(
        _ request: DescribeGroupsRequest, version: Int16
    ) -> DescribeGroupsResponse {
        DescribeGroupsResponse(
            groups: request.groups.map { groupId in
                switch route(groupId) {
                case .refused(let error):
                    DescribeGroupsResponse.DescribedGroup(errorCode: error, groupId: groupId)
                case .here(let partition):
                    describe(partition.groups[groupId], id: groupId, version: version)
                }
            })
    }

    private func describe(
        _ group: Group?, id: String, version: Int16
    ) -> DescribeGroupsResponse.DescribedGroup {
        guard let group else {
            // A group that is not there was "dead" and no error until version 6 (KIP-1043).
            return DescribeGroupsResponse.DescribedGroup(
                errorCode: version >= 6 ? .groupIdNotFound : .none,
                errorMessage: version >= 6 ? "Group \(id) not found." : nil, groupId: id,
                groupState: GroupState.dead.name)
        }
        let isStable = group.state == .stable
        return DescribeGroupsResponse.DescribedGroup(
            groupId: id, groupState: group.state.name, protocolType: group.protocolType ?? "",
            protocolData: isStable ? group.protocolName ?? "" : "",
            members: group.membersInOrder.map { member in
                DescribeGroupsResponse.DescribedGroupMember(
                    memberId: member.id, groupInstanceId: member.instanceId,
                    clientId: member.clientId, clientHost: member.clientHost,
                    memberMetadata: isStable
                        ? member.metadata(of: group.protocolName) : ByteBuffer(),
                    memberAssignment: member.assignment)
            })
    }
}

extension String {
    fileprivate var lowercasedTrimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text.lowercased()
    }
}
