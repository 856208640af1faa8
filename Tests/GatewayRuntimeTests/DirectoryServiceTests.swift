import Addresses
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import SliceDirectory
import SliceModel
import Synchronization
import Testing
import Timing

/// Gateways' directories over the loopback device of a namespace that has all their addresses.
private final class DirectoryLab: Sendable {
    let namespace: NetworkNamespace
    static let names = ["east", "north", "west"]

    init(without absent: String? = nil) throws {
        namespace = try .anonymous()
        for name in Self.names where name != absent { try add(name) }
    }

    func add(_ name: String) throws {
        let netlink = try Netlink(in: namespace)
        for address in try Self.cluster(name).addresses {
            try netlink.replaceAddress(
                InterfaceAddress(address, prefixLength: address.bitWidth), on: "lo")
        }
    }

    static func cluster(_ name: String) throws -> DirectorySlice.Cluster {
        let number = try #require(names.firstIndex(of: name)) + 1
        return DirectorySlice.Cluster(
            name: try #require(ClusterName(name)),
            prefixes: [
                try #require(IPPrefix("10.80.\(number).0/24")),
                try #require(IPPrefix("fd00:80:0:\(number)::/64")),
            ],
            addresses: [
                try #require(IPAddress("10.80.\(number).1")),
                try #require(IPAddress("fd00:80:0:\(number)::1")),
            ])
    }

    static func manifest(_ name: String, version: UInt64 = 1) throws -> DirectoryManifest {
        DirectoryManifest(
            slice: DirectorySlice(
                name: try #require(SliceName("pay")), local: try cluster(name),
                others: try names.filter { $0 != name }.map(cluster)),
            version: version,
            digest: try #require(
                DirectoryDigest(bytes: [UInt8](repeating: UInt8(version), count: 32))),
            document: Array("manifest \(version)\n".utf8) + [UInt8](repeating: 65, count: 100_000))
    }

    func start(
        _ name: String, version: UInt64 = 1, incarnation: UInt64 = 1,
        restored: [DirectoryStore.Cluster] = [], manifest: DirectoryManifest? = nil
    ) async throws -> Running {
        var options = DirectoryService.Options()
        options.timing.heartbeat = .milliseconds(50)
        options.timing.silence = .milliseconds(400)
        options.timing.tick = .milliseconds(20)
        options.timing.shortestBackoff = .milliseconds(20)
        options.timing.longestBackoff = .milliseconds(100)
        options.listenRetry = .milliseconds(20)
        options.pause = .milliseconds(5)
        options.restored = restored
        let (views, viewContinuation) = AsyncStream.makeStream(of: DirectoryView.self)
        let (manifests, manifestContinuation) = AsyncStream.makeStream(of: ReceivedManifest.self)
        let service = try await DirectoryService.start(
            in: namespace, manifest ?? Self.manifest(name, version: version),
            incarnation: incarnation,
            options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            callbacks: DirectoryService.Callbacks(
                onChange: { view, _ in viewContinuation.yield(view) },
                onManifest: { manifestContinuation.yield($0) }))
        return Running(service: service, views: views, manifests: manifests)
    }

    struct Running: Sendable {
        let service: DirectoryService
        let views: AsyncStream<DirectoryView>
        let manifests: AsyncStream<ReceivedManifest>

        func view(
            _ name: String, where condition: (ClusterView) -> Bool
        ) async throws -> ClusterView {
            let cluster = try #require(ClusterName(name))
            for await view in views {
                if let view = view[cluster], condition(view) { return view }
            }
            throw Ended()
        }

        func status(where condition: (DirectoryReport) -> Bool) async throws -> DirectoryReport {
            while let report = await service.status() {
                if condition(report) { return report }
                try Task.checkCancellation()
            }
            throw Ended()
        }
    }

    struct Ended: Error {}

    static func endpoints(_ cluster: String, _ count: Int) throws -> [EndpointRecord] {
        let number = try #require(names.firstIndex(of: cluster)) + 1
        return try (0..<count).map { index in
            EndpointRecord(
                key: AddressBook.Key(
                    try #require(NamespaceName("kafka")), try #require(EndpointName("e\(index)"))),
                addresses: [
                    try #require(
                        IPAddress("fd00:80:0:\(number)::\(String(index + 2, radix: 16))"))
                ])
        }
    }
}

