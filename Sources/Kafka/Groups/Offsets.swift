import KafkaWire
import NIOCore
import Timing

/// An OffsetFetch that must not be answered before the commits that came ahead of it.
struct StableFetch {
    var request: OffsetFetchRequest
    var waiting: GroupMember.Waiting
    /// Appends from this one on came later.
    var before: UInt64
    /// The append it waits for now.
    var token: UInt64
}

// OffsetCommit and OffsetFetch.
extension GroupCoordinator {
    func offsetCommit(_ request: OffsetCommitRequest, _ waiting: GroupMember.Waiting) {
        let group: Group
        switch committer(request, version: waiting.version) {
        case .failure(let refusal):
            let response = commitResponse(request) { _ in refusal.code }
            return reply(waiting.token, .offsetCommit(response))
        case .success(let found): group = found
        }
        let response = commitResponse(request) { partition in
            (partition.committedMetadata?.utf16.count ?? 0) > config.maxOffsetMetadata
                ? .offsetMetadataTooLarge : .none
        }
        var work = OffsetCommitWork(
            group: group, offsets: [], token: waiting.token, response: response)
        let expireTimestampMs =
            request.retentionTimeMs == -1
            ? nil : wallMs.saturatingAdding(request.retentionTimeMs)
        var batch = GroupRecordBatch(timestampMs: wallMs)
        for topic in request.topics {
            for partition in topic.partitions
            where (partition.committedMetadata?.utf16.count ?? 0) <= config.maxOffsetMetadata {
                let value = CommittedOffset(
                    offset: partition.committedOffset,
                    leaderEpoch: max(partition.committedLeaderEpoch, -1),
                    metadata: partition.committedMetadata ?? "", commitTimestampMs: wallMs,
                    expireTimestampMs: expireTimestampMs)
                work.offsets.append(
                    OffsetCommitWork.Offset(
                        topic: topic.name, partition: partition.partitionIndex, value: value))
                batch.append(
                    value, topic: topic.name, partition: partition.partitionIndex,
                    group: group.id)
            }
        }
        guard !work.offsets.isEmpty else {
            removeIfHollow(group)
            return reply(waiting.token, .offsetCommit(response))
        }
        append(batch.finish(), work: .commit(work), partition: group.partition)
    }

