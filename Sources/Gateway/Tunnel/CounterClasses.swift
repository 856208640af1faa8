import Noise

/// Which counters a sender gives to messages that may overtake each other on their way: those of
/// sparse flows and all others, of each lane. Each kind has its residue modulo the stride, and so
/// windows of its own at the other end (`ReplayWindow`): else what overtakes would move the window
/// past what it overtook. Any WireGuard takes counters that leave some out.
package enum CounterClasses {
    /// The distance of two counters of one kind, for a tunnel of so many lanes. From five lanes on,
    /// some share theirs.
    package static func stride(lanes: Int) -> UInt64 {
        lanes <= 1 ? 2 : lanes == 2 ? 4 : ReplayWindow.classes
    }

    /// What messages of sparse flows have beyond others of their lane.
    package static let sparse: UInt64 = 1

    /// What messages of a lane have beyond multiples of the stride.
    package static func offset(lane: Int, stride: UInt64) -> UInt64 {
        2 * (UInt64(lane) % (stride / 2))
    }
}
