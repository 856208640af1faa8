import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import NIOCore
import Replication
import Timing

// What becomes of each request.
extension BrokerNode {
    func serve(_ frame: RequestFrame, _ token: ReplyToken) throws(WireError) {
        let address = ReplyAddress(
            token: token, apiKey: frame.apiKey, version: frame.version,
            correlationId: frame.correlationId)
        if frame.apiKey == ApiVersionsRequest.apiKey {
            let (response, version) = try apiVersions(frame)
            emit(.reply(token, address.pieces(response, version: version)))
            return
        }
        counters.request(frame.apiKey)
        requestKind = RequestKind(apiKey: frame.apiKey)
        guard let api = ServedAPIs.broker[frame.apiKey], api.served.contains(frame.version) else {
            counters.refusedRequests += 1
            emit(
                .close(
                    connection: token.connection,
                    reason: "a request that is not served: API key \(frame.apiKey), version "
                        + "\(frame.version)"))
            return
        }
        let replicaToken = RequestToken(high: token.connection, low: token.sequence)
        switch frame.apiKey {
        case ProduceRequest.apiKey:
            let request = try frame.decode(ProduceRequest.self)
            replicaReplies[replicaToken] = address
            replicas.produce(request, version: frame.version, token: replicaToken)
        case FetchRequest.apiKey:
            let request = try frame.decode(FetchRequest.self)
            replicaReplies[replicaToken] = address
            waitingFetches[token.connection, default: []].insert(replicaToken)
            if request.isFollowers(frame.version) { requestKind = .followersFetch }
            replicas.fetch(request, version: frame.version, token: replicaToken)
        case ListOffsetsRequest.apiKey:
            let request = try frame.decode(ListOffsetsRequest.self)
            reply(address, replicas.listOffsets(request, version: frame.version))
        case OffsetForLeaderEpochRequest.apiKey:
            let request = try frame.decode(OffsetForLeaderEpochRequest.self)
            reply(address, replicas.offsetForLeaderEpoch(request))
        case DeleteRecordsRequest.apiKey:
            let request = try frame.decode(DeleteRecordsRequest.self)
            replicaReplies[replicaToken] = address
            replicas.deleteRecords(request, token: replicaToken)
        case MetadataRequest.apiKey: metadata(try frame.decode(), address)
        case DescribeTopicPartitionsRequest.apiKey:
            reply(address, view(token.connection).describeTopicPartitions(try frame.decode()))
        case DescribeClusterRequest.apiKey:
            reply(address, view(token.connection).describeCluster(try frame.decode()))
        case FindCoordinatorRequest.apiKey: findCoordinator(try frame.decode(), address)
        case InitProducerIdRequest.apiKey: initProducerId(try frame.decode(), address)
        case DescribeConfigsRequest.apiKey: reply(address, configs.describe(try frame.decode()))
        case ListConfigResourcesRequest.apiKey:
            reply(address, configs.list(try frame.decode(), version: frame.version))
        case DescribeLogDirsRequest.apiKey: reply(address, describeLogDirs(try frame.decode()))
        case DescribeProducersRequest.apiKey:
            reply(address, describeProducers(try frame.decode()))
        case _ where Self.groupAPIs.contains(frame.apiKey): try serveGroup(frame, address)
        default: forward(frame, address)
        }
    }

    func view(_ connection: UInt64) -> ClusterView {
        let listener = connections[connection]?.listener ?? ""
        let place = advertisedEndpoints.first { $0.name == listener && !$0.host.isEmpty }
        return ClusterView(
            image: image, listener: listener, clusterId: identity.clusterID,
            controllerId: config.nodeID, own: place.map { (config.nodeID, $0, config.rack) })
    }

    private var configs: ConfigDescriber {
        ConfigDescriber(image: image, nodeID: config.nodeID, file: config.given)
    }

    private func apiVersions(
        _ frame: RequestFrame
    ) throws(WireError) -> (ApiVersionsResponse, Int16) {
        var (response, version) = ServedAPIs.broker.answer(toVersion: frame.version)
        guard response.errorCode == .none else { return (response, version) }
        if version >= 3 {
            let request = try frame.decode(ApiVersionsRequest.self)
            guard request.namesItsSoftware else {
                return (ApiVersionsResponse(errorCode: .invalidRequest), version)
            }
        }
        response.supportedFeatures = SupportedFeature.ours.filter {
            // Before KIP-1022's version 4 a minimum of 0 is not understood.
            version >= 4 || $0.range.lowest > 0
        }.map {
            .init(name: $0.name, minVersion: $0.range.lowest, maxVersion: $0.range.highest)
        }
        response.finalizedFeatures = image.features.keys.sorted().compactMap { name in
            guard let level = image.features[name], level > 0 else { return nil }
            return .init(name: name, maxVersionLevel: level, minVersionLevel: level)
        }
        response.finalizedFeaturesEpoch = cluster.replay.nextOffset - 1
        return (response, version)
    }

    // MARK: What only the controller does

    /// Passes a request on as it is. The answer goes back as it comes.
    private func forward(_ frame: RequestFrame, _ address: ReplyAddress) {
        let sent = askController(
            apiKey: frame.apiKey, version: frame.version, body: frame.body, lane: .forwarded,
            timeout: .seconds(30), .forwarded(address))
        if !sent { passOn(nil, address) }
    }

    /// Without an answer the connection is closed, as clients then try again elsewhere: there is
    /// no error that every one of these requests could carry.
    func passOn(_ body: ByteBuffer?, _ address: ReplyAddress) {
        guard let body else {
            emit(
                .close(
                    connection: address.token.connection,
                    reason: "no controller answers request \(address.apiKey)"))
            return
        }
        emit(.reply(address.token, address.pieces(passingOn: body)))
    }

