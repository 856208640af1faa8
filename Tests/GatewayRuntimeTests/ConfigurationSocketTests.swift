import Addresses
import GatewayRuntime
import Glibc
import Logging
import NIOCore
import NIOPosix
import Noise
import Synchronization
import Testing
import Tunnel

@Suite struct ConfigurationSocketTests {
    private static let key = String(repeating: "0a", count: 32)
    private static let secret = "40" + String(repeating: "22", count: 30) + "7f"
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A device that remembers what was asked of it.
    private final class FakeDevice: Sendable {
        let changes = Mutex<[DeviceChange]>([])

        func device(
            _ answer: @escaping @Sendable (DeviceChange) throws -> ConfigurationErrno = { _ in
                .none
            }
        ) -> ConfigurationSocket.Device {
            ConfigurationSocket.Device(
                get: {
                    var status = DeviceStatus()
                    status.privateKey = PrivateKey(hex: ConfigurationSocketTests.secret)
                    status.listenPort = self.changes.withLock { $0.last?.listenPort } ?? 9
                    return status
                },
                set: { change in
                    let errno = try answer(change)
                    self.changes.withLock { $0.append(change) }
                    return errno
                })
        }
    }

    /// Runs `body` against a socket in a directory of its own.
    private func withSocket(
        _ device: ConfigurationSocket.Device,
        _ change: (inout ConfigurationSocket.Options) -> Void = { _ in },
        _ body: (ConfigurationSocket) async throws -> Void
    ) async throws {
        let scratch = try ScratchDirectory()
        var options = ConfigurationSocket.Options()
        options.directory = scratch.path
        change(&options)
        let socket = try await ConfigurationSocket.start(
            interface: "wg7", device: device, options: options,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let result: Result<Void, any Error>
        do {
            try await body(socket)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await socket.stop(grace: .milliseconds(100))
        #expect(ScratchDirectory.mode(socket.path) == nil, "the file goes with the server")
        scratch.remove("wg7.sock")
        try result.get()
    }

    @Test func manyRequestsOnOneConnection() async throws {
        let fake = FakeDevice()
        try await withSocket(fake.device()) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            defer { client.close() }
            try await client.send("get=1\n\n")
            let first = try await client.receive(until: "\n\n")
            #expect(first == "private_key=\(Self.secret)\nlisten_port=9\nerrno=0\n\n")
            // The second comes in pieces, the third and fourth in one.
            try await client.send("set=1\nlisten_")
            try await client.send("port=77\n")
            try await client.send("\n")
            #expect(try await client.receive(until: "\n\n") == "errno=0\n\n")
            try await client.send("set=1\nlisten_port=78\n\nget=1\n\n")
            #expect(try await client.receive(until: "\n\n") == "errno=0\n\n")
            #expect(try await client.receive(until: "\n\n").contains("listen_port=78\n"))
        }
        #expect(fake.changes.withLock { $0.map(\.listenPort) } == [77, 78])
    }

    @Test func errorsHaveTheirNumbers() async throws {
        struct Other: Error {}
        let fake = FakeDevice()
        let device = fake.device { change in
            switch change.listenPort {
            case 1: return .portInUse
            case 2: throw DeviceChangeError.tooManyPeers(limit: 1)
            case 3: throw ConfigurationRefusal(.readOnly, line: 0, reason: "a slice")
            case 4: throw Other()
            default: return .none
            }
        }
        try await withSocket(device) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            defer { client.close() }
            let expected = [(1, -98), (2, -22), (3, -30), (4, -55), (70000, -22), (5, 0)]
            for (port, errno) in expected {
                try await client.send("set=1\nlisten_port=\(port)\nfwmark=1\n\n")
                #expect(try await client.receive(until: "\n\n") == "errno=\(errno)\n\n")
            }
            try await client.send("hello=1\n")
            #expect(try await client.receive() == "errno=-71\n\n")
        }
    }

