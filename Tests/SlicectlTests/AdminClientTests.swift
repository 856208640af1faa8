import AdminAPI
import GatewayRuntime
import Glibc
import Logging
import NIOCore
import NIOPosix
import Testing
import slicectl

@Suite struct AdminClientTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Answers with what it was asked.
    private struct Echo: AdminHandler {
        func version() async throws -> VersionReply { VersionReply(version: "1.2.3") }
        func status() async throws -> StatusReport { AdminClientTests.report }
        func doctor() async throws -> DoctorReport {
            DoctorReport(checks: [.init("tun", .warn, seen: "none", advice: "modprobe tun")])
        }
        func reload() async throws -> ReloadReply {
            try await Task.sleep(for: .seconds(1000))
            return ReloadReply()
        }
        func applyManifest(
            _ request: ApplyManifestRequest
        ) async throws -> ApplyManifestReply {
            ApplyManifestReply(
                slice: "blue", version: 7, digest: "", changed: !request.dryRun,
                changes: [request.manifest])
        }
        func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply {
            AttachReply(
                endpoint: EndpointReport(
                    namespace: request.namespace, name: request.name, kind: request.kind,
                    target: request.target),
                mtu: 1420, routes: [slice], changed: true)
        }
        func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply {
            throw APIError(.notFound, "\(slice) \(request.namespace) \(request.name)", hint: "h")
        }
        func ping(slice: String, _ request: PingRequest) async throws -> PingReply {
            PingReply(outcome: .timedOut, sequence: request.sequence, address: request.target)
        }
        func endpoints(slice: String) async throws -> EndpointsReply { EndpointsReply() }
        func owned(by owner: String) async throws -> EndpointsReply { EndpointsReply() }
        func release(owner: String) async throws -> ReleaseReply { ReleaseReply() }
        func collect(_ request: CollectRequest) async throws -> ReleaseReply { ReleaseReply() }
    }

    private static let report: StatusReport = {
        var slice = SliceStatus(
            name: "blue", manifestVersion: 3, manifestDigest: "ab", interface: "s0",
            routerNamespace: "slice-blue", publicKey: "k", listenPort: 51820, mtu: 1420,
            isolation: "open", addresses: ["10.0.0.1"], state: .degraded,
            problems: ["no peer"], drops: ["spoofed": .max])
        slice.peers = [
            PeerReport(
                cluster: "east", publicKey: "p", endpoint: "192.0.2.1:1",
                handshakeAgeSeconds: 1.5, rttMilliseconds: 10,
                traffic: TrafficReport(receivedBytes: .max, transmittedPackets: 4))
        ]
        slice.endpoints = [
            EndpointReport(
                namespace: "kafka", name: "b0", kind: .netns, target: "b0", state: .up)
        ]
        return StatusReport(
            daemon: DaemonStatus(
                version: "1", cluster: "west", processID: 2, uptimeSeconds: 3),
            slices: [slice])
    }()

    private func withServer(_ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/slicectl-tests-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(directory) }
        let server = try await AdminServer.start(
            path: "\(directory)/a.sock", handler: Echo(),
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let result: Result<Void, any Error>
        do {
            try await body(server.path)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await server.stop(grace: .milliseconds(10))
        try result.get()
    }

    @Test func everyCallGoesThereAndBack() async throws {
        try await withServer { path in
            let client = AdminClient(path: path)
            #expect(try await client.version().version == "1.2.3")
            #expect(try await client.status() == Self.report)
            #expect(try await client.doctor().verdict == .warn)
            let big = String(repeating: "é\n", count: 300_000)
            let applied = try await client.applyManifest(
                ApplyManifestRequest(manifest: big, dryRun: true))
            #expect(applied.changes == [big] && !applied.changed)
            let attached = try await client.attach(
                slice: "a/b", AttachRequest(namespace: "n", name: "e", kind: .pid, target: "7"))
            #expect(attached.routes == ["a/b"] && attached.endpoint.kind == .pid)
            let pong = try await client.ping(
                slice: "blue", PingRequest(target: "east", sequence: 9))
            #expect(pong.sequence == 9 && pong.outcome == .timedOut)
            await #expect(throws: APIError(.notFound, "s n/1 e", hint: "h")) {
                try await client.detach(
                    slice: "s", DetachRequest(namespace: "n/1", name: "e"))
            }
        }
    }

    @Test func aDaemonThatDoesNotAnswer() async throws {
        try await withServer { path in
            let client = AdminClient(path: path, timeout: .milliseconds(50))
            let error = await #expect(throws: AdminClientError.self) {
                try await client.reload()
            }
            #expect(error?.reason == .timeout)
        }
    }

    @Test func aDaemonThatIsNotThere() async throws {
        let client = AdminClient(path: "/nonexistent/admin.sock")
        let error = await #expect(throws: AdminClientError.self) { try await client.version() }
        #expect(error?.reason == .notRunning)
        #expect(error?.hint.contains("slice-gateway --config") == true)

        let path = "/tmp/slicectl-tests-\(getpid()).sock"
        let dead = try UnixServerSocket(path: path)
        close(dead.descriptor)
        defer { unlink(path) }
        let refused = await #expect(throws: AdminClientError.self) {
            try await AdminClient(path: path).version()
        }
        #expect(refused?.reason == .notListening)

        let long = await #expect(throws: AdminClientError.self) {
            try await AdminClient(path: "/" + String(repeating: "x", count: 200)).version()
        }
        #expect(long?.message.contains("too long") == true)
    }

    @Test(arguments: [
        (ENOENT, "not running", "systemctl start"), (ECONNREFUSED, "left behind", "systemctl"),
        (EACCES, "may not", "sudo"), (EINVAL, "Invalid argument", "--socket"),
    ])
    func everyErrnoHasItsSentence(code: CInt, message: String, hint: String) {
        let error = AdminClientError(errno: code, path: "/run/x.sock")
        #expect(error.message.contains(message) && error.message.contains("/run/x.sock"))
        #expect(error.hint.contains(hint))
    }
}
