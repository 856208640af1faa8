/// Where a UDP socket is: an address and a port on the underlay. WireGuard calls it a peer's
/// endpoint; in this project that word alone means an attached namespace.
package struct IPEndpoint: Hashable, Sendable, BitwiseCopyable {
    package var address: IPAddress
    package var port: UInt16
    /// The interface index of an IPv6 link-local address, otherwise 0.
    package var scope: UInt32

    @inlinable package init(_ address: IPAddress, port: UInt16, scope: UInt32 = 0) {
        self.address = address
        self.port = port
        self.scope = scope
    }

    /// `1.2.3.4:51820`, `[fd00::1]:51820` or `[fe80::1%2]:51820` (a numeric zone).
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let portText = text[text.index(after: colon)...]
        guard (1...5).contains(portText.utf8.count), portText.utf8.allSatisfy({ 48...57 ~= $0 }),
            let port = UInt16(portText)
        else { return nil }
        var host = text[..<colon]
        guard host.first == "[" else {
            guard let v4 = IPv4Address(host) else { return nil }
            self.init(.v4(v4), port: port)
            return
        }
        guard host.last == "]" else { return nil }
        host = host.dropFirst().dropLast()
        var scope: UInt32 = 0
        if let percent = host.firstIndex(of: "%") {
            let digits = host[host.index(after: percent)...]
            guard digits.utf8.allSatisfy({ 48...57 ~= $0 }), let zone = UInt32(digits) else {
                return nil
            }
            scope = zone
            host = host[..<percent]
        }
        guard let v6 = IPv6Address(host) else { return nil }
        self.init(.v6(v6), port: port, scope: scope)
    }
}

extension IPEndpoint: CustomStringConvertible {
    package var description: String {
        switch address {
        case .v4(let a): "\(a):\(port)"
        case .v6(let a): scope == 0 ? "[\(a)]:\(port)" : "[\(a)%\(scope)]:\(port)"
        }
    }
}
