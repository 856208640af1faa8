import Testing
import Tunnel

@Suite("Read ahead")
struct ReadAheadTests {
    /// Writes `count` bytes of a pattern that `seed` gives, as a read would, and keeps them.
    private func keep(_ ahead: inout ReadAhead, _ count: Int, _ seed: Int) -> Bool {
        guard let place = ahead.place else { return false }
        // As far as a read may come: nothing that is kept may lie there.
        place.initializeMemory(as: UInt8.self, repeating: 0xee, count: ReadAhead.readBytes)
        place.initializeMemory(
            as: UInt8.self, repeating: UInt8(truncatingIfNeeded: seed), count: count)
        let memory = ahead.memory
        #expect(place >= memory)
        #expect(place + ReadAhead.readBytes <= memory + ReadAhead.capacity)
        ahead.keep(count)
        return true
    }

    private func isWhole(
        _ read: UnsafeMutableRawBufferPointer?, _ count: Int, _ seed: Int
    ) -> Bool {
        guard let read, read.count == count else { return false }
        return read.allSatisfy { $0 == UInt8(truncatingIfNeeded: seed) }
    }

    @Test("nothing at first")
    func empty() {
        let ahead = ReadAhead()
        let (isEmpty, place, oldest) = (ahead.isEmpty, ahead.place, ahead.oldest)
        #expect(isEmpty && place == ahead.memory && oldest == nil)
    }

    @Test("reads come back as they were, oldest first", arguments: 1...8 as ClosedRange<UInt64>)
    func walks(_ seed: UInt64) {
        var random = SplitMix64(state: seed)
        var ahead = ReadAhead()
        var model: [(count: Int, seed: Int)] = []
        var fulls = 0
        for step in 0..<6_000 {
            let isFilling = step / 500 % 2 == 0
            if UInt64.random(in: 0..<10, using: &random) < (isFilling ? 7 : 4) {
                let count =
                    seed % 2 == 0
                    ? Int.random(in: 40...1_500, using: &random)
                    : Int.random(in: 40...ReadAhead.readBytes, using: &random)
                if keep(&ahead, count, step) {
                    model.append((count, step))
                } else {
                    fulls += 1
                    #expect(!model.isEmpty)
                }
            } else if let oldest = model.first {
                let read = ahead.oldest
            #expect(isWhole(read, oldest.count, oldest.seed))
                ahead.removeOldest()
                model.removeFirst()
            }
            let isEmpty = ahead.isEmpty
            #expect(isEmpty == model.isEmpty)
        }
        #expect(fulls > 0)
        for one in model {
            let read = ahead.oldest
            #expect(isWhole(read, one.count, one.seed))
            ahead.removeOldest()
        }
        let (isEmpty, place) = (ahead.isEmpty, ahead.place)
        #expect(isEmpty && place == ahead.memory)
    }

    @Test("holds a sender's buffer of large packets, and no more than it has room for")
    func capacity() {
        var ahead = ReadAhead()
        var kept = 0
        while keep(&ahead, 65_546, kept) { kept += 1 }
        #expect(kept == ReadAhead.capacity / 65_600 && kept >= 64)
        ahead.removeOldest()
        ahead.removeOldest()
        let isKept = keep(&ahead, 65_546, kept)
        #expect(isKept)
    }

    @Test("a long row of small packets stays near its start")
    func near() {
        var ahead = ReadAhead()
        for step in 0..<100_000 {
            let isKept = keep(&ahead, 106, step)
            #expect(isKept)
            if step >= 200 { ahead.removeOldest() }
        }
        let reach = ahead.reach
        #expect(reach < 700 << 10)
    }
}
