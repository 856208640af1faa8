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
/// Each residue of a counter modulo `classes` has a window of its own. A sender that numbers one
/// by one moves all alike; ours gives different residues to messages that may overtake each other
/// on the way (`CounterClasses` of room Tunnel).
///
/// 4 KiB. `accept` is for after the packet has proved authentic; nothing else may move the
/// window.
package struct ReplayWindow: ~Copyable {
    @usableFromInline typealias Word = Atomic<UInt64>

    @inlinable package static var classes: UInt64 { 8 }
    /// Words in the ring of a class, and counters of which one word keeps a bit; all three are
    /// powers of two.
    @usableFromInline static var words: UInt64 { 64 }
    @usableFromInline static var bits: UInt64 { 32 }
    /// From a block of counters that have a word in each class to the next.
    @usableFromInline static var span: UInt64 { classes * bits }

    /// How far behind the greatest counter of its class one may always be: the ring less the word
    /// being filled.
    @inlinable package static var size: UInt64 { (words - 1) * span }

    /// Counters from here on are refused: the upper half of a word would not hold their stretch.
    /// A session would have to carry 48,000,000,000 messages a second to get there before
    /// RejectAfterTime ends it.
    @inlinable package static var limit: UInt64 { words * span << 32 }

    /// Ring after ring. Of each word the upper half is the number
    /// of the stretch, the lower half the bits.
    @usableFromInline let rings: UnsafeMutablePointer<Word>
    /// Of each class the greatest block that anything was accepted of.
    @usableFromInline let greatest: UnsafeMutablePointer<Word>

    package init() {
        let (classes, words) = (Int(Self.classes), Int(Self.words))
        rings = .allocate(capacity: classes * (words + 1))
        for i in 0..<classes * (words + 1) { (rings + i).initialize(to: Word(0)) }
        greatest = rings + classes * words
    }

    deinit { rings.deallocate() }

    /// Whether `counter` would be accepted: within the window, not seen, not past the limit.
    @inlinable
    package func check(_ counter: UInt64) -> Bool {
        guard isWithin(counter) else { return false }
        let word = rings[Self.slot(counter)].load(ordering: .relaxed)
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
        var word = rings[slot].load(ordering: .relaxed)
        while true {
            let known = word >> 32
            guard known <= stretch else { return false }
            let marked = known == stretch ? word | bit : stretch << 32 | bit
            guard marked != word else { return false }
            let (isMarked, found) = rings[slot].weakCompareExchange(
                expected: word, desired: marked, ordering: .relaxed)
            if isMarked { break }
            word = found
        }
        moveOn(to: Self.block(counter), in: Self.number(counter))
        return true
    }

    @inlinable @inline(__always)
    func isWithin(_ counter: UInt64) -> Bool {
        guard counter < Self.limit else { return false }
        let block = Self.block(counter)
        let last = greatest[Self.number(counter)].load(ordering: .relaxed)
        return block >= last || last - block < Self.words
    }

    @inlinable @inline(__always)
    func moveOn(to block: UInt64, in number: Int) {
        var last = greatest[number].load(ordering: .relaxed)
        while block > last {
            let (isMoved, found) = greatest[number].weakCompareExchange(
                expected: last, desired: block, ordering: .relaxed)
            if isMoved { return }
            last = found
        }
    }

    @inlinable @inline(__always)
    static func number(_ counter: UInt64) -> Int {
        Int(truncatingIfNeeded: counter & (classes - 1))
    }

    @inlinable @inline(__always)
    static func block(_ counter: UInt64) -> UInt64 { counter / span }

    @inlinable @inline(__always)
    static func stretch(_ counter: UInt64) -> UInt64 { counter / (span * words) }

    @inlinable @inline(__always)
    static func slot(_ counter: UInt64) -> Int {
        Int(truncatingIfNeeded: block(counter) & (words - 1)) | number(counter) &* Int(words)
    }

    @inlinable @inline(__always)
    static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter / classes & (bits - 1)) }
}
