import KafkaWire
import Metadata

/// What the cluster looks like to a client that came in through one listener.
struct ClusterView {
    let image: MetadataImage
    let listener: String
    let clusterId: String
    /// Kafka names a broker that lives: whoever asks it for what only a controller can do is
    /// passed on.
    let controllerId: Int32
    /// Who answers, as clients of this listener reach it.
    let own: (id: Int32, endpoint: Endpoint, rack: String?)?

    /// The kafka-clients' "authorized operations were not asked for".
    private static let noAuthorizedOperations: Int32 = .min
    private static let internalTopics: Set<String> = ["__consumer_offsets", "__transaction_state"]

    static func isInternal(_ topic: String) -> Bool { internalTopics.contains(topic) }

    /// Brokers that are not fenced and can be reached through the listener, by id.
    ///
    /// If there are none, as after a start of all at once, it is the one that answers: a client
    /// that is told of no broker at all may forget those that it knew (librdkafka does).
    var aliveBrokers: [(id: Int32, endpoint: Endpoint, rack: String?)] {
        let alive: [(id: Int32, endpoint: Endpoint, rack: String?)] = image.brokerIds.compactMap {
            guard let broker = image.brokers[$0], !broker.fenced,
                let endpoint = broker.endpoint(named: listener)
            else { return nil }
            return ($0, endpoint, broker.rack)
        }
        return alive.isEmpty ? [own].compactMap(\.self) : alive
    }

    func endpoint(of broker: Int32) -> Endpoint? {
        guard let registration = image.brokers[broker], !registration.fenced else { return nil }
        return registration.endpoint(named: listener)
    }

    // MARK: Metadata

    func metadata(_ request: MetadataRequest, version: Int16) -> MetadataResponse {
        var response = MetadataResponse(clusterId: clusterId, controllerId: controllerId)
        response.brokers = aliveBrokers.map { broker in
            .init(
                nodeId: broker.id, host: broker.endpoint.host, port: Int32(broker.endpoint.port),
                rack: broker.rack)
        }
        // In version 0 an empty list is every topic; later only null is.
        if let topics = request.topics, version > 0 || !topics.isEmpty {
            response.topics = topics.map(answer)
        } else {
            response.topics = image.topicNames.compactMap {
                image.topic(named: $0).map(describe)
            }
        }
        return response
    }

    private func answer(
        _ asked: MetadataRequest.MetadataRequestTopic
    ) -> MetadataResponse.MetadataResponseTopic {
        if let name = asked.name {
            if let topic = image.topic(named: name) { return describe(topic) }
            let error: ErrorCode =
                TopicName.flaw(in: name) == nil ? .unknownTopicOrPartition : .invalidTopicException
            return .init(errorCode: error, name: name, topicId: asked.topicId)
        }
        if let topic = image.topic(asked.topicId) { return describe(topic) }
        return .init(errorCode: .unknownTopicId, name: nil, topicId: asked.topicId)
    }

    private func describe(_ topic: TopicImage) -> MetadataResponse.MetadataResponseTopic {
        var result = MetadataResponse.MetadataResponseTopic(
            name: topic.name, topicId: topic.id, isInternal: Self.isInternal(topic.name),
            topicAuthorizedOperations: Self.noAuthorizedOperations)
        result.partitions.reserveCapacity(topic.partitionCount)
        for index in 0..<Int32(topic.partitionCount) {
            guard let partition = topic[index] else { continue }
            let leader = leader(of: partition)
            result.partitions.append(
                .init(
                    errorCode: leader.error, partitionIndex: index, leaderId: leader.id,
                    leaderEpoch: partition.leaderEpoch, replicaNodes: partition.replicas,
                    isrNodes: partition.isr, offlineReplicas: offline(partition)))
        }
        return result
    }

    private func leader(of partition: PartitionRegistration) -> (id: Int32, error: ErrorCode) {
        guard partition.hasLeader, let broker = image.brokers[partition.leader], !broker.fenced
        else { return (LeaderId.none, .leaderNotAvailable) }
        return broker.endpoint(named: listener) == nil
            ? (LeaderId.none, .listenerNotFound) : (partition.leader, .none)
    }

    private func offline(_ partition: PartitionRegistration) -> [Int32] {
        partition.replicas.filter { id in
            guard let broker = image.brokers[id], !broker.fenced else { return true }
            return !broker.hasOnline(directory: partition.directory(of: id))
        }
    }

    // MARK: DescribeTopicPartitions (KIP-966)

    func describeTopicPartitions(
        _ request: DescribeTopicPartitionsRequest
    ) -> DescribeTopicPartitionsResponse {
        var response = DescribeTopicPartitionsResponse()
        var room = Int(min(max(request.responsePartitionLimit, 1), 2000))
        let names =
            request.topics.isEmpty
            ? image.topicNames : Set(request.topics.map(\.name)).sorted()
        let first = request.cursor?.topicName ?? ""
        for name in names where name >= first {
            guard let topic = image.topic(named: name) else {
                if !request.topics.isEmpty {
                    response.topics.append(
                        .init(
                            errorCode: TopicName.flaw(in: name) == nil
                                ? .unknownTopicOrPartition : .invalidTopicException, name: name))
                }
                continue
            }
            let start = name == first ? max(request.cursor?.partitionIndex ?? 0, 0) : 0
            if room == 0 {
                response.nextCursor = .init(topicName: name, partitionIndex: start)
                break
            }
            var result = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic(
                name: name, topicId: topic.id, isInternal: Self.isInternal(name),
                topicAuthorizedOperations: Self.noAuthorizedOperations)
            var index = start
            while index < Int32(topic.partitionCount), room > 0 {
                if let partition = topic[index] {
                    let leader = leader(of: partition)
                    result.partitions.append(
                        .init(
                            errorCode: leader.error, partitionIndex: index, leaderId: leader.id,
                            leaderEpoch: partition.leaderEpoch, replicaNodes: partition.replicas,
                            isrNodes: partition.isr,
                            eligibleLeaderReplicas: partition.eligibleLeaderReplicas,
                            lastKnownElr: partition.lastKnownLeaderReplicas,
                            offlineReplicas: offline(partition)))
                    room -= 1
                }
                index += 1
            }
            response.topics.append(result)
            if index < Int32(topic.partitionCount) {
                response.nextCursor = .init(topicName: name, partitionIndex: index)
                break
            }
        }
        return response
    }

    // MARK: DescribeCluster

    func describeCluster(_ request: DescribeClusterRequest) -> DescribeClusterResponse {
        guard request.endpointType == 1 else {
            // Controllers describe themselves on their own listener.
            return .init(
                errorCode: .mismatchedEndpointType,
                errorMessage: "ask a controller's listener for controllers",
                endpointType: request.endpointType, clusterId: clusterId)
        }
        var response = DescribeClusterResponse(
            endpointType: 1, clusterId: clusterId, controllerId: controllerId)
        for id in image.brokerIds {
            guard let broker = image.brokers[id], !broker.fenced || request.includeFencedBrokers,
                let endpoint = broker.endpoint(named: listener)
            else { continue }
            response.brokers.append(
                .init(
                    brokerId: id, host: endpoint.host, port: Int32(endpoint.port),
                    rack: broker.rack, isFenced: broker.fenced))
        }
        if response.brokers.isEmpty, let own {
            response.brokers.append(
                .init(
                    brokerId: own.id, host: own.endpoint.host, port: Int32(own.endpoint.port),
                    rack: own.rack))
        }
        return response
    }
}
