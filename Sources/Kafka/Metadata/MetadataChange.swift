import KafkaWire

/// What one record changed, with what was there before: enough to tell a broker what to do, and to
/// take the record back.
package enum MetadataChange: Equatable, Sendable {
    case broker(Int32, before: BrokerRegistration?)
    case controller(Int32, before: ControllerRegistration?)
    case topicCreated(KafkaUUID, name: String)
    /// The topic as it was, its configuration and the slot that it sat in.
    case topicRemoved(TopicImage, configs: [String: String], slot: Int)
    case partition(KafkaUUID, Int32, before: PartitionRegistration?)
    case config(ConfigResource, name: String, before: String?)
    case feature(String, before: Int16?)
    case producerIds(before: ProducerIdsRecord?)
    case kept(String, before: MetadataRecord?)
}

extension MetadataImage {
    /// Takes back the change made last.
    package mutating func revert(_ change: MetadataChange) {
        switch change {
        case .broker(let id, let before): brokers[id] = before
        case .controller(let id, let before): controllers[id] = before
        case .topicCreated(let id, _): removeTopic(id)
        case .topicRemoved(let topic, let configs, let slot):
            insert(topic, at: slot)
            if !configs.isEmpty { self.configs[.topic(topic.name)] = configs }
        case .partition(let id, let partition, let before):
            guard let slot = slotsById[id] else { return }
            if let before {
                slots[slot]?.partitions[Int(partition)] = before
            } else {
                slots[slot]?.partitions[Int(partition)] = nil
                while let last = slots[slot]?.partitions.last, last == nil {
                    slots[slot]?.partitions.removeLast()
                }
                partitionCount -= 1
            }
        case .config(let resource, let name, let before): setConfig(resource, name, before)
        case .feature(let name, let before): features[name] = before
        case .producerIds(let before): producerIds = before
        case .kept(let key, let before): keptRecords[key] = before
        }
    }

    /// Puts a topic into the slot that was freed last, or into the one that it had.
    mutating func insert(_ topic: TopicImage, at wanted: Int? = nil) {
        let slot: Int
        if let wanted, let index = freeSlots.lastIndex(of: wanted) {
            freeSlots.remove(at: index)
            slots[wanted] = topic
            slot = wanted
        } else if let free = freeSlots.popLast() {
            slots[free] = topic
            slot = free
        } else {
            slot = slots.count
            slots.append(topic)
        }
        slotsById[topic.id] = slot
        idsByName[topic.name] = topic.id
        if TopicName.hasCollisionCharacters(topic.name) {
            unifiedNames[TopicName.unified(topic.name), default: 0] += 1
        }
        partitionCount += topic.partitions.count { $0 != nil }
    }

    @discardableResult
    mutating func removeTopic(_ id: KafkaUUID) -> (topic: TopicImage, slot: Int)? {
        guard let slot = slotsById.removeValue(forKey: id), let topic = slots[slot] else {
            return nil
        }
        slots[slot] = nil
        freeSlots.append(slot)
        idsByName[topic.name] = nil
        if TopicName.hasCollisionCharacters(topic.name) {
            let unified = TopicName.unified(topic.name)
            let left = unifiedNames[unified, default: 1] - 1
            unifiedNames[unified] = left > 0 ? left : nil
        }
        partitionCount -= topic.partitions.count { $0 != nil }
        return (topic, slot)
    }

    mutating func setConfig(_ resource: ConfigResource, _ name: String, _ value: String?) {
        if let value {
            configs[resource, default: [:]][name] = value
        } else if configs[resource] != nil {
            configs[resource]?[name] = nil
            if configs[resource]?.isEmpty == true { configs[resource] = nil }
        }
    }
}
