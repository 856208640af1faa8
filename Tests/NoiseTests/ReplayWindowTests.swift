import Noise
import Testing

@Suite("Replay window")
struct ReplayWindowTests {
    /// The obvious thing: every counter ever accepted, and the greatest.
    struct Oracle {
        var seen: Set<UInt64> = []
        var greatest: UInt64 = 0

        mutating func accept(_ counter: UInt64) -> Bool {
            if counter >= WireGuard.rejectAfterMessages { return false }
            if counter < greatest, greatest - counter >= ReplayWindow.size { return false }
            guard seen.insert(counter).inserted else { return false }
            greatest = max(greatest, counter)
            return true
        }
    }

    func compare(_ counters: some Sequence<UInt64>) {
        var window = ReplayWindow()
        var oracle = Oracle()
        for counter in counters {
            let expected = oracle.accept(counter)
            let isOpen = window.check(counter)
            let isAccepted = window.accept(counter)
            #expect(isOpen == expected, "check \(counter)")
            #expect(isAccepted == expected, "accept \(counter)")
            if isOpen != expected || isAccepted != expected { return }
        }
    }

    @Test("covers at least 8,192 counters")
    func size() {
        #expect(ReplayWindow.size == 16_320)
        #expect(MemoryLayout<ReplayWindow>.size == 2056)
    }

    @Test("the edges of the window")
    func edges() {
        let size = ReplayWindow.size
        for start in [0, 1, 63, 64, 65, 16_383, 16_384, 1 << 40] as [UInt64] {
            compare([
                start, start, start &+ size, start, start + 1, start + 1, start &+ size &+ 1,
                start + 1, start + 2, start + 2 + 64 * 256, start + 2, start + 3 + 64,
            ])
        }
    }

    @Test("jumps of every distance clear what they pass")
    func jumps() {
        for jump in (1...600).map({ UInt64($0) * 61 }) + [16_383, 16_384, 16_385, 1 << 50] {
            var counters: [UInt64] = Array(0..<200)
            counters.append(199 + jump)
            let end = 199 + jump
            counters += stride(from: end > 17_000 ? end - 17_000 : 0, through: end, by: 7)
            compare(counters)
        }
    }

    @Test("the last counters are refused")
    func limit() {
        let limit = WireGuard.rejectAfterMessages
        #expect(limit == 18_446_744_073_709_543_423)
        compare([0, limit, .max, limit - 1, limit - 1, limit - 2, 1, limit - ReplayWindow.size])
        compare([.max, limit, limit + 1, 0, 0, 1])
    }

    @Test("random walks agree with a set", arguments: 1...12 as ClosedRange<UInt64>)
    func randomWalks(_ seed: UInt64) {
        var random = SplitMix64(seed)
        var top: UInt64 = seed % 3 == 0 ? 0 : random.next() >> (8 + 4 * seed)
        var counters: [UInt64] = []
        for _ in 0..<30_000 {
            switch UInt64.random(in: 0..<100, using: &random) {
            case 0: top &+= UInt64.random(in: 0...40_000, using: &random)
            case 1...30: top &+= 1
            case 31...40: top &+= UInt64.random(in: 0...200, using: &random)
            default: break
            }
            let back = UInt64.random(in: 0...(seed % 2 == 0 ? 100 : 17_000), using: &random)
            counters.append(random.next() % 3 == 0 ? top : (top >= back ? top - back : 0))
        }
        compare(counters)
    }

    @Test("everything in order, then everything again")
    func inOrder() {
        compare(Array(0..<20_000) + Array(0..<20_000))
    }

    @Test("everything backwards")
    func backwards() {
        compare((0...20_000).reversed())
    }

    @Test("check marks nothing")
    func checkIsPure() {
        var window = ReplayWindow()
        #expect(window.check(5) && window.check(5) && window.check(1 << 30) && window.check(5))
        let first = window.accept(5)
        #expect(first && !window.check(5) && window.check(4))
    }
}
