import Noise
import Testing

@Suite("Fuzz entry points")
struct FuzzTests {
    let entries: [@Sendable (UnsafeRawBufferPointer) -> Bool] = [
        { NoiseFuzz.initiation($0) }, { NoiseFuzz.response($0) },
        { NoiseFuzz.cookieReply($0) }, { NoiseFuzz.transport($0) },
    ]

    @Test("each takes its own seed and no other")
    func seeds() throws {
        let seeds = NoiseFuzz.seeds
        try #require(seeds.count == 4)
        for (i, seed) in seeds.enumerated() {
            for (j, entry) in entries.enumerated() {
                #expect(seed.withUnsafeBytes(entry) == (i == j), "seed \(i), entry \(j)")
            }
        }
    }

    @Test("truncated, extended, altered and random bytes are refused without a trap")
    func mutations() {
        var random = SplitMix64(51)
        for (seed, entry) in zip(NoiseFuzz.seeds, entries) {
            for count in 0..<seed.count {
                #expect(!Array(seed.prefix(count)).withUnsafeBytes(entry))
            }
            #expect(!(seed + [0]).withUnsafeBytes(entry))
            for _ in 0..<300 {
                var bytes = seed
                for _ in 0...Int.random(in: 0...8, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.bytes(1)[0]
                }
                _ = bytes.withUnsafeBytes(entry)
                var noise = random.bytes(Int.random(in: 0...200, using: &random))
                _ = noise.withUnsafeBytes(entry)
                if noise.count >= 4 { noise.replaceSubrange(0..<4, with: seed[0..<4]) }
                #expect(!noise.withUnsafeBytes(entry))
            }
        }
    }
}
