import Glibc
import NIOCore
import Timing

/// CLOCK_MONOTONIC, which is NIO's clock too.
enum MonotonicTime {
    static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
}

enum WallClock {
    /// Milliseconds since 1970, as Kafka's timestamps are.
    static func nowMs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
