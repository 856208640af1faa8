import CLinux
import Glibc
import Timing

/// Wakes a thread that polls (eventfd(2)).
package final class EventFD: Sendable {
    package let fd: Int32

    package init() throws(LinuxError) { fd = try check(clinux_eventfd(), "open", "eventfd") }
    deinit { close(fd) }

    /// Makes the descriptor readable until it is drained.
    package func signal() {
        var one: UInt64 = 1
        // EAGAIN means that the counter is full, hence readable already.
        _ = system { write(fd, &one, 8) }
    }

    /// How many signals came since the last call; 0 if none.
    @discardableResult
    package func drain() -> UInt64 {
        var count: UInt64 = 0
        return system { read(fd, &count, 8) } == 8 ? count : 0
    }
}

/// Readable when its time has come (timerfd_create(2)), on CLOCK_MONOTONIC.
package final class TimerFD: Sendable {
    package let fd: Int32

    package init() throws(LinuxError) { fd = try check(clinux_timerfd(), "open", "timerfd") }
    deinit { close(fd) }

    /// Fires after `delay` (at once if that is not positive) and then every `interval`, if any.
    package func set(
        after delay: Nanoseconds, every interval: Nanoseconds? = nil
    ) throws(LinuxError) {
        // A first time of zero would disarm the timer.
        try check(
            clinux_timerfd_set(fd, max(1, delay.count), max(0, interval?.count ?? 0)), "set",
            "timer")
    }

    package func disarm() throws(LinuxError) {
        try check(clinux_timerfd_set(fd, 0, 0), "disarm", "timer")
    }

    /// How often it fired since the last call.
    @discardableResult
    package func drain() -> UInt64 {
        var count: UInt64 = 0
        return system { read(fd, &count, 8) } == 8 ? count : 0
    }
}

/// Signals as something to poll for (signalfd(2)).
package final class SignalFD: Sendable {
    package let fd: Int32

    /// Blocks the signals on the calling thread, and so on threads it starts later: make it first
    /// thing in `main`, or a thread made before may still be interrupted.
    package init(_ signals: [Int32]) throws(LinuxError) {
        fd = try check(
            signals.withUnsafeBufferPointer {
                clinux_signalfd($0.baseAddress, Int32($0.count))
            }, "open", "signalfd")
    }
    deinit { close(fd) }

    /// The next signal that came, or nil.
    package func next() -> Int32? {
        let signal = shim { clinux_signalfd_next(fd) }
        return signal > 0 ? signal : nil
    }
}

/// Signals as something to poll for, whichever thread the kernel picks to take them. A runtime
/// that starts threads before `main` has them unblocked there, so that SignalFD would miss what
/// they take (and the process would end by the signal's default). One in a process.
package final class SignalPipe: Sendable {
    package let fd: Int32

    package init(_ signals: [Int32]) throws(LinuxError) {
        fd = try check(
            signals.withUnsafeBufferPointer {
                clinux_signal_pipe($0.baseAddress, Int32($0.count))
            }, "listen to", "signals")
    }

    /// The next signal that came, or nil.
    package func next() -> Int32? {
        var number: UInt8 = 0
        return system { read(fd, &number, 1) } == 1 ? Int32(number) : nil
    }
}
