import SliceDNS
import SliceModel
import Testing

private let soa = "gateway.west.slice.local. hostmaster.slice.local. 77 5"

/// Question, and the whole answer.
private let positives: [(String, String)] = [
    // Nearest first: local, then by round trip; unhealthy, stale and foreign members are left out.
    (
        "A kafka.kafka.svc.slice.local",
        """
        NOERROR aa
        kafka.kafka.svc.slice.local. 5 A 10.80.1.2
        kafka.kafka.svc.slice.local. 5 A 10.80.1.4
        kafka.kafka.svc.slice.local. 5 A 10.80.2.2
        kafka.kafka.svc.slice.local. 5 A 10.80.3.2
        """
    ),
    (
        "AAAA kafka.kafka.svc.slice.local rd",
        """
        NOERROR aa rd
        kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::2
        kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::4
        kafka.kafka.svc.slice.local. 5 AAAA fd00:80:2::2
        kafka.kafka.svc.slice.local. 5 AAAA fd00:80:3::2
        """
    ),
    // The question's spelling comes back.
    (
        "A BROKER-0.norTH.Kafka.kafka.SVC.slice.LOCAL",
        """
        NOERROR aa
        BROKER-0.norTH.Kafka.kafka.SVC.slice.LOCAL. 5 A 10.80.2.2
        """
    ),
    // A member's own name is there whether it is healthy, stale or neither.
    (
        "A broker-1.west.kafka.kafka.svc.slice.local",
        "NOERROR aa\nbroker-1.west.kafka.kafka.svc.slice.local. 5 A 10.80.1.3"
    ),
    (
        "A broker-0.away.kafka.kafka.svc.slice.local",
        "NOERROR aa\nbroker-0.away.kafka.kafka.svc.slice.local. 5 A 10.80.4.2"
    ),
    (
        "AAAA broker-0.kafka.east.slice.local",
        "NOERROR aa\nbroker-0.kafka.east.slice.local. 5 AAAA fd00:80:3::2"
    ),
    (
        "A gateway.east.slice.local",
        "NOERROR aa\ngateway.east.slice.local. 5 A 10.80.3.1"
    ),
    // A namespace called like the gateway takes nothing from it.
    (
        "AAAA gateway.west.slice.local",
        "NOERROR aa\ngateway.west.slice.local. 5 AAAA fd00:80:1::1"
    ),
    (
        "A odd.gateway.west.slice.local",
        "NOERROR aa\nodd.gateway.west.slice.local. 5 A 10.80.1.5"
    ),
    (
        "SRV _broker._tcp.kafka.kafka.svc.slice.local",
        """
        NOERROR aa
        _broker._tcp.kafka.kafka.svc.slice.local. 5 SRV 0 1 9092 \
        broker-0.west.kafka.kafka.svc.slice.local.
        _broker._tcp.kafka.kafka.svc.slice.local. 5 SRV 0 1 9092 \
        broker-2.west.kafka.kafka.svc.slice.local.
        _broker._tcp.kafka.kafka.svc.slice.local. 5 SRV 2 1 9092 \
        broker-0.north.kafka.kafka.svc.slice.local.
        _broker._tcp.kafka.kafka.svc.slice.local. 5 SRV 3 1 9093 \
        broker-0.east.kafka.kafka.svc.slice.local.
        + broker-0.west.kafka.kafka.svc.slice.local. 5 A 10.80.1.2
        + broker-0.west.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::2
        + broker-2.west.kafka.kafka.svc.slice.local. 5 A 10.80.1.4
        + broker-2.west.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::4
        + broker-0.north.kafka.kafka.svc.slice.local. 5 A 10.80.2.2
        + broker-0.north.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:2::2
        + broker-0.east.kafka.kafka.svc.slice.local. 5 A 10.80.3.2
        + broker-0.east.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:3::2
        """
    ),
    (
        "SRV _admin._TCP.kafka.kafka.svc.slice.local edns",
        """
        NOERROR aa edns=1232
        _admin._TCP.kafka.kafka.svc.slice.local. 5 SRV 0 1 8080 \
        broker-0.west.kafka.kafka.svc.slice.local.
        _admin._TCP.kafka.kafka.svc.slice.local. 5 SRV 0 1 8080 \
        broker-2.west.kafka.kafka.svc.slice.local.
        + broker-0.west.kafka.kafka.svc.slice.local. 5 A 10.80.1.2
        + broker-0.west.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::2
        + broker-2.west.kafka.kafka.svc.slice.local. 5 A 10.80.1.4
        + broker-2.west.kafka.kafka.svc.slice.local. 5 AAAA fd00:80:1::4
        """
    ),
    (
        "PTR 2.3.80.10.in-addr.arpa",
        "NOERROR aa\n2.3.80.10.in-addr.arpa. 5 PTR broker-0.kafka.east.slice.local."
    ),
    (
        "PTR 1.1.80.10.IN-ADDR.arpa",
        "NOERROR aa\n1.1.80.10.IN-ADDR.arpa. 5 PTR gateway.west.slice.local."
    ),
    (
        "PTR 2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.0.8.0.0.0.0.D.F.ip6.arpa",
        "NOERROR aa\n2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.0.8.0.0.0.0.D.F.ip6.arpa. "
            + "5 PTR broker-0.kafka.north.slice.local."
    ),
    ("SOA slice.local", "NOERROR aa\nslice.local. 5 SOA \(soa)"),
    (
        "NS slice.local",
        """
        NOERROR aa
        slice.local. 5 NS gateway.west.slice.local.
        + gateway.west.slice.local. 5 A 10.80.1.1
        + gateway.west.slice.local. 5 AAAA fd00:80:1::1
        """
    ),
    ("SOA 80.10.in-addr.arpa", "NOERROR aa\n80.10.in-addr.arpa. 5 SOA \(soa)"),
    // RFC 8482: a HINFO record with the text RFC8482.
    (
        "ANY kafka.kafka.svc.slice.local",
        "NOERROR aa\nkafka.kafka.svc.slice.local. 5 HINFO [7, 82, 70, 67, 56, 52, 56, 50, 0]"
    ),
    // DO comes back, and so does CD; nothing is signed, so AD does not.
    (
        "A gateway.west.slice.local do ad cd",
        "NOERROR aa cd edns=1232 do\ngateway.west.slice.local. 5 A 10.80.1.1"
    ),
]

