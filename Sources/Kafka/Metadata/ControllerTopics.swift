import KafkaWire

// Topics made, taken away and grown.

extension Controller {
    // MARK: - CreateTopics

    func createTopics(
        _ request: CreateTopicsRequest
    ) throws(ControllerFailure) -> CreateTopicsResponse {
        try checkItemCount(request.topics.count, "topics")
        var seen: [String: Int] = [:]
        for topic in request.topics { seen[topic.name, default: 0] += 1 }
        var draft = Draft(partitions: image.partitionCount, topics: image.topicCount)
        var response = CreateTopicsResponse()
        var duplicates: Set<String> = []
        for topic in request.topics {
            if seen[topic.name, default: 1] > 1 {
                guard duplicates.insert(topic.name).inserted else { continue }
                response.topics.append(
                    .init(
                        name: topic.name, errorCode: .invalidRequest,
                        errorMessage: "Duplicate topic name.", configs: nil))
                continue
            }
            do throws(ControllerFailure) {
                let (result, records) = try createTopic(topic, &draft)
                draft.records += records
                response.topics.append(result)
            } catch {
                response.topics.append(
                    .init(
                        name: topic.name, errorCode: error.code, errorMessage: error.message,
                        configs: nil))
            }
        }
        try checkRecordCount(draft.records.count)
        if !request.validateOnly { append(draft.records) }
        return response
    }

    /// What the topics of one request come to, those before counted in.
    struct Draft {
        var records: [MetadataRecord] = []
        var partitions: Int
        var topics: Int
        var configBytes = 0
        var unifiedNames: Set<String> = []
        var ids: Set<KafkaUUID> = []
    }

    private func createTopic(
        _ topic: CreateTopicsRequest.CreatableTopic, _ draft: inout Draft
    ) throws(ControllerFailure) -> (CreateTopicsResponse.CreatableTopicResult, [MetadataRecord]) {
        let name = topic.name
        if name == TopicName.clusterMetadata {
            throw .init(
                .invalidRequest, "Creation of internal topic \(name) is prohibited.")
        }
        if let flaw = TopicName.flaw(in: name) { throw .init(.invalidTopicException, flaw) }
        if image.topicId(named: name) != nil {
            throw .init(.topicAlreadyExists, "Topic '\(name)' already exists.")
        }
        if let other = image.collision(with: name) {
            throw .init(
                .invalidTopicException, "Topic '\(name)' collides with existing topic: \(other)")
        }
        let unified = TopicName.unified(name)
        if TopicName.hasCollisionCharacters(name), draft.unifiedNames.contains(unified) {
            throw .init(
                .invalidTopicException, "Topic '\(name)' collides with another of this request")
        }
        let configs = try configs(of: topic, &draft)
        let assignments = try assignments(of: topic, configs, draft)
        guard draft.topics < config.limits.topics else {
            throw .init(
                .policyViolation, "The cluster has \(config.limits.topics) topics, its limit.")
        }

        let id = newTopicId(besides: &draft.ids)
        draft.topics += 1
        draft.partitions += assignments.count
        if TopicName.hasCollisionCharacters(name) { draft.unifiedNames.insert(unified) }
        var records: [MetadataRecord] = [.topic(.init(name: name, topicId: id))]
        for key in configs.keys.sorted() {
            records.append(
                .config(
                    .init(
                        resourceType: ConfigResource.topicType, resourceName: name, name: key,
                        value: configs[key])))
        }
        for (index, replicas) in assignments.enumerated() {
            records.append(
                .partition(newPartition(replicas).record(topicId: id, partition: Int32(index))))
        }
        return (
            .init(
                name: name, topicId: id, numPartitions: Int32(clamping: assignments.count),
                replicationFactor: Int16(clamping: assignments.first?.count ?? 0),
                configs: resolver.all(topic: configs).map {
                    .init(
                        name: $0.property.name, value: $0.property.isSensitive ? nil : $0.value,
                        readOnly: $0.property.isReadOnly, configSource: $0.source.rawValue,
                        isSensitive: $0.property.isSensitive)
                }),
            records
        )
    }

