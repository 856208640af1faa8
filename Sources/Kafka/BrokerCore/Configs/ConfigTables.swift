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
                // Nothing is no value, as Kafka's null.
                defaultValue: property.defaultValue == "" ? nil : property.defaultValue,
                brokerName: property.name,
                isReadOnly: !isDynamic(property))
        },
        ordered: [
            .init(
                "log.cleaner.min.compaction.lag.ms",
                notAbove: "log.cleaner.max.compaction.lag.ms")
        ])

    /// What a broker's file says, and of properties with several names (`log.retention.hours`)
    /// also what comes of it, under the first of them.
    static func withSynonyms(_ file: [String: String]) -> [String: String] {
        var result = file
        for definition in TopicConfig.all {
            guard let first = definition.synonyms.first, file[first.name] == nil else { continue }
            for other in definition.synonyms.dropFirst() {
                guard let value = file[other.name].flatMap({ Int64($0) }) else { continue }
                let (product, overflow) = value.multipliedReportingOverflow(
                    by: other.unit.rawValue)
                result[first.name] = String(value < 0 ? -1 : overflow ? Int64.max : product)
                break
            }
        }
        return result
    }

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
