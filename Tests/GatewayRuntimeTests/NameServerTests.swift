import Addresses
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import SliceDNS
import SliceModel
import Testing

/// A client inside the server's namespace, which blocks for a while at most.
private final class Client {
    private let fd: Int32

    init(_ namespace: NetworkNamespace, _ address: String, port: UInt16, isStream: Bool) throws {
        let isIPv4 = !address.contains(":")
        fd = try namespace.socket(isIPv4 ? AF_INET : AF_INET6, isStream ? 1 : 2)
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let result: Int32
        if isIPv4 {
            var to = sockaddr_in()
            to.sin_family = sa_family_t(AF_INET)
            to.sin_port = port.bigEndian
            inet_pton(AF_INET, address, &to.sin_addr)
            result = Self.connect(fd, &to)
        } else {
            var to = sockaddr_in6()
            to.sin6_family = sa_family_t(AF_INET6)
            to.sin6_port = port.bigEndian
            inet_pton(AF_INET6, address, &to.sin6_addr)
            result = Self.connect(fd, &to)
        }
        // What throws here is closed by the deinit: the object is whole.
        if result != 0 { throw LinuxError("connect", address, errno: errno) }
    }

    deinit { close(fd) }

    private static func connect<Address>(_ fd: Int32, _ to: inout Address) -> Int32 {
        withUnsafeMutablePointer(to: &to) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(fd, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }

    func send(_ bytes: [UInt8]) { #expect(Glibc.send(fd, bytes, bytes.count, 0) == bytes.count) }

    func endOutput() { shutdown(fd, 1) }

    /// Nil when nothing came in time; empty at the end of a stream.
    func receive() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(fd, &bytes, bytes.count, 0)
        if count < 0 { return errno == ECONNRESET ? [] : nil }
        return Array(bytes.prefix(count))
    }

    /// All messages up to the end of the stream.
    func drain() -> [[UInt8]] {
        var framer = MessageFramer(limit: 65_535)
        var messages: [[UInt8]] = []
        while let bytes = receive(), !bytes.isEmpty {
            framer.append(bytes)
            while case .message(let message) = framer.next() { messages.append(message) }
        }
        return messages
    }
}

@Suite(.enabled(if: geteuid() == 0, "needs root: it makes network namespaces"))
struct NameServerTests {
    private let port: UInt16 = 53
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func zone(_ address: String) throws -> SliceZone {
        let namespace = try #require(NamespaceName("n"))
        let record = EndpointRecord(
            key: AddressBook.Key(namespace, try #require(EndpointName("e"))),
            addresses: [IPAddress(address)].compactMap { $0 })
        let west = try #require(ClusterName("west"))
        return SliceZone(
            NameTable(
                slice: try #require(SliceName("pay")), local: west,
                clusters: [NameTable.Cluster(west, endpoints: [record])]))
    }

    private let query =
        [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1] + Array("e".utf8) + [1] + Array("n".utf8)
        + [4] + Array("west".utf8) + [5] + Array("slice".utf8) + [5] + Array("local".utf8)
        + [0, 0, 1, 0, 1]

    private func address(in bytes: [UInt8]?) -> String? {
        let message = bytes?.withUnsafeBytes { try? Message(decoding: $0) }
        guard case .a(let address)? = message?.answers.first?.data else { return nil }
        return address.description
    }

    private func withServer(
        _ change: (inout NameServer.Options) -> Void = { _ in },
        _ body: (NameServer, NetworkNamespace) async throws -> Void
    ) async throws {
        let namespace = try NetworkNamespace.anonymous()
        var options = NameServer.Options()
        change(&options)
        let server = try await NameServer.start(
            in: namespace, addresses: ["127.0.0.1", "::1"].compactMap { IPAddress($0) },
            zone: zone("10.0.0.1"), options: options, group: MultiThreadedEventLoopGroup.singleton,
            logger: logger)
        do {
            try await body(server, namespace)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    @Test func answersOverBothAndTheNewZoneAtOnce() async throws {
        try await withServer { server, namespace in
            for address in ["127.0.0.1", "::1"] {
                server.replace(try zone("10.0.0.1"))
                let datagrams = try Client(namespace, address, port: port, isStream: false)
                datagrams.send(query)
                #expect(self.address(in: datagrams.receive()) == "10.0.0.1")
                let stream = try Client(namespace, address, port: port, isStream: true)
                stream.send(MessageFramer.framed(query))
                #expect(self.address(in: stream.receive().map { Array($0.dropFirst(2)) }) != nil)
                server.replace(try zone("10.0.0.2"))
                datagrams.send(query)
                #expect(self.address(in: datagrams.receive()) == "10.0.0.2")
                stream.send(MessageFramer.framed(query))
                stream.endOutput()
                #expect(stream.drain().map { self.address(in: $0) } == ["10.0.0.2"])
            }
            let counters = server.counters
            #expect(counters.datagrams == 4 && counters.streamed == 4)
            #expect(counters.byType == ["A": 8] && counters.byCode == ["NOERROR": 8])
        }
    }

    @Test func manyAtOnceAndHalfClosed() async throws {
        try await withServer { _, namespace in
            let stream = try Client(namespace, "127.0.0.1", port: port, isStream: true)
            stream.send((0..<500).flatMap { _ in MessageFramer.framed(query) })
            stream.endOutput()
            let answers = stream.drain()
            #expect(answers.count == 500)
            #expect(answers.allSatisfy { self.address(in: $0) == "10.0.0.1" })
        }
    }

    @Test func connectionsAreLimited() async throws {
        try await withServer({ $0.maximumConnectionsPerSource = 2 }) { server, namespace in
            let open = try (0..<2).map { _ in
                try Client(namespace, "127.0.0.1", port: port, isStream: true)
            }
            let refused = try Client(namespace, "127.0.0.1", port: port, isStream: true)
            #expect(refused.drain().isEmpty)
            // Another source has places of its own.
            let other = try Client(namespace, "::1", port: port, isStream: true)
            other.send(MessageFramer.framed(query))
            other.endOutput()
            #expect(other.drain().count == 1)
            for client in open { client.endOutput() }
            for client in open { #expect(client.drain().isEmpty) }
            #expect(server.counters.connectionsRefused == 1)
        }
    }

    @Test func halfAQueryDoesNotKeepAPlace() async throws {
        try await withServer({ $0.idleTimeout = .milliseconds(100) }) { _, namespace in
            let silent = try Client(namespace, "127.0.0.1", port: port, isStream: true)
            let slow = try Client(namespace, "127.0.0.1", port: port, isStream: true)
            slow.send([0])
            #expect(slow.receive() == [] && silent.receive() == [])
        }
    }

    @Test func whatNobodyMeansEndsTheConnection() async throws {
        try await withServer { server, namespace in
            for bytes in [[0xff, 0xff], [0x10, 0x01], MessageFramer.framed([1, 2, 3])] {
                let stream = try Client(namespace, "127.0.0.1", port: port, isStream: true)
                stream.send(MessageFramer.framed(query) + bytes)
                #expect(stream.drain().count == 1)
            }
            #expect(server.counters.dropped == [.tooShort: 1])
        }
    }

    @Test func whoAsksTooOftenIsNotAnswered() async throws {
        try await withServer({
            $0.queriesPerSecond = 1
            $0.queryBurst = 3
        }) { server, namespace in
            let stream = try Client(namespace, "127.0.0.1", port: port, isStream: true)
            stream.send((0..<10).flatMap { _ in MessageFramer.framed(query) })
            #expect(stream.drain().count == 3)
            let other = try Client(namespace, "::1", port: port, isStream: false)
            other.send(query)
            #expect(self.address(in: other.receive()) != nil)
            #expect(server.counters.dropped == [.rateLimited: 1])
        }
    }

    @Test func aPortThatIsTakenIsAnErrorAndLeavesNothing() async throws {
        let namespace = try NetworkNamespace.anonymous()
        let addresses = ["127.0.0.1", "::1"].compactMap { IPAddress($0) }
        func start(_ addresses: [IPAddress]) async throws -> NameServer {
            try await NameServer.start(
                in: namespace, addresses: addresses, zone: zone("10.0.0.1"),
                group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        }
        let first = try await start(Array(addresses.dropFirst()))
        await #expect(throws: LinuxError.self) { try await start(addresses) }
        await first.stop()
        // Also what had been opened before the error is free again.
        let second = try await start(addresses)
        await second.stop()
        #expect(throws: LinuxError.self) {
            try Client(namespace, "127.0.0.1", port: port, isStream: true)
        }
    }
}
