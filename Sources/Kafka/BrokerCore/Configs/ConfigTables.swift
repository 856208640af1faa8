import BrokerConfig
import CommitLog
import Metadata

/// The properties of topics and brokers, as the controller checks them and DescribeConfigs tells
/// them.
enum ConfigTables {
    static let topic = ConfigTable(
        TopicConfig.all.map { definition in
            ConfigProperty(
                name: definition.name, kind: kind(definition),
                defaultValue: definition.defaultValue, brokerName: definition.synonyms.first?.name)
        }, ordered: [.init("min.compaction.lag.ms", notAbove: "max.compaction.lag.ms")])

    static let broker = ConfigTable(
        BrokerProperty.all.map { property in
            ConfigProperty(
                name: property.name, kind: kind(property),
                defaultValue: property.defaultValue, brokerName: property.name,
                isReadOnly: !isDynamic(property))
        },
        ordered: [
            .init(
                "log.cleaner.min.compaction.lag.ms",
                notAbove: "log.cleaner.max.compaction.lag.ms")
        ])

    /// What may be changed while brokers run: what topics inherit, and the throttles.
    static func isDynamic(_ property: BrokerProperty) -> Bool {
        property.topicProperty != nil || property.name.hasSuffix(".replication.throttled.rate")
    }

    private static func kind(_ definition: ConfigDefinition) -> ConfigKind {
        switch (definition.type, definition.rule) {
        case (.boolean, .only(let value, _)): .choice([value])
        case (.boolean, _): .boolean
        case (.int, .atLeast(let least)): .integer(least...Int64(Int32.max))
        case (.int, _): .integer(Int64(Int32.min)...Int64(Int32.max))
        case (.long, .atLeast(let least)): .integer(least...Int64.max)
        case (.long, .only(let value, _)): .choice([value])
        case (.long, _): .integer(Int64.min...Int64.max)
        case (.double, .between(let low, let high)): .real(low...high)
        case (.double, _): .real(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude)
        case (.list, .listOf(let words)): .list(words)
        case (.list, .replicas): .replicas
        case (.list, _): .list([])
        case (.string, .oneOf(let words)): .choice(words)
        case (.string, .only(let value, _)): .choice([value])
        case (.string, _): .text
        }
    }

    /// What topics inherit must be something that they can have.
    private static func kind(_ property: BrokerProperty) -> ConfigKind {
        if let name = property.topicProperty, let definition = TopicConfig.definition(name) {
            return kind(definition)
        }
        return switch property.kind {
        case .boolean: .boolean
        case .integer(let range): .integer(range)
        case .decimal(let range): .real(range)
        case .text: .text
        case .list: .list([])
        case .choice(let words): .choice(words)
        }
    }
}
