/// An address prefix (CIDR, RFC 4632): the host bits are always zero.
package struct IPPrefix: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let address: IPAddress
    /// 0...32 or 0...128.
    package let length: Int

    /// Host bits are cleared. Nil if `length` does not fit the family.
    package init?(_ address: IPAddress, length: Int) {
        guard (0...address.bitWidth).contains(length) else { return nil }
        self.address = address.masked(to: length)
        self.length = length
    }

    /// The one address as a prefix: /32 or /128.
    package init(host address: IPAddress) {
        self.address = address
        self.length = address.bitWidth
    }

    /// `ADDRESS/LENGTH`, or a bare address for a host prefix. Host bits are cleared, as `wg`
    /// does; whoever must refuse them compares with `hasHostBits`.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        guard parts.count == 2 else {
            self.init(host: address)
            return
        }
        guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ 48...57 ~= $0 }),
            let length = Int(parts[1])
        else { return nil }
        self.init(address, length: length)
    }

    /// Whether `ADDRESS/LENGTH` as written had bits set beyond the length.
    package static func hasHostBits(_ text: some StringProtocol) -> Bool {
        guard let prefix = IPPrefix(text), let written = text.split(separator: "/").first else {
            return false
        }
        return IPAddress(written) != prefix.address
    }

    package var isIPv4: Bool { address.isIPv4 }

    package func contains(_ other: IPAddress) -> Bool {
        other.bitWidth == address.bitWidth && other.masked(to: length) == address
    }

    package func contains(_ other: IPPrefix) -> Bool {
        length <= other.length && contains(other.address)
    }

    package func overlaps(_ other: IPPrefix) -> Bool { contains(other) || other.contains(self) }

    /// The n-th address of the prefix, or nil if it lies outside.
    package func address(at n: UInt64) -> IPAddress? {
        let hostBits = address.bitWidth - length
        guard hostBits >= 64 || n < (UInt64(1) << UInt64(hostBits)) else { return nil }
        // The host bits are zero, so the sum stays inside the prefix.
        switch address {
        case .v4(let a): return .v4(IPv4Address(a.value + UInt32(n)))
        case .v6(let a):
            let (low, carry) = a.low.addingReportingOverflow(n)
            return .v6(IPv6Address(high: carry ? a.high &+ 1 : a.high, low: low))
        }
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.address, a.length) < (b.address, b.length)
    }
}

extension IPAddress {
    /// The address with all bits beyond the first `length` cleared.
    package func masked(to length: Int) -> IPAddress {
        switch self {
        case .v4(let a):
            return .v4(IPv4Address(length == 0 ? 0 : a.value & ~0 << UInt32(32 - length)))
        case .v6(let a):
            let high = length == 0 ? 0 : a.high & ~0 << UInt64(max(0, 64 - length))
            let low = length <= 64 ? 0 : a.low & ~0 << UInt64(128 - length)
            return .v6(IPv6Address(high: high, low: low))
        }
    }
}

extension IPPrefix: CustomStringConvertible {
    package var description: String { "\(address)/\(length)" }
}
