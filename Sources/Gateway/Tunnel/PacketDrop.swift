import Synchronization

/// Why a packet did not go on. Every drop is counted under one of these.
package enum PacketDrop: Int, CaseIterable, Sendable {
    // From the TUN to the underlay
    case malformedPacket, noRoute, noEndpoint, noSession, noNonce, sendFailed
    // From the underlay to the TUN
    case malformedMessage, unknownIndex, expiredSession, replayed, forged
    case malformedInner, sourceNotAllowed, congestionMarked, writeFailed
    // Between a packet thread and the control side
    case controlBusy

    package var name: String { "\(self)" }
}

/// Drops by reason of one packet thread, for everybody to read. It owns the memory.
package final class DropCounters: Sendable {
    /// For the packet thread: valid as long as this object.
    package let drops: PacketDrops

    package init() {
        let counts = UnsafeMutablePointer<Atomic<UInt64>>.allocate(
            capacity: PacketDrop.allCases.count)
        for i in 0..<PacketDrop.allCases.count { (counts + i).initialize(to: Atomic(0)) }
        drops = PacketDrops(counts: counts)
    }

    deinit {
        drops.counts.deinitialize(count: PacketDrop.allCases.count)
        drops.counts.deallocate()
    }

    package subscript(_ drop: PacketDrop) -> UInt64 { drops[drop] }
}

/// The counters as their only writer sees them: no reference to count.
package struct PacketDrops: BitwiseCopyable, @unchecked Sendable {
    fileprivate let counts: UnsafeMutablePointer<Atomic<UInt64>>

    package func add(_ drop: PacketDrop, _ n: Int = 1) {
        // One writer: no need for a locked addition.
        let old = counts[drop.rawValue].load(ordering: .relaxed)
        counts[drop.rawValue].store(old &+ UInt64(truncatingIfNeeded: n), ordering: .relaxed)
    }

    package subscript(_ drop: PacketDrop) -> UInt64 {
        counts[drop.rawValue].load(ordering: .relaxed)
    }
}
