import AdminAPI
import Addresses
import GatewayRuntime
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite struct HTTPListenerTests {
    private func withListener(
        _ change: (inout HTTPListener.Options) -> Void = { _ in },
        status: @escaping HTTPListener.StatusProvider = { StatusSamples.report },
        _ body: (HTTPListener) async throws -> Void
    ) async throws {
        var options = HTTPListener.Options()
        change(&options)
        let listener = try await HTTPListener.start(
            address: try #require(IPEndpoint("127.0.0.1:0")), handler: status, options: options,
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let result: Result<Void, any Error>
        do {
            try await body(listener)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await listener.stop(grace: .milliseconds(100))
        try result.get()
    }

    private struct Reply {
        var status: Int
        var head: String
        var body: String

        init(_ text: String) {
            let words = text.split(separator: " ", maxSplits: 2)
            status = words.count > 1 ? Int(words[1]) ?? 0 : 0
            var parts = text.split(separator: "\r\n\r\n", maxSplits: 1).map(String.init)
            head = parts.isEmpty ? "" : parts.removeFirst()
            body = parts.first ?? ""
        }

        func header(_ name: String) -> Substring? {
            head.split(separator: "\r\n").first { $0.hasPrefix("\(name): ") }?
                .dropFirst(name.count + 2)
        }
    }

    private func exchange(_ listener: HTTPListener, _ text: String) async throws -> Reply {
        let client = try await UnixClient.connected(toPort: listener.address.port)
        defer { client.close() }
        try await client.send(text)
        return Reply(try await client.receive())
    }

    /// 0 if the connection was closed without a word.
    private func status(_ listener: HTTPListener, _ text: String) async throws -> Int {
        try await exchange(listener, text).status
    }

    private func status(_ client: UnixClient) async throws -> Int {
        Reply(try await client.receive(until: "}\n")).status
    }

    private func request(
        _ method: String, _ path: String, _ fields: String = "", close: Bool = true
    ) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(fields)"
            + (close ? "Connection: close\r\n\r\n" : "\r\n")
    }

    @Test func everyPath() async throws {
        try await withListener { listener in
            let table = [
                ("/v1/version", 200, "application/json", #"{"apiVersion":1,"version":""#),
                ("/v1/status", 200, "application/json", #"{"daemon":{"auditEntries":214,"#),
                ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "# HELP slice_"),
                ("/metrics?x=1", 200, "text/plain; version=0.0.4; charset=utf-8", "# HELP"),
                ("/", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"),
                ("/v1/doctor", 404, "application/json", #"{"code":"notFound""#),
                ("/v1/slices/s/endpoints", 404, "application/json", "{"),
                ("/../etc/passwd", 404, "application/json", "{"),
                ("//", 404, "application/json", "{"),
                ("/" + String(repeating: "a", count: 3000), 414, "application/json", "{"),
            ]
            for (path, status, type, start) in table {
                let reply = try await exchange(listener, request("GET", path))
                #expect(reply.status == status, "\(path)")
                #expect(reply.header("Content-Type") == type[...], "\(path)")
                #expect(reply.body.hasPrefix(start), "\(path): \(reply.body.prefix(80))")
                #expect(reply.header("Cache-Control") == "no-store")
                #expect(reply.header("X-Content-Type-Options") == "nosniff")
                let head = try await exchange(listener, request("HEAD", path))
                #expect(head.status == status)
                #expect(head.body == "")
                // The page has another nonce each time; its length varies with it.
                if path != "/" {
                    #expect(head.header("Content-Length") == "\(reply.body.utf8.count)")
                }
            }
        }
    }

    @Test func eachPageHasItsOwnNonce() async throws {
        try await withListener { listener in
            var seen: Set<Substring> = []
            for _ in 0..<3 {
                let reply = try await exchange(listener, request("GET", "/"))
                let policy = try #require(reply.header("Content-Security-Policy"))
                let nonce = try #require(policy.split(separator: "'nonce-").last)
                    .prefix { $0 != "'" }
                #expect(nonce.count >= 16)
                #expect(reply.body.contains("<script nonce=\"\(nonce)\">"))
                #expect(reply.body.contains("<style nonce=\"\(nonce)\">"))
                seen.insert(nonce)
            }
            #expect(seen.count == 3)
        }
    }

    @Test func nothingCanBeChanged() async throws {
        let isAsked = Atomic<Bool>(false)
        try await withListener(
            { $0.bodyBytes = 100 },
            status: {
                isAsked.store(true, ordering: .relaxed)
                return nil
            },
            { listener in
                for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
                    for path in ["/", "/v1/status", "/v1/reload", "/nothing"] {
                        let reply = try await exchange(
                            listener, request(method, path, "Content-Length: 2\r\n") + "{}")
                        #expect(reply.status == 405, "\(method) \(path)")
                        #expect(reply.header("Allow") == "GET, HEAD")
                    }
                }
                // A body is not waited for, and one that never ends is cut off.
                let long = String(repeating: "x", count: 101)
                let table = [
                    request("POST", "/", "Content-Length: 100000000\r\n") + long,
                    request("POST", "/", "Content-Length: 9\r\nExpect: 100-continue\r\n"),
                    request("POST", "/", "Transfer-Encoding: chunked\r\n") + "65\r\n\(long)\r\n",
                ]
                for text in table { #expect(try await status(listener, text) == 405) }
            })
        let wasAsked = isAsked.load(ordering: .relaxed)
        #expect(!wasAsked)
    }

    /// A page from elsewhere whose name was made to point here asks for its own name.
    @Test func whoeverAsksForSomebodyElseIsRefused() async throws {
        func hosts(_ hosts: [String], _ version: String = "1.1") -> String {
            "GET /v1/status HTTP/\(version)\r\n" + hosts.map { "Host: \($0)\r\n" }.joined()
                + "Connection: close\r\n\r\n"
        }
        try await withListener({ $0.names = ["gateway-1.example.com"] }) { listener in
            for host in [
                "127.0.0.1", "127.0.0.1:9469", "192.0.2.1:80", "[::1]", "[::1]:9469",
                "[fe80::1%25eth0]:9469", "localhost", "LOCALHOST:9469", "localhost.",
                "gateway-1.example.com", "Gateway-1.Example.COM.:9469",
            ] { #expect(try await status(listener, hosts([host])) == 200, "\(host)") }
            for host in [
                "evil.example", "evil.example:9469", "gateway-1.example.com.evil.example",
                "x.gateway-1.example.com", "localhost.evil.example", "127.0.0.1.evil.example",
                "0x7f.1", "2130706433", "[evil.example]", "[127.0.0.1]", "127.0.0.1.",
            ] {
                let reply = try await exchange(listener, hosts([host]))
                #expect(reply.status == 421, "\(host)")
                #expect(reply.body.contains("this gateway is not called `"))
                #expect(reply.body.contains("http.names in gateway.conf"))
            }
            for bad in [
                [], ["127.0.0.1", "127.0.0.1"], [""], [":80"], ["[::1"], ["127.0.0.1:x"],
                ["127.0.0.1:1234567"], ["a b"], ["[::1]80"],
            ] { #expect(try await status(listener, hosts(bad)) == 400, "\(bad)") }
            #expect(try await status(listener, hosts([], "1.0")) == 200)
            #expect(try await status(listener, hosts(["evil.example"], "1.0")) == 421)
            // Whatever it is that is asked.
            let post = "POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n"
            #expect(try await status(listener, post + "Connection: close\r\n\r\n") == 421)
        }
    }

    @Test func headersAreLimited() async throws {
        try await withListener { listener in
            let long = "X-Long: " + String(repeating: "z", count: 20_000) + "\r\n"
            let many = String(repeating: "X-A: b\r\n", count: 100)
            let table = [
                (request("GET", "/", long), 431), (request("GET", "/", many), 431),
                ("hello\r\n\r\n", 400), ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
            ]
            for (text, expected) in table {
                let seen = try await status(listener, text)
                #expect(seen == expected, "\(text.prefix(40))")
            }
        }
    }

    @Test func whoeverIsSlowIsCut() async throws {
        try await withListener({
            $0.requestTime = .milliseconds(100)
            $0.headerBytes = 64 << 20
        }) { listener in
            // One who says nothing, one who stops, one who goes on and on.
            for text in ["", "GET / HTTP/1.1\r\nX-Slow: "] {
                #expect(try await status(listener, text) == 0)
            }
            let client = try await UnixClient.connected(toPort: listener.address.port)
            defer { client.close() }
            try await client.send("GET / HTTP/1.1\r\nX-Slow: ")
            while try await client.send("z") {}
            #expect(try await client.receive() == "")
        }
    }

    @Test func aReplyThatNeverComesIsNotWaitedFor() async throws {
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        try await withListener(
            { $0.replyTime = .milliseconds(50) },
            status: {
                for await _ in released {}
                return nil
            },
            { listener in
                let seen = try await status(listener, request("GET", "/"))
                #expect(seen == 0)
                release.finish()
            })
    }

    @Test func connectionsAreLimited() async throws {
        try await withListener({ $0.maximumConnections = 2 }) { listener in
            var held: [UnixClient] = []
            for _ in 0..<2 {
                let client = try await UnixClient.connected(toPort: listener.address.port)
                try await client.send(request("GET", "/v1/version", close: false))
                #expect(try await status(client) == 200)
                held.append(client)
            }
            #expect(try await status(listener, request("GET", "/v1/version")) == 0)
            for client in held { client.close() }
            // Once the listener has noticed, others have their place.
            while try await status(listener, request("GET", "/v1/version")) != 200 {}
        }
    }

    @Test func connectionsAreKept() async throws {
        try await withListener { listener in
            let client = try await UnixClient.connected(toPort: listener.address.port)
            defer { client.close() }
            let one = request("GET", "/v1/version", close: false)
            for _ in 0..<3 {
                try await client.send(one)
                #expect(try await status(client) == 200)
            }
            try await client.send(one + request("GET", "/v1/nothing", close: false))
            #expect(try await status(client) == 200)
            #expect(try await status(client) == 404)
            for character in request("GET", "/v1/version") {
                try await client.send(String(character))
            }
            #expect(try await status(client) == 200)
        }
    }

    @Test func manyAskAndTheDaemonIsAskedOnce() async throws {
        let asked = Atomic<Int>(0)
        try await withListener(
            { $0.freshFor = .seconds(1000) },
            status: {
                asked.add(1, ordering: .relaxed)
                return StatusSamples.report
            },
            { listener in
                for path in ["/", "/metrics", "/v1/status", "/"] {
                    let seen = try await status(listener, request("GET", path))
                    #expect(seen == 200)
                }
            })
        let times = asked.load(ordering: .relaxed)
        #expect(times == 1)
    }

    @Test func aGatewayThatStopsSaysSo() async throws {
        try await withListener(status: { nil }) { listener in
            let metrics = try await status(listener, request("GET", "/metrics"))
            #expect(metrics == 503)
            let version = try await status(listener, request("GET", "/v1/version"))
            #expect(version == 200)
        }
    }

    @Test func aStopClosesIdleConnections() async throws {
        try await withListener { listener in
            let client = try await UnixClient.connected(toPort: listener.address.port)
            defer { client.close() }
            try await client.send(request("GET", "/v1/version", close: false))
            #expect(try await status(client) == 200)
            await listener.stop(grace: .seconds(20))
            #expect(try await client.receive() == "")
        }
    }

    @Test func aTakenPortIsAnError() async throws {
        try await withListener { listener in
            await #expect(throws: (any Error).self) {
                _ = try await HTTPListener.start(
                    address: listener.address, handler: { nil },
                    group: MultiThreadedEventLoopGroup.singleton,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
        }
    }
}
