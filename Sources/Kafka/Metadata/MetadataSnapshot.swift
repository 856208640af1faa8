import KafkaWire

extension MetadataImage {
    /// Hands out the records that make this image from nothing, in an order that can be applied:
    /// features first, then nodes, topics with their partitions, configurations and the rest.
    package func forEachSnapshotRecord(_ body: (MetadataRecord) -> Void) {
        // The level of the log itself comes first, as readers decide by it.
        if let level = features[FeatureName.metadataVersion] {
            body(.featureLevel(.init(name: FeatureName.metadataVersion, featureLevel: level)))
        }
        for name in features.keys.sorted() where name != FeatureName.metadataVersion {
            body(.featureLevel(.init(name: name, featureLevel: features[name] ?? 0)))
        }
        for id in controllers.keys.sorted() {
            if let controller = controllers[id] { body(.registerController(controller.record)) }
        }
        for id in brokerIds {
            if let broker = brokers[id] { body(.registerBroker(broker.record)) }
        }
        for topic in topics {
            body(.topic(.init(name: topic.name, topicId: topic.id)))
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition else { continue }
                body(.partition(partition.record(topicId: topic.id, partition: Int32(index))))
            }
        }
        for resource in configs.keys.sorted() {
            let values = configs[resource] ?? [:]
            for name in values.keys.sorted() {
                body(
                    .config(
                        .init(
                            resourceType: resource.type, resourceName: resource.name, name: name,
                            value: values[name])))
            }
        }
        if let producerIds { body(.producerIds(producerIds)) }
        for key in keptRecords.keys.sorted() {
            if let record = keptRecords[key] { body(record) }
        }
    }

    package func snapshotRecords() -> [MetadataRecord] {
        var records: [MetadataRecord] = []
        records.reserveCapacity(partitionCount + topicCount + brokers.count + 16)
        forEachSnapshotRecord { records.append($0) }
        return records
    }
}
