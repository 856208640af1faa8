import Addresses

/// Who has which overlay address in one cluster of one slice.
///
/// Sticky: the same endpoint gets the same addresses again, also after it was away. An address
/// that someone has is never given to another; one that someone had is given away only when no
/// fresh one is left, longest away first. The same calls give the same book.
package struct AddressBook: Sendable {
    package struct Key: Hashable, Comparable, Sendable, CustomStringConvertible {
        package var namespace: NamespaceName
        package var endpoint: EndpointName

        package init(_ namespace: NamespaceName, _ endpoint: EndpointName) {
            self.namespace = namespace
            self.endpoint = endpoint
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.namespace, a.endpoint) < (b.namespace, b.endpoint)
        }

        package var description: String { "\(namespace)/\(endpoint)" }
    }

    package struct Lease: Hashable, Sendable {
        package var key: Key
        /// One per family of the cluster's prefixes, IPv4 first.
        package var addresses: [IPAddress]
        /// False: the endpoint is away and its addresses are kept for it.
        package var isAttached: Bool
        /// When it was last given or put back, in steps of the book.
        var step: UInt64
    }

    package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        case exhausted(family: String, prefixes: [IPPrefix])
        case full(limit: Int)

        package var description: String {
            switch self {
            case .exhausted(let family, let prefixes):
                "no \(family) address is left in "
                    + prefixes.map(\.description).joined(separator: ", ")
                    + ": detach an endpoint, or give the cluster a larger prefix in the manifest"
            case .full(let limit):
                "\(limit) endpoints are attached, as many as limits.maxEndpointsPerSlice allows: "
                    + "detach one or raise the limit in gateway.conf"
            }
        }
    }

    package private(set) var prefixes: [IPPrefix]
    package let limit: Int
    private var leases: [Key: Lease] = [:]
    private var owners: [IPAddress: Key] = [:]
    private var step: UInt64 = 0
    /// Below these, by position in `prefixes`, no address is fresh; where a search begins.
    private var cursors: [UInt64] = []

    package static let firstUsable: UInt64 = 2

    package init(prefixes: [IPPrefix], limit: Int = 4096) {
        self.prefixes = prefixes
        self.limit = max(0, limit)
        cursors = prefixes.map { _ in Self.firstUsable }
    }

    /// In the order of names.
    package var all: [Lease] { leases.values.sorted { $0.key < $1.key } }

    package subscript(key: Key) -> Lease? { leases[key] }

    package func owner(of address: IPAddress) -> Key? { owners[address] }

    // MARK: Attaching

    package mutating func attach(_ key: Key) throws(Failure) -> Lease {
        let before = leases[key]
        if before == nil, leases.count >= limit, !forgetLongestAway(but: key) {
            throw .full(limit: limit)
        }
        var addresses: [IPAddress] = []
        // After each that gives way all families choose again, so that a pair keeps one number.
        while let isIPv4 = fill(&addresses, besides: before) {
            guard forgetLongestAway(but: key, holding: isIPv4) else {
                throw .exhausted(
                    family: isIPv4 ? "IPv4" : "IPv6",
                    prefixes: prefixes.filter { $0.isIPv4 == isIPv4 })
            }
        }
        step += 1
        let lease = Lease(key: key, addresses: addresses.sorted(), isAttached: true, step: step)
        insert(lease)
        return lease
    }

    /// Adds a fresh address of each family that a lease lacks; the family that has none left.
    private mutating func fill(_ addresses: inout [IPAddress], besides before: Lease?) -> Bool? {
        addresses = before?.addresses ?? []
        for isIPv4 in families where !addresses.contains(where: { $0.isIPv4 == isIPv4 }) {
            guard let address = fresh(isIPv4: isIPv4) else { return isIPv4 }
            addresses.append(address)
        }
        return nil
    }

    /// The endpoint leaves; its addresses wait for it.
    package mutating func detach(_ key: Key) {
        guard var lease = leases[key], lease.isAttached else { return }
        step += 1
        lease.isAttached = false
        lease.step = step
        leases[key] = lease
    }

    /// The endpoint will not come back: its addresses are fresh again.
    package mutating func forget(_ key: Key) {
        guard let lease = leases.removeValue(forKey: key) else { return }
        for address in lease.addresses { release(address) }
    }

    /// The manifest gave the cluster other prefixes. Addresses outside them are taken back, the
    /// others stay with their endpoints; attaching again fills the gaps. Returns the leases that
    /// lost something, as they were, in the order of names.
    package mutating func move(to prefixes: [IPPrefix]) -> [Lease] {
        guard prefixes != self.prefixes else { return [] }
        self.prefixes = prefixes
        cursors = prefixes.map { _ in Self.firstUsable }
        let changed = all.filter { !$0.addresses.allSatisfy(isUsable) }
        for lease in changed {
            forget(lease.key)
            var rest = lease
            rest.addresses.removeAll { !isUsable($0) }
            if !rest.addresses.isEmpty { insert(rest) }
        }
        return changed
    }

    // MARK: Addresses

    /// IPv4 first.
    private var families: [Bool] {
        [true, false].filter { family in prefixes.contains { $0.isIPv4 == family } }
    }

    /// At most one address of each family, IPv4 first, all usable here.
    private func fits(_ addresses: [IPAddress]) -> Bool {
        !addresses.isEmpty && addresses.count <= 2 && addresses == addresses.sorted()
            && Set(addresses.map(\.isIPv4)).count == addresses.count
            && addresses.allSatisfy(isUsable)
    }

    /// Not the network's (in IPv6 the subnet-router anycast address, RFC 4291 section 2.6.1), not
    /// the gateway's, not IPv4's broadcast.
    private func isUsable(_ address: IPAddress) -> Bool {
        guard let prefix = prefixes.first(where: { $0.contains(address) }) else { return false }
        if address == prefix.address(at: 0) || address == prefix.address(at: 1) { return false }
        return !prefix.isIPv4 || address != Self.broadcast(of: prefix)
    }

    private static func broadcast(of prefix: IPPrefix) -> IPAddress? {
        prefix.address(at: (UInt64(1) << UInt64(max(0, 32 - prefix.length))) - 1)
    }

    /// The lowest address of the family that nobody has or had.
    private mutating func fresh(isIPv4: Bool) -> IPAddress? {
        for (index, prefix) in prefixes.enumerated() where prefix.isIPv4 == isIPv4 {
            while let address = prefix.address(at: cursors[index]) {
                if owners[address] == nil, isUsable(address) { return address }
                cursors[index] += 1
            }
        }
        return nil
    }

    private mutating func release(_ address: IPAddress) {
        owners.removeValue(forKey: address)
        guard let index = prefixes.firstIndex(where: { $0.contains(address) }) else { return }
        cursors[index] = min(cursors[index], offset(of: address, in: prefixes[index]))
    }

    /// How far an address lies from its prefix's first; what does not fit in 64 bits is far.
    private func offset(of address: IPAddress, in prefix: IPPrefix) -> UInt64 {
        switch (address, prefix.address) {
        case (.v4(let a), .v4(let base)): return UInt64(a.value &- base.value)
        case (.v6(let a), .v6(let base)):
            return a.high == base.high ? a.low &- base.low : .max
        default: return .max
        }
    }

    private mutating func insert(_ lease: Lease) {
        leases[lease.key] = lease
        for address in lease.addresses { owners[address] = lease.key }
    }

    /// Of those that hold an address of the family, if one is named.
    private mutating func forgetLongestAway(but key: Key, holding isIPv4: Bool? = nil) -> Bool {
        // A total order, so the one in which a dictionary shows its values does not matter.
        let away = leases.values.lazy.filter { lease in
            !lease.isAttached && lease.key != key
                && (isIPv4 == nil || lease.addresses.contains { $0.isIPv4 == isIPv4 })
        }
        .min { ($0.step, $0.key) < ($1.step, $1.key) }
        guard let away else { return false }
        forget(away.key)
        return true
    }

    /// Puts back a lease from a file; false if it does not fit here.
    mutating func restore(_ lease: Lease) -> Bool {
        guard leases[lease.key] == nil, leases.count < limit, fits(lease.addresses),
            lease.addresses.allSatisfy({ owners[$0] == nil }), lease.step < .max / 2
        else { return false }
        insert(lease)
        step = max(step, lease.step)
        return true
    }
}
