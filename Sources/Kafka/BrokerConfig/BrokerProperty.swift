/// One property of a broker's configuration, under the name Kafka gives it.
package struct BrokerProperty: Sendable {
    package enum Kind: Equatable, Sendable {
        case boolean
        case integer(ClosedRange<Int64>)
        case decimal(ClosedRange<Double>)
        case text
        case list
        case choice([String])

        /// Kafka's ConfigDef names, as DescribeConfigs gives them.
        package var typeName: String {
            switch self {
            case .boolean: "BOOLEAN"
            case .integer(let range): range.upperBound > Int64(Int32.max) ? "LONG" : "INT"
            case .decimal: "DOUBLE"
            case .text, .choice: "STRING"
            case .list: "LIST"
            }
        }
    }

    package let name: String
    package let kind: Kind
    /// In the text of the file; nil where the property must be given.
    package let defaultValue: String?
    /// The topic property of which this is the default, if it is one.
    package let topicProperty: String?
    package let documentation: String

    init(
        _ name: String, _ kind: Kind, _ defaultValue: String?, topic: String? = nil,
        _ documentation: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        topicProperty = topic
        self.documentation = documentation
    }

    /// - Returns: what is wrong with `value`, or nil.
    package func problem(with value: String) -> String? {
        switch kind {
        case .text, .list: return nil
        case .boolean:
            return value == "true" || value == "false"
                ? nil : "must be true or false, and is \(quoted(value))"
        case .integer(let range):
            guard let number = Int64(value) else {
                return "must be a whole number, and is \(quoted(value))"
            }
            return range.contains(number)
                ? nil
                : "must be from \(range.lowerBound) to \(range.upperBound), and is \(number)"
        case .decimal(let range):
            guard let number = Double(value), number.isFinite else {
                return "must be a number, and is \(quoted(value))"
            }
            return range.contains(number)
                ? nil
                : "must be from \(range.lowerBound) to \(range.upperBound), and is \(value)"
        case .choice(let choices):
            guard !choices.contains(value) else { return nil }
            var words = choices.filter { !$0.isEmpty }
            if words.count < choices.count { words.append("empty") }
            let choice = words.count == 1 ? "can only be " : "must be one of "
            return choice + "\(words.joined(separator: ", ")), and is \(quoted(value))"
        }
    }
}

/// Text from outside, made fit for a message: bounded, and without control characters.
func quoted(_ text: String) -> String {
    let plain = text.unicodeScalars.prefix(80).map { scalar in
        scalar.properties.generalCategory == .control ? "?" : String(scalar)
    }
    return "\"" + plain.joined() + (text.unicodeScalars.count > 80 ? "…" : "") + "\""
}
