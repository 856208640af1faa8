/// What an endpoint is called besides its name, `role=broker` for example: what policies and
/// services select by. Keys and values are in lower case; in the order of keys.
package struct EndpointLabels: Hashable, Sendable, CustomStringConvertible {
    package static let none = EndpointLabels()
    package static let limit = 16
    package static let rule =
        "must be NAME=VALUE, each 1 to 63 lower-case letters, digits, dashes, dots and underscores"

    package private(set) var pairs: [(key: String, value: String)] = []

    package init() {}

    /// Nil if a key or value is malformed or there are too many.
    package init?(_ labels: [String: String]) {
        guard labels.count <= Self.limit,
            labels.allSatisfy({ Self.isWord($0.key) && Self.isWord($0.value) })
        else { return nil }
        pairs = labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { ($0.key, $0.value) }
    }

    package subscript(key: String) -> String? { pairs.first { $0.key == key }?.value }

    package var dictionary: [String: String] {
        Dictionary(uniqueKeysWithValues: pairs.map { ($0.key, $0.value) })
    }

    package var description: String { pairs.map { "\($0.key)=\($0.value)" }.joined(separator: ",") }

    package static func isWord(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                97...122 ~= $0 || 48...57 ~= $0 || $0 == 45 || $0 == 46 || $0 == 95
            }
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.pairs.elementsEqual(b.pairs) { $0 == $1 }
    }

    package func hash(into hasher: inout Hasher) {
        for pair in pairs {
            hasher.combine(pair.key)
            hasher.combine(pair.value)
        }
    }
}
