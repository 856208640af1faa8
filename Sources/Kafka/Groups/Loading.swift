import KafkaRecords
import KafkaWire
import NIOCore
import Timing

// A partition of `__consumer_offsets` becomes this broker's, is read, and goes again.
extension GroupCoordinator {
    func startLoading(_ index: Int32, epoch: Int32) {
        if let present = partitions[index] {
            guard epoch > present.epoch else { return }
            unload(present)
        }
        partitions[index] = CoordinatedPartition(index: index, epoch: epoch)
    }

    private func loading(_ index: Int32, epoch: Int32) -> CoordinatedPartition? {
        guard let partition = partitions[index], partition.epoch == epoch, partition.isLoading
        else { return nil }
        return partition
    }

    func load(_ batches: ByteBuffer, index: Int32, epoch: Int32) {
        guard let partition = loading(index, epoch: epoch) else { return }
        skippedRecords += GroupRecordReader.forEach(in: batches) { record in
            replay(record, into: partition)
        }
    }

    private func replay(_ record: GroupRecord, into partition: CoordinatedPartition) {
        switch record {
        case .other: break
        case .offset(let key, let value):
            let present = partition.groups[key.group]
            if let value {
                let group = present ?? createGroup(key.group, in: partition)
                setOffset(
                    CommittedOffset(value), topic: key.topic, partition: key.partition, of: group)
            } else if let present {
                removeOffset(topic: key.topic, partition: key.partition, of: present)
                removeIfHollow(present)
            }
        case .group(let key, let value):
            let present = partition.groups[key.group]
            if let value {
                restore(value, present ?? createGroup(key.group, in: partition))
            } else if let present {
                stateCounts[present.state.rawValue] -= 1
                present.forgetMetadata()
                stateCounts[present.state.rawValue] += 1
                removeIfHollow(present)
            }
        }
    }

    private func restore(_ value: GroupMetadataValue, _ group: Group) {
        stateCounts[group.state.rawValue] -= 1
        defer { stateCounts[group.state.rawValue] += 1 }
        let members = value.members.map { record in
            let member = GroupMember(
                id: record.memberId, instanceId: record.groupInstanceId,
                clientId: record.clientId, clientHost: record.clientHost,
                protocols: [
                    GroupMember.SupportedProtocol(
                        name: value.protocol ?? "", metadata: record.subscription.compacted)
                ],
                sessionTimeoutMs: max(0, record.sessionTimeout),
                // Version 0 of the record has none.
                rebalanceTimeoutMs: max(
                    0,
                    record.rebalanceTimeout == -1
                        ? record.sessionTimeout : record.rebalanceTimeout),
                session: GroupTimer(
                    partition: group.partition, groupId: group.id,
                    purpose: .session(memberId: record.memberId)))
            member.assignment = record.assignment.compacted
            return member
        }
        group.restore(value, members: members)
    }

    func finishLoading(_ index: Int32, epoch: Int32) {
        guard let partition = loading(index, epoch: epoch) else { return }
        partition.isLoading = false
        if nextExpiration == nil {
            nextExpiration =
                now + .milliseconds(min(max(config.offsetsRetentionCheckIntervalMs, 1), 1 << 40))
        }
        for group in partition.slots where !group.members.isEmpty {
            // The members could not reach anyone meanwhile.
            for member in group.membersInOrder { restartSession(of: member) }
            if group.members.count > config.maxGroupSize { prepareRebalance(group) }
        }
    }

    func lose(_ index: Int32, epoch: Int32) {
        guard let partition = partitions[index], epoch >= partition.epoch else { return }
        unload(partition)
    }

    /// Everybody who waits shall look for the new coordinator.
    private func unload(_ partition: CoordinatedPartition) {
        for group in partition.slots {
            for member in group.membersInOrder { answerWaiting(member, in: group, .notCoordinator) }
        }
        let abandoned = appends.keys.sorted().filter {
            appends[$0]?.partition == partition.index
        }
        for token in abandoned {
            if let pending = appends.removeValue(forKey: token) { abandon(pending) }
        }
        while let group = partition.slots.last { removeGroup(group) }
        partitions[partition.index] = nil
        for token in abandoned { answerStableFetches(waitingFor: token) }
        dropAnsweredDeadlines()
    }

    /// Nobody knows whether the batch will survive.
    private func abandon(_ pending: PendingAppend) {
        guard !pending.isOverdue else { return }
        switch pending.work {
        case .commit(let work): refuseCommit(work, .notCoordinator)
        case .tombstones(let work): settle(work, .notCoordinator)
        case .assignment, .emptied, .staticMember: break  // Their members were told.
        }
    }
}

extension CommittedOffset {
    init(_ value: OffsetCommitValue) {
        self.init(
            offset: value.offset, leaderEpoch: value.leaderEpoch, metadata: value.metadata,
            commitTimestampMs: value.commitTimestamp,
            expireTimestampMs: value.expireTimestamp == -1 ? nil : value.expireTimestamp)
    }
}
