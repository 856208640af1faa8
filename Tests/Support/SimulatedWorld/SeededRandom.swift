import Timing

/// SplitMix64 (Steele, Lea, Flood 2014). All chance in a simulation comes from one of these, so
/// that a seed is a whole world.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// 0..<bound; 0 when the bound is 0.
    package mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(max(0, bound))).high)
    }

    package mutating func delay(_ range: ClosedRange<Nanoseconds>) -> Nanoseconds {
        let width = UInt64(max(0, range.upperBound.count - range.lowerBound.count)) + 1
        let part = Int64(next().multipliedFullWidth(by: width).high)
        return range.lowerBound + Nanoseconds(part)
    }

    package mutating func chance(perMille: Int) -> Bool { below(1_000) < perMille }

    package mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

/// FNV-1a over whole words: two runs with one hash did the same.
package struct TraceHash: Hashable, Sendable {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func fold(_ word: UInt64) {
        value = (value ^ word) &* 0x0000_0100_0000_01b3
        value ^= value >> 29
    }

    package mutating func fold(_ word: Int) { fold(UInt64(bitPattern: Int64(word))) }
    package mutating func fold(_ word: Int64) { fold(UInt64(bitPattern: word)) }
}
