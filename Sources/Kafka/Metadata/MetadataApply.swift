import KafkaWire

extension MetadataImage {
    /// Applies a record and adds what it changed to `changes`. On an error nothing has changed.
    ///
    /// Transactions are not for an image but for `MetadataReplay`: their three records are refused.
    package mutating func apply(
        _ record: MetadataRecord, into changes: inout [MetadataChange]
    ) throws(MetadataError) {
        switch record {
        case .registerBroker(let r): try register(r, &changes)
        case .unregisterBroker(let r):
            let before = try registered(r.brokerId, epoch: r.brokerEpoch)
            brokers[r.brokerId] = nil
            changes.append(.broker(r.brokerId, before: before))
        case .fenceBroker(let r):
            try changeBroker(r.id, epoch: r.epoch, fenced: 1, &changes)
        case .unfenceBroker(let r):
            try changeBroker(r.id, epoch: r.epoch, fenced: -1, &changes)
        case .brokerRegistrationChange(let r):
            try changeBroker(
                r.brokerId, epoch: r.brokerEpoch, fenced: r.fenced,
                shutdown: r.inControlledShutdown, directories: r.logDirs, &changes)
        case .registerController(let r):
            let before = controllers.updateValue(.init(r), forKey: r.controllerId)
            changes.append(.controller(r.controllerId, before: before))
        case .topic(let r): try createTopic(r, &changes)
        case .removeTopic(let r):
            guard let (topic, slot) = removeTopic(r.topicId) else { throw .unknownTopic(r.topicId) }
            let configs = configs.removeValue(forKey: .topic(topic.name)) ?? [:]
            changes.append(.topicRemoved(topic, configs: configs, slot: slot))
        case .partition(let r): try setPartition(r, &changes)
        case .partitionChange(let r): try changePartition(r, &changes)
        case .clearElr(let r): try clearEligibleLeaders(r, &changes)
        case .config(let r):
            let resource = ConfigResource(type: r.resourceType, name: r.resourceName)
            changes.append(.config(resource, name: r.name, before: configs[resource]?[r.name]))
            setConfig(resource, r.name, r.value)
        case .featureLevel(let r):
            changes.append(.feature(r.name, before: features[r.name]))
            features[r.name] = r.featureLevel == 0 ? nil : r.featureLevel
        case .producerIds(let r):
            if let current = producerIds, r.nextProducerId <= current.nextProducerId {
                throw .badValue(
                    "next producer id \(r.nextProducerId) after \(current.nextProducerId)")
            }
            changes.append(.producerIds(before: producerIds))
            producerIds = r
        case .noOp: break
        case .beginTransaction, .endTransaction, .abortTransaction:
            throw .transaction("its records have no place in an image")
        case .clientQuota(let r):
            keep(record, as: Self.key(of: r), if: !r.remove, &changes)
        case .accessControlEntry(let r): keep(record, as: "acl \(r.id)", &changes)
        case .removeAccessControlEntry(let r):
            keep(record, as: "acl \(r.id)", if: false, &changes)
        case .userScramCredential(let r):
            keep(record, as: "scram \(r.mechanism) \(r.name)", &changes)
        case .removeUserScramCredential(let r):
            keep(record, as: "scram \(r.mechanism) \(r.name)", if: false, &changes)
        case .delegationToken(let r): keep(record, as: "token \(r.tokenId)", &changes)
        case .removeDelegationToken(let r):
            keep(record, as: "token \(r.tokenId)", if: false, &changes)
        case .zkMigrationState(let r):
            // 0: never migrated. 3: migration done. The others would need a ZooKeeper.
            guard r.zkMigrationState == 0 || r.zkMigrationState == 3 else {
                throw .unsupportedRecord("ZkMigrationStateRecord \(r.zkMigrationState)")
            }
        }
    }

    // MARK: - Brokers

    private mutating func register(
        _ record: RegisterBrokerRecord, _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        if record.isMigratingZkBroker { throw .unsupportedRecord("a broker with ZooKeeper") }
        let before = brokers[record.brokerId]
        if before == nil, brokers.count >= limits.brokers {
            throw .tooMany("brokers", limit: limits.brokers)
        }
        brokers[record.brokerId] = BrokerRegistration(record)
        changes.append(.broker(record.brokerId, before: before))
    }

    private func registered(
        _ id: Int32, epoch: Int64
    ) throws(MetadataError) -> BrokerRegistration {
        guard let broker = brokers[id], broker.epoch == epoch else {
            throw .unknownBroker(id, epoch: epoch)
        }
        return broker
    }

