import KafkaWire
import NIOCore

extension GroupCoordinator {
    /// The records that would bring a led partition to the state it has, in order of groups and
    /// topics: what compaction would leave of the log, if everything in memory stood there.
    package func snapshot(ofPartition index: Int32) -> [GroupRecord] {
        guard let partition = partitions[index] else { return [] }
        var records: [GroupRecord] = []
        for group in partition.slots.sorted(by: { $0.id < $1.id }) {
            if group.isPersisted {
                records.append(
                    .group(GroupMetadataKey(group: group.id), GroupMetadataValue(group)))
            }
            for topic in group.offsets.sortedTopics {
                group.offsets.topics[topic]?.forEach { partition, offset in
                    records.append(
                        .offset(
                            OffsetCommitKey(group: group.id, topic: topic, partition: partition),
                            OffsetCommitValue(offset)))
                }
            }
        }
        return records
    }
}

extension GroupMetadataValue {
    /// The group as it stands, or with an assignment that it will have once this is written.
    init(_ group: Group, assignment: [String: ByteBuffer]? = nil) {
        self.init(
            protocolType: group.protocolType ?? "", generation: group.generation,
            protocol: group.protocolName, leader: group.leader,
            currentStateTimestamp: group.stateTimestampMs ?? -1,
            members: group.membersInOrder.map { member in
                MemberMetadata(
                    memberId: member.id, groupInstanceId: member.instanceId,
                    clientId: member.clientId, clientHost: member.clientHost,
                    rebalanceTimeout: member.rebalanceTimeoutMs,
                    sessionTimeout: member.sessionTimeoutMs,
                    subscription: member.metadata(of: group.protocolName),
                    assignment: assignment.map { $0[member.id] ?? ByteBuffer() }
                        ?? member.assignment)
            })
    }
}

extension OffsetCommitValue {
    init(_ offset: CommittedOffset) {
        self.init(
            offset: offset.offset, leaderEpoch: offset.leaderEpoch, metadata: offset.metadata,
            commitTimestamp: offset.commitTimestampMs,
            expireTimestamp: offset.expireTimestampMs ?? -1)
    }
}
