/// What values a property takes.
package enum ConfigKind: Equatable, Sendable {
    case boolean
    case integer(ClosedRange<Int64>)
    case real(ClosedRange<Double>)
    case text
    case choice([String])
    /// Comma-separated; of these words only, unless there are none.
    case list([String])
    /// Comma-separated pairs of partition and broker, or `*`.
    case replicas
}

/// A property that topics (or brokers) can be given.
package struct ConfigProperty: Equatable, Sendable {
    package var name: String
    package var kind: ConfigKind
    package var defaultValue: String?
    /// The broker's property that decides where a topic has none; nil where there is none.
    package var brokerName: String?
    package var isSensitive: Bool
    /// Set in the broker's file only.
    package var isReadOnly: Bool

    package init(
        name: String, kind: ConfigKind, defaultValue: String?, brokerName: String? = nil,
        isSensitive: Bool = false, isReadOnly: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.brokerName = brokerName
        self.isSensitive = isSensitive
        self.isReadOnly = isReadOnly
    }

    /// Nil for a good value, else what is wrong with it, as Kafka's `ConfigDef` says it.
    package func flaw(in value: String) -> String? {
        switch kind {
        case .boolean:
            let lower = value.lowercased()
            return lower == "true" || lower == "false"
                ? nil : invalid(value, "Expected value to be either true or false")
        case .integer(let range):
            guard let number = Int64(value) else {
                return invalid(value, "Not a number of type LONG")
            }
            if number < range.lowerBound {
                return invalid(value, "Value must be at least \(range.lowerBound)")
            }
            if number > range.upperBound {
                return invalid(value, "Value must be no more than \(range.upperBound)")
            }
            return nil
        case .real(let range):
            guard let number = Double(value), !number.isNaN else {
                return invalid(value, "Not a number of type DOUBLE")
            }
            return range.contains(number)
                ? nil
                : invalid(
                    value, "Value must be between \(range.lowerBound) and \(range.upperBound)")
        case .text: return nil
        case .choice(let words):
            return words.contains(value)
                ? nil : invalid(value, "String must be one of: \(words.joined(separator: ", "))")
        case .list(let words):
            if words.isEmpty { return nil }
            let parts = Self.parts(of: value)
            if let bad = parts.first(where: { !words.contains($0) }) {
                return invalid(bad, "String must be one of: \(words.joined(separator: ", "))")
            }
            return nil
        case .replicas:
            return Self.isListOfReplicas(value)
                ? nil
                : invalid(
                    value,
                    "must be the literal '*' or a list of replicas in the following format: "
                        + "[partitionId]:[brokerId],[partitionId]:[brokerId],...")
        }
    }

    package var isList: Bool {
        switch kind {
        case .list, .replicas: true
        default: false
        }
    }

    private static func isListOfReplicas(_ value: String) -> Bool {
        let items = value.split(separator: ",", omittingEmptySubsequences: false).map { item in
            item.filter { $0 != " " }
        }
        if items.count <= 1, items.first?.isEmpty ?? true || items == ["*"] { return true }
        return items.allSatisfy { item in
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            return parts.count == 2
                && parts.allSatisfy { part in Int32(part).map { $0 >= 0 } ?? false }
        }
    }

    package static func parts(of value: String) -> [String] {
        value.split(separator: ",").map { part in
            var part = part
            while part.first == " " { part.removeFirst() }
            while part.last == " " { part.removeLast() }
            return String(part)
        }.filter { !$0.isEmpty }
    }

    private func invalid(_ value: String, _ why: String) -> String {
        let shown = isSensitive ? "[hidden]" : value.count > 64 ? "\(value.prefix(64))..." : value
        return "Invalid value \(shown) for configuration \(name): \(why)"
    }
}

/// Where a value comes from, with Kafka's numbers.
package enum ConfigSource: Int8, Sendable {
    case topic = 1
    case broker = 2
    case everyBroker = 3
    case file = 4
    case builtIn = 5
}

package struct EffectiveConfig: Equatable, Sendable {
    package var property: ConfigProperty
    package var value: String?
    package var source: ConfigSource

    package init(property: ConfigProperty, value: String?, source: ConfigSource) {
        self.property = property
        self.value = value
        self.source = source
    }
}

/// The properties that are known, handed in by those who give them meaning: this room only keeps
/// their values and refuses what makes no sense.
package struct ConfigTable: Equatable, Sendable {
    package let properties: [ConfigProperty]
    /// Pairs where the first may not be above the second (`min.compaction.lag.ms` and the like).
    package let ordered: [Pair]
    private let index: [String: Int]

    package struct Pair: Equatable, Sendable {
        package var lower: String
        package var upper: String

        package init(_ lower: String, notAbove upper: String) {
            self.lower = lower
            self.upper = upper
        }
    }

    /// Of two properties with one name the first counts.
    package init(_ properties: [ConfigProperty], ordered: [Pair] = []) {
        self.properties = properties.sorted { $0.name < $1.name }
        self.ordered = ordered
        var index: [String: Int] = [:]
        for (position, property) in self.properties.enumerated() where index[property.name] == nil {
            index[property.name] = position
        }
        self.index = index
    }

    package subscript(name: String) -> ConfigProperty? { index[name].map { properties[$0] } }

    /// Nil if all of a resource's values, taken together, make sense.
    package func flaw(in values: [String: String], of what: String) -> String? {
        for name in values.keys.sorted() {
            guard let property = self[name] else { return "Unknown \(what) config name: \(name)" }
            if property.isReadOnly {
                return "Cannot update these configs dynamically: \(name)"
            }
            if let flaw = values[name].flatMap(property.flaw(in:)) { return flaw }
        }
        for pair in ordered {
            guard values[pair.lower] != nil || values[pair.upper] != nil,
                let lower = number(pair.lower, values), let upper = number(pair.upper, values)
            else { continue }
            if lower > upper {
                return "conflict topic config setting \(pair.lower) (\(lower)) > \(pair.upper)"
                    + " (\(upper))"
            }
        }
        return nil
    }

    private func number(_ name: String, _ values: [String: String]) -> Int64? {
        (values[name] ?? self[name]?.defaultValue).flatMap { Int64($0) }
    }
}

/// All that decides a property's value, in order: the topic's, this node's, every node's, the
/// file's, the built-in default.
package struct ConfigResolver {
    private let table: ConfigTable
    private let node: [String: String]
    private let everyNode: [String: String]
    private let file: [String: String]

    package init(
        table: ConfigTable, image: MetadataImage, node: Int32, file: [String: String]
    ) {
        self.table = table
        self.node = image.configs[.broker(node)] ?? [:]
        self.everyNode = image.configs[.everyBroker] ?? [:]
        self.file = file
    }

    package func effective(_ name: String, topic: [String: String]) -> EffectiveConfig? {
        guard let property = table[name] else { return nil }
        if let value = topic[name] {
            return .init(property: property, value: value, source: .topic)
        }
        if let brokerName = property.brokerName {
            if let value = node[brokerName] {
                return .init(property: property, value: value, source: .broker)
            }
            if let value = everyNode[brokerName] {
                return .init(property: property, value: value, source: .everyBroker)
            }
            if let value = file[brokerName] {
                return .init(property: property, value: value, source: .file)
            }
        }
        return .init(property: property, value: property.defaultValue, source: .builtIn)
    }

    package func all(topic: [String: String]) -> [EffectiveConfig] {
        table.properties.compactMap { effective($0.name, topic: topic) }
    }
}
