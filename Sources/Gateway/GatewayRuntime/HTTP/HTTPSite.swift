import AdminAPI
import Logging
import StatusPages

/// What the listener shows: from a request to a reply, without a socket.
struct HTTPSite: Sendable {
    struct Reply: Sendable {
        var status: Int
        var contentType: String
        var body: [UInt8]
        var headers: [(name: String, value: String)] = []

        static func refusal(_ error: APIError, status: Int? = nil) -> Reply {
            Reply(
                status: status ?? error.status, contentType: json,
                body: AdminRouter.encode(error),
                // RFC 9110 section 15.5.6 wants to hear what is allowed.
                headers: error.code == .methodNotAllowed ? [("Allow", "GET, HEAD")] : [])
        }

        private static let json = "application/json"

        static func json(_ value: some Encodable) -> Reply {
            Reply(status: 200, contentType: json, body: AdminRouter.encode(value))
        }
    }

    let status: StatusCache

    func reply(method: String, target: String) async -> Reply {
        guard method == "GET" || method == "HEAD" else {
            return .refusal(APIError(.methodNotAllowed, "everything here is read only"))
        }
        guard target.utf8.count <= AdminRoute.maximumTargetBytes else {
            return .refusal(APIError(.tooLarge, "the request's path is too long"), status: 414)
        }
        // Whoever asks may add a query (a browser's bookmark, a scraper's params): none matters.
        switch target.prefix(while: { $0 != "?" }) {
        case "/v1/version": return .json(VersionReply(version: Version.text))
        case "/v1/status": return await reporting { .json($0) }
        case "/metrics":
            return await reporting { report in
                Reply(
                    status: 200, contentType: GatewayMetrics.contentType,
                    body: Array(GatewayMetrics.text(report).utf8))
            }
        case "/": return await reporting(page)
        default:
            return .refusal(
                APIError(
                    .notFound, "there is nothing at this path",
                    hint: "here are /, /metrics, /v1/status and /v1/version"))
        }
    }

    private func reporting(_ make: (StatusReport) -> Reply) async -> Reply {
        guard let report = await status.report() else {
            return .refusal(APIError(.unavailable, "the gateway is stopping"))
        }
        return make(report)
    }

    private func page(_ report: StatusReport) -> Reply {
        // 128 bits of the system's generator.
        var random = SystemRandomNumberGenerator()
        let nonce = String(random.next(), radix: 36) + String(random.next(), radix: 36)
        return Reply(
            status: 200, contentType: StatusPage.contentType,
            body: Array(StatusPage.text(report, nonce: nonce).utf8),
            headers: [
                ("Content-Security-Policy", StatusPage.contentSecurityPolicy(nonce: nonce))
            ])
    }
}

/// Asks the daemon at most so often, however many ask us: a report costs the slices' threads
/// some work.
actor StatusCache {
    private let provider: HTTPListener.StatusProvider
    private let freshFor: Duration
    private var last: (report: StatusReport, at: ContinuousClock.Instant)?
    private var underWay: Task<StatusReport?, Never>?

    init(freshFor: Duration, _ provider: @escaping HTTPListener.StatusProvider) {
        self.freshFor = freshFor
        self.provider = provider
    }

    func report() async -> StatusReport? {
        if let last, ContinuousClock.now - last.at < freshFor { return last.report }
        if let underWay { return await underWay.value }
        let asking = Task { [provider] in await provider() }
        underWay = asking
        let report = await asking.value
        underWay = nil
        last = report.map { ($0, ContinuousClock.now) }
        return report
    }
}
