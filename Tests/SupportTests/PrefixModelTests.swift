import Addresses
import Testing

/// Seeded: the same numbers every time.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// Prefixes the obvious way: as lists of bits.
private struct BitPrefix {
    var bits: [Bool]
    var width: Int

    init(_ address: IPAddress, _ length: Int) {
        bits = Array(Self.bits(of: address).prefix(length))
        width = address.bitWidth
    }

    static func bits(of address: IPAddress) -> [Bool] {
        address.bytes.flatMap { byte in (0..<8).map { byte & (0x80 >> $0) != 0 } }
    }

    func contains(_ address: IPAddress) -> Bool {
        address.bitWidth == width && BitPrefix.bits(of: address).starts(with: bits)
    }

    func contains(_ other: BitPrefix) -> Bool {
        other.width == width && other.bits.starts(with: bits)
    }

    var padded: [Bool] { bits + Array(repeating: false, count: width - bits.count) }
}

@Suite struct PrefixModelTests {
    /// Few values, so that addresses share long beginnings.
    private func address(_ random: inout SplitMix64) -> IPAddress {
        let choices: [UInt8] = [0, 0, 0x80, 0xff, 0x01]
        let count = Bool.random(using: &random) ? 4 : 16
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes.append(choices.randomElement(using: &random) ?? 0) }
        return IPAddress(bytes: bytes) ?? .v4(IPv4Address(0))
    }

    @Test func agreesWithBits() throws {
        var random = SplitMix64(state: 1)
        var positives = 0
        for _ in 0..<20_000 {
            let a = address(&random)
            let b = address(&random)
            let m = Int.random(in: 0...a.bitWidth, using: &random)
            let n = Int.random(in: 0...b.bitWidth, using: &random)
            let p = try #require(IPPrefix(a, length: m))
            let q = try #require(IPPrefix(b, length: n))
            let x = BitPrefix(a, m)
            let y = BitPrefix(b, n)
            #expect(BitPrefix.bits(of: p.address) == x.padded)
            #expect(p.contains(b) == x.contains(b))
            #expect(p.contains(q) == x.contains(y))
            #expect(p.overlaps(q) == (x.contains(y) || y.contains(x)))
            #expect(IPPrefix(p.description) == p)
            #expect(IPAddress(a.description) == a)
            #expect(IPAddress(bytes: a.bytes) == a)
            if p.overlaps(q) { positives += 1 }
        }
        // The draw must reach both answers often, or the test says little.
        #expect(positives > 500 && positives < 15_000)
    }

    @Test func wrongLengthsAreRefused() {
        #expect(IPPrefix(.v4(IPv4Address(0)), length: 33) == nil)
        #expect(IPPrefix(.v4(IPv4Address(0)), length: -1) == nil)
        #expect(IPPrefix(.v6(IPv6Address(high: 0, low: 0)), length: 129) == nil)
        for count in 0...20 where count != 4 && count != 16 {
            #expect(IPAddress(bytes: [UInt8](repeating: 0, count: count)) == nil)
        }
    }

    @Test func orderIsByValue() throws {
        let sorted = ["1.2.3.4/8", "10.0.0.0/8", "10.0.0.0/9", "255.0.0.0/8", "::/0", "fd00::/8"]
            .compactMap { IPPrefix($0) }
        #expect(Array(sorted.reversed()).sorted() == sorted)
    }
}
