import AdminAPI
import GatewayRuntime
import Glibc
import Logging
import NIOCore
import NIOPosix
import Testing

@Suite struct AdminServerTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct Secret: Error, CustomStringConvertible {
        var description: String { "private_key=hunter2" }
    }

    private struct FakeHandler: AdminHandler {
        /// Called when `reload` is under way; `reload` returns when it does.
        var gate: @Sendable () async -> Void = {}

        func version() async throws -> VersionReply { VersionReply(version: "1.2.3") }
        func status() async throws -> StatusReport {
            StatusReport(
                daemon: DaemonStatus(
                    version: "1.2.3", cluster: "west", processID: 1, uptimeSeconds: 5))
        }
        func doctor() async throws -> DoctorReport { throw Secret() }
        func reload() async throws -> ReloadReply {
            await gate()
            return ReloadReply(changes: ["port"])
        }
        func applyManifest(
            _ request: ApplyManifestRequest
        ) async throws -> ApplyManifestReply {
            ApplyManifestReply(
                slice: "s", version: UInt64(request.manifest.utf8.count), digest: "d",
                changed: !request.dryRun)
        }
        func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply {
            throw APIError(.conflict, "taken: \(slice)/\(request.name)", hint: "pick another")
        }
        func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply {
            DetachReply(
                changed: slice == "a b" && request.namespace == "n/1" && request.name == "e")
        }
        func ping(slice: String, _ request: PingRequest) async throws -> PingReply {
            PingReply(
                outcome: .answered, sequence: request.sequence, address: request.target,
                rttMicroseconds: 10_000)
        }
        func endpoints(slice: String) async throws -> EndpointsReply { EndpointsReply() }
        func owned(by owner: String) async throws -> EndpointsReply { EndpointsReply() }
        func release(owner: String) async throws -> ReleaseReply {
            ReleaseReply(detached: [owner])
        }
        func collect(_ request: CollectRequest) async throws -> ReleaseReply {
            ReleaseReply(detached: request.keep)
        }
    }

    private func withServer(
        _ handler: FakeHandler = FakeHandler(),
        _ change: (inout AdminServer.Options) -> Void = { _ in },
        _ body: (AdminServer) async throws -> Void
    ) async throws {
        let scratch = try ScratchDirectory()
        var options = AdminServer.Options()
        change(&options)
        let server = try await AdminServer.start(
            path: "\(scratch.path)/admin.sock", handler: handler, options: options,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let result: Result<Void, any Error>
        do {
            try await body(server)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await server.stop(grace: .milliseconds(100))
        scratch.remove("admin.sock")
        try result.get()
    }

    /// One exchange on a connection of its own: the status line's number and the whole reply.
    private func exchange(_ server: AdminServer, _ request: String) async throws -> (Int, String) {
        let client = try await UnixClient.connected(to: server.path)
        defer { client.close() }
        try await client.send(request)
        return reply(try await client.receive())
    }

    private func reply(_ text: String) -> (Int, String) {
        let parts = text.split(separator: " ", maxSplits: 2)
        return (parts.count > 1 ? Int(parts[1]) ?? 0 : 0, text)
    }

    private func request(
        _ method: String, _ path: String, _ body: String = "", close: Bool = true
    ) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: gateway\r\n" + (close ? "Connection: close\r\n" : "")
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func everyRoute() async throws {
        try await withServer { server in
            let manifest = #"{"manifest":"héllo","dryRun":false}"#
            let attach = #"{"namespace":"kafka","name":"b","kind":"pid","target":"12"}"#
            let ping =
                #"{"target":"10.0.0.1","sequence":3,"payloadBytes":8,"timeoutMilliseconds":9}"#
            let table: [(String, Int, String)] = [
                (request("GET", "/v1/version"), 200, #"{"apiVersion":1,"version":"1.2.3"}"#),
                (
                    request("GET", "/v1/status"), 200,
                    #"{"daemon":{"cluster":"west","processID":1,"uptimeSeconds":5,"#
                        + #""version":"1.2.3"},"slices":[]}"#
                ),
                (request("POST", "/v1/reload"), 200, #"{"changes":["port"],"needsRestart":[]}"#),
                (
                    request("POST", "/v1/manifests", manifest), 200,
                    #"{"changed":true,"changes":[],"digest":"d","slice":"s","version":6,"#
                        + #""warnings":[]}"#
                ),
                (
                    request("POST", "/v1/slices/blue/endpoints", attach), 409,
                    #"{"code":"conflict","hint":"pick another","message":"taken: blue/b"}"#
                ),
                (
                    request("DELETE", "/v1/slices/a%20b/endpoints/n%2f1/e"), 200,
                    #"{"changed":true}"#
                ),
                (request("GET", "/v1/slices/blue/endpoints"), 200, #"{"endpoints":[]}"#),
                (request("GET", "/v1/owners/cni:a"), 200, #"{"endpoints":[]}"#),
                (request("DELETE", "/v1/owners/cni%3aa%2fb"), 200, #"{"detached":["cni:a/b"]}"#),
                (
                    request("POST", "/v1/collect", #"{"ownerPrefix":"a","keep":["b"]}"#), 200,
                    #"{"detached":["b"]}"#
                ),
                (
                    request("POST", "/v1/owners/a"), 405,
                    #"{"code":"methodNotAllowed","message":"this path takes GET and DELETE only"}"#
                ),
                (
                    request("POST", "/v1/slices/blue/ping", ping), 200,
                    #"{"address":"10.0.0.1","outcome":"answered","rttMicroseconds":10000,"#
                        + #""sequence":3}"#
                ),
            ]
            for (text, status, body) in table {
                let (seen, reply) = try await exchange(server, text)
                #expect(seen == status)
                #expect(reply.hasSuffix("\r\n\r\n\(body)\n"), "\(reply)")
                #expect(reply.contains("application/json"))
            }
        }
    }

    @Test func whatFailsInsideStaysInside() async throws {
        try await withServer { server in
            let (status, reply) = try await exchange(server, request("GET", "/v1/doctor"))
            #expect(status == 500)
            #expect(reply.contains(#""code":"internalError""#))
            #expect(!reply.contains("hunter2"))
        }
    }

    @Test func badRequests() async throws {
        try await withServer { server in
            let attach = "/v1/slices/s/endpoints"
            let table: [(String, Int, String)] = [
                (request("GET", "/v2/status"), 404, "notFound"),
                (request("GET", "/"), 400, "invalidRequest"),
                (request("GET", "/v1/status/"), 400, "invalidRequest"),
                (request("GET", "/v1/status?x=1"), 400, "query"),
                (request("POST", "/v1/status"), 405, "GET only"),
                (request("PUT", "/v1/manifests"), 405, "POST only"),
                (request("GET", "/v1/slices/%zz/ping"), 400, "broken"),
                (request("POST", attach), 400, "needs a JSON body"),
                (request("POST", attach, "[1]"), 400, "must be a JSON object"),
                (request("POST", attach, "{}"), 400, "is missing"),
                (request("POST", attach, "{"), 400, "not valid JSON"),
                (
                    request(
                        "POST", attach,
                        #"{"namespace":1,"name":"n","kind":"pid","target":"1"}"#), 400,
                    "the field namespace must be"
                ),
                (
                    request(
                        "POST", attach,
                        #"{"namespace":"n","name":"n","kind":"hunter2","target":"1"}"#), 400,
                    "the field kind has a value"
                ),
                ("hello\r\n\r\n", 400, "not an HTTP/1.1 request"),
            ]
            for (text, status, words) in table {
                let (seen, reply) = try await exchange(server, text)
                #expect(seen == status, "\(text)\n\(reply)")
                #expect(reply.contains(words), "\(text)\n\(reply)")
                #expect(!reply.contains("hunter2"))
            }
        }
    }

    @Test func limits() async throws {
        try await withServer(FakeHandler(), { $0.bodyBytes = 1000 }) { server in
            func manifest(_ count: Int) -> String {
                #"{"dryRun":true,"manifest":""# + String(repeating: "x", count: count - 29)
                    + #""}"#
            }
            let at = manifest(1000)
            #expect(at.utf8.count == 1000)
            #expect(try await exchange(server, request("POST", "/v1/manifests", at)).0 == 200)
            let over = manifest(1001)
            let (status, text) = try await exchange(
                server, request("POST", "/v1/manifests", over))
            #expect(status == 413)
            #expect(text.contains("1000 bytes"))
            let chunk = String(repeating: "y", count: 0x200)
            let chunked =
                "POST /v1/manifests HTTP/1.1\r\nConnection: close\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "200\r\n\(chunk)\r\n", count: 3) + "0\r\n\r\n"
            #expect(try await exchange(server, chunked).0 == 413)
            // One that never ends is cut off.
            let endless =
                "POST /v1/manifests HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "200\r\n\(chunk)\r\n", count: 20)
            #expect(try await exchange(server, endless).0 == 413)
            let field = "X-Long: " + String(repeating: "z", count: 20_000) + "\r\n"
            let (headers, _) = try await exchange(
                server, "GET /v1/version HTTP/1.1\r\n\(field)\r\n")
            #expect(headers == 431)
            let many = String(repeating: "X-A: b\r\n", count: 100)
            #expect(
                try await exchange(server, "GET /v1/version HTTP/1.1\r\n\(many)\r\n").0 == 431)
        }
    }

    @Test func expectationsAreAnswered() async throws {
        try await withServer(FakeHandler(), { $0.bodyBytes = 100 }) { server in
            let client = try await UnixClient.connected(to: server.path)
            defer { client.close() }
            let head = "POST /v1/manifests HTTP/1.1\r\nExpect: 100-continue\r\n"
            let body = #"{"manifest":"","dryRun":true}"#
            try await client.send("\(head)Content-Length: \(body.utf8.count)\r\n\r\n")
            let go = try await client.receive(until: "\r\n\r\n")
            #expect(go == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send(body)
            #expect(reply(try await client.receive(until: "}\n")).0 == 200)
            let (status, _) = try await exchange(server, "\(head)Content-Length: 101\r\n\r\n")
            #expect(status == 413)
        }
    }

    @Test func connectionsAreKept() async throws {
        try await withServer { server in
            let client = try await UnixClient.connected(to: server.path)
            defer { client.close() }
            let one = request("GET", "/v1/version", close: false)
            for _ in 0..<3 {
                try await client.send(one)
                #expect(reply(try await client.receive(until: "}\n")).0 == 200)
            }
            // Three in one packet: three replies, in order.
            try await client.send(
                one + request("GET", "/v1/nothing", close: false) + request("GET", "/v1/version"))
            #expect(reply(try await client.receive(until: "}\n")).0 == 200)
            #expect(reply(try await client.receive(until: "}\n")).0 == 404)
            let last = try await client.receive()
            #expect(reply(last).0 == 200)
            #expect(last.contains("Connection: close") || last.contains("connection: close"))
        }
    }

    @Test func dripFed() async throws {
        try await withServer { server in
            let client = try await UnixClient.connected(to: server.path)
            defer { client.close() }
            let body = #"{"manifest":"abc","dryRun":true}"#
            for character in request("POST", "/v1/manifests", body) {
                try await client.send(String(character))
            }
            let (status, text) = reply(try await client.receive())
            #expect(status == 200)
            #expect(text.contains(#""version":3"#))
        }
    }

    @Test func aStopLetsTheRequestUnderWayFinish() async throws {
        let (entered, hasEntered) = AsyncStream.makeStream(of: Void.self)
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        let scratch = try ScratchDirectory()
        defer { scratch.remove("admin.sock") }
        let handler = FakeHandler(gate: {
            hasEntered.finish()
            for await _ in released {}
        })
        let server = try await AdminServer.start(
            path: "\(scratch.path)/admin.sock", handler: handler,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        #expect(ScratchDirectory.mode(server.path) == 0o600)
        let idle = try await UnixClient.connected(to: server.path)
        defer { idle.close() }
        try await idle.send(request("GET", "/v1/version", close: false))
        #expect(reply(try await idle.receive(until: "}\n")).0 == 200)
        let busy = try await UnixClient.connected(to: server.path)
        defer { busy.close() }
        try await busy.send(request("POST", "/v1/reload", close: false))
        for await _ in entered {}
        async let stopped: Void = server.stop(grace: .seconds(20))
        // An idle connection is closed at once, which also shows that the stop has begun.
        #expect(try await idle.receive() == "")
        #expect(ScratchDirectory.mode(server.path) == nil)
        release.finish()
        let (status, text) = reply(try await busy.receive())
        #expect(status == 200)
        #expect(text.hasSuffix("\"needsRestart\":[]}\n"))
        await stopped
    }

    @Test func aStopCutsWhatDoesNotFinish() async throws {
        let (entered, hasEntered) = AsyncStream.makeStream(of: Void.self)
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        defer { release.finish() }
        let scratch = try ScratchDirectory()
        defer { scratch.remove("admin.sock") }
        let handler = FakeHandler(gate: {
            hasEntered.finish()
            for await _ in released {}
        })
        let server = try await AdminServer.start(
            path: "\(scratch.path)/admin.sock", handler: handler,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let client = try await UnixClient.connected(to: server.path)
        defer { client.close() }
        try await client.send(request("POST", "/v1/reload"))
        for await _ in entered {}
        await server.stop(grace: .milliseconds(10))
        #expect(try await client.receive() == "")
    }

    @Test func routesGoThereAndBack() throws {
        let routes: [AdminRoute] = [
            .version, .status, .doctor, .reload, .applyManifest, .attach(slice: "a/b c%"),
            .detach(slice: "s", namespace: "é", name: "..?"), .ping(slice: "x"),
            .endpoints(slice: "s"), .owned(owner: "cni:a/b/c"), .release(owner: "cni:a/b/c"),
            .collect,
        ]
        for route in routes {
            #expect(
                try AdminRoute.parse(method: route.method, target: route.path).get() == route)
        }
        let long = "/v1/" + String(repeating: "a", count: AdminRoute.maximumTargetBytes)
        #expect(throws: APIError.self) { try AdminRoute.parse(method: "GET", target: long).get() }
        for target in ["", "v1/status", "/v1/slices/%00/ping", "/v1/slices/%ff/ping", "//"] {
            #expect(throws: APIError.self) {
                try AdminRoute.parse(method: "POST", target: target).get()
            }
        }
        let alphabet = Array("/v1slicesping%20ff?.endpoints/".utf8)
        var state: UInt64 = 7
        for _ in 0..<5000 {
            var bytes = Array("/v1/slices/".utf8)
            for _ in 0..<24 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            bytes.withUnsafeBytes(AdminRoute.fuzz)
        }
    }
}