private let negatives: [(String, ResponseCode, Reason)] = [
    ("A nobody.slice.local", .nameError, .noSuchName),
    ("A nobody.kafka.svc.slice.local", .nameError, .noSuchName),
    ("A kafka.nobody.svc.slice.local", .nameError, .noSuchName),
    ("A a.broker-0.kafka.east.slice.local", .nameError, .noSuchName),
    ("SRV _none._tcp.kafka.kafka.svc.slice.local", .nameError, .noSuchName),
    ("SRV _broker._udp.kafka.kafka.svc.slice.local", .nameError, .noSuchName),
    ("PTR 99.3.80.10.in-addr.arpa", .nameError, .noSuchName),
    ("PTR 1.2.3.80.10.in-addr.arpa", .nameError, .noSuchName),
    ("PTR 02.3.80.10.in-addr.arpa", .nameError, .noSuchName),
    ("PTR 256.3.80.10.in-addr.arpa", .nameError, .noSuchName),
    ("PTR x.80.10.in-addr.arpa", .nameError, .noSuchName),
    // It is there for north only.
    ("A db.db.svc.slice.local", .nameError, .notImported(.init(name("db"), name("db")))),
    ("ANY db.db.svc.slice.local", .nameError, .notImported(.init(name("db"), name("db")))),
    ("A one.east.db.db.svc.slice.local", .nameError, .noSuchName),
    ("A db.svc.slice.local", .nameError, .noSuchName),
    // RFC 8020: something is below.
    ("A svc.slice.local", .noError, .emptyName),
    ("A kafka.svc.slice.local", .noError, .emptyName),
    ("ANY kafka.svc.slice.local", .noError, .emptyName),
    ("A west.kafka.kafka.svc.slice.local", .noError, .emptyName),
    ("A _tcp.kafka.kafka.svc.slice.local", .noError, .emptyName),
    ("A west.slice.local", .noError, .emptyName),
    ("A kafka.west.slice.local", .noError, .emptyName),
    ("PTR 3.80.10.in-addr.arpa", .noError, .emptyName),
    // There, but not with this type.
    ("A slice.local", .noError, .noSuchType),
    ("TXT kafka.kafka.svc.slice.local", .noError, .noSuchType),
    ("SRV kafka.kafka.svc.slice.local", .noError, .noSuchType),
    ("A _broker._tcp.kafka.kafka.svc.slice.local", .noError, .noSuchType),
    ("MX broker-0.kafka.east.slice.local", .noError, .noSuchType),
    ("CNAME gateway.west.slice.local", .noError, .noSuchType),
    ("NS kafka.kafka.svc.slice.local", .noError, .noSuchType),
    ("A 2.3.80.10.in-addr.arpa", .noError, .noSuchType),
    ("AAAA gateway.north.slice.local", .noError, .noAddressOfFamily),
    ("AAAA four.gateway.svc.slice.local", .noError, .noAddressOfFamily),
    // A dead broker leaves the answer.
    (
        "A sick.kafka.svc.slice.local", .noError,
        .noHealthyMember(.init(name("kafka"), name("sick")), unhealthy: 1, stale: 0)
    ),
    (
        "SRV _x._tcp.sick.kafka.svc.slice.local", .noError,
        .noHealthyMember(.init(name("kafka"), name("sick")), unhealthy: 1, stale: 0)
    ),
    (
        "A old.kafka.svc.slice.local", .noError,
        .noHealthyMember(.init(name("kafka"), name("old")), unhealthy: 0, stale: 1)
    ),
    (
        "A none.kafka.svc.slice.local", .noError,
        .noMember(.init(name("kafka"), name("none")))
    ),
]

