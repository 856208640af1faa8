import LinuxNet
import Noise
import Synchronization
import Testing

@Suite("Replay window")
struct ReplayWindowTests {
    /// The obvious thing: every counter ever accepted, and the greatest of each class.
    struct Oracle {
        var seen: Set<UInt64> = []
        var greatest = [UInt64](repeating: 0, count: 8)

        mutating func accept(_ counter: UInt64) -> Bool {
            if counter >= ReplayWindow.limit { return false }
            let top = greatest[Int(counter & 7)]
            if counter < top, top / 256 - counter / 256 >= 64 { return false }
            guard seen.insert(counter).inserted else { return false }
            greatest[Int(counter & 7)] = max(top, counter)
            return true
        }
    }

    func compare(_ counters: some Sequence<UInt64>) {
        let window = ReplayWindow()
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

    /// Linux's own WireGuard has 8,128.
    @Test("covers 16,128 counters, and never fewer")
    func size() {
        #expect(ReplayWindow.size == 16_128)
        for start in 100_000..<100_064 as Range<UInt64> {
            let window = ReplayWindow()
            let (top, last, beyond) = (
                window.accept(start), window.accept(start - ReplayWindow.size),
                window.accept(start - ReplayWindow.size - 256)
            )
            #expect(top && last && !beyond)
        }
    }

    /// Each counter is tried by every thread, and exactly one of them has it accepted.
    @Test("threads together accept each counter once", arguments: 1...4 as ClosedRange<UInt64>)
    func threads(_ seed: UInt64) throws {
        let count = 200_000
        let shared = SharedWindow(count: count)
        let threads = try (0..<4 as Range<UInt64>).map { number in
            try PosixThread(name: "window") {
                var random = SplitMix64(seed * 4 + number)
                for counter in 0..<count {
                    // Now and then from further back, as from another path.
                    let back = random.next() % 8 == 0 ? Int(random.next() % 6000) : 0
                    for one in [counter, max(0, counter - back)]
                    where shared.window.accept(UInt64(one)) {
                        shared.accepted[one].wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        var (twice, never) = (0, 0)
        for counter in 0..<count {
            let times = shared.accepted[counter].load(ordering: .relaxed)
            if times > 1 { twice += 1 }
            if times == 0 { never += 1 }
        }
        #expect(twice == 0)
        // A thread that the scheduler left behind by a whole window finds all of its counters
        // too late; those of the one ahead are never.
        #expect(never == 0)
    }

    private final class SharedWindow: @unchecked Sendable {
        let window = ReplayWindow()
        let accepted: UnsafeMutablePointer<Atomic<UInt8>>

        init(count: Int) {
            accepted = .allocate(capacity: count)
            for i in 0..<count { (accepted + i).initialize(to: Atomic(0)) }
        }

        deinit { accepted.deallocate() }
    }

    /// What overtakes leaves what it overtook where it was, however much that is.
    @Test(
        "counters of one class do not move the window of another",
        arguments: 0..<8 as Range<UInt64>)
    func apart(ahead: UInt64) {
        for other in 0..<8 as Range<UInt64> where other != ahead {
            let behind = Array(stride(from: other, to: 60_000, by: 8))
            compare(behind.flatMap { [$0, 1 << 30 | $0 ^ other ^ ahead] } + behind)
            let window = ReplayWindow()
            let isAhead = window.accept(1 << 30 | ahead)
            let passed = behind.map { window.accept($0) }
            #expect(isAhead && passed.allSatisfy { $0 })
        }
    }

    @Test("the edges of the window")
    func edges() {
        let size = ReplayWindow.size
        for start in [0, 1, 255, 256, 257, 16_383, 16_384, 1 << 40] as [UInt64] {
            compare([
                start, start, start &+ size, start, start + 1, start + 1, start &+ size &+ 1,
                start + 1, start + 2, start + 2 + 64 * 256, start + 2, start + 3 + 256,
            ])
        }
    }

    @Test("jumps of every distance clear what they pass")
    func jumps() {
        for jump in (1...600).map({ UInt64($0) * 61 }) + [16_383, 16_384, 16_385, 32_768, 1 << 44] {
            var counters: [UInt64] = Array(0..<200)
            counters.append(199 + jump)
            let end = 199 + jump
            counters += stride(from: end > 18_000 ? end - 18_000 : 0, through: end, by: 7)
            compare(counters)
        }
    }

    @Test("the last counters are refused")
    func limit() {
        let limit = ReplayWindow.limit
        #expect(limit == 1 << 46)
        compare([0, limit, .max, limit - 1, limit - 1, limit - 2, 1, limit - ReplayWindow.size])
        compare([.max, limit, limit + 1, 0, 0, 1])
    }

    @Test("random walks agree with a set", arguments: 1...12 as ClosedRange<UInt64>)
    func randomWalks(_ seed: UInt64) {
        var random = SplitMix64(seed)
        var top: UInt64 = seed % 3 == 0 ? 0 : random.next() >> (20 + 3 * seed)
        var counters: [UInt64] = []
        for _ in 0..<30_000 {
            switch UInt64.random(in: 0..<100, using: &random) {
            case 0: top &+= UInt64.random(in: 0...20_000, using: &random)
            case 1...30: top &+= 1
            case 31...40: top &+= UInt64.random(in: 0...200, using: &random)
            default: break
            }
            let back = UInt64.random(in: 0...(seed % 2 == 0 ? 100 : 18_000), using: &random)
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
        let window = ReplayWindow()
        #expect(window.check(5) && window.check(5) && window.check(1 << 30) && window.check(5))
        let first = window.accept(5)
        #expect(first && !window.check(5) && window.check(4))
    }
}
