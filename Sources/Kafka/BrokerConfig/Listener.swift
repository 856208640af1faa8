/// A place to listen at or to connect to: `NAME://host:port`.
package struct Listener: Hashable, Sendable, CustomStringConvertible {
    package var name: String
    /// Empty for every address.
    package var host: String
    package var port: UInt16

    package init(name: String, host: String, port: UInt16) {
        self.name = name
        self.host = host
        self.port = port
    }

    /// Reads `NAME://host:port`; an IPv6 address stands in brackets.
    package init?(_ text: String) {
        guard let separator = text.firstRange(of: "://"),
            let place = HostAndPort(text[separator.upperBound...])
        else { return nil }
        let name = text[..<separator.lowerBound]
        guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameByte) else { return nil }
        self.init(name: name.uppercased(), host: place.host, port: place.port)
    }

    package var description: String {
        "\(name)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// `host:port`, `[IPv6]:port` or `:port`.
package struct HostAndPort: Hashable, Sendable {
    package var host: String
    package var port: UInt16

    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard host.utf8.count <= 255, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return nil
        }
        self.host = String(host)
        self.port = port
    }
}

/// A controller that votes: `id@host:port`.
package struct QuorumVoter: Hashable, Sendable, CustomStringConvertible {
    package var id: Int32
    package var host: String
    package var port: UInt16

    package init(id: Int32, host: String, port: UInt16) {
        self.id = id
        self.host = host
        self.port = port
    }

    package init?(_ text: String) {
        guard let at = text.firstIndex(of: "@"), let id = Int32(text[..<at]), id >= 0,
            let place = HostAndPort(text[text.index(after: at)...]), !place.host.isEmpty,
            place.port != 0
        else { return nil }
        self.init(id: id, host: place.host, port: place.port)
    }

    package var description: String {
        "\(id)@\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