    @Test func aRequestThatIsCutOffDoesNothing() async throws {
        let fake = FakeDevice()
        try await withSocket(fake.device()) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            try await client.send("set=1\nlisten_port=5\n")
            client.endSending()
            #expect(try await client.receive() == "")
            client.close()
        }
        #expect(fake.changes.withLock { $0.isEmpty })
    }

    @Test func aClientThatIsDoneTalkingGetsItsReply() async throws {
        try await withSocket(FakeDevice().device()) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            defer { client.close() }
            try await client.send("get=1\n\n")
            client.endSending()
            #expect(try await client.receive().hasSuffix("errno=0\n\n"))
        }
    }

    @Test func secretsCanBeHidden() async throws {
        try await withSocket(FakeDevice().device(), { $0.hideSecrets = true }) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            defer { client.close() }
            try await client.send("get=1\n\n")
            #expect(try await client.receive(until: "\n\n") == "listen_port=9\nerrno=0\n\n")
        }
    }

    @Test func manyClientsAndALimit() async throws {
        let limit = 20
        try await withSocket(
            FakeDevice().device(), { $0.server.maximumConnections = limit }
        ) { socket in
            var clients: [UnixClient] = []
            defer { for client in clients { client.close() } }
            for _ in 0..<limit {
                let client = try await UnixClient.connected(to: socket.path)
                clients.append(client)
                try await client.send("get=1\n\n")
                #expect(try await client.receive(until: "\n\n").hasSuffix("errno=0\n\n"))
            }
            let tooMany = try await UnixClient.connected(to: socket.path)
            #expect(try await tooMany.receive() == "")
            tooMany.close()
            try await clients[3].send("get=1\n\n")
            #expect(try await clients[3].receive(until: "\n\n").hasSuffix("errno=0\n\n"))
        }
    }

    @Test func idleClientsAreClosed() async throws {
        try await withSocket(
            FakeDevice().device(), { $0.server.idleTimeout = .milliseconds(20) }
        ) { socket in
            let client = try await UnixClient.connected(to: socket.path)
            defer { client.close() }
            #expect(try await client.receive() == "")
        }
    }

    @Test func theFileIsForRootAlone() async throws {
        try await withSocket(FakeDevice().device()) { socket in
            #expect(ScratchDirectory.mode(socket.path) == 0o600)
        }
    }

    @Test func aDeadSocketIsReplacedAndALiveOneIsNot() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/a.sock"
        defer { scratch.remove("a.sock", "b.sock") }
        let dead = try UnixServerSocket(path: path)
        // A second name keeps its inode number from being given out again.
        #expect(link(path, "\(scratch.path)/b.sock") == 0)
        close(dead.descriptor)
        let live = try UnixServerSocket(path: path)
        #expect(live.isInPlace)
        #expect(!dead.isInPlace)
        dead.removeFile()
        #expect(live.isInPlace, "somebody else's file stays")
        #expect(throws: UnixServerError.inUse(path)) { try UnixServerSocket(path: path) }
        #expect(live.isInPlace)
        live.removeFile()
        close(live.descriptor)
        #expect(ScratchDirectory.mode(path) == nil)
        #expect(UnixServerError.inUse(path).description.contains("another process"))
    }

    @Test func whatIsNoSocketIsLeftAlone() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/a.sock"
        defer { scratch.remove("a.sock") }
        close(creat(path, 0o600))
        #expect(throws: UnixServerError.notASocket(path)) { try UnixServerSocket(path: path) }
        #expect(ScratchDirectory.mode(path) == 0o600)
        let long = "/tmp/" + String(repeating: "x", count: 103)
        #expect(throws: UnixServerError.pathTooLong(long)) { try UnixServerSocket(path: long) }
    }

    @Test(arguments: [true, false])
    func removingTheFileIsNoticed(watched: Bool) async throws {
        let scratch = try ScratchDirectory()
        defer { scratch.remove("wg7.sock") }
        var options = ConfigurationSocket.Options()
        options.directory = scratch.path
        options.server.usesWatch = watched
        options.server.removalCheck = watched ? .hours(1) : .milliseconds(5)
        let (removals, removed) = AsyncStream.makeStream(of: Void.self)
        let socket = try await ConfigurationSocket.start(
            interface: "wg7", device: FakeDevice().device(), options: options,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger,
            onRemoved: { removed.finish() })
        unlink(socket.path)
        for await _ in removals {}
        await socket.stop()
    }

    @Test(arguments: ["", ".", "..", "a/b", "a b", "a:b", "0123456789abcdef", "\u{e9}"])
    func namesThatAreNoInterfaces(name: String) async throws {
        await #expect(throws: UnixServerError.self) {
            try await ConfigurationSocket.start(
                interface: name, device: FakeDevice().device(),
                group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        }
    }
}
