import Timing

/// Lets at most `count` events per key through in each `interval`, and says afterwards how many
/// it held back. Stepped by time; the number of keys it remembers is bounded, because keys may
/// come from outside.
package struct RateLimit<Key: Hashable & Sendable>: Sendable {
    package enum Verdict: Equatable, Sendable {
        /// Go ahead. `suppressed` events of this key were held back since the last one that
        /// passed; say so ("suppressed 12 like this").
        case pass(suppressed: UInt64)
        case hold
    }

    private struct Window {
        var start: Instant
        var passed: Int
        var suppressed: UInt64
    }

    private let count: Int
    private let interval: Nanoseconds
    private let maximumKeys: Int
    private var windows: [Key: Window] = [:]
    /// Events of keys for which there was no room.
    package private(set) var overflowed: UInt64 = 0

    package init(_ count: Int, per interval: Nanoseconds, maximumKeys: Int = 1024) {
        self.count = max(1, count)
        self.interval = interval
        self.maximumKeys = max(1, maximumKeys)
    }

    package mutating func step(_ key: Key, at now: Instant) -> Verdict {
        guard var window = windows[key] else {
            if windows.count >= maximumKeys { forgetQuiet(at: now) }
            guard windows.count < maximumKeys else {
                overflowed += 1
                return .hold
            }
            windows[key] = Window(start: now, passed: 1, suppressed: 0)
            return .pass(suppressed: 0)
        }
        // A fixed window from the first event: simple, and at worst twice `count` in a row.
        if now - window.start >= interval {
            let held = window.suppressed
            windows[key] = Window(start: now, passed: 1, suppressed: 0)
            return .pass(suppressed: held)
        }
        guard window.passed < count else {
            window.suppressed += 1
            windows[key] = window
            return .hold
        }
        window.passed += 1
        windows[key] = window
        return .pass(suppressed: 0)
    }

    /// What was held back in windows that are over, for a last line before a stop or from a
    /// slow timer, in the order of `by`. Those windows are forgotten.
    package mutating func drain(
        at now: Instant, by areInOrder: (Key, Key) -> Bool
    ) -> [(key: Key, suppressed: UInt64)] {
        var over: [(key: Key, suppressed: UInt64)] = []
        for (key, window) in windows where now - window.start >= interval {
            if window.suppressed > 0 { over.append((key, window.suppressed)) }
        }
        windows = windows.filter { now - $0.value.start < interval }
        over.sort { areInOrder($0.key, $1.key) }
        return over
    }

    private mutating func forgetQuiet(at now: Instant) {
        windows = windows.filter { now - $0.value.start < interval || $0.value.suppressed > 0 }
        // Keys with a tally left give way only when there is nothing else to forget.
        if windows.count >= maximumKeys {
            windows = windows.filter { now - $0.value.start < interval }
        }
    }
}
