import KafkaWire

/// A topic and its partitions, by partition number.
package struct TopicImage: Equatable, Sendable {
    package let id: KafkaUUID
    package let name: String
    /// Nil where records came out of order and a lower number is still to come.
    package internal(set) var partitions: [PartitionRegistration?] = []

    package init(id: KafkaUUID, name: String) {
        self.id = id
        self.name = name
    }

    package subscript(partition: Int32) -> PartitionRegistration? {
        guard partition >= 0, partition < partitions.count else { return nil }
        return partitions[Int(partition)]
    }

    package var partitionCount: Int { partitions.count }
}

/// The cluster's state: what all records up to an offset make of it.
///
/// A value: a copy is cheap, and a change after it copies one topic and the list of topics.
/// Topics sit in slots, so that going through all of them needs no order of a hash table.
package struct MetadataImage: Sendable {
    package internal(set) var brokers: [Int32: BrokerRegistration] = [:]
    package internal(set) var controllers: [Int32: ControllerRegistration] = [:]
    package internal(set) var configs: [ConfigResource: [String: String]] = [:]
    package internal(set) var features: [String: Int16] = [:]
    /// The first producer id of the next block; nil before the first block.
    package internal(set) var producerIds: ProducerIdsRecord?
    package internal(set) var partitionCount = 0
    /// Records that are kept for snapshots and have no meaning here yet: quotas, ACLs, credentials,
    /// tokens. By a key that names what each is about.
    package internal(set) var keptRecords: [String: MetadataRecord] = [:]

    internal var slots: [TopicImage?] = []
    internal var freeSlots: [Int] = []
    internal var slotsById: [KafkaUUID: Int] = [:]
    internal var idsByName: [String: KafkaUUID] = [:]
    /// How many topics have a name that is this one once periods are underscores.
    internal var unifiedNames: [String: Int] = [:]
    package let limits: MetadataLimits

    package init(limits: MetadataLimits = MetadataLimits()) { self.limits = limits }

    package var isEmpty: Bool {
        brokers.isEmpty && controllers.isEmpty && configs.isEmpty && features.isEmpty
            && producerIds == nil && keptRecords.isEmpty && slotsById.isEmpty
    }

    package var topicCount: Int { slotsById.count }

    package var metadataVersion: MetadataVersion {
        features[FeatureName.metadataVersion].map(MetadataVersion.init(level:)) ?? .implied
    }

    /// Whether eligible leader replicas are kept and may lead (KIP-966).
    package var electsEligibleReplicas: Bool {
        metadataVersion.mayRecordEligibleLeaders
            && features[FeatureName.eligibleLeaderReplicas, default: 0] >= 1
    }

    package func topic(_ id: KafkaUUID) -> TopicImage? {
        slotsById[id].flatMap { slots[$0] }
    }

    package func topic(named name: String) -> TopicImage? {
        idsByName[name].flatMap { topic($0) }
    }

    package func topicId(named name: String) -> KafkaUUID? { idsByName[name] }

    package func partition(_ topicId: KafkaUUID, _ partition: Int32) -> PartitionRegistration? {
        guard let slot = slotsById[topicId] else { return nil }
        return slots[slot]?[partition]
    }

    /// Every topic, in an order that follows from the records applied and from nothing else.
    package var topics: some Sequence<TopicImage> { slots.lazy.compactMap { $0 } }

    package var topicNames: [String] { idsByName.keys.sorted() }

    package var brokerIds: [Int32] { brokers.keys.sorted() }

    package func isActive(_ broker: Int32) -> Bool { brokers[broker]?.isActive ?? false }

    package func config(_ resource: ConfigResource, _ name: String) -> String? {
        configs[resource]?[name]
    }

    /// The name of a topic that a new topic of this name would collide with in metrics.
    package func collision(with name: String) -> String? {
        guard TopicName.hasCollisionCharacters(name) else { return nil }
        let unified = TopicName.unified(name)
        guard unifiedNames[unified, default: 0] > 0 else { return nil }
        return topics.first {
            TopicName.hasCollisionCharacters($0.name) && TopicName.unified($0.name) == unified
        }?.name
    }
}

extension MetadataImage: Equatable {
    /// Equal in what the records said, whatever way the topics are stored.
    package static func == (a: Self, b: Self) -> Bool {
        guard
            a.brokers == b.brokers, a.controllers == b.controllers, a.configs == b.configs,
            a.features == b.features, a.producerIds == b.producerIds,
            a.partitionCount == b.partitionCount, a.keptRecords == b.keptRecords,
            a.topicCount == b.topicCount
        else { return false }
        return a.topics.allSatisfy { b.topic($0.id) == $0 }
    }
}
