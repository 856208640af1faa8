import SliceDNS
import Testing

/// What comes in, byte by byte.
@Suite struct QueryTests {
    private static let asked: [UInt8] =
        [4] + Array("west".utf8) + [5] + Array("slice".utf8) + [5] + Array("local".utf8)
        + [0, 0, 1, 0, 1]

    private static func bytes(
        flags: [UInt8] = [0, 0], counts: [UInt8] = [1, 0, 0, 0], _ rest: [UInt8] = asked
    ) -> [UInt8] {
        [0x47, 0x11] + flags + counts.flatMap { [0, $0] } + rest
    }

    private static let opt: [UInt8] = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]

    private static let wrong: [(String, [UInt8], ResponseCode, Reason)] = [
        ("no question", bytes(counts: [0, 0, 0, 0], []), .formatError, .questions(0)),
        (
            "two questions (RFC 9619)", bytes(counts: [2, 0, 0, 0], asked + asked), .formatError,
            .questions(2)
        ),
        ("a count of 65535", bytes(counts: [1, 0, 0, 255]), .formatError, .malformed(.truncated)),
        ("nothing behind the header", bytes([]), .formatError, .malformed(.truncated)),
        ("no type", bytes(Array(asked.dropLast(3))), .formatError, .malformed(.truncated)),
        ("bytes behind", bytes(asked + [0]), .formatError, .malformed(.trailingBytes)),
        ("a label of kind 01", bytes([0x40] + asked), .formatError, .malformed(.badLabel)),
        ("a label of kind 10", bytes([0x80] + asked), .formatError, .malformed(.badLabel)),
        (
            "a pointer to itself", bytes([0xc0, 12, 0, 1, 0, 1]), .formatError,
            .malformed(.badPointer)
        ),
        (
            "a pointer ahead", bytes([0xc0, 14, 0, 0, 1, 0, 1]), .formatError,
            .malformed(.badPointer)
        ),
        (
            "a pointer into the header", bytes([1, 97, 0xc0, 4, 0, 1, 0, 1]), .formatError,
            .malformed(.badPointer)
        ),
        (
            "a pointer to the name that holds it", bytes([1, 97, 0xc0, 12, 0, 1, 0, 1]),
            .formatError, .malformed(.badPointer)
        ),
        (
            "half a pointer", bytes([1, 97, 0xc0]), .formatError, .malformed(.truncated)
        ),
        (
            "a name of 257 bytes",
            bytes(
                [UInt8](repeating: 0, count: 0)
                    + (0..<4).flatMap { _ in [63] + [UInt8](repeating: 97, count: 63) }
                    + [0, 0, 1, 0, 1]), .formatError, .malformed(.nameTooLong)
        ),
        (
            "answers in a query", bytes(counts: [1, 1, 0, 0], asked + opt), .formatError,
            .unexpectedRecords
        ),
        (
            "authority in a query", bytes(counts: [1, 0, 1, 0], asked + opt), .formatError,
            .unexpectedRecords
        ),
        (
            "two OPT records", bytes(counts: [1, 0, 0, 2], asked + opt + opt), .formatError,
            .malformed(.misplacedOption)
        ),
        (
            "an OPT record of a name", bytes(counts: [1, 0, 0, 1], asked + [1, 97] + opt),
            .formatError, .malformed(.misplacedOption)
        ),
        (
            "an OPT record that is cut", bytes(counts: [1, 0, 0, 1], asked + opt.dropLast()),
            .formatError, .malformed(.truncated)
        ),
        (
            "an option that is cut",
            bytes(counts: [1, 0, 0, 1], asked + opt.dropLast() + [5, 0, 3, 0, 9, 1]),
            .formatError, .malformed(.badOption)
        ),
        (
            "three bytes of options",
            bytes(counts: [1, 0, 0, 1], asked + opt.dropLast() + [3, 0, 3, 0]),
            .formatError, .malformed(.badOption)
        ),
        (
            "status", bytes(flags: [0x10, 0]), .notImplemented, .opcode(2)
        ),
        ("update", bytes(flags: [0x28, 0]), .notImplemented, .opcode(5)),
        ("notify", bytes(flags: [0x20, 0], []), .notImplemented, .opcode(4)),
        (
            "EDNS 1", bytes(counts: [1, 0, 0, 1], asked + [0, 0, 41, 16, 0, 0, 1, 0, 0, 0, 0]),
            .badVersion, .ednsVersion(1)
        ),
    ]

    @Test(arguments: wrong)
    func malformed(
        _ what: String, _ bytes: [UInt8], _ code: ResponseCode, _ reason: Reason
    ) throws {
        let answer = try answer(bytes)
        #expect(answer.message.code == code && answer.note.reason == reason)
        #expect(answer.message.header.id == 0x4711)
        #expect(answer.message.header.opcode == (bytes[2] >> 3) & 15)
        #expect(answer.message.answers.isEmpty && answer.message.authority.isEmpty)
        #expect((answer.message.edns != nil) == (code == .badVersion))
    }

    /// RFC 6891: what is not understood is passed over.
    @Test func optionsAndOtherRecordsAreIgnored() throws {
        let cookie: [UInt8] = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]
        let a: [UInt8] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        let answer = try answer(
            Self.bytes(
                counts: [1, 0, 0, 2], Self.asked + a + Self.opt.dropLast() + [12] + cookie))
        #expect(text(answer).hasPrefix("NOERROR aa edns=1232\n"))
    }

    /// Neither without a number to answer to, nor to answers.
    @Test func someAreNotAnswered() {
        func drop(_ bytes: [UInt8]) -> Drop? {
            let reaction = bytes.withUnsafeBytes { zone.answer($0, SliceZone.Circumstances()) }
            guard case .drop(let drop) = reaction else { return nil }
            return drop
        }
        for count in 0..<12 { #expect(drop(Array(Self.bytes().prefix(count))) == .tooShort) }
        #expect(drop(Self.bytes(flags: [0x80, 0])) == .notAQuery)
        #expect(drop(Self.bytes(flags: [0xa8, 5])) == .notAQuery)
    }

    @Test func everyPrefixOfAQueryIsAnsweredSomehow() throws {
        let whole = query("SRV _broker._tcp.kafka.kafka.svc.slice.local do")
        for count in 12..<whole.count {
            #expect(try answer(Array(whole.prefix(count))).message.code == .formatError)
        }
        #expect(try answer(whole).message.code == .noError)
    }

    /// Letters of either case, and no other bytes, are the same (RFC 4343).
    @Test func caseIsLettersOnly() throws {
        #expect(try answer(query("A WEST.sLiCe.LOCAL")).message.code == .noError)
        // `[` is `{` with bit 5 cleared; `\0` and ` ` likewise.
        let odd = Self.bytes([4, 119, 69, 115, 0x54 &+ 0x40] + Self.asked.dropFirst(5))
        #expect(try answer(odd).message.code == .nameError)
    }

    /// `xslice.local` and a label that ends like the zone lie outside.
    @Test func zonesBeginAtLabels() throws {
        let inside: [UInt8] =
            [13, 97] + [5] + Array("slice".utf8) + [5] + Array("local".utf8) + [0, 0, 1, 0, 1]
        #expect(try answer(Self.bytes(inside)).message.code == .refused)
    }
}
