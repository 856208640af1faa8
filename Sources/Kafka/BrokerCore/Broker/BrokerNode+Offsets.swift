import Groups
import KafkaWire
import Metadata

/// A request that the coordinator answers.
struct GroupReply {
    var address: ReplyAddress
    /// What a commit or a deletion named that is not there.
    var refused: [RefusedOffsets] = []
    /// What OffsetCommit and OffsetFetch by id must say in their answers.
    var topicIds: [String: KafkaUUID] = [:]
    /// What OffsetFetch asked for by id that is not there, group by group.
    var unknownTopics: [[OffsetFetchRequest.OffsetFetchRequestTopics]] = []
}

/// Partitions of one topic that the coordinator was not asked about.
struct RefusedOffsets {
    var name = ""
    var id = KafkaUUID.zero
    var partitions: [Int32]
    var error: ErrorCode
}

// Which topics there are, the coordinator does not know: commits and deletions name them by what
// the metadata has, as Kafka's KafkaApis sees to it. Fetches may ask for anything. Version 10 of
// OffsetCommit and OffsetFetch names topics by id.
extension BrokerNode {
    func known(
        _ request: OffsetCommitRequest, _ waiting: inout GroupReply
    ) -> OffsetCommitRequest {
        let isById = waiting.address.version >= 10
        var result = request
        result.topics = []
        for topic in request.topics {
            let found = isById ? image.topic(topic.topicId) : image.topic(named: topic.name)
            guard let found else {
                waiting.refused.append(
                    RefusedOffsets(
                        name: topic.name, id: topic.topicId,
                        partitions: topic.partitions.map(\.partitionIndex),
                        error: isById ? .unknownTopicId : .unknownTopicOrPartition))
                continue
            }
            if isById { waiting.topicIds[found.name] = found.id }
            var known = topic
            known.name = found.name
            known.partitions = topic.partitions.filter { found[$0.partitionIndex] != nil }
            refuseOthers(
                of: found, topic.partitions.map(\.partitionIndex),
                id: isById ? found.id : .zero, &waiting)
            if !known.partitions.isEmpty { result.topics.append(known) }
        }
        return result
    }

    func known(
        _ request: OffsetDeleteRequest, _ waiting: inout GroupReply
    ) -> OffsetDeleteRequest {
        var result = request
        result.topics = []
        for topic in request.topics {
            let wanted = topic.partitions.map(\.partitionIndex)
            guard let found = image.topic(named: topic.name) else {
                waiting.refused.append(
                    RefusedOffsets(
                        name: topic.name, partitions: wanted, error: .unknownTopicOrPartition))
                continue
            }
            var known = topic
            known.partitions = topic.partitions.filter { found[$0.partitionIndex] != nil }
            refuseOthers(of: found, wanted, id: .zero, &waiting)
            if !known.partitions.isEmpty { result.topics.append(known) }
        }
        return result
    }

    private func refuseOthers(
        of topic: TopicImage, _ wanted: [Int32], id: KafkaUUID, _ waiting: inout GroupReply
    ) {
        let missing = wanted.filter { topic[$0] == nil }
        guard !missing.isEmpty else { return }
        waiting.refused.append(
            RefusedOffsets(
                name: topic.name, id: id, partitions: missing, error: .unknownTopicOrPartition))
    }

    /// The coordinator's answer, and what it was not asked.
    func whole(_ response: OffsetCommitResponse, _ waiting: GroupReply) -> OffsetCommitResponse {
        var result = response
        for index in result.topics.indices {
            let name = result.topics[index].name
            result.topics[index].topicId = waiting.topicIds[name] ?? .zero
        }
        for refused in waiting.refused {
            let partitions = refused.partitions.map {
                OffsetCommitResponse.OffsetCommitResponsePartition(
                    partitionIndex: $0, errorCode: refused.error)
            }
            let present = result.topics.firstIndex {
                $0.name == refused.name && $0.topicId == refused.id
            }
            if let present {
                result.topics[present].partitions += partitions
            } else {
                result.topics.append(
                    .init(name: refused.name, topicId: refused.id, partitions: partitions))
            }
        }
        return result
    }

    func whole(_ response: OffsetDeleteResponse, _ waiting: GroupReply) -> OffsetDeleteResponse {
        // That the group is not there, or in use, is about all of it.
        guard response.errorCode == .none else { return response }
        var result = response
        for refused in waiting.refused {
            let partitions = refused.partitions.map {
                OffsetDeleteResponse.OffsetDeleteResponsePartition(
                    partitionIndex: $0, errorCode: refused.error)
            }
            if let present = result.topics.firstIndex(where: { $0.name == refused.name }) {
                result.topics[present].partitions += partitions
            } else {
                result.topics.append(.init(name: refused.name, partitions: partitions))
            }
        }
        return result
    }

    // MARK: OffsetFetch by id

    func named(
        _ request: OffsetFetchRequest, _ waiting: inout GroupReply
    ) -> OffsetFetchRequest {
        guard waiting.address.version >= 10 else { return request }
        var result = request
        for group in result.groups.indices {
            var unknown: [OffsetFetchRequest.OffsetFetchRequestTopics] = []
            result.groups[group].topics = result.groups[group].topics?.compactMap { topic in
                guard let name = image.topic(topic.topicId)?.name else {
                    unknown.append(topic)
                    return nil
                }
                waiting.topicIds[name] = topic.topicId
                var known = topic
                known.name = name
                return known
            }
            waiting.unknownTopics.append(unknown)
        }
        return result
    }

    func identified(
        _ response: OffsetFetchResponse, _ waiting: GroupReply
    ) -> OffsetFetchResponse {
        guard waiting.address.version >= 10 else { return response }
        var result = response
        for group in result.groups.indices where result.groups[group].errorCode == .none {
            // A topic that is no more has no id to be told under.
            result.groups[group].topics = result.groups[group].topics.compactMap { topic in
                guard let id = waiting.topicIds[topic.name] ?? image.topicId(named: topic.name)
                else { return nil }
                var identified = topic
                identified.topicId = id
                return identified
            }
            guard group < waiting.unknownTopics.count else { continue }
            result.groups[group].topics += waiting.unknownTopics[group].map { topic in
                .init(
                    topicId: topic.topicId,
                    partitions: topic.partitionIndexes.map {
                        .init(
                            partitionIndex: $0, committedOffset: -1, metadata: "",
                            errorCode: .unknownTopicId)
                    })
            }
        }
        return result
    }
}
