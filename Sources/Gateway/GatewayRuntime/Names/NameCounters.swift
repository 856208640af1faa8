import SliceDNS

/// What one name server has done since it was started.
package struct NameCounters: Sendable, Equatable {
    /// Types that nobody counts by themselves are one.
    package static let otherTypes = "other"

    package internal(set) var datagrams: UInt64 = 0
    package internal(set) var streamed: UInt64 = 0
    /// By the type that was asked for, such as `AAAA`; what could not be read has none.
    package internal(set) var byType: [String: UInt64] = [:]
    /// By what was answered, such as `NXDOMAIN`.
    package internal(set) var byCode: [String: UInt64] = [:]
    package internal(set) var truncated: UInt64 = 0
    package internal(set) var dropped: [Drop: UInt64] = [:]
    /// Asked of resolvers.
    package internal(set) var forwarded: UInt64 = 0
    /// Of those, what nobody answered.
    package internal(set) var forwardFailures: UInt64 = 0
    /// What came from a resolver's address and was not its answer (RFC 5452).
    package internal(set) var foreignAnswers: UInt64 = 0
    /// Open now.
    package internal(set) var connections = 0
    package internal(set) var connectionsRefused: UInt64 = 0

    package init() {}

    private static let counted: [RecordType] = [
        .a, .aaaa, .srv, .ptr, .soa, .ns, .any, .txt, .cname, .mx, .axfr,
    ]

    mutating func count(type: RecordType?) {
        guard let type else { return }
        byType[
            Self.counted.contains(type) ? type.description : Self.otherTypes, default: 0] += 1
    }

    mutating func count(code: ResponseCode) { byCode[code.description, default: 0] += 1 }

    mutating func count(_ drop: Drop) { dropped[drop, default: 0] += 1 }
}
