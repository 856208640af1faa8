import Addresses
import SliceDNS
import SliceModel
import Testing

@Suite struct ZoneTests {
    private func long(_ letter: String) -> String { String(repeating: letter, count: 63) }

    private func clusterOf(
        _ cluster: String, rtt: UInt64? = nil, _ endpoints: [EndpointRecord],
        _ services: [ServiceRecord]
    ) -> NameTable.Cluster {
        NameTable.Cluster(
            name(cluster), rttMicroseconds: rtt, endpoints: endpoints, services: services)
    }

    private func lines(_ asked: String, _ zone: SliceZone, isStream: Bool = true) throws -> [String]
    {
        let circumstances = SliceZone.Circumstances(isStream: isStream)
        return try text(answer(query(asked), zone, circumstances)).split(separator: "\n")
            .map(String.init)
    }

    @Test func distanceIsLocalThenMeasuredThenByName() throws {
        func one(_ cluster: String, _ rtt: UInt64?, _ address: String) -> NameTable.Cluster {
            clusterOf(
                cluster, rtt: rtt, [endpoint("n", "e", address)], [service("n", "s", [("e", true)])]
            )
        }
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), local: name("m"),
                clusters: [
                    one("z", nil, "10.0.0.5"), one("b", 7, "10.0.0.3"), one("y", nil, "10.0.0.4"),
                    one("a", 7, "10.0.0.2"), one("m", 900, "10.0.0.1"),
                ]))
        let found = try lines("A s.n.svc.slice.local", zone).dropFirst()
            .compactMap { $0.split(separator: " ").last.map(String.init) }
        #expect(found == (1...5).map { "10.0.0.\($0)" })
    }

    /// `svc` belongs to the services. The manifest refuses such a cluster; if one is there all
    /// the same, nothing else suffers.
    @Test func aClusterCalledSvcHasNoNames() throws {
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), local: name("west"),
                clusters: [
                    clusterOf(
                        "svc", [endpoint("n", "s", "10.0.0.1")],
                        [service("n", "s", [("s", true)])]),
                    clusterOf(
                        "west", [endpoint("n", "e", "10.0.0.2")],
                        [service("n", "s", [("e", true)])]),
                ], prefixes: [IPPrefix("10.0.0.0/8")].compactMap { $0 }))
        #expect(
            try lines("A s.n.svc.slice.local", zone)
                == ["NOERROR aa", "s.n.svc.slice.local. 5 A 10.0.0.2"])
        #expect(try lines("PTR 1.0.0.10.in-addr.arpa", zone).first == "NXDOMAIN aa")
        #expect(zone.omissions.count == 2 && zone.omissions[0].contains("called svc"))
    }

    /// Four labels of 63 do not fit in front of `svc.slice.local`.
    @Test func namesThatWouldBeTooLongGiveWayToTheOtherForm() throws {
        let (e, c, s, n) = (long("e"), long("c"), long("s"), long("n"))
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), local: name(c),
                clusters: [
                    clusterOf(
                        c, [endpoint(n, e, "10.0.0.1")],
                        [service(n, s, ports: [port("p", 9)], [(e, true)])])
                ], prefixes: [IPPrefix("10.0.0.0/8")].compactMap { $0 }))
        let host = "\(e).\(n).\(c).slice.local."
        #expect(try lines("A \(s).\(n).svc.slice.local", zone).last?.hasSuffix(" 10.0.0.1") == true)
        #expect(try lines("A \(host)", zone).last == "\(host) 5 A 10.0.0.1")
        #expect(try lines("PTR 1.0.0.10.in-addr.arpa", zone).last?.hasSuffix(" \(host)") == true)
        let servers = try lines("SRV _p._tcp.\(s).\(n).svc.slice.local", zone)
        #expect(servers[1].hasSuffix("0 1 9 \(host)") && servers[2] == "+ \(host) 5 A 10.0.0.1")
        #expect(zone.omissions.count == 1)
    }

    @Test func oddTablesDoNoHarm() throws {
        let twice = service("n", "s", [("e", true), ("e", true)])
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), local: name("west"),
                clusters: [
                    clusterOf(
                        "west",
                        [
                            endpoint("n", "e", "10.0.0.1"), endpoint("n", "e", "10.0.0.1"),
                            endpoint("n", "f"),
                        ], [twice, twice]),
                    clusterOf("west", [endpoint("n", "e", "10.0.0.1")], [twice]),
                    clusterOf("east", [endpoint("n", "e", "10.0.0.1")], []),
                ], prefixes: [IPPrefix("10.0.0.0/8")].compactMap { $0 }))
        #expect(try lines("A s.n.svc.slice.local", zone).first == "NOERROR aa")
        #expect(try lines("A f.n.west.slice.local", zone).first == "NOERROR aa")
        // Two claim it: the nearest has it.
        #expect(
            try lines("PTR 1.0.0.10.in-addr.arpa", zone).last?.hasSuffix(" e.n.west.slice.local.")
                == true)
        let empty = SliceZone(NameTable(slice: name("pay"), local: name("west")))
        #expect(try lines("A svc.slice.local", empty).first == "NOERROR aa")
        #expect(try lines("NS slice.local", empty).count == 2)
        #expect(try lines("PTR 1.0.0.10.in-addr.arpa", empty).first == "REFUSED")
    }

    @Test func otherZonesAndPrefixes() throws {
        let other = try #require(ZoneName("pay.example.internal"))
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), zone: other, local: name("west"),
                clusters: [
                    clusterOf("west", [endpoint("n", "e", "10.1.17.3", "fd12:3450::7")], [])
                ],
                prefixes: ["10.1.16.0/20", "10.9.9.9/32", "fd12:3450::/29"]
                    .compactMap { IPPrefix($0) }))
        #expect(
            try lines("A e.n.west.pay.example.internal", zone)
                == ["NOERROR aa", "e.n.west.pay.example.internal. 5 A 10.1.17.3"])
        #expect(try lines("A e.n.west.slice.local", zone) == ["REFUSED"])
        // A prefix that ends within an octet: zones are as wide as whole octets.
        #expect(
            try lines("PTR 3.17.1.10.in-addr.arpa", zone).last
                == "3.17.1.10.in-addr.arpa. 5 PTR e.n.west.pay.example.internal.")
        #expect(
            try lines("PTR 9.17.1.10.in-addr.arpa", zone)[1].hasPrefix("! 17.1.10.in-addr.arpa. "))
        #expect(try lines("PTR 9.32.1.10.in-addr.arpa", zone) == ["REFUSED"])
        #expect(try lines("SOA 17.1.10.in-addr.arpa", zone).first == "NOERROR aa")
        #expect(try lines("PTR 1.10.in-addr.arpa", zone) == ["REFUSED"])
        #expect(try lines("PTR 9.9.9.10.in-addr.arpa", zone).first == "NXDOMAIN aa")
        let nibbles = "7" + String(repeating: ".0", count: 23) + ".0.5.4.3.2.1.d.f.ip6.arpa"
        #expect(
            try lines("PTR \(nibbles)", zone).last?.hasSuffix("e.n.west.pay.example.internal.")
                == true)
    }

    @Test func zoneNames() {
        #expect(ZoneName.standard.description == "slice.local")
        #expect(ZoneName("a-1.b")?.description == "a-1.b")
        let wrong = [
            "", ".", "a.", ".a", "a..b", "A.b", "a_b.c", "-a.b", "a-.b", "10.in-addr.arpa", "arpa",
            String(repeating: "a.", count: 31) + "b",
        ]
        for text in wrong { #expect(ZoneName(text) == nil, "\(text)") }
    }

    /// What a member's name would need is bounded by what a name may be, and so is an answer.
    @Test func manyMembers() throws {
        let all = (0..<2_000).map { number in
            endpoint("n", "e\(number)", "10.0.\(number / 250).\(number % 250)")
        }
        let zone = SliceZone(
            NameTable(
                slice: name("pay"), local: name("west"),
                clusters: [
                    clusterOf(
                        "west", all,
                        [
                            service(
                                "n", "s", ports: [port("p", 1)],
                                all.map { ($0.key.endpoint.text, true) })
                        ])
                ]))
        #expect(try lines("A s.n.svc.slice.local", zone).count == 1 + SliceZone.maximumMembers)
        let servers = try answer(
            query("SRV _p._tcp.s.n.svc.slice.local"), zone,
            SliceZone.Circumstances(isStream: true, rotation: 7))
        #expect(servers.message.answers.count == SliceZone.maximumMembers)
        #expect(servers.message.additional.count == SliceZone.maximumMembers)
        #expect(!servers.message.header.has(Header.truncated))
        // A datagram: what fits, whole records, and the word that there is more.
        for (words, limit) in [("", 512), (" size=100", 512), (" size=800", 800), (" edns", 1232)] {
            let cut = try answer(query("A s.n.svc.slice.local" + words), zone)
            #expect(cut.bytes.count <= limit && cut.bytes.count > limit - 40)
            #expect(cut.message.header.has(Header.truncated) && cut.note.isTruncated)
            #expect(cut.message.answers.count > 20)
            let cutServers = try answer(query("SRV _p._tcp.s.n.svc.slice.local" + words), zone)
            #expect(cutServers.bytes.count <= limit && cutServers.note.isTruncated)
        }
        let large = try answer(query("A s.n.svc.slice.local size=65535"), zone)
        #expect(large.bytes.count <= 1232)
    }
}
