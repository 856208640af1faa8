import KafkaWire

// Partitions moved to other brokers (KIP-455).

extension Controller {
    func alterReassignments(
        _ request: AlterPartitionReassignmentsRequest
    ) throws(ControllerFailure) -> AlterPartitionReassignmentsResponse {
        try checkItemCount(request.topics.count, "topics")
        var response = AlterPartitionReassignmentsResponse(
            allowReplicationFactorChange: request.allowReplicationFactorChange)
        var records: [MetadataRecord] = []
        var moved: Set<PartitionKey> = []
        let resolver = resolver
        for topic in request.topics {
            var results: [AlterPartitionReassignmentsResponse.ReassignablePartitionResponse] = []
            for partition in topic.partitions {
                var result = AlterPartitionReassignmentsResponse.ReassignablePartitionResponse(
                    partitionIndex: partition.partitionIndex)
                do throws(ControllerFailure) {
                    let record = try reassign(
                        topic.name, partition, request.allowReplicationFactorChange, resolver,
                        &moved)
                    if let record { records.append(.partitionChange(record)) }
                } catch {
                    result.errorCode = error.code
                    result.errorMessage = error.message
                }
                results.append(result)
            }
            response.responses.append(.init(name: topic.name, partitions: results))
        }
        try checkRecordCount(records.count)
        append(records)
        return response
    }

    private func reassign(
        _ name: String, _ wanted: AlterPartitionReassignmentsRequest.ReassignablePartition,
        _ mayChangeFactor: Bool, _ resolver: ConfigResolver, _ moved: inout Set<PartitionKey>
    ) throws(ControllerFailure) -> PartitionChangeRecord? {
        guard let topic = image.topic(named: name) else {
            throw .init(.unknownTopicOrPartition, "Unable to find a topic named \(name).")
        }
        let index = wanted.partitionIndex
        guard let partition = topic[index] else {
            throw .init(.unknownTopicOrPartition, "Unable to find partition \(name):\(index).")
        }
        guard moved.insert(.init(topic.id, index)).inserted else {
            throw .init(.invalidRequest, "\(name):\(index) is named more than once.")
        }
        var change = change(partition, of: topic, index, resolver)
        guard let target = wanted.replicas else {
            try cancel(&change, partition, topic, index, resolver)
            return finish(change, partition, of: topic)
        }
        try checkAssignment(target, replicationFactor: nil)
        let factor = Reassignment.original(partition).count
        if !mayChangeFactor, target.count != factor {
            throw .init(
                .invalidReplicationFactor,
                "The replication factor would change from \(factor) to \(target.count), which the"
                    + " request does not allow.")
        }
        let reassignment = Reassignment(of: partition, to: target)
        change.replicas = reassignment.replicas
        change.adding = reassignment.adding
        change.removing = reassignment.removing
        change.isr = reassignment.isr
        return finish(change, partition, of: topic)
    }

    private func cancel(
        _ change: inout PartitionChange, _ partition: PartitionRegistration, _ topic: TopicImage,
        _ index: Int32, _ resolver: ConfigResolver
    ) throws(ControllerFailure) {
        guard partition.isReassigning else {
            throw .init(
                .noReassignmentInProgress, "No partition reassignment is in progress.")
        }
        let mayBeUnclean = allowsUnclean(topic, resolver)
        if mayBeUnclean { change.election = .unclean }
        let original = Reassignment.original(partition)
        if let back = Reassignment.cancelling(partition) {
            change.isr = back.isr
        } else if partition.isr.isEmpty {
            // Nobody in sync before or after: the eligible ones stay what they are.
        } else if mayBeUnclean, let first = original.first {
            change.isr = [first]
        } else {
            throw .init(
                .invalidReplicaAssignment,
                "Unable to revert partition assignment for \(topic.name):\(index) because it would"
                    + " require an unclean leader election.")
        }
        change.replicas = original
        change.adding = []
        change.removing = []
    }

    func listReassignments(
        _ request: ListPartitionReassignmentsRequest
    ) -> ListPartitionReassignmentsResponse {
        var response = ListPartitionReassignmentsResponse()
        func list(_ topic: TopicImage, _ partitions: [Int32]) {
            var ongoing: [ListPartitionReassignmentsResponse.OngoingPartitionReassignment] = []
            for index in partitions {
                guard let partition = topic[index], partition.isReassigning else { continue }
                ongoing.append(
                    .init(
                        partitionIndex: index, replicas: partition.replicas,
                        addingReplicas: partition.addingReplicas,
                        removingReplicas: partition.removingReplicas))
            }
            if !ongoing.isEmpty {
                response.topics.append(.init(name: topic.name, partitions: ongoing))
            }
        }
        if let topics = request.topics {
            for wanted in topics {
                if let topic = image.topic(named: wanted.name) {
                    list(topic, wanted.partitionIndexes)
                }
            }
        } else {
            for topic in image.topics
            where topic.partitions.contains(where: { $0?.isReassigning == true }) {
                list(topic, Array(0..<Int32(clamping: topic.partitionCount)))
            }
        }
        return response
    }
}
