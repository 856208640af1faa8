import KafkaWire
import NIOCore
import Timing

/// Collects deletions of one partition into batches of a bearable size.
struct TombstoneWriter {
    private unowned let coordinator: GroupCoordinator
    private let partition: Int32
    private let gathering: Gathering?
    private let result: Int
    private var work = TombstoneWork()
    private var batch: GroupRecordBatch

    init(
        _ coordinator: GroupCoordinator, partition: Int32, gathering: Gathering? = nil,
        result: Int = 0
    ) {
        self.coordinator = coordinator
        self.partition = partition
        self.gathering = gathering
        self.result = result
        batch = GroupRecordBatch(timestampMs: coordinator.wallMs)
    }

    mutating func append(_ topic: String, _ partition: Int32, of group: Group) {
        batch.append(tombstoneOf: topic, partition: partition, group: group.id)
        work.offsets.append(
            TombstoneWork.Offset(group: group, topic: topic, partition: partition))
        flushIfFull()
    }

    /// The group itself, after its offsets. It is dead to clients until the log has it.
    mutating func append(_ group: Group) {
        batch.append(tombstoneOf: group.id)
        coordinator.setDead(group, true)
        work.groups.append(group)
        flushIfFull()
    }

    private mutating func flushIfFull() {
        if batch.approximateSize >= coordinator.config.tombstoneBatchBytes { finish() }
    }

    mutating func finish() {
        guard !work.offsets.isEmpty || !work.groups.isEmpty else { return }
        work.gathering = gathering
        work.result = result
        gathering?.outstanding += 1
        coordinator.append(batch.finish(), work: .tombstones(work), partition: partition)
        work = TombstoneWork()
        batch = GroupRecordBatch(timestampMs: coordinator.wallMs)
    }
}

// DeleteGroups, OffsetDelete, topics that were deleted, and expiration: what takes away.
extension GroupCoordinator {
    private struct Key: Hashable {
        var topic: String
        var partition: Int32
    }

    /// Commits that are on their way for this group. They will stand before whatever is written
    /// now, so a deletion covers them.
    private func offsetsInFlight(of group: Group) -> Set<Key> {
        var keys: Set<Key> = []
        for token in group.appends {
            guard case .commit(let work)? = appends[token]?.work else { continue }
            for one in work.offsets { keys.insert(Key(topic: one.topic, partition: one.partition)) }
        }
        return keys
    }

    // MARK: DeleteGroups

    func deleteGroups(_ request: DeleteGroupsRequest, token: UInt64) {
        var response = DeleteGroupsResponse()
        response.results = request.groupsNames.map {
            DeleteGroupsResponse.DeletableGroupResult(groupId: $0)
        }
        let gathering = Gathering(token: token, response: .deleteGroups(response))
        for (result, groupId) in request.groupsNames.enumerated() {
            switch route(groupId) {
            case .refused(let error): gathering.refuse(result: result, error)
            case .here(let partition):
                if let error = deleteGroup(partition.groups[groupId], gathering, result) {
                    gathering.refuse(result: result, error)
                }
            }
        }
        if gathering.outstanding == 0 { reply(token, gathering.response) }
    }

    private func deleteGroup(
        _ group: Group?, _ gathering: Gathering, _ result: Int
    ) -> ErrorCode? {
        guard let group, group.state != .dead else { return .groupIdNotFound }
        guard group.state == .empty else { return .nonEmptyGroup }
        forgetPendingMembers(of: group)
        let inFlight = offsetsInFlight(of: group)
        guard group.isPersisted || !group.offsets.isEmpty || !inFlight.isEmpty else {
            removeGroup(group)
            return nil
        }
        var writer = TombstoneWriter(
            self, partition: group.partition, gathering: gathering, result: result)
        for key in inFlight.sorted(by: { ($0.topic, $0.partition) < ($1.topic, $1.partition) })
        where !group.offsets.contains(key.topic, key.partition) {
            writer.append(key.topic, key.partition, of: group)
        }
        for topic in group.offsets.sortedTopics {
            for partition in group.offsets.topics[topic]?.partitions.map({ $0 }) ?? [] {
                writer.append(topic, partition, of: group)
            }
        }
        writer.append(group)
        writer.finish()
        return nil
    }

    private func forgetPendingMembers(of group: Group) {
        for timer in group.pendingMembers.values { timers.cancel(timer) }
        group.pendingMembers.removeAll()
    }

    // MARK: OffsetDelete

