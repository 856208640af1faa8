import LinuxNet
import Timing
import Tunnel

/// Gives back the memory of a backlog some time after it is gone.
struct BacklogMemory {
    /// So much is kept.
    private static let kept = 256 << 10
    private static let after = Nanoseconds.seconds(1)

    private var reach = 0
    private var lastReached = Instant(nanoseconds: 0)

    /// After each round of the thread that reads.
    @inline(__always)
    mutating func noteRound(_ ahead: inout ReadAhead, _ now: Instant) {
        if ahead.reach > Self.kept {
            reach = max(reach, ahead.reach)
            lastReached = now
            ahead.reach = 0
        } else if reach > 0, ahead.isEmpty, now - lastReached > Self.after {
            ResidentMemory.release(ahead.memory + Self.kept, count: reach - Self.kept)
            reach = 0
        }
    }
}
