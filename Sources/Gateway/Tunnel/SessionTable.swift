import Synchronization

/// Finds a session by the receiver index of an arriving message: one slot per low bits of the
/// index, so a look-up is one load. Indices are random (paper 5.4.2); the control side draws
/// again when a slot is taken. Written by the control side only, read by packet threads.
package struct SessionTable: ~Copyable {
    @usableFromInline package typealias Slot = Atomic<UnsafeMutablePointer<Session>?>
    @usableFromInline package let slots: UnsafeMutablePointer<Slot>
    @usableFromInline package let mask: UInt32

    /// `capacity` is rounded up to a power of two.
    package init(capacity: Int) {
        var size = 64
        while size < capacity { size *= 2 }
        slots = .allocate(capacity: size)
        for i in 0..<size { (slots + i).initialize(to: Slot(nil)) }
        mask = UInt32(size - 1)
    }

    deinit {
        slots.deinitialize(count: Int(mask) + 1)
        slots.deallocate()
    }

    @inlinable package func find(_ index: UInt32) -> UnsafeMutablePointer<Session>? {
        guard let session = slots[Int(index & mask)].load(ordering: .acquiring),
            session.pointee.localIndex == index
        else { return nil }
        return session
    }

    /// Which slot an index falls into: two indices in use never share one.
    package func slot(of index: UInt32) -> Int { Int(index & mask) }
    package var slotCount: Int { Int(mask) + 1 }

    package func publish(_ session: UnsafeMutablePointer<Session>) {
        slots[Int(session.pointee.localIndex & mask)].store(
            session, ordering: .sequentiallyConsistent)
    }

    package func withdraw(_ session: UnsafeMutablePointer<Session>) {
        let slot = Int(session.pointee.localIndex & mask)
        if slots[slot].load(ordering: .relaxed) == session {
            slots[slot].store(nil, ordering: .sequentiallyConsistent)
        }
    }
}

/// Which slots are taken, a bit each.
struct SlotSet {
    private var words: [UInt64]

    init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

    subscript(slot: Int) -> Bool {
        get { words[slot / 64] >> UInt64(slot % 64) & 1 == 1 }
        set {
            let bit = UInt64(1) << UInt64(slot % 64)
            if newValue { words[slot / 64] |= bit } else { words[slot / 64] &= ~bit }
        }
    }
}
