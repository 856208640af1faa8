import LinuxNet
import Timing

/// How long a thread goes on asking before it waits to be woken.
struct Patience {
    private let length: Nanoseconds
    private var until = Instant(nanoseconds: 0)

    init(_ length: Nanoseconds) { self.length = length }

    @inline(__always)
    var isLeft: Bool { length.count > 0 && MonotonicClock.now() < until }

    @inline(__always)
    mutating func renew() {
        if length.count > 0 { until = MonotonicClock.now() + length }
    }
}
