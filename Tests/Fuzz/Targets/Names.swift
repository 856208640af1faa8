import SliceDNS

extension FuzzTarget {
    static let names = [
        FuzzTarget(
            "dns-query", maximumBytes: 512, words: words, seeds: { DNSSeeds.queries }
        ) { DNSFuzz.query($0) },
        FuzzTarget(
            "dns-message", maximumBytes: 1024, words: words, seeds: { DNSSeeds.answers }
        ) { DNSFuzz.message($0) },
        FuzzTarget("dns-stream", maximumBytes: 1024, seeds: { [DNSSeeds.stream] }) {
            DNSFuzz.stream($0)
        },
    ]

    private static let words = [
        "\u{5}slice\u{5}local\0", "\u{3}svc", "\u{5}kafka", "\u{4}west", "\u{7}gateway", "\u{1}a",
        "\u{7}_broker", "\u{4}_tcp", "\u{7}in-addr\u{4}arpa\0", "\u{3}ip6\u{4}arpa\0",
        "\u{2}80\u{2}10", "\0\0)", "\0\u{1}\0\u{1}", "\0!\0\u{1}", "\0\u{C}\0\u{1}",
    ]
}

private enum DNSSeeds {
    static let asked: [(String, RecordType)] = [
        ("kafka.kafka.svc.slice.local", .a), ("A.West.kafka.kafka.svc.slice.local", .aaaa),
        ("_broker._tcp.kafka.kafka.svc.slice.local", .srv), ("b.kafka.east.slice.local", .any),
        ("hidden.kafka.svc.slice.local", .a), ("gateway.west.slice.local", .aaaa),
        ("slice.local", .soa), ("slice.local", .ns), ("slice.local", .axfr),
        ("2.1.80.10.in-addr.arpa", .ptr), ("80.10.in-addr.arpa", .soa), ("example.com", .a),
        (
            "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.0.8.0.0.0.0.d.f.ip6.arpa",
            .ptr
        ),
    ]

    static func query(_ name: String, _ type: RecordType, edns: EDNS?) -> [UInt8] {
        let message = Message(
            header: Header(id: 0x4711, flags: Header.recursionDesired),
            questions: [Question(DomainName(name) ?? .root, type)], edns: edns)
        return message.encoded() ?? []
    }

    static let queries = asked.flatMap { name, type in
        [nil, EDNS(payloadBytes: 1232, flags: EDNS.wantsSignatures)].map {
            query(name, type, edns: $0)
        }
    }

    /// What the zone answers to them.
    static let answers: [[UInt8]] = queries.compactMap { query in
        query.withUnsafeBytes { bytes in
            let reaction = DNSFuzz.zone.answer(bytes, SliceZone.Circumstances(isStream: true))
            guard case .reply(let reply, _) = reaction, reply.count <= 1024 else { return nil }
            return reply
        }
    }

    static let stream = queries.prefix(6).flatMap { MessageFramer.framed($0) }
}
