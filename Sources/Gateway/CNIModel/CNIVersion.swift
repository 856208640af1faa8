/// The versions of the CNI specification that this plugin speaks. Results of 0.3 and 0.4 differ
/// from those of 1.0 in one field.
package enum CNIVersion: String, CaseIterable, Comparable, Sendable {
    case v0_3_0 = "0.3.0"
    case v0_3_1 = "0.3.1"
    case v0_4_0 = "0.4.0"
    case v1_0_0 = "1.0.0"
    case v1_1_0 = "1.1.0"

    package static let newest = CNIVersion.v1_1_0

    package static func < (a: Self, b: Self) -> Bool {
        (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
    }

    /// Addresses say of which family they are.
    package var namesFamilies: Bool { self < .v1_0_0 }

    package func allows(_ command: CNIEnvironment.Command) -> Bool {
        switch command {
        case .check: self >= .v0_4_0
        case .gc, .status: self >= .v1_1_0
        case .add, .del, .version: true
        }
    }

    /// The reply to VERSION.
    package static func reply(to asked: String?) -> JSON {
        .object([
            "cniVersion": .string(asked ?? newest.rawValue),
            "supportedVersions": .array(allCases.map { .string($0.rawValue) }),
        ])
    }
}
