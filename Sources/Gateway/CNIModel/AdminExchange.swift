import AdminAPI

/// One request of the admin interface and its reply, as bytes: HTTP/1.1 (RFC 9112) on a
/// connection that ends with the reply.
package enum AdminExchange {
    package static let maximumReplyBytes = 8 << 20

    package static func request(_ route: AdminRoute, body: JSON? = nil) -> [UInt8] {
        let body = body?.bytes ?? []
        var head = "\(route.method) \(route.path) HTTP/1.1\r\n"
        // Section 3.2 wants a Host; over a Unix socket there is none to name.
        head += "Host: slice-gateway\r\nConnection: close\r\n"
        if !body.isEmpty { head += "Content-Type: application/json\r\n" }
        head += "Content-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    /// The reply's body, or what it refuses. `bytes` is all that came until the connection ended.
    package static func reply(_ bytes: [UInt8]) throws(ExchangeProblem) -> JSON {
        guard let end = headEnd(bytes) else { throw .broken("it ended early") }
        let lines = String(decoding: bytes[..<end], as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: true)
        guard let status = lines.first.flatMap(Self.status) else {
            throw .broken("it is not HTTP/1.1")
        }
        let body = Array(bytes[(end + 4)...])
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { continue }
            let length = parts[1].drop { $0 == " " }
            guard Int(length) == body.count else { throw .broken("it ended early") }
        }
        let value: JSON
        do throws(JSONProblem) {
            value = try JSONParser.parse(body)
        } catch {
            throw .broken("status \(status), and no JSON")
        }
        if status == 200 { return value }
        guard let code = value.object?["code"]?.text, let message = value.object?["message"]?.text
        else { throw .broken("status \(status)") }
        throw .refused(
            APIError(.init(rawValue: code), message, hint: value.object?["hint"]?.text))
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        let mark: [UInt8] = [13, 10, 13, 10]
        // No daemon of ours has a longer head.
        let limit = min(bytes.count, 64 << 10)
        guard limit >= mark.count else { return nil }
        return (0...(limit - mark.count)).first { bytes[$0...].starts(with: mark) }
    }

    /// `HTTP/1.1 200 OK`.
    private static func status(_ line: Substring) -> Int? {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0] == "HTTP/1.1", words[1].utf8.count == 3 else {
            return nil
        }
        return Int(words[1])
    }
}

package enum ExchangeProblem: Error, Equatable, Sendable {
    case refused(APIError)
    case broken(String)
}
