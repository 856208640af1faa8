import Timing

/// SplitMix64 (Steele, Lea, Flood 2014): the jitter of reconnections, from the seed given at start.
struct DirectoryRandom: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// 0..<bound; 0 when the bound is 0.
    mutating func index(below bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(max(0, bound))).high)
    }

    /// Half of it to one and a half.
    mutating func spread(_ delay: Nanoseconds) -> Nanoseconds {
        let part = next().multipliedFullWidth(by: UInt64(max(0, delay.count))).high
        return Nanoseconds(delay.count / 2 + Int64(part))
    }
}
