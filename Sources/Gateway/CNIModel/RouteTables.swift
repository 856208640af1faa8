import Addresses

/// /proc/net/route and /proc/net/ipv6_route (net/ipv4/fib_trie.c and net/ipv6/route.c): routes
/// with a next hop.
package enum RouteTables {
    package static let maximumBytes = 16 << 20

    /// Interface, destination, gateway, flags, three counts, mask: hexadecimal, in the order of
    /// bytes of the machine, which is little-endian wherever this runs.
    package static func v4(_ text: String) -> [NamespaceView.Route] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            guard fields.count >= 8, let destination = word(fields[1]),
                let gateway = word(fields[2]), let mask = word(fields[7]), gateway != 0,
                let prefix = IPPrefix(
                    .v4(IPv4Address(destination.byteSwapped)), length: mask.nonzeroBitCount)
            else { return nil }
            return NamespaceView.Route(
                destination: prefix, gateway: .v4(IPv4Address(gateway.byteSwapped)),
                interface: String(fields[0]))
        }
    }

    private static func word(_ text: Substring) -> UInt32? {
        text.utf8.count == 8 ? UInt32(text, radix: 16) : nil
    }

    /// Destination and length, source and length, next hop, three counts, flags, interface.
    package static func v6(_ text: String) -> [NamespaceView.Route] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 10, let destination = address(fields[0]),
                let length = UInt8(fields[1], radix: 16), let gateway = address(fields[4]),
                gateway.bytes.contains(where: { $0 != 0 }),
                let prefix = IPPrefix(destination, length: Int(length))
            else { return nil }
            return NamespaceView.Route(
                destination: prefix, gateway: gateway, interface: String(fields[9]))
        }
    }

    private static func address(_ text: Substring) -> IPAddress? {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        return .v6(IPv6Address(high: high, low: low))
    }
}
