import Testing
import Timing

@Suite struct DeadlineHeapTests {
    /// Against the obvious thing: a dictionary that is searched.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func agreesWithADictionary(_ seed: UInt64) {
        var random = SystemlessRandom(seed)
        var heap = DeadlineHeap()
        var known: [Int32: Instant] = [:]
        var now = Instant(nanoseconds: 0)
        for _ in 0..<3000 {
            let slot = Int32(random.next() % 50)
            let at = now + Nanoseconds(Int64(random.next() % 1000))
            switch random.next() % 4 {
            case 0:
                heap.remove(slot)
                known[slot] = nil
            case 1:
                heap.set(slot, at: nil)
                known[slot] = nil
            case 2:
                now = now + Nanoseconds(Int64(random.next() % 200))
                while let due = heap.popDue(now) {
                    #expect(known[due].map { $0 <= now } == true)
                    known[due] = nil
                }
                #expect(known.values.allSatisfy { $0 > now })
            default:
                heap.set(slot, at: at)
                known[slot] = at
            }
            #expect(heap.count == known.count)
            #expect(heap.next == known.values.min())
        }
    }
}

/// xorshift64*: the same walk for the same seed.
private struct SystemlessRandom {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return (state &* 0x2545_f491_4f6c_dd1d) >> 16
    }
}
