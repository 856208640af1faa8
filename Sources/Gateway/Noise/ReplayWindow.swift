import Synchronization

/// Which counters of one receiving key have been seen: a ring of bit blocks in the manner of
/// RFC 6479, for any number of threads at once and without a lock.
///
/// RFC 6479 clears the blocks that the window moves over, which two threads cannot do while a
/// third sets a bit in one. Here a word of the ring says itself which stretch of counters its bits
/// are of: whoever comes with a counter of a later stretch replaces the word, one of an earlier
/// stretch is refused. One compare-and-exchange decides, so that no counter is ever accepted
/// twice, whatever the order in which threads look.
///
/// 2 KiB. `accept` is for after the packet has proved authentic; nothing else may move the
/// window.
package struct ReplayWindow: ~Copyable {
    @usableFromInline typealias Word = Atomic<UInt64>

    /// Words in the ring, and counters of which one word keeps a bit; powers of two.
    @usableFromInline static var words: UInt64 { 256 }
    @usableFromInline static var bits: UInt64 { 32 }

    /// How far behind the greatest counter one may always be: the ring less the word being
    /// filled.
    @inlinable package static var size: UInt64 { (words - 1) * bits }

    /// Counters from here on are refused: the upper half of a word would not hold their stretch.
    /// A session would have to carry 195,000,000,000 messages a second to get there before
    /// RejectAfterTime ends it.
    @inlinable package static var limit: UInt64 { words * bits << 32 }

    /// The upper half is the number of the stretch, the lower half the bits.
    @usableFromInline let ring: UnsafeMutablePointer<Word>
    /// The greatest block of `bits` counters that anything was accepted of.
    @usableFromInline let greatest = Atomic<UInt64>(0)

    package init() {
        ring = .allocate(capacity: Int(Self.words))
        for i in 0..<Int(Self.words) { (ring + i).initialize(to: Word(0)) }
    }

    deinit { ring.deallocate() }

    /// Whether `counter` would be accepted: within the window, not seen, not past the limit.
    @inlinable
    package func check(_ counter: UInt64) -> Bool {
        guard isWithin(counter) else { return false }
        let word = ring[Self.slot(counter)].load(ordering: .relaxed)
        let stretch = Self.stretch(counter)
        return word >> 32 < stretch
            || word >> 32 == stretch && word & Self.bit(counter) == 0
    }

    /// Marks `counter` as seen; false, and nothing changes, if it is to be refused.
    @inlinable
    package func accept(_ counter: UInt64) -> Bool {
        guard isWithin(counter) else { return false }
        let stretch = Self.stretch(counter)
        let bit = Self.bit(counter)
        let slot = Self.slot(counter)
        var word = ring[slot].load(ordering: .relaxed)
        while true {
            let known = word >> 32
            guard known <= stretch else { return false }
            let marked = known == stretch ? word | bit : stretch << 32 | bit
            guard marked != word else { return false }
            let (isMarked, found) = ring[slot].weakCompareExchange(
                expected: word, desired: marked, ordering: .relaxed)
            if isMarked { break }
            word = found
        }
        moveOn(to: counter / Self.bits)
        return true
    }

    @inlinable @inline(__always)
    func isWithin(_ counter: UInt64) -> Bool {
        guard counter < Self.limit else { return false }
        let block = counter / Self.bits
        let last = greatest.load(ordering: .relaxed)
        return block >= last || last - block < Self.words
    }

    @inlinable @inline(__always)
    func moveOn(to block: UInt64) {
        var last = greatest.load(ordering: .relaxed)
        while block > last {
            let (isMoved, found) = greatest.weakCompareExchange(
                expected: last, desired: block, ordering: .relaxed)
            if isMoved { return }
            last = found
        }
    }

    @inlinable @inline(__always)
    static func stretch(_ counter: UInt64) -> UInt64 { counter / (words * bits) }

    @inlinable @inline(__always)
    static func slot(_ counter: UInt64) -> Int {
        Int(truncatingIfNeeded: counter / bits & (words - 1))
    }

    @inlinable @inline(__always)
    static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter & (bits - 1)) }
}
