import Addresses

/// Where a gateway is reached on the underlay: an address or a DNS name, and a UDP port.
package enum UnderlayEndpoint: Hashable, Sendable, CustomStringConvertible {
    case address(IPEndpoint)
    case host(String, port: UInt16)

    /// `192.0.2.1:51820`, `[2001:db8::1]:51820` or `gw.west.example.net:51820`.
    package init?(_ text: String) {
        if let endpoint = IPEndpoint(text) {
            // A zone names an interface of one machine and means nothing on another.
            guard endpoint.port > 0, endpoint.scope == 0 else { return nil }
            self = .address(endpoint)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard NameRules.isHostName(host), (1...5).contains(digits.utf8.count),
            digits.utf8.first != 48, digits.utf8.allSatisfy({ 48...57 ~= $0 }),
            let port = UInt16(digits)
        else { return nil }
        self = .host(String(host).lowercased(), port: port)
    }

    package var port: UInt16 {
        switch self {
        case .address(let endpoint): endpoint.port
        case .host(_, let port): port
        }
    }

    package var description: String {
        switch self {
        case .address(let endpoint): endpoint.description
        case .host(let name, let port): "\(name):\(port)"
        }
    }
}
