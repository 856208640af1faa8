import Addresses
import SliceDNS
import SliceModel
import Testing

// A slice of three clusters as the gateway of `west` sees it: `north` is nearest, `east` is
// farther, and `away` has not been heard of.

func name<Name: SliceModelName>(_ text: String) -> Name {
    guard let name = Name(text) else { preconditionFailure("\(text) is no \(Name.noun)") }
    return name
}

func globs(_ texts: String...) -> [Glob] { texts.compactMap { Glob($0) } }

func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) } }

func endpoint(_ namespace: String, _ endpoint: String, _ addresses: String...) -> EndpointRecord {
    EndpointRecord(
        key: AddressBook.Key(name(namespace), name(endpoint)),
        addresses: addresses.compactMap { IPAddress($0) })
}

func service(
    _ namespace: String, _ service: String, ports: [ServicePort] = [], importedBy: [Glob]? = nil,
    _ members: [(String, Bool)]
) -> ServiceRecord {
    ServiceRecord(
        key: ServiceRecord.Key(name(namespace), name(service)), ports: ports,
        importedBy: importedBy,
        members: members.map { ServiceRecord.Member(endpoint: name($0.0), isHealthy: $0.1) })
}

func port(_ text: String, _ number: UInt16) -> ServicePort {
    ServicePort(name: text, transport: .tcp, port: number)
}

let table = NameTable(
    slice: name("pay"), local: name("west"),
    clusters: [
        NameTable.Cluster(
            name("east"), rttMicroseconds: 90_000,
            overlayAddresses: addresses("10.80.3.1", "fd00:80:3::1"),
            endpoints: [
                endpoint("kafka", "broker-0", "10.80.3.2", "fd00:80:3::2"),
                endpoint("db", "one", "10.80.3.9"),
            ],
            services: [
                service("kafka", "kafka", ports: [port("broker", 9093)], [("broker-0", true)]),
                service("db", "db", importedBy: globs("nor*"), [("one", true)]),
            ]),
        NameTable.Cluster(
            name("away"), rttMicroseconds: 10, isStale: true,
            overlayAddresses: addresses("10.80.4.1"),
            endpoints: [endpoint("kafka", "broker-0", "10.80.4.2")],
            services: [
                service("kafka", "kafka", [("broker-0", true)]),
                service("kafka", "old", [("broker-0", true)]),
            ]),
        NameTable.Cluster(
            name("west"), overlayAddresses: addresses("10.80.1.1", "fd00:80:1::1"),
            endpoints: [
                endpoint("kafka", "broker-0", "10.80.1.2", "fd00:80:1::2"),
                endpoint("kafka", "broker-1", "10.80.1.3", "fd00:80:1::3"),
                endpoint("kafka", "broker-2", "10.80.1.4", "fd00:80:1::4"),
                endpoint("gateway", "odd", "10.80.1.5"),
            ],
            services: [
                service(
                    "kafka", "kafka", ports: [port("broker", 9092), port("Admin", 8080)],
                    [("broker-0", true), ("broker-1", false), ("broker-2", true)]),
                service("kafka", "sick", ports: [port("x", 1)], [("broker-1", false)]),
                service("kafka", "none", [("gone", true)]),
                service("gateway", "four", [("odd", true)]),
            ]),
        NameTable.Cluster(
            name("north"), rttMicroseconds: 20_000, overlayAddresses: addresses("10.80.2.1"),
            endpoints: [endpoint("kafka", "broker-0", "10.80.2.2", "fd00:80:2::2")],
            services: [
                service("kafka", "kafka", ports: [port("broker", 9092)], [("broker-0", true)])
            ]),
    ],
    prefixes: [IPPrefix("10.80.0.0/16"), IPPrefix("fd00:80::/32")].compactMap { $0 }, serial: 77)

let zone = SliceZone(table)

// MARK: Messages

