import KafkaWire
import NIOCore
import Testing

@Suite struct PrimitiveTests {
    @Test(arguments: [
        (UInt32(0), "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (16383, "ff7f"),
        (16384, "808001"), (.max, "ffffffff0f"),
    ])
    func unsignedVarints(value: UInt32, hex: String) throws {
        var writer = WireWriter()
        writer.unsignedVarint(value)
        #expect(writer.finishInOneBuffer() == buffer(hex))
        var reader = WireReader(buffer(hex))
        #expect(try reader.unsignedVarint() == value)
    }

    @Test(arguments: [
        (Int64(0), "00"), (-1, "01"), (1, "02"), (-64, "7f"), (64, "8001"),
        (Int64(Int32.max), "feffffff0f"), (.max, "feffffffffffffffff01"),
        (.min, "ffffffffffffffffff01"),
    ])
    func zigzag(value: Int64, hex: String) throws {
        var writer = WireWriter()
        writer.varlong(value)
        #expect(writer.finishInOneBuffer() == buffer(hex))
        var reader = WireReader(buffer(hex))
        #expect(try reader.varlong() == value)
        guard let small = Int32(exactly: value) else { return }
        var again = WireReader(buffer(hex))
        #expect(try again.varint() == small)
        var short = WireWriter()
        short.varint(small)
        #expect(short.finishInOneBuffer() == buffer(hex))
    }

    @Test func varintsEnd() {
        #expect(throws: WireError.varintTooLong(at: 0)) {
            var reader = WireReader(buffer("8080808080 00"))
            _ = try reader.unsignedVarint()
        }
        #expect(throws: WireError.varintTooLong(at: 0)) {
            var reader = WireReader(buffer("80808080808080808080 00"))
            _ = try reader.unsignedVarlong()
        }
    }

    /// What a text is in both encodings.
    @Test(arguments: [
        ("", "0000", "01"), ("a", "0001 61", "02 61"), ("é", "0002 c3a9", "03 c3a9"),
        (nil, "ffff", "00"),
    ])
    func strings(text: String?, plain: String, compact: String) throws {
        for (flexible, hex) in [(false, plain), (true, compact)] {
            var writer = WireWriter()
            writer.flexible = flexible
            writer.nullableString(text)
            #expect(writer.finishInOneBuffer() == buffer(hex))
            var reader = WireReader(buffer(hex))
            reader.flexible = flexible
            #expect(try reader.nullableString(true) == text)
        }
    }

    /// Lengths that lie. A count of elements is held against the bytes that are left.
    @Test(arguments: [
        ("fffe", false, WireError.invalidLength(-2, at: 0)),
        ("ffff", false, .unexpectedNull(at: 2)),
        ("0002 61", false, .truncated(needed: 2, left: 1, at: 2)),
        ("0001 ff", false, .notUTF8(at: 2)),
        ("0003 eda080", false, .notUTF8(at: 2)),
        ("00", true, .unexpectedNull(at: 1)),
        ("03 61", true, .truncated(needed: 2, left: 1, at: 1)),
        ("818002", true, .invalidLength(32768, at: 0)),
        ("ffffffff0f", true, .invalidLength(0xffff_fffe, at: 0)),
    ])
    func badStrings(hex: String, flexible: Bool, error: WireError) {
        #expect(throws: error) {
            var reader = WireReader(buffer(hex))
            reader.flexible = flexible
            _ = try reader.string()
        }
    }

    @Test(arguments: [
        ("7fffffff", false, WireError.truncated(needed: 4 * 0x7fff_ffff, left: 0, at: 4)),
        ("00000002 00000000", false, .truncated(needed: 8, left: 4, at: 4)),
        ("fffffffe", false, .invalidLength(-2, at: 0)),
        ("ffffffff", false, .unexpectedNull(at: 4)),
        ("ffffffff0f", true, .truncated(needed: 4 * 0xffff_fffe, left: 0, at: 5)),
    ])
    func badArrays(hex: String, flexible: Bool, error: WireError) {
        #expect(throws: error) {
            var reader = WireReader(buffer(hex))
            reader.flexible = flexible
            _ = try reader.int32s() as [Int32]
        }
    }

    @Test func moreTagsThanBytes() {
        #expect(throws: WireError.truncated(needed: 4, left: 3, at: 1)) {
            var reader = WireReader(buffer("02 000000"))
            reader.flexible = true
            try reader.skipTags()
        }
        #expect(throws: WireError.truncated(needed: 5, left: 0, at: 3)) {
            var reader = WireReader(buffer("01 00 05"))
            reader.flexible = true
            try reader.skipTags()
        }
    }

    @Test func textsOfOursAreCutAtACharacter() throws {
        var writer = WireWriter()
        writer.string(String(repeating: "é", count: 20_000))
        var reader = WireReader(writer.finishInOneBuffer())
        let text = try reader.string()
        #expect(text == String(repeating: "é", count: 16_383))
        #expect(reader.remaining == 0)
    }

    @Test func numbers() throws {
        var writer = WireWriter()
        writer.int8(-2)
        writer.uint16(65535)
        writer.int64(.min)
        writer.float64(-0.5)
        writer.bool(true)
        writer.uuid(KafkaUUID(high: 1, low: 2))
        writer.errorCode(.notLeaderOrFollower)
        let bytes = writer.finishInOneBuffer()
        #expect(
            bytes
                == buffer(
                    "fe ffff 8000000000000000 bfe0000000000000 01"
                        + "0000000000000001 0000000000000002 0006"))
        var reader = WireReader(bytes)
        #expect(try reader.int8() == -2)
        #expect(try reader.uint16() == 65535)
        #expect(try reader.int64() == .min)
        #expect(try reader.float64() == -0.5)
        #expect(try reader.bool())
        #expect(try reader.uuid() == KafkaUUID(high: 1, low: 2))
        #expect(try reader.errorCode() == .notLeaderOrFollower)
        #expect(reader.remaining == 0)
    }

    /// Texts as Java's URL-safe encoder without padding gives them.
    @Test(arguments: [
        (KafkaUUID.zero, "AAAAAAAAAAAAAAAAAAAAAA"),
        (.clusterMetadata, "AAAAAAAAAAAAAAAAAAAAAQ"),
        (KafkaUUID(high: .max, low: .max), "_____________________w"),
        (
            KafkaUUID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210),
            "ASNFZ4mrze_-3LqYdlQyEA"
        ),
    ])
    func identifiers(id: KafkaUUID, text: String) {
        #expect(id.description == text)
        #expect(KafkaUUID(text) == id)
    }

    @Test(arguments: [
        "", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAR",
        "AAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAA+AAAAAAAAAAA",
    ])
    func noIdentifiers(text: String) {
        #expect(KafkaUUID(text) == nil)
    }

    @Test func identifiersAreOrderedAsJavaOrdersThem() {
        let negative = KafkaUUID(high: 1 << 63, low: 0)
        #expect(negative < .zero)
        #expect(KafkaUUID.zero < .clusterMetadata)
        #expect(KafkaUUID(high: 0, low: 1 << 63) < .zero)
    }

    @Test func errorsHaveKafkasNames() {
        #expect(ErrorCode.none.description == "NONE")
        #expect(ErrorCode.unknownServerError.rawValue == -1)
        #expect(ErrorCode.unknownServerError.description == "UNKNOWN_SERVER_ERROR")
        #expect(ErrorCode(rawValue: 35) == .unsupportedVersion)
        #expect(ErrorCode.positionOutOfRange.rawValue == 99)
        #expect(ErrorCode.rebootstrapRequired.description == "REBOOTSTRAP_REQUIRED")
        #expect(ErrorCode(rawValue: 133).description == "SHARE_SESSION_LIMIT_REACHED")
        #expect(ErrorCode(rawValue: 134).description == "error 134")
        #expect(ErrorCode(rawValue: .min).description == "error -32768")
    }
}
