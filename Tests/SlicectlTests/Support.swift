import AdminAPI
import GatewayRuntime
import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import slicectl

/// What one call of slicectl left behind.
struct Run {
    var status: Int32
    var out: String
    var error: String
}

/// Calls slicectl in this process.
func invoke(_ arguments: String...) async -> Run { await invoke(arguments) }

func invoke(_ arguments: [String]) async -> Run {
    let out = Collector()
    let error = Collector()
    let console = Console(out: { out.add($0) }, error: { error.add($0) })
    let status = await Invocation.run(arguments, console: console)
    return Run(status: status, out: out.text, error: error.text)
}

private final class Collector: Sendable {
    private let gathered = Mutex("")
    func add(_ text: String) { gathered.withLock { $0 += text } }
    var text: String { gathered.withLock { $0 } }
}

/// A directory that goes away, whatever happens in it.
func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    var template = Array("/tmp/slicectl-tests-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let path = String(
        decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        if let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { unlink("\(path)/\(name)") }
            }
            closedir(stream)
        }
        rmdir(path)
    }
    return try await body(path)
}

/// A daemon that says what it is told to; the sockets and the words between are the real ones.
func withDaemon(
    _ daemon: StubDaemon = StubDaemon(), _ body: (String) async throws -> Void
) async throws {
    try await withDirectory { directory in
        let server = try await AdminServer.start(
            path: "\(directory)/admin.sock", handler: daemon,
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
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
}

struct StubDaemon: AdminHandler {
    var report = Samples.status
    var doctorReport = DoctorReport(checks: [.init("tun", .ok, seen: "there")])

    func version() async throws -> VersionReply { VersionReply(version: "9.9.9") }
    func status() async throws -> StatusReport { report }
    func doctor() async throws -> DoctorReport { doctorReport }
    func reload() async throws -> ReloadReply {
        ReloadReply(changes: ["logLevel: info -> debug"], needsRestart: ["stateDirectory"])
    }
    func applyManifest(_ request: ApplyManifestRequest) async throws -> ApplyManifestReply {
        if request.manifest.contains("version: 1\n") {
            throw APIError(.conflict, "version 1 is older than 2", hint: "raise spec.version")
        }
        return ApplyManifestReply(
            slice: "payments", version: 3, digest: "d", changed: !request.dryRun,
            changes: ["add peer east"], warnings: ["east has no address"])
    }
    func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply {
        guard slice == "payments" else {
            throw APIError(.notFound, "there is no slice \(slice)")
        }
        return AttachReply(
            endpoint: EndpointReport(
                namespace: request.namespace, name: request.name, kind: request.kind,
                target: request.target, addresses: request.addresses ?? ["10.80.1.2"],
                interface: request.interface ?? "slice0"),
            mtu: 1420, routes: ["10.80.0.0/16"], changed: request.target != "again")
    }
    func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply {
        DetachReply(changed: request.name == "b0")
    }
    func endpoints(slice: String) async throws -> EndpointsReply { EndpointsReply() }
    func owned(by owner: String) async throws -> EndpointsReply { EndpointsReply() }
    func release(owner: String) async throws -> ReleaseReply { ReleaseReply() }
    func collect(_ request: CollectRequest) async throws -> ReleaseReply { ReleaseReply() }
    func ping(slice: String, _ request: PingRequest) async throws -> PingReply {
        switch request.target {
        case "east" where request.sequence % 2 == 1:
            PingReply(
                outcome: .answered, sequence: request.sequence, address: "10.80.2.1",
                cluster: "east", rttMicroseconds: 20_000 + UInt64(request.sequence) * 100)
        case "east":
            PingReply(
                outcome: .timedOut, sequence: request.sequence, address: "10.80.2.1",
                cluster: "east")
        default:
            PingReply(
                outcome: .unreachable, sequence: request.sequence, address: request.target,
                detail: "no route in this slice")
        }
    }
}

enum Samples {
    /// With what a slice decides and knows.
    static let known: StatusReport = {
        var report = status
        report.daemon.auditEntries = 4
        report.daemon.auditProblem = "/var is full"
        report.slices[0].policies = [
            PolicyReport(
                name: "kafka-clients", description: "applications reach brokers",
                action: "allow", decided: 12_345),
            PolicyReport(name: "no-telnet", action: "deny"),
        ]
        report.slices[0].directory = [
            DirectoryPeerReport(
                cluster: "central", state: .fresh, endpoints: 12, services: 2, ageSeconds: 0.4,
                manifestVersion: 3, manifestDigest: "Ag0K"),
            DirectoryPeerReport(
                cluster: "east", state: .absent, problems: ["refused: connection reset"]),
            DirectoryPeerReport(
                cluster: "south", state: .stale, endpoints: 1, ageSeconds: 700,
                manifestVersion: 2),
        ]
        report.slices[0].services = [
            ServiceReport(
                namespace: "kafka", name: "kafka", ports: ["broker tcp/9092", "udp/53"],
                members: [
                    ServiceMemberReport(cluster: "west", endpoint: "broker-0"),
                    ServiceMemberReport(cluster: "west", endpoint: "broker-1", healthy: false),
                    ServiceMemberReport(cluster: "south", endpoint: "broker-2", stale: true),
                ]),
            ServiceReport(namespace: "apps", name: "none"),
        ]
        report.slices[0].names = NamesReport(
            queries: ["A": 1000, "SRV": 234], responses: ["NOERROR": 1200, "NXDOMAIN": 33],
            forwarded: 7, dropped: 1)
        return report
    }()

    static let status: StatusReport = {
        var slice = SliceStatus(
            name: "payments", manifestVersion: 3, manifestDigest: "Ag0K", interface: "slice",
            routerNamespace: "slice-payments", publicKey: "WEST=", listenPort: 51820, mtu: 1420,
            isolation: "open", addresses: ["10.80.1.1", "fd00:80:0:1::1"], state: .degraded,
            drops: ["spoofedSource": 12, "noPeer": 3400, "replayed": 12])
        slice.peers = [
            PeerReport(
                cluster: "central", publicKey: "CENTRAL=", endpoint: "198.51.100.3:51820",
                allowedIPs: ["10.80.2.0/24"], hasSession: true, handshakeAgeSeconds: 95,
                rttMilliseconds: 20.43,
                traffic: TrafficReport(
                    receivedBytes: 1_234_567, receivedPackets: 1200,
                    transmittedBytes: 9_876_543_210, transmittedPackets: 7_654_321)),
            PeerReport(
                cluster: "east", publicKey: "EAST=", endpoint: "[2001:db8::7]:51820",
                allowedIPs: ["10.80.3.0/24"], stagedPackets: 3),
            PeerReport(cluster: "north", publicKey: "NORTH=", allowedIPs: ["10.80.4.0/24"]),
            PeerReport(
                cluster: "south", publicKey: "SOUTH=", endpoint: "192.0.2.9:51820",
                allowedIPs: ["10.80.5.0/24"], handshakeAgeSeconds: 7384),
        ]
        slice.endpoints = [
            EndpointReport(
                namespace: "kafka", name: "broker-0", kind: .netns, target: "broker-0",
                addresses: ["10.80.1.2"], interface: "slice0",
                traffic: TrafficReport(receivedBytes: 512, receivedPackets: 4), state: .up),
            EndpointReport(
                namespace: "kafka", name: "broker-1", kind: .pid, target: "4711",
                addresses: ["10.80.1.3"], interface: "slice0", state: .down,
                problems: ["process 4711 has ended"]),
        ]
        return StatusReport(
            daemon: DaemonStatus(
                version: "0.1.0", cluster: "west", processID: 812, uptimeSeconds: 93_784),
            slices: [slice])
    }()
}

func read(_ path: String) throws -> String {
    let file = try #require(fopen(path, "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
}

/// What a person should read, in a file of its own: lines there may be as wide as a terminal.
func golden(_ name: String, source: String = #filePath) throws -> String {
    let tests = source.split(separator: "/").dropLast(2).joined(separator: "/")
    return try read("/\(tests)/Golden/Slicectl/\(name).txt")
}
