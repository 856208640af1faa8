import KafkaWire

// What leaders ask for: changes of the ISR, and the directories of replicas.

extension Controller {
    func alterPartition(
        _ request: AlterPartitionRequest, version: Int16
    ) throws(ControllerFailure) -> AlterPartitionResponse {
        try checkBrokerEpoch(request.brokerId, request.brokerEpoch)
        var response = AlterPartitionResponse()
        var records: [MetadataRecord] = []
        var altered: Set<PartitionKey> = []
        let resolver = resolver
        for wanted in request.topics {
            var results: [AlterPartitionResponse.PartitionData] = []
            let topic = image.topic(wanted.topicId)
            for data in wanted.partitions {
                var result = AlterPartitionResponse.PartitionData(
                    partitionIndex: data.partitionIndex)
                do throws(ControllerFailure) {
                    guard let topic else { throw .init(.unknownTopicId) }
                    let key = PartitionKey(topic.id, data.partitionIndex)
                    guard altered.insert(key).inserted else { throw .init(.invalidRequest) }
                    let after = try alter(
                        topic, data, version: version, leader: request.brokerId, resolver, &records)
                    result.leaderId = after.leader
                    result.leaderEpoch = after.leaderEpoch
                    result.isr = after.isr
                    result.leaderRecoveryState = after.recovery.rawValue
                    result.partitionEpoch = after.partitionEpoch
                } catch {
                    result.errorCode = error.code
                }
                results.append(result)
            }
            response.topics.append(.init(topicId: wanted.topicId, partitions: results))
        }
        appendInPieces(records)
        return response
    }

    private func alter(
        _ topic: TopicImage, _ data: AlterPartitionRequest.PartitionData, version: Int16,
        leader: Int32, _ resolver: ConfigResolver, _ records: inout [MetadataRecord]
    ) throws(ControllerFailure) -> PartitionRegistration {
        guard let partition = topic[data.partitionIndex] else {
            throw .init(.unknownTopicOrPartition)
        }
        let isr =
            version >= 3
            ? data.newIsrWithEpochs
            : data.newIsr.map { AlterPartitionRequest.BrokerState(brokerId: $0) }
        guard let recovery = LeaderRecoveryState(rawValue: data.leaderRecoveryState) else {
            throw .init(.invalidRequest, "Unknown leader recovery state")
        }
        try check(data, isr, recovery, leader: leader, partition)
        var change = change(partition, of: topic, data.partitionIndex, resolver)
        if allowsUnclean(topic, resolver) { change.election = .unclean }
        change.isr = isr.map(\.brokerId)
        change.recovery = recovery
        guard let record = finish(change, partition, of: topic) else { return partition }
        guard let after = try? partition.applying(record) else { throw .init(.unknownServerError) }
        records.append(.partitionChange(record))
        // The change can complete a reassignment and so end the leadership of the one who asked.
        if record.leader != leader, record.leader != LeaderId.noChange {
            throw .init(.newLeaderElected)
        }
        return after
    }

    private func check(
        _ data: AlterPartitionRequest.PartitionData, _ isr: [AlterPartitionRequest.BrokerState],
        _ recovery: LeaderRecoveryState, leader: Int32, _ partition: PartitionRegistration
    ) throws(ControllerFailure) {
        // One who knows more than this controller has heard from a later one.
        if data.leaderEpoch > partition.leaderEpoch
            || data.partitionEpoch > partition.partitionEpoch
        {
            throw .notController
        }
        if data.leaderEpoch < partition.leaderEpoch { throw .init(.fencedLeaderEpoch) }
        if leader != partition.leader { throw .init(.invalidRequest, "Not the leader") }
        if data.partitionEpoch < partition.partitionEpoch { throw .init(.invalidUpdateVersion) }
        let ids = isr.map(\.brokerId)
        if Set(ids).count != ids.count || !ids.allSatisfy(partition.replicas.contains) {
            throw .init(.invalidRequest, "Invalid ISR")
        }
        if !ids.contains(leader) { throw .init(.invalidRequest, "ISR without its leader") }
        if recovery == .recovering {
            if ids.count > 1 || partition.recovery == .recovered { throw .init(.invalidRequest) }
        }
        for member in isr {
            guard let broker = image.brokers[member.brokerId], broker.isActive,
                member.brokerEpoch == -1 || member.brokerEpoch == broker.epoch
            else { throw .init(.ineligibleReplica) }
        }
    }

    // MARK: - Directories

    func assignReplicasToDirs(
        _ request: AssignReplicasToDirsRequest
    ) throws(ControllerFailure) -> AssignReplicasToDirsResponse {
        let id = request.brokerId
        try checkBrokerEpoch(id, request.brokerEpoch)
        var response = AssignReplicasToDirsResponse()
        var records: [MetadataRecord] = []
        var assigned: Set<PartitionKey> = []
        let resolver = resolver
        for directory in request.directories {
            let isOnline = image.brokers[id]?.directories.contains(directory.id) ?? false
            var result = AssignReplicasToDirsResponse.DirectoryData(id: directory.id)
            for wanted in directory.topics {
                let topic = image.topic(wanted.topicId)
                var partitions: [AssignReplicasToDirsResponse.PartitionData] = []
                for data in wanted.partitions {
                    let index = data.partitionIndex
                    var code = ErrorCode.none
                    if let topic, let partition = topic[index] {
                        if !partition.replicas.contains(id) {
                            code = .notLeaderOrFollower
                        } else if !assigned.insert(.init(topic.id, index)).inserted {
                            code = .invalidRequest
                        } else {
                            var change = change(partition, of: topic, index, resolver)
                            change.directories[id] = directory.id
                            if hasLostDirectory(of: id, in: partition) {
                                change.emptyReplicas = [id]
                            }
                            if !isOnline {
                                change.isr.removeAll { $0 == id }
                                if allowsUnclean(topic, resolver) { change.election = .unclean }
                            }
                            if let record = finishAssignment(change, partition, topic, id, isOnline)
                            {
                                records.append(.partitionChange(record))
                            }
                        }
                    } else {
                        code = topic == nil ? .unknownTopicId : .unknownTopicOrPartition
                    }
                    partitions.append(.init(partitionIndex: index, errorCode: code))
                }
                result.topics.append(.init(topicId: wanted.topicId, partitions: partitions))
            }
            response.directories.append(result)
        }
        appendInPieces(records)
        return response
    }

    /// Whether the replica was in a directory that its broker came back without. One that is in
    /// sync has fetched everything since.
    private func hasLostDirectory(of broker: Int32, in partition: PartitionRegistration) -> Bool {
        let old = partition.directory(of: broker)
        guard !DirectoryId.isReserved(old), !partition.isr.contains(broker) else { return false }
        return image.brokers[broker]?.directories.contains(old) == false
    }

    /// A broker cannot lead from the directory that it is just said to be in, if that is gone.
    private func finishAssignment(
        _ change: PartitionChange, _ partition: PartitionRegistration, _ topic: TopicImage,
        _ broker: Int32, _ isOnline: Bool
    ) -> PartitionChangeRecord? {
        finish(change, partition, of: topic) { replica in
            replica == broker
                ? isOnline && image.isActive(replica) : canLead(replica, partition)
        }
    }
}
