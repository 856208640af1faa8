import BrokerConfig
import CommitLog
import KafkaWire
import Metadata

/// DescribeConfigs and ListConfigResources.
struct ConfigDescriber {
    let image: MetadataImage
    let nodeID: Int32
    /// What this node's file says.
    let file: [String: String]

    private static let topicType = ConfigResource.topicType
    private static let brokerType = ConfigResource.brokerType

    func describe(_ request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        DescribeConfigsResponse(results: request.resources.map { describe($0, request) })
    }

    private func describe(
        _ resource: DescribeConfigsRequest.DescribeConfigsResource,
        _ request: DescribeConfigsRequest
    ) -> DescribeConfigsResponse.DescribeConfigsResult {
        var result = DescribeConfigsResponse.DescribeConfigsResult(
            errorMessage: nil, resourceType: resource.resourceType,
            resourceName: resource.resourceName)
        func refuse(_ code: ErrorCode, _ message: String) {
            result.errorCode = code
            result.errorMessage = message
        }
        let entries: [EffectiveConfig]
        switch resource.resourceType {
        case Self.topicType:
            if let flaw = TopicName.flaw(in: resource.resourceName) {
                refuse(.invalidTopicException, flaw)
                return result
            }
            guard image.topic(named: resource.resourceName) != nil else {
                refuse(.unknownTopicOrPartition, "there is no topic \(resource.resourceName)")
                return result
            }
            let own = image.configs[.topic(resource.resourceName)] ?? [:]
            entries = topicResolver.all(topic: own)
        case Self.brokerType:
            if !resource.resourceName.isEmpty, resource.resourceName != String(nodeID) {
                refuse(
                    .invalidRequest,
                    "this is broker \(nodeID); ask broker \(resource.resourceName) for its own")
                return result
            }
            entries = brokerEntries(resource.resourceName)
        default:
            refuse(.invalidRequest, "resources of type \(resource.resourceType) have no configs")
            return result
        }
        let wanted = resource.configurationKeys.map(Set.init)
        for entry in entries {
            if let wanted, !wanted.contains(entry.property.name) { continue }
            result.configs.append(self.entry(entry, resource, request))
        }
        return result
    }

    private var topicResolver: ConfigResolver {
        ConfigResolver(
            table: ConfigTables.topic, image: image, node: nodeID,
            file: ConfigTables.withSynonyms(file))
    }

    /// The resource without a name is the default of all brokers: only what was set there.
    private func brokerEntries(_ name: String) -> [EffectiveConfig] {
        if name.isEmpty {
            let values = image.configs[.everyBroker] ?? [:]
            return values.keys.sorted().compactMap { key in
                ConfigTables.broker[key].map {
                    EffectiveConfig(property: $0, value: values[key], source: .everyBroker)
                }
            }
        }
        return ConfigResolver(table: ConfigTables.broker, image: image, node: nodeID, file: file)
            .all(topic: [:])
    }

    private func entry(
        _ config: EffectiveConfig, _ resource: DescribeConfigsRequest.DescribeConfigsResource,
        _ request: DescribeConfigsRequest
    ) -> DescribeConfigsResponse.DescribeConfigsResourceResult {
        let property = config.property
        let type = resource.resourceType
        var result = DescribeConfigsResponse.DescribeConfigsResourceResult(
            name: property.name, value: property.isSensitive ? nil : config.value,
            readOnly: type == Self.brokerType && property.isReadOnly,
            configSource: config.source.rawValue,
            isSensitive: property.isSensitive, configType: property.kind.wireType)
        if request.includeSynonyms, let value = config.value {
            result.synonyms = synonyms(config, value, type, resource.resourceName)
        }
        if request.includeDocumentation {
            result.documentation =
                type == Self.topicType
                ? TopicConfig.definition(property.name)?.documentation
                : BrokerConfig.property(property.name)?.documentation
        } else {
            result.documentation = nil
        }
        return result
    }

    /// Every place that says something, the one that decides first.
    private func synonyms(
        _ config: EffectiveConfig, _ value: String, _ type: Int8, _ resource: String
    ) -> [DescribeConfigsResponse.DescribeConfigsSynonym] {
        typealias Synonym = DescribeConfigsResponse.DescribeConfigsSynonym
        let isTopic = type == Self.topicType
        let names =
            isTopic
            ? TopicConfig.definition(config.property.name)?.synonyms.map(\.name) ?? []
            : [config.property.name]
        func said(_ source: ConfigSource, _ values: [String: String]?) -> [Synonym] {
            names.compactMap { name in
                values?[name].map { Synonym(name: name, value: $0, source: source.rawValue) }
            }
        }
        // The default of all brokers is not a broker's.
        if !isTopic, resource.isEmpty { return said(.everyBroker, image.configs[.everyBroker]) }
        var all: [Synonym] = []
        if config.source == .topic {
            all.append(
                .init(
                    name: config.property.name, value: value,
                    source: ConfigSource.topic.rawValue))
        }
        all += said(.broker, image.configs[.broker(nodeID)])
        all += said(.everyBroker, image.configs[.everyBroker])
        all += said(.file, file)
        if names.isEmpty {
            if let value = config.property.defaultValue {
                all.append(.init(name: config.property.name, value: value, source: 5))
            }
        } else {
            all += said(
                .builtIn,
                Dictionary(
                    names.compactMap { name in
                        ConfigTables.broker[name]?.defaultValue.map { (name, $0) }
                    }, uniquingKeysWith: { first, _ in first }))
        }
        return all
    }

    // MARK: ListConfigResources (KIP-1142)

    func list(_ request: ListConfigResourcesRequest, version: Int16) -> ListConfigResourcesResponse
    {
        // Version 0 asks for client metrics only, of which there are none.
        guard version > 0 else { return ListConfigResourcesResponse() }
        let types =
            request.resourceTypes.isEmpty
            ? [Self.topicType, Self.brokerType] : request.resourceTypes
        var response = ListConfigResourcesResponse()
        if types.contains(Self.topicType) {
            response.configResources += image.topicNames.map {
                .init(resourceName: $0, resourceType: Self.topicType)
            }
        }
        if types.contains(Self.brokerType) {
            response.configResources += image.brokerIds.map {
                .init(resourceName: String($0), resourceType: Self.brokerType)
            }
        }
        return response
    }
}

extension ConfigKind {
    /// Kafka's ConfigEntry types.
    fileprivate var wireType: Int8 {
        switch self {
        case .boolean: 1
        case .text, .choice: 2
        case .integer(let range): range.upperBound > Int64(Int32.max) ? 5 : 3
        case .real: 6
        case .list, .replicas: 7
        }
    }
}
