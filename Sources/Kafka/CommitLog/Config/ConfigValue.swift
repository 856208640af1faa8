/// The type of a property's value, with the numbers that DescribeConfigs uses for it.
package enum ConfigType: Int8, Sendable {
    case boolean = 1
    case string = 2
    case int = 3
    case long = 5
    case double = 6
    case list = 7
}

/// A value that a property cannot have, and why.
package struct ConfigError: Error, Hashable, Sendable, CustomStringConvertible {
    package var name: String
    package var value: String
    package var reason: String

    package init(name: String, value: String, reason: String) {
        self.name = name
        self.value = value
        self.reason = reason
    }

    package var description: String {
        "Invalid value \(value) for configuration \(name): \(reason)"
    }
}

package enum ConfigRule: Equatable, Sendable {
    case any
    case atLeast(Int64)
    case between(Double, Double)
    /// One of these words.
    case oneOf([String])
    /// A list whose items are among these words.
    case listOf([String])
    /// Pairs of partition and broker, or `*` (KIP-73).
    case replicas
    /// Kafka knows more values; the reason says why they are refused here.
    case only(String, because: String)
}

/// What a broker property of the same meaning counts in.
package enum ConfigUnit: Int64, Sendable {
    case same = 1
    case minutes = 60_000
    case hours = 3_600_000
}

/// A broker property that gives topics their default. The first of several that is set wins.
package struct ConfigSynonym: Equatable, Sendable {
    package var name: String
    package var unit: ConfigUnit

    package init(_ name: String, _ unit: ConfigUnit = .same) {
        self.name = name
        self.unit = unit
    }
}

/// One property of topics: all that validation, documentation and DescribeConfigs say of it.
package struct ConfigDefinition: Equatable, Sendable {
    package var name: String
    package var type: ConfigType
    package var defaultValue: String
    package var rule: ConfigRule
    package var synonyms: [ConfigSynonym]
    package var documentation: String

    /// The value as the property's type has it, written in one way.
    package func normalize(_ text: String) throws(ConfigError) -> String {
        let value = Self.trimmed(text)
        let normal: String
        switch type {
        case .boolean:
            switch value.lowercased() {
            case "true": normal = "true"
            case "false": normal = "false"
            default: throw refused(text, "it is either true or false")
            }
        case .int:
            guard let number = Int32(value) else {
                throw refused(text, "it is a number of 32 bits")
            }
            normal = String(number)
        case .long:
            guard let number = Int64(value) else {
                throw refused(text, "it is a number of 64 bits")
            }
            normal = String(number)
        case .double:
            guard let number = Double(value), number.isFinite else {
                throw refused(text, "it is a number")
            }
            normal = String(number)
        case .string:
            normal = value
        case .list:
            normal = Self.items(value).joined(separator: ",")
        }
        try check(normal, text)
        return normal
    }

    private func check(_ value: String, _ text: String) throws(ConfigError) {
        switch rule {
        case .any:
            return
        case .atLeast(let least):
            guard let number = Int64(value), number >= least else {
                throw refused(text, "it is at least \(least)")
            }
        case .between(let low, let high):
            guard let number = Double(value), number >= low, number <= high else {
                throw refused(text, "it is between \(low) and \(high)")
            }
        case .oneOf(let words):
            guard words.contains(value) else {
                throw refused(text, "it is one of \(words.joined(separator: ", "))")
            }
        case .listOf(let words):
            let items = Self.items(value)
            guard items.allSatisfy(words.contains) else {
                throw refused(text, "its items are among \(words.joined(separator: ", "))")
            }
        case .replicas:
            guard Self.isListOfReplicas(text) else {
                throw refused(text, "it is *, or partition:broker pairs with commas between")
            }
        case .only(let word, let reason):
            guard value == word else { throw refused(text, "only \(word): \(reason)") }
        }
    }

    package static func items(_ text: String) -> [String] {
        text.split(separator: ",").map { trimmed(String($0)) }.filter { !$0.isEmpty }
    }

    package static func isListOfReplicas(_ text: String) -> Bool {
        let items = text.split(separator: ",", omittingEmptySubsequences: false).map { item in
            item.filter { $0 != " " }
        }
        if items.count <= 1, items.first?.isEmpty ?? true || items == ["*"] { return true }
        return items.allSatisfy { item in
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            return parts.count == 2
                && parts.allSatisfy { part in Int32(part).map { $0 >= 0 } ?? false }
        }
    }

    private static func trimmed(_ text: String) -> String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        var rest = text.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(rest)
    }

    private func refused(_ text: String, _ reason: String) -> ConfigError {
        ConfigError(name: name, value: text, reason: reason)
    }
}