    func offsetDelete(_ request: OffsetDeleteRequest, token: UInt64) {
        func refuse(_ error: ErrorCode) {
            reply(token, .offsetDelete(OffsetDeleteResponse(errorCode: error)))
        }
        guard !request.groupId.isEmpty else { return refuse(.invalidGroupId) }
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(let error): return refuse(error)
        case .here(let found): partition = found
        }
        guard let group = partition.groups[request.groupId], group.state != .dead else {
            return refuse(.groupIdNotFound)
        }
        guard group.state == .empty || group.usesConsumerProtocol else {
            return refuse(.nonEmptyGroup)
        }
        let response = OffsetDeleteResponse(
            topics: request.topics.map { topic in
                let error: ErrorCode =
                    group.isSubscribed(to: topic.name) ? .groupSubscribedToTopic : .none
                return OffsetDeleteResponse.OffsetDeleteResponseTopic(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        OffsetDeleteResponse.OffsetDeleteResponsePartition(
                            partitionIndex: $0.partitionIndex, errorCode: error)
                    })
            })
        let gathering = Gathering(token: token, response: .offsetDelete(response))
        let inFlight = offsetsInFlight(of: group)
        var writer = TombstoneWriter(self, partition: partition.index, gathering: gathering)
        for topic in request.topics where !group.isSubscribed(to: topic.name) {
            for one in topic.partitions.map(\.partitionIndex)
            where group.offsets.contains(topic.name, one)
                || inFlight.contains(Key(topic: topic.name, partition: one))
            {
                writer.append(topic.name, one, of: group)
            }
        }
        writer.finish()
        if gathering.outstanding == 0 { reply(token, gathering.response) }
    }

    // MARK: Topics that are gone

    func deleteOffsets(ofTopics topics: [String]) {
        for index in partitions.keys.sorted() {
            guard let partition = partitions[index], !partition.isLoading else { continue }
            var writer = TombstoneWriter(self, partition: index)
            for group in partition.slots where group.state != .dead {
                let inFlight = group.appends.isEmpty ? [] : offsetsInFlight(of: group)
                for topic in topics {
                    let committed = group.offsets.topics[topic]?.partitions.map { $0 } ?? []
                    let coming = inFlight.filter { $0.topic == topic }.map(\.partition)
                    for one in Set(committed).union(coming).sorted() {
                        writer.append(topic, one, of: group)
                    }
                }
            }
            writer.finish()
        }
    }

    // MARK: Expiration (KIP-211)

    func startExpiration() {
        for partition in partitions.values {
            partition.expirationCursor = partition.slots.count - 1
        }
    }

    /// Looks at some groups, and asks to be called again at once if there are more.
    func expireSlice() {
        var left = config.expirationSlice
        var isDone = true
        let interval = min(max(config.offsetsRetentionCheckIntervalMs, 1), 1 << 40)
        if let nextExpiration, nextExpiration <= now,
            partitions.values.allSatisfy({ $0.expirationCursor < 0 })
        {
            startExpiration()
        }
        for index in partitions.keys.sorted() {
            guard let partition = partitions[index], !partition.isLoading else { continue }
            var writer = TombstoneWriter(self, partition: index)
            partition.expirationCursor = min(
                partition.expirationCursor, partition.slots.count - 1)
            while partition.expirationCursor >= 0, left > 0 {
                let group = partition.slots[partition.expirationCursor]
                partition.expirationCursor -= 1
                left -= 1 + group.offsets.count
                expireOffsets(of: group, &writer)
            }
            if partition.expirationCursor >= 0 { isDone = false }
            writer.finish()
        }
        nextExpiration = now + .milliseconds(isDone ? interval : 0)
    }

    private func expireOffsets(of group: Group, _ writer: inout TombstoneWriter) {
        guard group.state != .dead else { return }
        var expired: [(String, Int32)] = []
        if !group.offsets.isEmpty, mayExpireOffsets(of: group) {
            let inFlight = group.appends.isEmpty ? [] : offsetsInFlight(of: group)
            for topic in group.offsets.sortedTopics where !group.isSubscribed(to: topic) {
                group.offsets.topics[topic]?.forEach { partition, offset in
                    if isExpired(offset, in: group),
                        !inFlight.contains(Key(topic: topic, partition: partition))
                    {
                        expired.append((topic, partition))
                    }
                }
            }
        }
        for (topic, partition) in expired { writer.append(topic, partition, of: group) }
        guard expired.count == group.offsets.count, group.state == .empty,
            group.pendingMembers.isEmpty,
            // What is still on its way to the log may be a commit.
            group.appends.allSatisfy({ isTombstone($0) })
        else { return }
        if group.isPersisted {
            writer.append(group)
        } else {
            removeIfHollow(group)
        }
    }

    private func isTombstone(_ token: UInt64) -> Bool {
        if case .tombstones? = appends[token]?.work { true } else { false }
    }

    /// Offsets of a group at work age only while it is known what the group reads.
    private func mayExpireOffsets(of group: Group) -> Bool {
        group.protocolType == nil || group.state == .empty
            || group.usesConsumerProtocol && group.subscribedTopics != nil
                && group.state == .stable
    }

    private func isExpired(_ offset: CommittedOffset, in group: Group) -> Bool {
        if let expireTimestampMs = offset.expireTimestampMs { return wallMs >= expireTimestampMs }
        // While members work, offsets age from their commit; after that from the group's last day.
        let isDeserted = group.protocolType != nil && group.state == .empty
        let since =
            isDeserted
            ? group.stateTimestampMs ?? offset.commitTimestampMs : offset.commitTimestampMs
        return wallMs.subtractingReportingOverflow(since).partialValue >= config.offsetsRetentionMs
    }
}
