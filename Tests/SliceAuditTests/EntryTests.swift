import SliceAudit
import Testing
import Timing

struct EntryTests {
    @Test func aLineIsWhatTheDocumentationShows() {
        let entry = AuditEntry(
            sequence: 7, event: event(.flowRefused, "apps/web -> kafka/broker-0", "no \"policy\""),
            previous: AuditDigest(of: Array("before".utf8)))
        #expect(
            String(decoding: entry.line, as: UTF8.self) == """
                {"sequence":7,"time":"2026-11-23T22:00:00.123Z","kind":"flowRefused",\
                "slice":"payments","cluster":"west","subject":"apps/web -> kafka/broker-0",\
                "reason":"no \\"policy\\"","count":1,"previous":"\(entry.previous)"}
                """)
        #expect(AuditEntry(line: entry.line) == entry)
    }

    @Test(arguments: [
        (#"{"sequence":0"#, #"{"sequence":00"#), (#"{"sequence"#, #"{ "sequence"#),
        ("T22", "T24"), ("11-23", "02-30"), ("123Z", "123z"), ("genesis", "genesiz"),
        ("genesis", "started"), (#""slice":"""#, #""slice":"\n""#), ("\"count\":1", "\"count\":0"),
        ("\"count\":1", "\"count\":1.0"), ("000\"}", "000\"} "), ("000\"}", "001\"}"),
        ("000\"}", "00\"}"), (#""cluster":"w"#, #""cluster":"\w"#),
        (#""sequence":0"#, #""sequence":1"#), ("22:00:00", "22:00:60"),
        (#""reason":"""#, "\"reason\":\"\u{7f}\""), (#""reason":"""#, #""reason":"","more":"""#),
    ])
    func anotherFormIsNoEntry(_ old: String, _ new: String) throws {
        let line = String(decoding: lines(1)[0], as: UTF8.self)
        #expect(AuditEntry(line: Array(line.utf8)) != nil)
        let place = try #require(line.firstRange(of: old))
        let changed = line[..<place.lowerBound] + new + line[place.upperBound...]
        #expect(AuditEntry(line: Array(changed.utf8)) == nil, "\(changed)")
    }

    /// What a newer version writes is an entry for an older one.
    @Test func anyShortWordIsAKind() throws {
        for word in ["portRefused", "a", "x25519", String(repeating: "k", count: 32)] {
            let kind = try #require(AuditEvent.Kind(word))
            let entry = AuditEntry(
                sequence: 3, event: event(kind), previous: AuditDigest(of: [1]))
            #expect(AuditEntry(line: entry.line) == entry && !kind.isFolded)
        }
        for word in ["", "9a", "a-b", "a b", "é", "a\"", String(repeating: "k", count: 33)] {
            #expect(AuditEvent.Kind(word) == nil, "\(word)")
        }
        for kind in AuditEvent.Kind.known { #expect(AuditEvent.Kind(kind.word) == kind) }
        #expect(Set(AuditEvent.Kind.known).isSuperset(of: AuditEvent.Kind.refusals))
    }

    @Test func textsAreCleanAndShort() {
        let long = AuditEvent(
            .flowRefused, time: start, slice: String(repeating: "s", count: 100),
            subject: String(repeating: "\"", count: 4000) + "\n",
            reason: String(repeating: "é", count: 2000), count: 0)
        #expect(long.slice.utf8.count == 63 && long.slice.hasSuffix("s…"))
        #expect(long.subject.utf8.count == 512 && long.reason.utf8.count <= 1024)
        #expect(long.count == 1)
        let dirty = AuditEvent(.started, time: start, reason: "a\u{1b}[31m\nb\u{202e}")
        #expect(dirty.reason == "a?[31m?b?")
        for event in [long, dirty] {
            let line = AuditEntry(sequence: 1 << 53 - 1, event: event, previous: long.digest).line
            #expect(line.count <= AuditEvent.maximumLineBytes)
            #expect(AuditEntry(line: line)?.event == event)
        }
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_999, "2000-02-29T00:00:00.999Z"),
            (951_868_799_000, "2000-02-29T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (9_214_646_399_999, "2261-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func timesAreRFC3339(_ milliseconds: Int64, _ text: String) {
        let time = WallTime(nanosecondsSince1970: milliseconds * 1_000_000)
        #expect(AuditTime.text(time) == text)
        #expect(AuditTime.parse(text.utf8) == time)
    }

    @Test func everyDayComesBack() {
        for day in stride(from: Int64(0), to: 106_650, by: 1) {
            let time = WallTime(nanosecondsSince1970: day * 86_400_000_000_000)
            #expect(AuditTime.parse(AuditTime.text(time).utf8) == time)
        }
        #expect(AuditTime.text(WallTime(nanosecondsSince1970: -1)).hasPrefix("1970-01-01T00:00"))
        #expect(AuditTime.text(WallTime(nanosecondsSince1970: .max)).hasPrefix("2261-12-31T23:59"))
    }

    @Test func headsAreTexts() {
        let head = head(lines(3))
        #expect(AuditHead("\(head)") == head)
        for text in [
            "", ":", "1", "01:\(head.hash)", "+1:\(head.hash)", "1:\(head.hash)0",
            "1:\(String(repeating: "A", count: 64))", "9007199254740992:\(head.hash)",
            "1:\(head.hash):", " 1:\(head.hash)",
        ] { #expect(AuditHead(text) == nil, "\(text)") }
        #expect(AuditPaths.head("/a/audit.log") == "/a/audit.head")
        #expect(AuditPaths.head("/a/audit") == "/a/audit.head")
    }
}

extension AuditEvent {
    var digest: AuditDigest { AuditDigest(of: Array(reason.utf8)) }
}
