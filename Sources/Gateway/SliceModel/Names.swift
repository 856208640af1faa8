// Everything a user names becomes part of a DNS name of the slice (ENDPOINT.NAMESPACE.CLUSTER...),
// so every name is one DNS label as RFC 1123 section 2.1 has it, in lower case.

/// A name that was checked when it was made.
package protocol SliceModelName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// What it names, for messages.
    static var noun: String { get }
    var text: String { get }
    init?(_ text: String)
}

extension SliceModelName {
    package var description: String { text }

    package static func < (a: Self, b: Self) -> Bool {
        a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
    }
}

package struct SliceName: SliceModelName {
    package static let noun = "slice name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct ClusterName: SliceModelName {
    package static let noun = "cluster name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct GatewayName: SliceModelName {
    package static let noun = "gateway name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct NamespaceName: SliceModelName {
    package static let noun = "namespace name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct EndpointName: SliceModelName {
    package static let noun = "endpoint name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct ServiceName: SliceModelName {
    package static let noun = "service name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

package struct PolicyName: SliceModelName {
    package static let noun = "policy name"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isLabel(text) else { return nil }
        self.text = text
    }
}

/// Where a cluster is, in the user's own words: lower-case tokens joined by dashes.
package struct Region: SliceModelName {
    package static let noun = "region"
    package let text: String
    package init?(_ text: String) {
        guard NameRules.isRegion(text) else { return nil }
        self.text = text
    }
}

package enum NameRules {
    package static let labelRule =
        "must be 1 to 63 lower-case letters, digits and dashes, with no dash at either end"
    package static let regionRule =
        "must be lower-case words and numbers joined by single dashes, such as eu-central"

    package static func isLabel(_ text: String) -> Bool {
        let units = text.utf8
        return (1...63).contains(units.count) && units.first != 45 && units.last != 45
            && units.allSatisfy { isLowerOrDigit($0) || $0 == 45 }
    }

    package static func isRegion(_ text: String) -> Bool {
        guard isLabel(text), let first = text.utf8.first, 97...122 ~= first else { return false }
        return text.utf8.split(separator: 45, omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty }
    }

    /// A DNS host name (RFC 1123 section 2.1): labels of either case joined by dots. The last one
    /// must hold a letter, or it would be a mistyped IPv4 address.
    package static func isHostName(_ text: some StringProtocol) -> Bool {
        guard (1...253).contains(text.utf8.count) else { return false }
        let labels = Array(text.utf8).split(separator: 46, omittingEmptySubsequences: false)
        guard
            labels.allSatisfy({ label in
                (1...63).contains(label.count) && label.first != 45 && label.last != 45
                    && label.allSatisfy { isLowerOrDigit($0) || 65...90 ~= $0 || $0 == 45 }
            })
        else { return false }
        return labels.last?.contains { !(48...57 ~= $0) } ?? false
    }

    private static func isLowerOrDigit(_ unit: UInt8) -> Bool {
        97...122 ~= unit || 48...57 ~= unit
    }
}
