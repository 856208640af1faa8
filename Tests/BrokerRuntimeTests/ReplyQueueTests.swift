import BrokerRuntime
import KafkaWire
import NIOCore
import Testing

struct ReplyQueueTests {
    static func pieces(_ number: UInt64) -> [Piece] {
        [.bytes(ByteBuffer(integer: number))]
    }

    @Test func keepsTheOrderOfRequests() {
        var queue = ReplyQueue()
        let sequences = (0..<3).map { _ in queue.begin() }
        #expect(sequences == [0, 1, 2])
        queue.finish(2, Self.pieces(2))
        #expect(queue.next() == nil)
        queue.finish(0, Self.pieces(0))
        #expect(queue.next() == Self.pieces(0))
        #expect(queue.next() == nil)
        queue.finish(1, Self.pieces(1))
        #expect(queue.next() == Self.pieces(1))
        #expect(queue.next() == Self.pieces(2))
        #expect(queue.count == 0)
    }

    @Test func ignoresRepliesToNothing() {
        var queue = ReplyQueue()
        queue.finish(0, Self.pieces(9))
        let sequence = queue.begin()
        queue.finish(sequence, Self.pieces(1))
        queue.finish(sequence, Self.pieces(2))
        #expect(queue.next() == Self.pieces(1))
        queue.finish(sequence, Self.pieces(3))
        #expect(queue.next() == nil)
        #expect(queue.begin() == 1)
    }

    /// Against a slow obvious model: replies by number in a dictionary.
    @Test func agreesWithADictionary() {
        var random = Seeded(state: 42)
        var queue = ReplyQueue()
        var open: [UInt64] = []
        var done: [UInt64: [Piece]] = [:]
        var next: UInt64 = 0
        for _ in 0..<20_000 {
            if open.isEmpty || Int.random(in: 0..<3, using: &random) == 0 {
                open.append(queue.begin())
            } else {
                let index = Int.random(in: 0..<open.count, using: &random)
                let sequence = open.remove(at: index)
                done[sequence] = Self.pieces(sequence)
                queue.finish(sequence, Self.pieces(sequence))
            }
            while let pieces = queue.next() {
                #expect(pieces == done[next])
                done[next] = nil
                next += 1
            }
            #expect(queue.count == open.count + done.count)
        }
    }
}

/// SplitMix64: the same run every time.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
