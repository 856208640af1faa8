import KafkaWire

/// What has properties.
package struct ConfigResource: Equatable, Sendable {
    package enum Kind: Int8, Sendable {
        case topic = 2
        case broker = 4
    }

    package var kind: Kind
    /// Empty for what all brokers have in common.
    package var name: String

    package init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }

    /// `topic orders`, `broker 1`, `broker default`.
    package init(words: [String]) throws(Failure) {
        guard words.count == 2 else {
            throw .usage("name what is meant: `topic NAME`, `broker ID` or `broker default`")
        }
        switch words[0] {
        case "topic", "topics": self.init(.topic, words[1])
        case "broker", "brokers":
            guard words[1] == "default" || Int32(words[1]).map({ $0 >= 0 }) == true else {
                throw .usage("a broker has a number, or is called default: not \(words[1])")
            }
            self.init(.broker, words[1] == "default" ? "" : words[1])
        default: throw .usage("properties belong to a topic or a broker, not to \(words[0])")
        }
    }

    package var words: String {
        switch kind {
        case .topic: "topic \(name)"
        case .broker: name.isEmpty ? "broker default" : "broker \(name)"
        }
    }

    /// A broker's own properties are asked of it and changed through it, as Kafka's tools do.
    package var broker: Int32? { kind == .broker ? Int32(name) : nil }
}

/// Where a value comes from (KIP-226).
package enum ConfigSource: Int8, Sendable {
    case topic = 1
    case broker = 2
    case brokerDefault = 3
    case file = 4
    case builtIn = 5
    case logger = 6
    case clientMetrics = 7
    case group = 8

    package static func words(_ source: Int8) -> String {
        switch ConfigSource(rawValue: source) {
        case .topic: "topic"
        case .broker: "broker"
        case .brokerDefault: "broker default"
        case .file: "file"
        case .builtIn: "built in"
        case .logger: "logger"
        case .clientMetrics: "client metrics"
        case .group: "group"
        case nil: "?"
        }
    }
}