    /// The group that the request may commit for. Its member, if it names one, is alive.
    private func committer(
        _ request: OffsetCommitRequest, version: Int16
    ) -> Result<Group, Refusal> {
        let partition: CoordinatedPartition
        switch route(request.groupId) {
        case .refused(let error): return .failure(Refusal(code: error))
        case .here(let found): partition = found
        }
        let generation = request.generationIdOrMemberEpoch
        guard let group = partition.groups[request.groupId] else {
            // Without a generation it is a consumer that only keeps its offsets here, or a tool.
            if generation >= 0 {
                return .failure(
                    Refusal(code: version >= 9 ? .groupIdNotFound : .illegalGeneration))
            }
            if groupCount >= config.maxGroups {
                return .failure(Refusal(code: .policyViolation))
            }
            return .success(createGroup(request.groupId, in: partition))
        }
        guard group.state != .dead else { return .failure(Refusal(code: .coordinatorNotAvailable)) }
        if generation < 0, group.state == .empty { return .success(group) }
        guard generation >= 0 || !request.memberId.isEmpty || request.groupInstanceId != nil else {
            return .failure(Refusal(code: .unknownMemberId))
        }
        switch find(request.memberId, instanceId: request.groupInstanceId, in: group) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let member):
            guard generation == group.generation else {
                return .failure(Refusal(code: .illegalGeneration))
            }
            // It knows the generation, so it has the answer to its JoinGroup, but nobody may own
            // partitions before the assignment.
            guard group.state != .completingRebalance else {
                return .failure(Refusal(code: .rebalanceInProgress))
            }
            restartSession(of: member)
            return .success(group)
        }
    }

    private func commitResponse(
        _ request: OffsetCommitRequest,
        _ error: (OffsetCommitRequest.OffsetCommitRequestPartition) -> ErrorCode
    ) -> OffsetCommitResponse {
        OffsetCommitResponse(
            topics: request.topics.map { topic in
                OffsetCommitResponse.OffsetCommitResponseTopic(
                    name: topic.name, topicId: topic.topicId,
                    partitions: topic.partitions.map {
                        OffsetCommitResponse.OffsetCommitResponsePartition(
                            partitionIndex: $0.partitionIndex, errorCode: error($0))
                    })
            })
    }

    // MARK: OffsetFetch

    func offsetFetch(_ request: OffsetFetchRequest, _ waiting: GroupMember.Waiting) {
        let fetch = StableFetch(
            request: request, waiting: waiting, before: nextToken, token: 0)
        if request.requireStable, let token = appendAhead(of: fetch) {
            let id = nextToken
            nextToken += 1
            stableFetches[id] = fetch
            stableFetches[id]?.token = token
            deadlines.append(.stableFetch(id), due: now + answerTimeout)
        } else {
            answer(fetch)
        }
    }

    /// A consumer that takes over a partition must see what its last owner committed (KIP-447), so
    /// its fetch waits until the commits that were there before it have come to an end.
    private func appendAhead(of fetch: StableFetch) -> UInt64? {
        var last: UInt64?
        for groupId in groupIds(of: fetch) {
            guard case .here(let partition) = route(groupId),
                let token = partition.groups[groupId]?.appends.last(where: { $0 < fetch.before })
            else { continue }
            last = max(last ?? 0, token)
        }
        return last
    }

    private func groupIds(of fetch: StableFetch) -> [String] {
        fetch.waiting.version >= 8
            ? fetch.request.groups.map(\.groupId) : [fetch.request.groupId]
    }

    func answerStableFetches(waitingFor token: UInt64) {
        guard !stableFetches.isEmpty else { return }
        for id in stableFetches.keys.sorted() {
            guard let fetch = stableFetches[id], fetch.token == token else { continue }
            if let next = appendAhead(of: fetch) {
                stableFetches[id]?.token = next
            } else {
                stableFetches[id] = nil
                answer(fetch)
            }
        }
        dropAnsweredDeadlines()
    }

    /// Kafka answers with NOT_COORDINATOR here, which makes every client look for the coordinator
    /// and ask again; older consumers take other errors as final.
    func stableFetchOverdue(_ id: UInt64) {
        guard let fetch = stableFetches.removeValue(forKey: id) else { return }
        answer(fetch, error: .notCoordinator)
    }

    private func answer(_ fetch: StableFetch, error: ErrorCode? = nil) {
        let request = fetch.request
        let version = fetch.waiting.version
        var response = OffsetFetchResponse()
        if version >= 8 {
            response.groups = request.groups.map { asked in
                OffsetFetchResponse.OffsetFetchResponseGroup(asked, fetched(asked, error))
            }
        } else {
            let asked = OffsetFetchRequest.OffsetFetchRequestGroup(
                groupId: request.groupId,
                topics: request.topics.map { topics in
                    topics.map {
                        OffsetFetchRequest.OffsetFetchRequestTopics(
                            name: $0.name, partitionIndexes: $0.partitionIndexes)
                    }
                })
            response = OffsetFetchResponse(asked, fetched(asked, error), version: version)
        }
        reply(fetch.waiting.token, .offsetFetch(response))
    }

    typealias FetchedTopics = [OffsetFetchResponse.OffsetFetchResponseTopics]

    private func fetched(
        _ asked: OffsetFetchRequest.OffsetFetchRequestGroup, _ error: ErrorCode?
    ) -> Result<FetchedTopics, Refusal> {
        if let error { return .failure(Refusal(code: error)) }
        switch route(asked.groupId) {
        case .refused(let error): return .failure(Refusal(code: error))
        case .here(let partition):
            // A group that is not there has committed nothing, which is no error.
            return .success(offsets(of: partition.groups[asked.groupId], asked.topics))
        }
    }

    private func offsets(
        of group: Group?, _ topics: [OffsetFetchRequest.OffsetFetchRequestTopics]?
    ) -> FetchedTopics {
        guard let topics else {
            guard let group else { return [] }
            return group.offsets.sortedTopics.map { name in
                var topic = OffsetFetchResponse.OffsetFetchResponseTopics(name: name)
                group.offsets.topics[name]?.forEach { index, offset in
                    topic.partitions.append(fetched(index, offset))
                }
                return topic
            }
        }
        return topics.map { topic in
            let offsets = group?.offsets.topics[topic.name]
            return OffsetFetchResponse.OffsetFetchResponseTopics(
                name: topic.name, topicId: topic.topicId,
                partitions: topic.partitionIndexes.map { fetched($0, offsets?[$0]) })
        }
    }

    private func fetched(
        _ index: Int32, _ offset: CommittedOffset?
    ) -> OffsetFetchResponse.OffsetFetchResponsePartitions {
        OffsetFetchResponse.OffsetFetchResponsePartitions(
            partitionIndex: index, committedOffset: offset?.offset ?? -1,
            committedLeaderEpoch: offset?.leaderEpoch ?? -1, metadata: offset?.metadata ?? "")
    }
}

extension OffsetFetchResponse.OffsetFetchResponseGroup {
    fileprivate init(
        _ asked: OffsetFetchRequest.OffsetFetchRequestGroup,
        _ result: Result<GroupCoordinator.FetchedTopics, GroupCoordinator.Refusal>
    ) {
        self.init(groupId: asked.groupId)
        switch result {
        case .success(let topics): self.topics = topics
        case .failure(let refusal): errorCode = refusal.code
        }
    }
}

extension OffsetFetchResponse {
    /// Before version 8: one group. Version 1 has an error for each partition only.
    fileprivate init(
        _ asked: OffsetFetchRequest.OffsetFetchRequestGroup,
        _ result: Result<GroupCoordinator.FetchedTopics, GroupCoordinator.Refusal>, version: Int16
    ) {
        self.init()
        switch result {
        case .success(let topics):
            self.topics = topics.map { topic in
                OffsetFetchResponseTopic(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        OffsetFetchResponsePartition(
                            partitionIndex: $0.partitionIndex,
                            committedOffset: $0.committedOffset,
                            committedLeaderEpoch: $0.committedLeaderEpoch, metadata: $0.metadata)
                    })
            }
        case .failure(let refusal) where version >= 2:
            errorCode = refusal.code
        case .failure(let refusal):
            self.topics = (asked.topics ?? []).map { topic in
                OffsetFetchResponseTopic(
                    name: topic.name,
                    partitions: topic.partitionIndexes.map {
                        OffsetFetchResponsePartition(
                            partitionIndex: $0, committedOffset: -1, errorCode: refusal.code)
                    })
            }
        }
    }
}

extension Int64 {
    func saturatingAdding(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? (other < 0 ? .min : .max) : sum
    }
}
