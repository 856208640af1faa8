import Glibc
import Timing

private func read(_ clock: clockid_t) -> timespec {
    var time = timespec()
    clock_gettime(clock, &time)
    return time
}

/// CLOCK_MONOTONIC: stands still while the machine sleeps.
package enum MonotonicClock {
    package static func now() -> Instant {
        let time = read(CLOCK_MONOTONIC)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }
}

/// CLOCK_BOOTTIME: goes on while the machine sleeps, as session keys age.
package enum BoottimeClock {
    package static func now() -> Instant {
        let time = read(CLOCK_BOOTTIME)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }
}

/// CLOCK_REALTIME: may jump.
package enum WallClock {
    package static func now() -> WallTime {
        let time = read(CLOCK_REALTIME)
        return WallTime(
            nanosecondsSince1970: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }
}