@Suite(.serialized, .enabled(if: geteuid() == 0), .timeLimit(.minutes(2)))
struct DirectoryServiceTests {
    @Test func everybodyKnowsEverybody() async throws {
        let lab = try DirectoryLab()
        let west = try await lab.start("west")
        let east = try await lab.start("east")
        // More than a connection takes at once.
        west.service.setOwn(endpoints: try DirectoryLab.endpoints("west", 12_000), services: [])
        let seen = try await east.view("west") { $0.endpoints.count == 12_000 }
        #expect(seen.state == .fresh)
        // Late, and told all the same.
        let north = try await lab.start("north")
        _ = try await north.view("west") { $0.endpoints.count == 12_000 }
        // A change is a delta, to both.
        west.service.setOwn(endpoints: try DirectoryLab.endpoints("west", 3), services: [])
        _ = try await east.view("west") { $0.endpoints.count == 3 }
        _ = try await north.view("west") { $0.endpoints.count == 3 }
        let report = try await west.status { report in
            report.peers.allSatisfy { $0.isFollowedByIt && $0.following == .live }
        }
        #expect(report.listening.count == 2 && report.problems == [])
        for running in [west, east, north] { await running.service.stop() }
        #expect(await west.service.status() == nil)
    }

    /// East believes that half of west's addresses are its own, and says so.
    @Test func whatAPeerClaimsOfOthersIsReported() async throws {
        let lab = try DirectoryLab()
        let west = try await lab.start("west")
        var greedy = try DirectoryLab.manifest("east")
        let own = greedy.slice.local
        greedy.slice = DirectorySlice(
            name: greedy.slice.name,
            local: DirectorySlice.Cluster(
                name: own.name,
                prefixes: own.prefixes + [try #require(IPPrefix("10.80.3.128/25"))],
                addresses: own.addresses), others: greedy.slice.others)
        let east = try await lab.start("east", manifest: greedy)
        func record(_ name: String, _ address: String) throws -> EndpointRecord {
            EndpointRecord(
                key: AddressBook.Key(
                    try #require(NamespaceName("kafka")), try #require(EndpointName(name))),
                addresses: [try #require(IPAddress(address))])
        }
        let (good, bad) = (try record("good", "10.80.1.7"), try record("bad", "10.80.3.200"))
        east.service.setOwn(endpoints: [good, bad], services: [])
        let seen = try await west.view("east") { !$0.endpoints.isEmpty }
        #expect(seen.endpoints.keys.map(\.endpoint.text) == ["good"])
        let report = try await west.status { !$0.refusedClaims.isEmpty }
        let address = try #require(IPAddress("10.80.3.200"))
        #expect(
            report.refusedClaims == [DirectoryProblem(own.name, .claim(bad.key, .outside(address)))]
        )
        east.service.setOwn(endpoints: [good], services: [])
        _ = try await west.status { $0.refusedClaims.isEmpty }
        for running in [west, east] { await running.service.stop() }
    }

    @Test func silenceIsStaleAndAReturnIsFresh() async throws {
        let lab = try DirectoryLab()
        let west = try await lab.start("west")
        let east = try await lab.start("east")
        west.service.setOwn(endpoints: try DirectoryLab.endpoints("west", 2), services: [])
        _ = try await east.view("west") { $0.endpoints.count == 2 && $0.state == .fresh }
        let stored = try #require(await east.service.stored())
        await west.service.stop()
        _ = try await east.view("west") { view in
            if case .stale = view.state { view.endpoints.count == 2 } else { false }
        }
        let again = try await lab.start("west", incarnation: 2)
        again.service.setOwn(endpoints: try DirectoryLab.endpoints("west", 1), services: [])
        _ = try await east.view("west") { $0.endpoints.count == 1 && $0.state == .fresh }
        // What was stored is there before anybody has answered.
        await east.service.stop()
        await again.service.stop()
        let slice = try #require(SliceName("pay"))
        let reborn = try await lab.start(
            "east", incarnation: 2, restored: try DirectoryStore.decode(stored, of: slice))
        let old = try await reborn.view("west") { $0.endpoints.count == 2 }
        #expect(old.state != .fresh)
        await reborn.service.stop()
    }

    @Test func newerManifestsPassAndRefusedOnesDoNotComeBack() async throws {
        let lab = try DirectoryLab()
        let west = try await lab.start("west")
        let east = try await lab.start("east", version: 2)
        var manifests = west.manifests.makeAsyncIterator()
        let received = try #require(await manifests.next())
        #expect(received.version == 2)
        #expect(try received.document == DirectoryLab.manifest("east", version: 2).document)
        west.service.judge(received, isAccepted: false)
        let report = try await west.status { !$0.problems.isEmpty }
        #expect(report.problems.contains { $0.contains("version 2, that was refused") })
        // Another one is another matter.
        east.service.update(try DirectoryLab.manifest("east", version: 3))
        let north = try await lab.start("north", version: 3)
        let next = try #require(await manifests.next())
        #expect(next.version == 3)
        west.service.update(try DirectoryLab.manifest("west", version: 3))
        west.service.judge(next, isAccepted: true)
        _ = try await east.status { report in
            report.peers.first { $0.cluster.text == "west" }?.hasSameManifest == true
        }
        for running in [west, east, north] { await running.service.stop() }
    }

    @Test func anAddressThatIsNotThereIsWaitedFor() async throws {
        let lab = try DirectoryLab(without: "west")
        let west = try await lab.start("west")
        let east = try await lab.start("east")
        let report = try await west.status { !$0.problems.isEmpty }
        #expect(report.problems.first?.contains("not on the tunnel's device yet") == true)
        try lab.add("west")
        _ = try await west.status { $0.listening.count == 2 && $0.problems.isEmpty }
        east.service.setOwn(endpoints: try DirectoryLab.endpoints("east", 1), services: [])
        _ = try await west.view("east") { $0.endpoints.count == 1 && $0.state == .fresh }
        for running in [west, east] { await running.service.stop() }
    }

    @Test func strangersAndNonsenseAreCutOff() async throws {
        let lab = try DirectoryLab()
        let east = try await lab.start("east")
        _ = try await east.status { $0.listening.count == 2 }
        // From an address that is nobody's: closed without a word.
        #expect(try talk(lab, from: "127.0.0.1", [1, 2, 3]) == [])
        // From a gateway's: told why. A length beyond all bounds, and a hello that is none.
        for bytes: [UInt8] in [[255, 255, 255, 255], [0, 0, 0, 1, 8]] {
            let answer = try talk(lab, from: "10.80.3.1", bytes)
            #expect(answer.count > 5 && answer[4] == 11)
        }
        let report = try await east.status { !$0.problems.isEmpty }
        #expect(report.problems.contains { $0.contains("cluster west sends") })
        await east.service.stop()
    }

    /// What the directory of `east` says until it closes.
    private func talk(_ lab: DirectoryLab, from source: String, _ bytes: [UInt8]) throws -> [UInt8]
    {
        let fd = try lab.namespace.socket(AF_INET, Int32(SOCK_STREAM.rawValue))
        defer { close(fd) }
        func address(_ text: String, _ port: UInt16) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, text, &address.sin_addr)
            return address
        }
        func with(
            _ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
        ) -> Int32 {
            withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(
            fd, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        try #require(with(address(source, 0)) { bind(fd, $0, $1) } == 0)
        try #require(
            with(address("10.80.1.1", DirectoryPort.number)) { connect(fd, $0, $1) } == 0)
        _ = send(fd, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(fd, &buffer, buffer.count, 0)
            if count < 0, errno == EAGAIN { Issue.record("it does not close") }
            guard count > 0 else { return answer }
            answer += buffer[..<count]
        }
    }
}
