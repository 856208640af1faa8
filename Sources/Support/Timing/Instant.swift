/// A length of time in nanoseconds. Negative lengths exist: they are differences of instants.
package struct Nanoseconds: Hashable, Comparable, Sendable {
    package var count: Int64

    @inlinable package init(_ count: Int64) { self.count = count }

    @inlinable package static func microseconds(_ n: Int64) -> Self { Self(n * 1_000) }
    @inlinable package static func milliseconds(_ n: Int64) -> Self { Self(n * 1_000_000) }
    @inlinable package static func seconds(_ n: Int64) -> Self { Self(n * 1_000_000_000) }
    @inlinable package static var zero: Self { Self(0) }

    @inlinable package var seconds: Double { Double(count) / 1e9 }
    @inlinable package var milliseconds: Double { Double(count) / 1e6 }

    @inlinable package static func < (a: Self, b: Self) -> Bool { a.count < b.count }
    @inlinable package static func + (a: Self, b: Self) -> Self { Self(a.count + b.count) }
    @inlinable package static func - (a: Self, b: Self) -> Self { Self(a.count - b.count) }
    @inlinable package static func * (a: Self, n: Int64) -> Self { Self(a.count * n) }
}

/// A point on a clock that only moves forward (CLOCK_MONOTONIC, or a test's own).
/// Pure rooms receive it with every event; only shells read a clock.
package struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the clock's arbitrary origin.
    package var nanoseconds: UInt64

    @inlinable package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable package static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable package static func + (a: Self, b: Nanoseconds) -> Self {
        Self(nanoseconds: UInt64(bitPattern: Int64(bitPattern: a.nanoseconds) &+ b.count))
    }
    @inlinable package static func - (a: Self, b: Nanoseconds) -> Self {
        Self(nanoseconds: UInt64(bitPattern: Int64(bitPattern: a.nanoseconds) &- b.count))
    }
    @inlinable package static func - (a: Self, b: Self) -> Nanoseconds {
        Nanoseconds(Int64(bitPattern: a.nanoseconds &- b.nanoseconds))
    }
}

/// A point in civil time: what a wall clock shows, in nanoseconds since 1970-01-01 00:00 UTC.
package struct WallTime: Hashable, Comparable, Sendable {
    package var nanosecondsSince1970: Int64

    @inlinable package init(nanosecondsSince1970: Int64) {
        self.nanosecondsSince1970 = nanosecondsSince1970
    }
    @inlinable package static func < (a: Self, b: Self) -> Bool {
        a.nanosecondsSince1970 < b.nanosecondsSince1970
    }
}
