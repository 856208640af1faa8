import Addresses
import SliceDirectory
import SliceModel
import Testing

@Suite struct MessageTests {
    static func decode(_ bytes: [UInt8]) throws -> [DirectoryMessage] {
        var decoder = DirectoryFrameDecoder()
        decoder.append(bytes)
        var messages: [DirectoryMessage] = []
        while let message = try decoder.next() { messages.append(message) }
        return messages
    }

    static func hex(_ text: String) -> [UInt8] {
        text.split(whereSeparator: \.isWhitespace).flatMap { word in
            stride(from: 0, to: word.utf8.count, by: 2).compactMap { at in
                let start = word.index(word.startIndex, offsetBy: at)
                return UInt8(word[start...].prefix(2), radix: 16)
            }
        }
    }

    @Test func everythingComesBack() throws {
        for message in try Sample.messages() {
            #expect(try Self.decode(message.frame) == [message])
        }
    }

    @Test(arguments: [1, 2, 3, 5, 7, 64, 1_000]) func dripByDrip(_ step: Int) throws {
        let messages = try Sample.messages()
        let bytes = messages.flatMap(\.frame)
        var decoder = DirectoryFrameDecoder()
        var seen: [DirectoryMessage] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            decoder.append(Array(bytes[start..<min(bytes.count, start + step)]))
            while let message = try decoder.next() { seen.append(message) }
            #expect(decoder.bufferedBytes < 70_000)
        }
        #expect(seen == messages)
        #expect(decoder.bufferedBytes == 0)
    }

    /// As Docs/Protocol.md shows them.
    @Test func theBytesAreThese() throws {
        let zeros = String(repeating: "00", count: 64)
        let facts = DirectoryFacts(manifestVersion: 7)
        let hello = DirectoryMessage.hello(
            DirectoryMessage.Hello(
                slice: try #require(SliceName("pay")), cluster: try #require(ClusterName("west")),
                incarnation: 5, knownIncarnation: 0, knownVersion: 0, facts: facts))
        #expect(
            hello.frame
                == Self.hex(
                    """
                    0000006f 01 534c4452 01 03706179 0477657374 0000000000000005
                    0000000000000000 0000000000000000 0000000000000007 \(zeros)
                    """))
        let record = try Sample.endpoint("kafka/b0", "10.80.1.2", labels: ["role": "broker"])
        let delta = DirectoryMessage.delta(
            DirectoryMessage.Delta(
                from: 12, to: 13, hasMore: false, changes: [.put(.endpoint(record, since: 13))]))
        #expect(
            delta.frame
                == Self.hex(
                    """
                    00000037 06 000000000000000c 000000000000000d 00
                    01 01 056b61666b61 026230 000000000000000d 01 0a500102
                    01 04726f6c65 0662726f6b6572
                    """))
        #expect(DirectoryMessage.manifestRequest.frame == Self.hex("00000001 08"))
    }

    /// Content of a frame, and what is said of it.
    static let malformed: [(String, WireProblem)] = [
        ("00", .unknownType(0)), ("0c", .unknownType(12)), ("03", .truncated),
        ("03 00000000000000", .truncated), ("03 000000000000000000", .trailing),
        ("08 00", .trailing), ("04 04", .unknownType(4)),
        // Names: empty, in upper case, with a dash at the end, damaged UTF-8, cut short.
        ("04 01 00 0161", .badName("namespace name")),
        ("04 01 0141 0161", .badName("namespace name")),
        ("04 01 0161 0261 2d", .badName("endpoint name")),
        ("04 01 0161 02c328", .badName("endpoint name")), ("04 01 0561", .truncated),
        // No address, an unknown family.
        ("04 01 0161 0162 0000000000000001 00", .badValue("set of address families")),
        ("04 01 0161 0162 0000000000000001 04", .badValue("set of address families")),
        ("04 01 0161 0162 0000000000000001 01 0a5001", .truncated),
        // Labels: too many, out of order, twice, malformed.
        ("04 01 0161 0162 0000000000000001 01 0a500102 11", .tooMany("labels")),
        (
            "04 01 0161 0162 0000000000000001 01 0a500102 02 0162 0163 0161 0163",
            .badValue("label")
        ),
        (
            "04 01 0161 0162 0000000000000001 01 0a500102 02 0162 0163 0162 0163",
            .badValue("label")
        ),
        ("04 01 0161 0162 0000000000000001 01 0a500102 01 0142 0163", .badValue("label")),
        // Services.
        ("04 02 0161 0162 41", .tooMany("ports")), ("04 02 0161 0162 01 00", .badName("port name")),
        ("04 02 0161 0162 01 0161 03 0001", .badValue("transport")),
        ("04 02 0161 0162 01 0161 00 0000", .badValue("port")),
        ("04 02 0161 0162 00 02", .badValue("list of importers")),
        ("04 02 0161 0162 00 01 0101", .tooMany("importers")),
        ("04 02 0161 0162 00 01 0001 0121", .badName("importer")),
        ("04 03 0161 0162 0163 02", .badValue("health")),
        // Deltas: backwards, neither put nor removed.
        ("06 0000000000000002 0000000000000001 00", .badValue("range of versions")),
        ("06 0000000000000001 0000000000000001 02", .badValue("continuation")),
        ("06 0000000000000001 0000000000000001 00 02", .badValue("change")),
        // Greetings.
        ("01 534c4453 01", .badValue("greeting")),
        ("01 534c4452 02", .badValue("protocol version")),
        ("0b 00", .badValue("refusal")), ("0b 01 0a", .badValue("text")),
        ("07 0000000000000001 8000000000000000", .badValue("manifest version")),
    ]

    @Test(arguments: malformed) func malformedFramesAreRefused(
        _ content: String, _ problem: WireProblem
    ) {
        let content = Self.hex(content)
        #expect(throws: problem) {
            try Self.decode([0, 0, 0, UInt8(content.count)] + content)
        }
    }

    @Test(arguments: [UInt32(0), 65_537, .max]) func lengthsAreBounded(_ length: UInt32) {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
        #expect(throws: WireProblem.frameLength(length)) { try Self.decode(bytes) }
    }

    @Test func textsOfRefusalsAreCutAndPrintable() throws {
        let message = DirectoryMessage.refusal(
            .slow, String(repeating: "x", count: 300) + "\u{1b}[31m")
        guard case .refusal(_, let text)? = try Self.decode(message.frame).first else {
            Issue.record("no refusal")
            return
        }
        #expect(text.utf8.count == 200)
        let escape = try Self.decode(DirectoryMessage.refusal(.slow, "\u{1b}[31m").frame)
        #expect(escape == [.refusal(.slow, "?[31m")])
    }
}