    /// 1 sets a state, -1 clears it, 0 leaves it. A shutdown cannot be cleared, only a new
    /// registration ends it.
    private mutating func changeBroker(
        _ id: Int32, epoch: Int64, fenced: Int8, shutdown: Int8 = 0,
        directories: [KafkaUUID] = [], _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        let before = try registered(id, epoch: epoch)
        guard (-1...1).contains(fenced), (0...1).contains(shutdown) else {
            throw .badValue("change of broker \(id): fenced \(fenced), shutdown \(shutdown)")
        }
        var broker = before
        if fenced != 0 { broker.fenced = fenced > 0 }
        if shutdown != 0 { broker.inControlledShutdown = true }
        if !directories.isEmpty { broker.directories = directories }
        brokers[id] = broker
        changes.append(.broker(id, before: before))
    }

    // MARK: - Topics

    private mutating func createTopic(
        _ record: TopicRecord, _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        guard idsByName[record.name] == nil, slotsById[record.topicId] == nil else {
            throw .duplicateTopic(record.name)
        }
        guard topicCount < limits.topics else { throw .tooMany("topics", limit: limits.topics) }
        insert(TopicImage(id: record.topicId, name: record.name))
        changes.append(.topicCreated(record.topicId, name: record.name))
    }

    private mutating func setPartition(
        _ record: PartitionRecord, _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        guard let slot = slotsById[record.topicId] else { throw .unknownTopic(record.topicId) }
        guard record.partitionId >= 0 else { throw .badValue("partition \(record.partitionId)") }
        guard record.partitionId < limits.partitionsPerTopic else {
            throw .tooMany("partitions of a topic", limit: limits.partitionsPerTopic)
        }
        guard record.replicas.count <= limits.replicasPerPartition else {
            throw .tooMany("replicas of a partition", limit: limits.replicasPerPartition)
        }
        let partition = Int(record.partitionId)
        let registration = try PartitionRegistration(record)
        let before = slots[slot]?[record.partitionId]
        if before == nil, partitionCount >= limits.partitions {
            throw .tooMany("partitions", limit: limits.partitions)
        }
        while slots[slot].map({ $0.partitions.count <= partition }) == true {
            slots[slot]?.partitions.append(nil)
        }
        slots[slot]?.partitions[partition] = registration
        if before == nil { partitionCount += 1 }
        changes.append(.partition(record.topicId, record.partitionId, before: before))
    }

    private mutating func changePartition(
        _ record: PartitionChangeRecord, _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        guard let slot = slotsById[record.topicId] else { throw .unknownTopic(record.topicId) }
        guard let before = slots[slot]?[record.partitionId] else {
            throw .unknownPartition(record.topicId, record.partitionId)
        }
        slots[slot]?.partitions[Int(record.partitionId)] = try before.applying(record)
        changes.append(.partition(record.topicId, record.partitionId, before: before))
    }

    /// Forgets the eligible leaders of one topic, or of all when it names none.
    private mutating func clearEligibleLeaders(
        _ record: ClearElrRecord, _ changes: inout [MetadataChange]
    ) throws(MetadataError) {
        var names: [TopicImage] = []
        if record.topicName.isEmpty {
            names = Array(topics)
        } else {
            guard let topic = topic(named: record.topicName) else {
                throw .badValue("topic \(record.topicName) does not exist")
            }
            names = [topic]
        }
        for topic in names {
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition,
                    !partition.eligibleLeaderReplicas.isEmpty
                        || !partition.lastKnownLeaderReplicas.isEmpty
                else { continue }
                try changePartition(
                    PartitionChangeRecord(
                        partitionId: Int32(index), topicId: topic.id,
                        eligibleLeaderReplicas: [], lastKnownElr: []), &changes)
            }
        }
    }

    // MARK: - Records that are only kept

    private mutating func keep(
        _ record: MetadataRecord, as key: String, if kept: Bool = true,
        _ changes: inout [MetadataChange]
    ) {
        changes.append(.kept(key, before: keptRecords[key]))
        keptRecords[key] = kept ? record : nil
    }

    private static func key(of quota: ClientQuotaRecord) -> String {
        let entity = quota.entity
            .map { "\($0.entityType)=\($0.entityName.map { "'\($0)'" } ?? "default")" }
            .sorted().joined(separator: ",")
        return "quota \(quota.key) \(entity)"
    }
}
