import Addresses

/// A place with its own prefixes: one end of links.
package struct Site: Hashable, Sendable {
    package static let mostSites = 64
    package static let mostPrefixes = 16

    package var name: String
    package var prefixes: [IPPrefix]

    package init(name: String, prefixes: [IPPrefix]) {
        self.name = name
        self.prefixes = prefixes
    }

    /// Lower-case letters, digits and inner hyphens, at most 32: also what JSON needs no escapes
    /// for, and what can never be mistaken for a selector.
    package static func isName(_ text: some StringProtocol) -> Bool {
        (1...32).contains(text.utf8.count) && text.first != "-" && text.last != "-"
            && text.utf8.allSatisfy { 97...122 ~= $0 || 48...57 ~= $0 || $0 == 45 }
    }

    /// What keeps these sites from being one WAN.
    package static func problem(in sites: [Site]) -> String? {
        if sites.count < 2 { return "a WAN joins at least two sites" }
        if sites.count > mostSites { return "at most \(mostSites) sites" }
        var names: Set<String> = []
        var owners: [IPPrefix: String] = [:]
        for site in sites {
            guard isName(site.name) else { return "`\(site.name)` is not a site name" }
            guard names.insert(site.name).inserted else { return "site \(site.name) twice" }
            if site.prefixes.isEmpty { return "site \(site.name) has no prefix" }
            if site.prefixes.count > mostPrefixes {
                return "site \(site.name) has more than \(mostPrefixes) prefixes"
            }
            for prefix in site.prefixes {
                if let owner = owners.updateValue(site.name, forKey: prefix) {
                    return "prefix \(prefix) of site \(site.name) is also of site \(owner)"
                }
            }
        }
        return nil
    }
}

/// Why a packet belongs to no link.
package enum StrayReason: Int, Hashable, Sendable, CaseIterable {
    case malformed, unknownSource, unknownDestination, sameSite

    package var name: String {
        switch self {
        case .malformed: "malformed"
        case .unknownSource: "unknown_source"
        case .unknownDestination: "unknown_destination"
        case .sameSite: "same_site"
        }
    }
}

package enum PacketRoute: Hashable, Sendable {
    case link(from: Int, to: Int)
    case stray(StrayReason)
}

/// Which site an address belongs to: the longest prefix wins. Few prefixes, so a plain scan.
package struct SiteTable: Sendable {
    private struct Row: Sendable {
        var isIPv4: Bool
        var high: UInt64
        var low: UInt64
        var highMask: UInt64
        var lowMask: UInt64
        var site: Int
    }

    private var rows: [Row] = []

    package init(_ sites: [Site]) {
        let all = sites.enumerated().flatMap { i, site in site.prefixes.map { ($0, i) } }
        for (prefix, site) in all.sorted(by: { ($1.0.length, $0.0) < ($0.0.length, $1.0) }) {
            let n = prefix.length
            switch prefix.address {
            case .v4(let a):
                let mask: UInt64 = n == 0 ? 0 : 0xffff_ffff << UInt64(32 - n) & 0xffff_ffff
                rows.append(
                    Row(
                        isIPv4: true, high: 0, low: UInt64(a.value), highMask: 0, lowMask: mask,
                        site: site))
            case .v6(let a):
                let high: UInt64 = n == 0 ? 0 : ~0 << UInt64(max(0, 64 - n))
                let low: UInt64 = n <= 64 ? 0 : ~0 << UInt64(128 - n)
                rows.append(
                    Row(
                        isIPv4: false, high: a.high, low: a.low, highMask: high, lowMask: low,
                        site: site))
            }
        }
    }

    private func site(isIPv4: Bool, high: UInt64, low: UInt64) -> Int? {
        for i in rows.indices {
            let row = rows[i]
            if row.isIPv4 == isIPv4, high & row.highMask == row.high, low & row.lowMask == row.low {
                return row.site
            }
        }
        return nil
    }

    /// Reads the addresses of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet as it comes from a TUN.
    package func route(_ packet: UnsafeRawBufferPointer) -> PacketRoute {
        guard let first = packet.first else { return .stray(.malformed) }
        let source: Int?
        let destination: Int?
        switch first >> 4 {
        case 4:
            guard packet.count >= 20 else { return .stray(.malformed) }
            source = site(isIPv4: true, high: 0, low: Self.big(packet, at: 12, count: 4))
            destination = site(isIPv4: true, high: 0, low: Self.big(packet, at: 16, count: 4))
        case 6:
            guard packet.count >= 40 else { return .stray(.malformed) }
            source = site(
                isIPv4: false, high: Self.big(packet, at: 8, count: 8),
                low: Self.big(packet, at: 16, count: 8))
            destination = site(
                isIPv4: false, high: Self.big(packet, at: 24, count: 8),
                low: Self.big(packet, at: 32, count: 8))
        default:
            return .stray(.malformed)
        }
        guard let source else { return .stray(.unknownSource) }
        guard let destination else { return .stray(.unknownDestination) }
        return source == destination ? .stray(.sameSite) : .link(from: source, to: destination)
    }

    @inline(__always)
    private static func big(_ bytes: UnsafeRawBufferPointer, at offset: Int, count: Int) -> UInt64 {
        var value: UInt64 = 0
        for i in 0..<count { value = value << 8 | UInt64(bytes[offset + i]) }
        return value
    }
}
