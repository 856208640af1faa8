import Glibc

package enum Pause {
    /// Between two attempts of a tool that has nothing else to do.
    package static func milliseconds(_ count: Int) {
        var time = timespec(tv_sec: count / 1000, tv_nsec: count % 1000 * 1_000_000)
        var left = timespec()
        while nanosleep(&time, &left) != 0, errno == EINTR { time = left }
    }

    /// Since 1970, as records have it.
    package static var wallMilliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// Attempts with growing pauses between them, until the time is up.
package struct Attempts {
    private let deadline: ContinuousClock.Instant
    private var wait = 20

    package init(milliseconds: Int) {
        deadline = .now + .milliseconds(milliseconds)
    }

    /// Waits for the next attempt; false when there is no time for one.
    package mutating func pause() -> Bool {
        let left = (deadline - .now) / .milliseconds(1)
        guard left > 0 else { return false }
        Pause.milliseconds(min(wait, max(1, Int(left))))
        wait = min(wait * 2, 500)
        return true
    }

    /// Runs the body until it neither returns nil nor throws what passes.
    package static func until<T>(
        milliseconds: Int, giveUp: ClientError, _ body: () throws(ClientError) -> T?
    ) throws(ClientError) -> T {
        var attempts = Attempts(milliseconds: milliseconds)
        var last = giveUp
        repeat {
            do throws(ClientError) {
                if let result = try body() { return result }
            } catch {
                guard error.isPassing else { throw error }
                last = error
            }
        } while attempts.pause()
        throw last
    }
}