private let refused: [(String, ResponseCode, Reason)] = [
    ("A example.com rd", .refused, .outsideTheZone),
    ("A local", .refused, .outsideTheZone),
    ("NS .", .refused, .outsideTheZone),
    ("A xslice.local", .refused, .outsideTheZone),
    ("PTR 1.1.168.192.in-addr.arpa", .refused, .outsideTheZone),
    ("PTR 10.in-addr.arpa", .refused, .outsideTheZone),
    ("AXFR slice.local", .refused, .transfer),
    ("IXFR slice.local", .refused, .transfer),
    ("TXT version.bind class=3", .refused, .notInternet(.chaos)),
    ("A kafka.kafka.svc.slice.local class=4", .refused, .notInternet(.init(rawValue: 4))),
    ("A kafka.kafka.svc.slice.local class=255", .refused, .notInternet(.init(rawValue: 255))),
    ("TYPE250 slice.local", .refused, .metaType(.init(rawValue: 250))),
    ("TYPE253 slice.local", .refused, .metaType(.init(rawValue: 253))),
    ("TYPE0 slice.local", .refused, .metaType(.init(rawValue: 0))),
    ("OPT slice.local", .formatError, .metaType(.opt)),
]

@Suite struct AnswerTests {
    @Test(arguments: positives)
    func positive(_ asked: String, _ expected: String) throws {
        let answer = try answer(query(asked))
        #expect(text(answer) == expected)
        #expect(answer.message.header.id == 0x4711)
    }

    /// RFC 2308: each with the SOA record of its zone, and nothing else.
    @Test(arguments: negatives)
    func negative(_ asked: String, _ code: ResponseCode, _ reason: Reason) throws {
        let answer = try answer(query(asked))
        #expect(answer.message.code == code && answer.note.code == code)
        #expect(answer.note.reason == reason)
        #expect(answer.message.header.has(Header.authoritative))
        let top = asked.hasSuffix("arpa") ? "80.10.in-addr.arpa." : "slice.local."
        #expect(answer.message.answers.isEmpty && answer.message.additional.isEmpty)
        #expect(answer.message.authority.map { $0.owner.description } == [top])
        #expect(answer.message.authority.map(\.type) == [.soa])
        #expect(answer.message.authority.map(\.ttl) == [5])
    }

    @Test(arguments: refused)
    func refusal(_ asked: String, _ code: ResponseCode, _ reason: Reason) throws {
        let answer = try answer(query(asked))
        #expect(answer.message.code == code && answer.note.reason == reason)
        #expect(!answer.message.header.has(Header.authoritative))
        #expect(answer.message.answers.isEmpty && answer.message.authority.isEmpty)
    }

    @Test func membersGoRoundInTheirCluster() throws {
        func first(_ rotation: UInt32) throws -> [String] {
            let answer = try answer(
                query("A kafka.kafka.svc.slice.local"), zone,
                SliceZone.Circumstances(rotation: rotation))
            return text(answer).split(separator: "\n").dropFirst()
                .compactMap { $0.split(separator: " ").last.map(String.init) }
        }
        #expect(try first(0) == ["10.80.1.2", "10.80.1.4", "10.80.2.2", "10.80.3.2"])
        #expect(try first(1) == ["10.80.1.4", "10.80.1.2", "10.80.2.2", "10.80.3.2"])
        #expect(try first(.max) == ["10.80.1.4", "10.80.1.2", "10.80.2.2", "10.80.3.2"])
    }

    @Test func othersAreAskedOnlyWhereThatIsWanted() throws {
        func reaction(_ text: String, forwards: Bool) -> SliceZone.Reaction {
            query(text).withUnsafeBytes {
                zone.answer($0, SliceZone.Circumstances(forwards: forwards))
            }
        }
        guard case .forward(let asked) = reaction("A Example.com rd", forwards: true) else {
            Issue.record("not forwarded")
            return
        }
        #expect(asked.name.description == "Example.com." && asked.type == .a)
        for text in ["A example.com", "A nobody.slice.local rd", "AXFR example.com rd"] {
            guard case .reply(_, let note) = reaction(text, forwards: true) else {
                Issue.record("\(text) was forwarded")
                continue
            }
            #expect(note.code != .noError)
        }
        // Recursion is available to those who ask for what is ours, too.
        let ours = try answer(
            query("A gateway.west.slice.local rd"), zone,
            SliceZone.Circumstances(forwards: true))
        #expect(text(ours).hasPrefix("NOERROR aa rd ra\n"))
    }

    /// RFC 8914: what the one who asks cannot know, in words; only if he speaks EDNS.
    @Test func reasonsAreTold() throws {
        let told = try answer(query("A sick.kafka.svc.slice.local edns"))
        let option = try #require(told.message.edns?.options.first)
        #expect(option.code == EDNS.extendedError && option.data.prefix(2) == [0, 0])
        let words = String(decoding: option.data.dropFirst(2), as: UTF8.self)
        #expect(words.hasPrefix("service kafka/sick has no healthy member: 1 fail"))
        #expect(try answer(query("A sick.kafka.svc.slice.local")).message.edns == nil)
        // Not that there is something for others.
        let hidden = try answer(query("A db.db.svc.slice.local edns"))
        #expect(hidden.message.edns?.options.isEmpty == true)
    }
}