    // MARK: Topics made unasked

    private func metadata(_ request: MetadataRequest, _ address: ReplyAddress) {
        let view = view(address.token.connection)
        var response = view.metadata(request, version: address.version)
        let mayCreate = address.version < 4 || request.allowAutoTopicCreation
        let creates = mayCreate && config.flag("auto.create.topics.enable")
        // Before the metadata is current nobody knows here which topics there are.
        if creates || !isActing {
            let missing = response.topics.filter { $0.errorCode == .unknownTopicOrPartition }
                .compactMap(\.name)
            if isActing, !missing.isEmpty { create(missing) }
            for index in response.topics.indices
            where response.topics[index].errorCode == .unknownTopicOrPartition {
                // What the client is to ask for again.
                response.topics[index].errorCode = .leaderNotAvailable
            }
        }
        reply(address, response)
    }

    private func create(_ names: [String]) {
        create(
            names.filter { !ClusterView.isInternal($0) }.map {
                .init(
                    name: $0, numPartitions: -1, replicationFactor: -1)
            })
        if names.contains(TopicName.consumerOffsets) { createOffsetsTopic() }
    }

    func createOffsetsTopic() {
        create([
            .init(
                name: TopicName.consumerOffsets,
                numPartitions: Int32(clamping: config.integer("offsets.topic.num.partitions")),
                replicationFactor: Int16(
                    clamping: config.integer("offsets.topic.replication.factor")),
                configs: [
                    .init(name: "cleanup.policy", value: "compact"),
                    .init(
                        name: "segment.bytes", value: config.text("offsets.topic.segment.bytes")),
                ])
        ])
    }

    private func create(_ topics: [CreateTopicsRequest.CreatableTopic]) {
        let wanted = topics.filter { !creating.contains($0.name) }
        guard !wanted.isEmpty else { return }
        let names = wanted.map(\.name)
        if askController(
            CreateTopicsRequest(topics: wanted, timeoutMs: 10_000), timeout: .seconds(10),
            .autoCreation(names))
        {
            creating.formUnion(names)
        }
    }

    func autoCreated(_ names: [String], _ response: CreateTopicsResponse?) {
        creating.subtract(names)
        for topic in response?.topics ?? [] {
            switch topic.errorCode {
            case .none:
                say(
                    .info, "made topic \(topic.name), which a client asked for",
                    about: LogSubject(topic: topic.name))
            case .topicAlreadyExists: break
            default:
                // The client asks again and again, and is told nothing of the reason.
                guard reminders.isDue("topic \(topic.name)", now) else { continue }
                say(
                    .warning,
                    "topic \(topic.name), which a client asked for, cannot be made: "
                        + "\(topic.errorMessage ?? "\(topic.errorCode)")",
                    about: LogSubject(topic: topic.name))
            }
        }
    }

    // MARK: Log directories and producers

    private func describeLogDirs(_ request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
        var result = DescribeLogDirsResponse.DescribeLogDirsResult(
            errorCode: logs.isOffline ? .kafkaStorageError : .none, logDir: logs.path)
        if let space = logs.space() {
            result.totalBytes = space.totalBytes
            result.usableBytes = space.freeBytes
        }
        guard !logs.isOffline else { return DescribeLogDirsResponse(results: [result]) }
        let wanted = request.topics.map { topics in
            Dictionary(topics.map { ($0.topic, Set($0.partitions)) }) { $0.union($1) }
        }
        var topics: [DescribeLogDirsResponse.DescribeLogDirsTopic] = []
        for replica in replicas.replicas {
            let place = replica.topicPartition
            guard let log = replica.log,
                wanted.map({ $0[place.topic]?.contains(place.partition) ?? false }) ?? true
            else { continue }
            let partition = DescribeLogDirsResponse.DescribeLogDirsPartition(
                partitionIndex: place.partition, partitionSize: log.sizeInBytes,
                offsetLag: max(0, replica.highWatermark - log.logEndOffset), isFutureKey: false)
            if topics.last?.name == place.topic {
                topics[topics.count - 1].partitions.append(partition)
            } else {
                topics.append(.init(name: place.topic, partitions: [partition]))
            }
        }
        result.topics = topics
        return DescribeLogDirsResponse(results: [result])
    }

    private func describeProducers(
        _ request: DescribeProducersRequest
    ) -> DescribeProducersResponse {
        DescribeProducersResponse(
            topics: request.topics.map { topic in
                .init(
                    name: topic.name,
                    partitions: topic.partitionIndexes.map { describeProducers(topic.name, $0) })
            })
    }

    private func describeProducers(
        _ topic: String, _ partition: Int32
    ) -> DescribeProducersResponse.PartitionResponse {
        var result = DescribeProducersResponse.PartitionResponse(partitionIndex: partition)
        guard let known = image.topic(named: topic), known[partition] != nil else {
            result.errorCode = .unknownTopicOrPartition
            return result
        }
        guard let replica = replicas.replica(TopicPartition(topic, partition)), replica.isLeader,
            let log = replica.log
        else {
            result.errorCode = .notLeaderOrFollower
            return result
        }
        result.activeProducers = log.producers.active.map { producer in
            .init(
                producerId: producer.id, producerEpoch: Int32(producer.entry.producerEpoch),
                lastSequence: producer.entry.lastSequence,
                lastTimestamp: producer.entry.lastTimestamp,
                coordinatorEpoch: producer.entry.coordinatorEpoch,
                currentTxnStartOffset: producer.entry.transactionFirstOffset ?? -1)
        }
        return result
    }
}
