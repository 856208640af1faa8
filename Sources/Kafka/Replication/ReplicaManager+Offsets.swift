import CommitLog
import KafkaWire
import Timing

extension ReplicaManager {
    // MARK: ListOffsets

    package func listOffsets(
        _ request: borrowing ListOffsetsRequest, version: Int16
    ) -> ListOffsetsResponse {
        var response = ListOffsetsResponse()
        let replicaId = request.replicaId
        let isolation = request.isolationLevel
        for index in request.topics.indices {
            let topic = request.topics[index]
            var parts: [ListOffsetsResponse.ListOffsetsPartitionResponse] = []
            parts.reserveCapacity(topic.partitions.count)
            let twice = Self.repeated(topic.partitions.map(\.partitionIndex))
            for part in topic.partitions {
                if twice.contains(part.partitionIndex) {
                    parts.append(
                        .init(partitionIndex: part.partitionIndex, errorCode: .invalidRequest))
                    continue
                }
                parts.append(
                    listOffset(
                        topic.name, part, replicaId: replicaId, isolation: isolation,
                        version: version))
            }
            response.topics.append(.init(name: topic.name, partitions: parts))
        }
        return response
    }

    /// Numbers that stand more than once, which Kafka refuses.
    private static func repeated(_ numbers: [Int32]) -> Set<Int32> {
        guard numbers.count > 1 else { return [] }
        var seen: Set<Int32> = []
        var twice: Set<Int32> = []
        for number in numbers where !seen.insert(number).inserted { twice.insert(number) }
        return twice
    }

    /// The times with a meaning, and the first version that knows each.
    private static func isSupported(_ timestamp: Int64, _ version: Int16) -> Bool {
        switch timestamp {
        case 0...: true
        case -1, -2: true
        case -3: version >= 7
        case -4: version >= 8
        case -5: version >= 9
        default: false
        }
    }

    private func listOffset(
        _ topic: String, _ asked: ListOffsetsRequest.ListOffsetsPartition, replicaId: Int32,
        isolation: Int8, version: Int16
    ) -> ListOffsetsResponse.ListOffsetsPartitionResponse {
        var part = ListOffsetsResponse.ListOffsetsPartitionResponse(
            partitionIndex: asked.partitionIndex)
        guard Self.isSupported(asked.timestamp, version) else {
            part.errorCode = .unsupportedVersion
            return part
        }
        guard let replica = replica(TopicPartition(topic, asked.partitionIndex)) else {
            part.errorCode = missing(name: topic, id: nil, asked.partitionIndex).error
            return part
        }
        let limit: FetchIsolation =
            replicaId != -1 ? .logEnd : isolation == 1 ? .lastStable : .highWatermark
        switch replica.offset(
            at: asked.timestamp, askedEpoch: asked.currentLeaderEpoch, isolation: limit,
            // -2 is a tool that looks at whatever replica it has before it.
            onlyLeader: replicaId != -2)
        {
        case .found(let offset, let timestamp, let epoch):
            part.offset = offset
            part.timestamp = timestamp
            part.leaderEpoch = epoch ?? -1
        case .nothing:
            break
        case .failed(.offsetNotAvailable) where version < 5:
            part.errorCode = .leaderNotAvailable
        case .failed(let error):
            part.errorCode = error
        }
        return part
    }

    // MARK: OffsetForLeaderEpoch

    package func offsetForLeaderEpoch(
        _ request: borrowing OffsetForLeaderEpochRequest
    ) -> OffsetForLeaderEpochResponse {
        var response = OffsetForLeaderEpochResponse()
        for index in request.topics.indices {
            let topic = request.topics[index]
            var parts: [OffsetForLeaderEpochResponse.EpochEndOffset] = []
            parts.reserveCapacity(topic.partitions.count)
            for asked in topic.partitions {
                parts.append(offsetForLeaderEpoch(topic.topic, asked))
            }
            response.topics.append(.init(topic: topic.topic, partitions: parts))
        }
        return response
    }

    private func offsetForLeaderEpoch(
        _ topic: String, _ asked: OffsetForLeaderEpochRequest.OffsetForLeaderPartition
    ) -> OffsetForLeaderEpochResponse.EpochEndOffset {
        var part = OffsetForLeaderEpochResponse.EpochEndOffset(partition: asked.partition)
        guard let replica = replica(TopicPartition(topic, asked.partition)) else {
            part.errorCode = missing(name: topic, id: nil, asked.partition).error
            return part
        }
        part.errorCode = replica.check(askedEpoch: asked.currentLeaderEpoch, onlyLeader: true)
        guard part.errorCode == .none else { return part }
        if let end = replica.log?.endOffset(forEpoch: asked.leaderEpoch) {
            part.leaderEpoch = end.epoch
            part.endOffset = end.endOffset
        }
        return part
    }

    // MARK: DeleteRecords

    package func deleteRecords(_ request: borrowing DeleteRecordsRequest, token: RequestToken) {
        var response = DeleteRecordsResponse()
        var pending: [(replica: PartitionReplica, required: Int64, topic: Int, part: Int)] = []
        for index in request.topics.indices {
            let topic = request.topics[index]
            var parts: [DeleteRecordsResponse.DeleteRecordsPartitionResult] = []
            for asked in topic.partitions {
                var part = DeleteRecordsResponse.DeleteRecordsPartitionResult(
                    partitionIndex: asked.partitionIndex, lowWatermark: -1)
                if Self.internalTopics.contains(topic.name) {
                    part.errorCode = .invalidTopicException
                } else if let replica = replica(TopicPartition(topic.name, asked.partitionIndex)) {
                    let deleted = replica.deleteRecords(before: asked.offset)
                    part.errorCode = deleted.error
                    if deleted.error == .none {
                        pending.append((replica, deleted.required, index, parts.count))
                    }
                } else {
                    part.errorCode = missing(name: topic.name, id: nil, asked.partitionIndex).error
                }
                parts.append(part)
            }
            response.topics.append(.init(name: topic.name, partitions: parts))
        }
        let open = pending.filter { item in
            let low = item.replica.lowWatermark
            let isOpen = low < item.required
            response.topics[item.topic].partitions[item.part].lowWatermark = low
            if isOpen {
                response.topics[item.topic].partitions[item.part].errorCode = .requestTimedOut
            }
            return isOpen
        }
        guard !open.isEmpty else {
            context.emit(.deletedRecords(token, response))
            return
        }
        let place = context.deleteWaits.reserve()
        for item in open {
            item.replica.deletes.append(
                DeleteTicket(
                    requiredOffset: item.required, slot: place.slot, generation: place.generation,
                    topic: Int32(item.topic), partition: Int32(item.part)))
        }
        context.deleteWaits.commit(
            place.slot, token: token, response: response, remaining: open.count,
            deadline: context.now + .milliseconds(Int64(max(0, request.timeoutMs))))
    }
}
