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

/// Drops by reason, written by one thread. Readers see recent values, which is all that
/// counters promise.
package struct PacketDrops: ~Copyable {
    private let counts: UnsafeMutablePointer<UInt64>

    package init() {
        counts = .allocate(capacity: PacketDrop.allCases.count)
        counts.initialize(repeating: 0, count: PacketDrop.allCases.count)
    }

    deinit { counts.deallocate() }

    package func add(_ drop: PacketDrop, _ n: Int = 1) { counts[drop.rawValue] &+= UInt64(n) }

    package subscript(_ drop: PacketDrop) -> UInt64 { counts[drop.rawValue] }
}
