/// `host:port`, `[address]:port` or a host alone on Kafka's usual port.
package struct ServerAddress: Equatable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package init(_ text: some StringProtocol) throws(ClientError) {
        var host = text[...]
        var port: UInt16 = 9092
        let colons = text.count { $0 == ":" }
        if let colon = text.lastIndex(of: ":"), colons == 1 || text.hasPrefix("["),
            !text.hasSuffix("]")
        {
            host = text[..<colon]
            guard let number = UInt16(text[text.index(after: colon)...]), number > 0 else {
                throw .invalidAddress(String(text), reason: "the port is not one of 1 to 65535")
            }
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || "[]/".contains($0) })
        else { throw .invalidAddress(String(text), reason: "it is not host:port") }
        self.init(host: String(host), port: port)
    }

    /// `host:port,host:port`.
    package static func list(_ text: String) throws(ClientError) -> [ServerAddress] {
        var addresses: [ServerAddress] = []
        for part in text.split(separator: ",") {
            let trimmed = part.drop { $0 == " " }
            addresses.append(try ServerAddress(trimmed))
        }
        guard !addresses.isEmpty else {
            throw .invalidAddress("\"\(text)\"", reason: "it names no server")
        }
        return addresses
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
