import Glibc
import LinuxNet
import Timing

/// How long a thread asks again and again after a packet before it waits to be woken: as long as
/// that pays. To wake a thread takes several times longer than to carry a packet, above all where
/// its CPU has gone to sleep meanwhile.
///
/// It adapts as the kernel's halt polling does (Documentation/virt/kvm/halt-polling.rst): grows
/// while packets come soon after the thread went to sleep, and is gone with the first that does
/// not. So traffic with long pauses costs nothing, and neither does none.
struct Patience {
    private static let least = Nanoseconds.microseconds(10)

    private let most: Nanoseconds
    private var length = Nanoseconds(0)
    private var until = Instant(nanoseconds: 0)
    private var slept = Instant(nanoseconds: 0)

    init(_ most: Nanoseconds) { self.most = most }

    @inline(__always)
    var isOff: Bool { most.count == 0 }

    /// Whether to look again. Lets others have the CPU if they want it.
    @inline(__always)
    mutating func isLeft() -> Bool {
        guard length.count > 0, MonotonicClock.now() < until else { return false }
        sched_yield()
        return true
    }

    /// Something came while the thread was looking.
    @inline(__always)
    mutating func renew() { until = MonotonicClock.now() + length }

    @inline(__always)
    mutating func willSleep() {
        if !isOff { slept = MonotonicClock.now() }
    }

    /// Something came while the thread slept.
    @inline(__always)
    mutating func wasWoken() {
        guard !isOff else { return }
        let now = MonotonicClock.now()
        if now - slept > most {
            length = Nanoseconds(0)
        } else {
            length = min(most, max(Self.least, length + length))
        }
        until = now + length
    }
}