/// `TYPE NAME` and words: `rd`, `edns`, `do`, `size=N`, `class=N`.
func query(_ text: String, id: UInt16 = 0x4711) -> [UInt8] {
    let words = text.split(separator: " ").map(String.init)
    let options = Set(words.dropFirst(2))
    var flags: UInt16 = 0
    if options.contains("rd") { flags |= Header.recursionDesired }
    if options.contains("cd") { flags |= Header.checkingDisabled }
    if options.contains("ad") { flags |= Header.authenticData }
    func number(_ prefix: String) -> UInt16? {
        options.first { $0.hasPrefix(prefix) }.flatMap { UInt16($0.dropFirst(prefix.count)) }
    }
    var edns: EDNS?
    if options.contains("edns") || options.contains("do") || number("size=") != nil {
        edns = EDNS(
            payloadBytes: number("size=") ?? 1232,
            flags: options.contains("do") ? EDNS.wantsSignatures : 0)
    }
    guard let asked = DomainName(words[1]) else { preconditionFailure("\(words[1]) is no name") }
    let message = Message(
        header: Header(id: id, flags: flags),
        questions: [
            Question(asked, type(words[0]), RecordClass(rawValue: number("class=") ?? 1))
        ], edns: edns)
    return message.encoded() ?? []
}

private func type(_ text: String) -> RecordType {
    let known: [RecordType] = [.a, .ns, .cname, .soa, .ptr, .hinfo, .mx, .txt, .aaaa, .srv, .any]
    if let type = (known + [.opt, .axfr, .ixfr]).first(where: { $0.description == text }) {
        return type
    }
    return RecordType(rawValue: UInt16(text.dropFirst(4)) ?? 0)
}

struct Answer {
    var message: Message
    var note: SliceZone.Note
    var bytes: [UInt8]
}

func answer(
    _ bytes: [UInt8], _ zone: SliceZone = zone,
    _ circumstances: SliceZone.Circumstances = SliceZone.Circumstances()
) throws -> Answer {
    let reaction = bytes.withUnsafeBytes { zone.answer($0, circumstances) }
    guard case .reply(let reply, let note) = reaction else {
        throw NotAReply(reaction: "\(reaction)")
    }
    let message = try reply.withUnsafeBytes { try Message(decoding: $0) }
    return Answer(message: message, note: note, bytes: reply)
}

struct NotAReply: Error { var reaction: String }

/// The code, the flags, and each record on a line of its own: `!` authority, `+` additional.
func text(_ answer: Answer) -> String {
    let header = answer.message.header
    var lines = ["\(answer.message.code)"]
    let flags: [(UInt16, String)] = [
        (Header.authoritative, "aa"), (Header.truncated, "tc"), (Header.recursionDesired, "rd"),
        (Header.recursionAvailable, "ra"), (Header.authenticData, "ad"),
        (Header.checkingDisabled, "cd"),
    ]
    for (flag, word) in flags where header.has(flag) { lines[0] += " \(word)" }
    if let edns = answer.message.edns {
        lines[0] += " edns=\(edns.payloadBytes)"
        if edns.flags & EDNS.wantsSignatures != 0 { lines[0] += " do" }
    }
    lines += answer.message.answers.map { text($0) }
    lines += answer.message.authority.map { "! " + text($0) }
    lines += answer.message.additional.map { "+ " + text($0) }
    return lines.joined(separator: "\n")
}

private func text(_ record: ResourceRecord) -> String {
    let data: String
    switch record.data {
    case .a(let address): data = "\(address)"
    case .aaaa(let address): data = "\(address)"
    case .ns(let target), .ptr(let target), .cname(let target): data = "\(target)"
    case .soa(let soa):
        data = "\(soa.primary) \(soa.mailbox) \(soa.serial) \(soa.minimum)"
    case .srv(let srv): data = "\(srv.priority) \(srv.weight) \(srv.port) \(srv.target)"
    case .opaque(let bytes): data = "\(bytes)"
    }
    return "\(record.owner) \(record.ttl) \(record.type) \(data)"
}

/// Seeded, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
