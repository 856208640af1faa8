import Bytes
import Noise
import Testing
import Timing

@Suite("Keys")
struct KeyTests {
    /// The example key of the wg(8) manual page.
    let base64 = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="

    @Test("text goes both ways")
    func roundTrip() throws {
        let key = try #require(PublicKey(base64: base64))
        #expect(key.base64 == base64 && key.description == base64)
        #expect(key.hex.count == 64)
        #expect(PublicKey(hex: key.hex) == key)
        #expect(PublicKey(hex: key.hex.uppercased()) == key)
        #expect(PublicKey(bytes: key.bytes) == key)
        let psk = try #require(PresharedKey(base64: base64))
        #expect(psk.base64 == base64 && psk.hex == key.hex)
        #expect(PresharedKey(hex: psk.hex) == psk && PresharedKey(bytes: key.bytes) == psk)
        var random = SplitMix64(2)
        for _ in 0..<200 {
            let bytes = random.bytes(32)
            let key = try #require(PublicKey(bytes: bytes))
            #expect(key.hex == Hex.encode(bytes))
            #expect(PublicKey(base64: key.base64)?.bytes == bytes)
        }
    }

    @Test(
        "base64 is taken strictly",
        arguments: [
            "", "=", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk==",
            " yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm\n=",
            "yAnz5TF-lXXJte14tji3zlMNq_hd2rYUIgJBgB3fBmk=",
            // Spare bits set: the same 32 bytes to a lenient decoder.
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBml=",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm==",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmkA",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fB\u{0}k=",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBé=",
        ])
    func strictBase64(_ text: String) {
        #expect(PublicKey(base64: text) == nil)
        #expect(PrivateKey(base64: text) == nil)
        #expect(PresharedKey(base64: text) == nil)
    }

    @Test("hexadecimal is taken strictly")
    func strictHex() {
        let good = String(repeating: "a5", count: 32)
        #expect(PublicKey(hex: good) != nil)
        let bad = [
            "", String(good.dropLast()), good + "a", good + "a5", String(good.dropLast()) + "g",
            String(good.dropLast()) + " ", "0x" + good.dropFirst(2),
            String(repeating: "a5:", count: 21) + "a",
        ]
        for text in bad {
            #expect(PublicKey(hex: text) == nil)
            #expect(PrivateKey(hex: text) == nil)
            #expect(PresharedKey(hex: text) == nil)
        }
    }

    @Test("other lengths are refused")
    func lengths() {
        for count in [0, 1, 31, 33, 64] {
            let bytes = [UInt8](repeating: 1, count: count)
            #expect(PublicKey(bytes: bytes) == nil)
            #expect(PrivateKey(bytes: bytes) == nil)
            #expect(PresharedKey(bytes: bytes) == nil)
        }
    }

    @Test("private keys are clamped, and zero is no key")
    func clamping() throws {
        let key = try #require(PrivateKey(bytes: [UInt8](repeating: 0xFF, count: 32)))
        #expect(key.hex == "f8" + String(repeating: "ff", count: 30) + "7f")
        let small = try #require(PrivateKey(bytes: [1] + [UInt8](repeating: 0, count: 31)))
        #expect(small.hex == String(repeating: "00", count: 31) + "40")
        #expect(PrivateKey(bytes: [UInt8](repeating: 0, count: 32)) == nil)
        #expect(PrivateKey(base64: key.base64) == key && key != small)
    }

    @Test("secrets do not print themselves")
    func secrecy() throws {
        let key = try #require(PrivateKey(base64: base64))
        let psk = try #require(PresharedKey(base64: base64))
        for text in ["\(key)", "\(psk)", String(reflecting: key), String(reflecting: psk)] {
            #expect(!text.contains(key.base64) && !text.contains(psk.base64))
            #expect(!text.contains(key.hex) && !text.contains(psk.hex))
        }
        var dumped = ""
        dump((key, psk), to: &dumped)
        #expect(!dumped.contains("0x"))
    }

    @Test("no pre-shared key is all zero")
    func noPresharedKey() throws {
        #expect(PresharedKey.none.isNone)
        #expect(try #require(PresharedKey(bytes: [UInt8](repeating: 0, count: 32))).isNone)
        #expect(try #require(PresharedKey(base64: base64)).isNone == false)
    }

    @Test("public keys are ordered as their bytes")
    func order() throws {
        var random = SplitMix64(3)
        for _ in 0..<500 {
            var a = random.bytes(32)
            var b = random.bytes(32)
            let common = Int.random(in: 0...32, using: &random)
            b.replaceSubrange(0..<common, with: a[0..<common])
            a[31] &= 3
            b[31] &= 3
            let x = try #require(PublicKey(bytes: a))
            let y = try #require(PublicKey(bytes: b))
            #expect((x < y) == a.lexicographicallyPrecedes(b))
            #expect((x == y) == (a == b))
        }
    }

    @Test("seeded entropy repeats itself, and the system's does not")
    func entropy() {
        #expect(Entropy.seeded(1).uint64() == Entropy.seeded(1).uint64())
        #expect(Entropy.seeded(1).uint64() != Entropy.seeded(2).uint64())
        let one = Entropy.seeded(1)
        #expect(one.uint64() != one.uint64())
        #expect(PrivateKey(from: .system) != PrivateKey(from: .system))
    }
}

@Suite("TAI64N")
struct TAI64NTests {
    @Test("twelve bytes: label, then nanoseconds, big endian")
    func layout() throws {
        let stamp = TAI64N(label: 0x0102_0304_0506_0708, nanoseconds: 0x090A_0B0C)
        #expect(stamp.bytes == Array(1...12))
        #expect(TAI64N(bytes: Array(1...12)) == stamp)
        #expect(TAI64N(bytes: Array(1...11)) == nil && TAI64N(bytes: Array(1...13)) == nil)
    }

    @Test(
        "from the wall clock, low bits of the nanoseconds cleared",
        arguments: [
            (Int64(0), "400000000000000a00000000"),
            (1, "400000000000000a00000000"),
            (0x00FF_FFFF, "400000000000000a00000000"),
            (0x0100_0000, "400000000000000a01000000"),
            (999_999_999, "400000000000000a3b000000"),
            (1_000_000_000, "400000000000000b00000000"),
            (-1, "40000000000000093b000000"),
            (1_700_000_000_500_000_000, "400000006553f10a1d000000"),
        ])
    func fromWallTime(_ nanoseconds: Int64, _ expected: String) {
        let stamp = TAI64N(WallTime(nanosecondsSince1970: nanoseconds))
        #expect(Hex.encode(stamp.bytes) == expected)
    }

    @Test("never traps, whatever the clock says")
    func extremes() {
        #expect(
            TAI64N(WallTime(nanosecondsSince1970: .min))
                < TAI64N(WallTime(nanosecondsSince1970: .max)))
    }

    @Test("ordered as its bytes")
    func order() throws {
        var random = SplitMix64(4)
        for _ in 0..<500 {
            let a = random.bytes(12)
            var b = random.bytes(12)
            let common = Int.random(in: 0...12, using: &random)
            b.replaceSubrange(0..<common, with: a[0..<common])
            let x = try #require(TAI64N(bytes: a))
            let y = try #require(TAI64N(bytes: b))
            #expect((x < y) == a.lexicographicallyPrecedes(b))
        }
    }
}
