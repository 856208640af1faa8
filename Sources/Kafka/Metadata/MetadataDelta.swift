import KafkaWire

/// A partition by its topic's id.
package struct PartitionKey: Hashable, Comparable, Sendable {
    package var topicId: KafkaUUID
    package var partition: Int32

    package init(_ topicId: KafkaUUID, _ partition: Int32) {
        self.topicId = topicId
        self.partition = partition
    }

    package static func < (a: Self, b: Self) -> Bool {
        a.topicId != b.topicId ? a.topicId < b.topicId : a.partition < b.partition
    }
}

/// What has changed between two images, for a broker to act on. In the order in which things first
/// changed; what changed twice is there once, with what was before the first time.
package struct MetadataDelta: Sendable {
    package struct Partition: Equatable, Sendable {
        package let key: PartitionKey
        package let topic: String
        package let before: PartitionRegistration?
        /// Nil if it is gone.
        package let after: PartitionRegistration?
    }

    package private(set) var partitions: [Partition] = []
    package private(set) var createdTopics: [KafkaUUID] = []
    package private(set) var removedTopics: [TopicImage] = []
    package private(set) var brokers: [Int32] = []
    package private(set) var controllers: [Int32] = []
    package private(set) var configs: [ConfigResource] = []
    package private(set) var features: [String] = []

    package var isEmpty: Bool {
        partitions.isEmpty && createdTopics.isEmpty && removedTopics.isEmpty && brokers.isEmpty
            && controllers.isEmpty && configs.isEmpty && features.isEmpty
    }

    /// - Parameters:
    ///   - changes: as collected by `apply` or `replay`.
    ///   - image: the image after all of them.
    package init(_ changes: [MetadataChange], image: MetadataImage) {
        var order: [PartitionKey] = []
        var before: [PartitionKey: PartitionRegistration?] = [:]
        var names: [KafkaUUID: String] = [:]
        var created: [KafkaUUID] = []
        var removed: [TopicImage] = []
        var seenBrokers: Set<Int32> = []
        var seenControllers: Set<Int32> = []
        var seenConfigs: Set<ConfigResource> = []
        var seenFeatures: Set<String> = []
        func note(_ key: PartitionKey, _ registration: PartitionRegistration?) {
            guard before[key] == nil else { return }
            before.updateValue(registration, forKey: key)
            order.append(key)
        }
        for change in changes {
            switch change {
            case .broker(let id, _):
                if seenBrokers.insert(id).inserted { brokers.append(id) }
            case .controller(let id, _):
                if seenControllers.insert(id).inserted { controllers.append(id) }
            case .topicCreated(let id, let name):
                created.append(id)
                names[id] = name
            case .topicRemoved(let topic, let topicConfigs, _):
                names[topic.id] = topic.name
                for (index, partition) in topic.partitions.enumerated() {
                    if let partition { note(.init(topic.id, Int32(index)), partition) }
                }
                removed.append(topic)
                let resource = ConfigResource.topic(topic.name)
                if !topicConfigs.isEmpty, seenConfigs.insert(resource).inserted {
                    configs.append(resource)
                }
            case .partition(let id, let partition, let registration):
                note(.init(id, partition), registration)
            case .config(let resource, _, _):
                if seenConfigs.insert(resource).inserted { configs.append(resource) }
            case .feature(let name, _):
                if seenFeatures.insert(name).inserted { features.append(name) }
            case .producerIds, .kept: break
            }
        }
        // What came and went within the changes was never there for a broker.
        let brief = Set(created).intersection(removed.map(\.id))
        createdTopics = created.filter { !brief.contains($0) }
        removedTopics = removed.filter { !brief.contains($0.id) }
        for key in order {
            let was = before[key].flatMap { $0 }
            let now = image.partition(key.topicId, key.partition)
            guard was != now else { continue }
            partitions.append(
                .init(
                    key: key, topic: image.topic(key.topicId)?.name ?? names[key.topicId] ?? "",
                    before: was, after: now))
        }
    }

    /// Everything that differs between two images, as when a snapshot takes the place of a log that
    /// was not followed.
    package init(from old: MetadataImage, to new: MetadataImage) {
        var changes: [MetadataChange] = []
        for topic in old.topics where new.topic(topic.id) == nil {
            changes.append(
                .topicRemoved(topic, configs: old.configs[.topic(topic.name)] ?? [:], slot: 0))
        }
        for topic in new.topics {
            let before = old.topic(topic.id)
            if before == nil { changes.append(.topicCreated(topic.id, name: topic.name)) }
            if before == topic { continue }
            for index in 0..<topic.partitions.count {
                changes.append(
                    .partition(topic.id, Int32(index), before: before?[Int32(index)]))
            }
        }
        for id in Set(old.brokers.keys).union(new.brokers.keys).sorted()
        where old.brokers[id] != new.brokers[id] {
            changes.append(.broker(id, before: old.brokers[id]))
        }
        for id in Set(old.controllers.keys).union(new.controllers.keys).sorted()
        where old.controllers[id] != new.controllers[id] {
            changes.append(.controller(id, before: old.controllers[id]))
        }
        for resource in Set(old.configs.keys).union(new.configs.keys).sorted()
        where old.configs[resource] != new.configs[resource] {
            changes.append(.config(resource, name: "", before: nil))
        }
        for name in Set(old.features.keys).union(new.features.keys).sorted()
        where old.features[name] != new.features[name] {
            changes.append(.feature(name, before: old.features[name]))
        }
        self.init(changes, image: new)
    }
}

/// What a delta means for one broker's replicas.
package struct LocalChanges: Equatable, Sendable {
    /// No longer a replica of these; of a topic that is gone if `after` is nil.
    package var removed: [MetadataDelta.Partition] = []
    /// Leads these, newly or with another leader epoch, or with other replicas or ISR.
    package var leading: [MetadataDelta.Partition] = []
    /// Follows in these (or waits, where there is no leader).
    package var following: [MetadataDelta.Partition] = []
}

extension MetadataDelta {
    package func localChanges(of broker: Int32) -> LocalChanges {
        var local = LocalChanges()
        for partition in partitions {
            let was = partition.before?.replicas.contains(broker) ?? false
            if let after = partition.after, after.replicas.contains(broker) {
                if after.leader == broker {
                    local.leading.append(partition)
                } else {
                    local.following.append(partition)
                }
            } else if was {
                local.removed.append(partition)
            }
        }
        return local
    }
}
