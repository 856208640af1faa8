/// Which counters of one receiving key have been seen: a ring of bit blocks as in RFC 6479,
/// where moving on clears whole words instead of shifting.
///
/// 2 KiB without references: it can live in memory of the packet threads. `accept` is for after
/// the packet has proved authentic; nothing else may move the window.
package struct ReplayWindow: BitwiseCopyable, Sendable {
    /// Words in the ring; a power of two.
    @usableFromInline static var words: Int { 256 }

    /// How far behind the greatest counter one may be: the ring less the word being filled.
    @inlinable package static var size: UInt64 { UInt64((words - 1) * 64) }

    @usableFromInline var greatest: UInt64 = 0
    @usableFromInline var ring = InlineArray<256, UInt64>(repeating: 0)

    @inlinable package init() {}

    /// Whether `counter` would be accepted: within the window, not seen, not past the limit.
    @inlinable
    package func check(_ counter: UInt64) -> Bool {
        guard counter < WireGuard.rejectAfterMessages else { return false }
        if counter > greatest { return true }
        guard greatest - counter < Self.size else { return false }
        return ring[Self.slot(counter >> 6)] & Self.bit(counter) == 0
    }

    /// Marks `counter` as seen; false, and nothing changes, if it is to be refused.
    @inlinable
    package mutating func accept(_ counter: UInt64) -> Bool {
        guard counter < WireGuard.rejectAfterMessages else { return false }
        let block = counter >> 6
        if counter > greatest {
            let last = greatest >> 6
            let fresh = min(block - last, UInt64(Self.words))
            // At most the whole ring: the jump may be any distance.
            var cleared: UInt64 = 0
            while cleared < fresh {
                cleared += 1
                ring[Self.slot(last &+ cleared)] = 0
            }
            greatest = counter
        } else if greatest - counter >= Self.size {
            return false
        }
        let slot = Self.slot(block)
        let bit = Self.bit(counter)
        guard ring[slot] & bit == 0 else { return false }
        ring[slot] |= bit
        return true
    }

    @inlinable @inline(__always)
    static func slot(_ block: UInt64) -> Int {
        Int(truncatingIfNeeded: block & UInt64(words - 1))
    }

    @inlinable @inline(__always)
    static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter & 63) }
}
