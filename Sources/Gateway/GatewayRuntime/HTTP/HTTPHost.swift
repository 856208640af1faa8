import AdminAPI
import Addresses

/// Whom a request asks for (RFC 9110 section 7.2). A browser on this host, or near it, can be made
/// to ask us by a page from anywhere whose name suddenly points here (DNS rebinding). It then asks
/// for that name, and not for us.
struct HTTPHost: Sendable {
    /// Beside addresses and localhost; in lower case.
    let names: Set<String>

    /// Nil if it is answered. `fields` are all Host fields of the request.
    func refusal(_ fields: [String], isOld: Bool) -> HTTPSite.Reply? {
        guard fields.count <= 1, let field = fields.first else {
            // HTTP/1.0 knows no such field, and no browser speaks that.
            if fields.isEmpty, isOld { return nil }
            return .refusal(
                APIError(
                    .invalidRequest, "a request must have one Host field, and has \(fields.count)"))
        }
        guard let host = Self.host(field) else {
            return .refusal(APIError(.invalidRequest, "the request's Host field names no host"))
        }
        if isOurs(host) { return nil }
        return .refusal(
            APIError(
                .forbidden, "this gateway is not called `\(host)`",
                hint: "ask for its address, or add the name to http.names in gateway.conf"),
            status: 421)
    }

    private func isOurs(_ host: String) -> Bool {
        if host.hasPrefix("[") {
            // A zone belongs to whoever asks.
            let text = host.dropFirst().dropLast().prefix { $0 != "%" }
            return IPAddress(text).map { !$0.isIPv4 } ?? false
        }
        if IPAddress(host)?.isIPv4 == true { return true }
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        return name == "localhost" || names.contains(name)
    }

    /// Without its port, in lower case. Nil if it is neither a name nor an address.
    private static func host(_ field: String) -> String? {
        let bytes = Array(field.utf8)
        guard bytes.count <= 300 else { return nil }
        var end = bytes.count
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            end = close + 1
        } else if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
            end = colon
        }
        let port = bytes[end...]
        guard end > 0, port.isEmpty || port.first == UInt8(ascii: ":"),
            port.dropFirst().allSatisfy({ 0x30...0x39 ~= $0 }), port.count <= 6,
            bytes[..<end].allSatisfy({ 0x21...0x7e ~= $0 && $0 != UInt8(ascii: "`") })
        else { return nil }
        return String(decoding: bytes[..<end], as: UTF8.self).lowercased()
    }
}
