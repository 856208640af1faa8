/// The rules for topic names (Kafka's `Topic`), and for names that would collide in metrics, where
/// a period is written as an underscore.
package enum TopicName {
    package static let maximumLength = 249
    /// The quorum's own log is not a topic.
    package static let clusterMetadata = "__cluster_metadata"
    package static let consumerOffsets = "__consumer_offsets"
    package static let transactionState = "__transaction_state"

    package static func isInternal(_ name: String) -> Bool {
        name == consumerOffsets || name == transactionState
    }

    /// Nil for a good name, else what is wrong with it.
    package static func flaw(in name: String) -> String? {
        if name.isEmpty { return "Topic name is invalid: the empty string is not allowed" }
        if name == "." || name == ".." { return "Topic name is invalid: '\(name)' is not allowed" }
        if name.utf8.count > maximumLength {
            return "Topic name is invalid: the length of '\(name.prefix(maximumLength))' is longer"
                + " than the max allowed length \(maximumLength)"
        }
        if !name.utf8.allSatisfy(isLegal) {
            return "Topic name is invalid: '\(name)' contains one or more characters other than"
                + " ASCII alphanumerics, '.', '_' and '-'"
        }
        return nil
    }

    package static func hasCollisionCharacters(_ name: String) -> Bool {
        name.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }
    }

    package static func unified(_ name: String) -> String {
        String(
            decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 },
            as: UTF8.self)
    }

    private static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