    private func configs(
        of topic: CreateTopicsRequest.CreatableTopic, _ draft: inout Draft
    ) throws(ControllerFailure) -> [String: String] {
        let nulls = topic.configs.filter { $0.value == nil }.map(\.name)
        if !nulls.isEmpty {
            throw .init(
                .invalidConfig,
                "Null value not supported for topic configs: \(nulls.joined(separator: ","))")
        }
        var configs: [String: String] = [:]
        for entry in topic.configs { configs[entry.name] = entry.value }
        try checkSize(of: configs, &draft.configBytes)
        if let flaw = config.topicProperties.flaw(in: configs, of: "topic") {
            throw .init(.invalidConfig, flaw)
        }
        return configs
    }

    private func assignments(
        of topic: CreateTopicsRequest.CreatableTopic, _ configs: [String: String], _ draft: Draft
    ) throws(ControllerFailure) -> [[Int32]] {
        if !topic.assignments.isEmpty {
            if topic.replicationFactor != -1 {
                throw .init(
                    .invalidRequest,
                    "A manual partition assignment was specified, but replication factor was not"
                        + " set to -1.")
            }
            if topic.numPartitions != -1 {
                throw .init(
                    .invalidRequest,
                    "A manual partition assignment was specified, but numPartitions was not set"
                        + " to -1.")
            }
            try checkPartitionCount(topic.assignments.count, existing: 0, draft.partitions)
            var byIndex: [Int32: [Int32]] = [:]
            var factor: Int?
            for assignment in topic.assignments {
                guard byIndex[assignment.partitionIndex] == nil else {
                    throw .init(
                        .invalidReplicaAssignment,
                        "Found multiple manual partition assignments for partition"
                            + " \(assignment.partitionIndex)")
                }
                try checkAssignment(assignment.brokerIds, replicationFactor: factor)
                try checkSomeActive(assignment.brokerIds, partition: assignment.partitionIndex)
                factor = assignment.brokerIds.count
                byIndex[assignment.partitionIndex] = assignment.brokerIds
            }
            var assignments: [[Int32]] = []
            for index in 0..<Int32(clamping: byIndex.count) {
                guard let replicas = byIndex[index] else {
                    throw .init(
                        .invalidReplicaAssignment,
                        "partitions should be a consecutive 0-based integer sequence")
                }
                assignments.append(replicas)
            }
            return assignments
        }
        if topic.replicationFactor < -1 || topic.replicationFactor == 0 {
            throw .init(
                .invalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.")
        }
        if topic.numPartitions < -1 || topic.numPartitions == 0 {
            throw .init(
                .invalidPartitions, "Number of partitions was set to an invalid non-positive value."
            )
        }
        let count = topic.numPartitions == -1 ? config.defaultPartitions : topic.numPartitions
        let factor =
            topic.replicationFactor == -1
            ? config.defaultReplicationFactor : topic.replicationFactor
        try checkPartitionCount(Int(count), existing: 0, draft.partitions)
        return try place(
            Int(count), replicationFactor: Int(factor), existing: [], topicConfigs: configs)
    }

    // MARK: - Placement

    func place(
        _ partitions: Int, replicationFactor: Int, existing: [[Int32]],
        topicConfigs: [String: String]
    ) throws(ControllerFailure) -> [[Int32]] {
        guard replicationFactor <= config.limits.replicasPerPartition else {
            throw .init(
                .invalidReplicationFactor,
                "Replication factor \(replicationFactor) is above the limit of"
                    + " \(config.limits.replicasPerPartition).")
        }
        let loads = brokerLoads()
        let brokers = image.brokerIds.compactMap { id -> PlaceableBroker? in
            guard let broker = image.brokers[id], !broker.inControlledShutdown else { return nil }
            return PlaceableBroker(
                id: id, rack: broker.rack, fenced: broker.fenced,
                leaders: loads[id]?.leaders ?? 0, replicas: loads[id]?.replicas ?? 0)
        }
        var leaderRacks: [String] = []
        if let property = config.leaderRacksProperty {
            let value = resolver.effective(property, topic: topicConfigs)?.value ?? ""
            leaderRacks = ConfigProperty.parts(of: value)
        }
        var placement = ReplicaPlacement(
            brokers: brokers, existing: existing, leaderRacks: leaderRacks, seed: random.next())
        do throws(PlacementError) {
            return try placement.place(
                partitions: partitions, replicationFactor: replicationFactor)
        } catch {
            throw .init(
                .invalidReplicationFactor,
                "Unable to replicate the partition \(replicationFactor) time(s): \(error)")
        }
    }

    private func brokerLoads() -> [Int32: (leaders: Int, replicas: Int)] {
        var loads: [Int32: (leaders: Int, replicas: Int)] = [:]
        for topic in image.topics {
            for case let partition? in topic.partitions {
                for replica in partition.replicas {
                    loads[replica, default: (0, 0)].replicas += 1
                }
                loads[partition.preferredLeader, default: (0, 0)].leaders += 1
            }
        }
        return loads
    }

    func newPartition(_ replicas: [Int32]) -> PartitionRegistration {
        let isr = replicas.filter(image.isActive)
        return PartitionRegistration(
            replicas: replicas, directories: replicas.map(newDirectory(on:)), isr: isr,
            leader: isr.first ?? LeaderId.none)
    }

    private func newTopicId(besides taken: inout Set<KafkaUUID>) -> KafkaUUID {
        while true {
            // Random as RFC 9562 has it for version 4; an id that begins with a dash is a nuisance
            // on command lines, so Kafka has none.
            let id = KafkaUUID(
                high: random.next() & ~0xF000 | 0x4000,
                low: random.next() & ~(3 << 62) | 1 << 63)
            let firstDigit = id.high >> 58
            if firstDigit != 62, image.topic(id) == nil, taken.insert(id).inserted { return id }
        }
    }

    // MARK: - Checks

    func checkItemCount(_ count: Int, _ what: String) throws(ControllerFailure) {
        guard count <= config.limits.topicsPerRequest else {
            throw .init(
                .policyViolation,
                "The request names \(count) \(what), more than the"
                    + " \(config.limits.topicsPerRequest) of one request.")
        }
    }

    func checkPartitionCount(
        _ count: Int, existing: Int, _ total: Int
    ) throws(ControllerFailure) {
        guard existing + count <= config.limits.partitionsPerTopic else {
            throw .init(
                .invalidPartitions,
                "\(existing + count) partitions are more than the"
                    + " \(config.limits.partitionsPerTopic) that a topic may have.")
        }
        guard total + count <= config.limits.partitions else {
            throw .init(
                .invalidPartitions,
                "\(count) more partitions would make it \(total + count) in the cluster, whose"
                    + " limit is \(config.limits.partitions).")
        }
        try checkRecordCount(count)
    }

    func checkAssignment(
        _ replicas: [Int32], replicationFactor: Int?
    ) throws(ControllerFailure) {
        if replicas.isEmpty {
            throw .init(
                .invalidReplicaAssignment,
                "The manual partition assignment includes an empty replica list.")
        }
        guard replicas.count <= config.limits.replicasPerPartition else {
            throw .init(
                .invalidReplicaAssignment,
                "The manual partition assignment includes a partition with \(replicas.count)"
                    + " replicas, more than \(config.limits.replicasPerPartition).")
        }
        var seen: Set<Int32> = []
        for replica in replicas {
            guard image.brokers[replica] != nil else {
                throw .init(
                    .invalidReplicaAssignment,
                    "The manual partition assignment includes broker \(replica), but no such broker"
                        + " is registered.")
            }
            guard seen.insert(replica).inserted else {
                throw .init(
                    .invalidReplicaAssignment,
                    "The manual partition assignment includes the broker \(replica) more than once."
                )
            }
        }
        if let replicationFactor, replicas.count != replicationFactor {
            throw .init(
                .invalidReplicaAssignment,
                "The manual partition assignment includes a partition with \(replicas.count)"
                    + " replica(s), but this is not consistent with previous partitions, which have"
                    + " \(replicationFactor) replica(s).")
        }
    }

    func checkSomeActive(_ replicas: [Int32], partition: Int32) throws(ControllerFailure) {
        guard replicas.contains(where: image.isActive) else {
            throw .init(
                .invalidReplicaAssignment,
                "All brokers specified in the manual partition assignment for partition"
                    + " \(partition) are fenced or in controlled shutdown.")
        }
    }
}
