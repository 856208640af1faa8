import Timing

/// SplitMix64 (Steele, Lea, Flood 2014): the jitter of the timers, from the seed given at start.
struct RaftRandom {
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

    /// Zero up to the bound, without it.
    mutating func delay(below bound: Nanoseconds) -> Nanoseconds {
        Nanoseconds(Int64(next().multipliedFullWidth(by: UInt64(max(0, bound.count))).high))
    }
}
