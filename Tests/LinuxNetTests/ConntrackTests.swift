import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it looks at connections in namespaces of its own"))
struct ConntrackTests {
    private static let rules = """
        table inet t {
            chain out {
                type filter hook output priority filter
                meta l4proto udp ct mark set 17
                meta l4proto tcp ct mark set 0x80000006
            }
        }
        """

    private func tracked() throws -> (Conntrack, Traffic) {
        let namespace = try NetworkNamespace.anonymous()
        try Nftables(in: namespace).apply(Self.rules)
        try Sysctl.write("net/netfilter/nf_conntrack_acct", "1", in: namespace)
        return (try Conntrack(in: namespace), Traffic(in: namespace))
    }

    private func tuple(
        _ from: String, _ to: String, _ number: UInt8, _ detail: ConnectionTuple.Detail
    ) throws -> ConnectionTuple {
        ConnectionTuple(
            from: try #require(IPAddress(from)), to: try #require(IPAddress(to)),
            protocolNumber: number, detail)
    }

    private func entry(
        _ conntrack: Conntrack, _ original: ConnectionTuple
    ) throws -> ConnectionEntry? {
        try conntrack.entries().entries.first { $0.original == original }
    }

    @Test func nothingIsTrackedWithoutRules() throws {
        let conntrack = try Conntrack(in: .anonymous())
        #expect(try conntrack.entries() == Conntrack.Listing())
        #expect(try conntrack.usage().entries == 0)
        #expect(try conntrack.usage().maximum > 0)
        #expect(try conntrack.statistics() == Conntrack.Statistics())
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func datagrams(_ address: String) throws {
        let (conntrack, traffic) = try tracked()
        let (server, client) = (try traffic.udp(address), try traffic.udp(address))
        try traffic.send(client.fd, [1, 2, 3], to: address, port: server.port)
        #expect(Traffic.receive(server.fd) == [1, 2, 3])
        let original = try tuple(
            address, address, 17, .ports(source: client.port, destination: server.port))
        let asked = try #require(try entry(conntrack, original))
        #expect(asked.mark == 17 && asked.tcpState == nil && asked.zone == 0)
        #expect(!asked.status.contains(.seenReply) && asked.status.contains(.confirmed))
        let head: UInt64 = address.contains(":") ? 48 : 28
        #expect(asked.originalCounter == Nftables.Counter(packets: 1, bytes: head + 3))
        #expect(asked.replyCounter == Nftables.Counter(packets: 0, bytes: 0))
        #expect((1...30).contains(try #require(asked.timeoutSeconds)))

        try traffic.send(server.fd, [4], to: address, port: client.port)
        #expect(Traffic.receive(client.fd) == [4])
        let answered = try #require(try entry(conntrack, original))
        #expect(answered.status.contains(.seenReply) && !answered.status.contains(.assured))
        #expect(answered.replyCounter == Nftables.Counter(packets: 1, bytes: head + 1))
        #expect(answered.id == asked.id && answered.id != nil)
        let reply = try tuple(
            address, address, 17, .ports(source: server.port, destination: client.port))
        #expect(answered.reply == reply)
        #expect(try conntrack.usage().entries == 1)
    }

    @Test func connectionsAndEchoes() throws {
        let (conntrack, traffic) = try tracked()
        let ports = try traffic.tcp("127.0.0.1")
        let stream = try #require(
            try entry(
                conntrack,
                try tuple(
                    "127.0.0.1", "127.0.0.1", 6,
                    .ports(source: ports.source, destination: ports.destination))))
        #expect(stream.status.isSuperset(of: [.assured, .seenReply, .confirmed]))
        #expect(stream.mark == 0x8000_0006 && stream.tcpState == .established)

        try traffic.icmp(type: 8, identifier: 0x1234, to: "127.0.0.1")
        let ping = try tuple(
            "127.0.0.1", "127.0.0.1", 1,
            .echo(ConnectionTuple.Echo(identifier: 0x1234, type: 8)))
        let echo = try #require(try entry(conntrack, ping))
        #expect(echo.reply.detail == .echo(ConnectionTuple.Echo(identifier: 0x1234, type: 0)))
        #expect(echo.mark == 0 && echo.status.contains(.seenReply))
        #expect(ping.description == "icmp 127.0.0.1 -> 127.0.0.1 id 4660")
        try conntrack.delete(ping)
        #expect(try entry(conntrack, ping) == nil)
        #expect(try conntrack.entries().entries.map(\.original) == [stream.original])

        // An answer that nobody asked for belongs to no connection.
        let before = try conntrack.statistics()
        try traffic.icmp(type: 0, identifier: 7, to: "127.0.0.1")
        #expect(try conntrack.statistics().invalid > before.invalid)
    }

    @Test func entriesAreDeletedOneByOne() throws {
        let (conntrack, traffic) = try tracked()
        let server = try traffic.udp("::1")
        let clients = try (0..<3).map { _ in try traffic.udp("::1") }
        for client in clients { try traffic.send(client.fd, [0], to: "::1", port: server.port) }
        let entries = try conntrack.entries().entries
        #expect(entries.count == 3)
        try conntrack.delete(entries[1])
        #expect(
            Set(try conntrack.entries().entries.map(\.original))
                == [entries[0].original, entries[2].original])
        let gone = failure { try conntrack.delete(entries[1]) }
        #expect(gone?.errno == ENOENT && gone?.isAbsent == true)
        #expect(
            gone?.description.hasPrefix(
                "cannot delete connection \(entries[1].original) in namespace ") == true)
        var other = entries[0]
        other.id = other.id.map { $0 ^ 1 }
        #expect(failure { try conntrack.delete(other) }?.errno == ENOENT)
        #expect(try conntrack.usage().entries == 2)
        var mixed = entries[0].original
        mixed.source = try #require(IPAddress("10.0.0.1"))
        #expect(failure { try conntrack.delete(mixed) }?.errno == EINVAL)
        // It is a new connection for the rules.
        let again = clients.first { $0.port == entries[1].original.sourcePort }
        try traffic.send(try #require(again).fd, [0], to: "::1", port: server.port)
        #expect(try conntrack.usage().entries == 3)
    }

    @Test func listingsAreBounded() throws {
        let (conntrack, traffic) = try tracked()
        let client = try traffic.udp("127.0.0.1")
        for port in UInt16(2_000)..<2_600 {
            try traffic.send(client.fd, [0], to: "127.0.0.1", port: port)
        }
        // Nobody listens: each is answered by an ICMP error, which belongs to the connection.
        let some = try conntrack.entries(limit: 20)
        #expect(some.entries.count == 20 && some.isCutOff)
        let all = try conntrack.entries(limit: 600)
        #expect(all.entries.count == 600 && !all.isCutOff)
        #expect(
            Set(all.entries.compactMap(\.original.destinationPort)) == Set(2_000..<2_600))
        #expect(try conntrack.entries(mark: 17).entries.count == 600)
        #expect(try conntrack.entries(mark: 16).entries.isEmpty)
        #expect(try conntrack.entries(limit: 0).isCutOff)
        #expect(try conntrack.usage().entries == 600)
    }
}
