import Addresses
import Timing

/// Whether initiations come in greater numbers than peers have reason to send: more than a core
/// could answer.
package struct InitiationFlood {
    private static let window = Nanoseconds.milliseconds(10)
    private static let many = 50
    private static let lasts = Nanoseconds.seconds(1)

    private var begun = Instant(nanoseconds: 0)
    private var count = 0
    private var until: Instant?

    package init() {}

    package func isOn(_ now: Instant) -> Bool { until.map { now < $0 } ?? false }

    package mutating func note(_ initiations: Int, _ now: Instant) {
        count += initiations
        if count >= Self.many { until = now + Self.lasts }
        guard now - begun >= Self.window else { return }
        begun = now
        count = 0
    }
}

/// Which initiations are worth a look while they come in a flood: even to refuse one for its MAC1
/// costs more than to receive it, so of each source only some are looked at.
package struct FloodGate {
    /// What the control thread asks for again and again.
    package struct Report: Equatable {
        /// Initiations turned away since the last report, those that the filter drops estimated.
        package var turnedAway = 0
        /// Whose initiations are not even worth receiving, in order.
        package var loud: [IPAddress] = []

        package init(turnedAway: Int = 0, loud: [IPAddress] = []) {
            self.turnedAway = turnedAway
            self.loud = loud
        }
    }

    private var limiter: RateLimiter?
    private var refused = 0
    private var loud = LoudSources()

    package init() {}

    package mutating func lets(_ source: IPAddress, _ now: Instant) -> Bool {
        guard limiter != nil else { return true }
        let isLet = limiter?.allow(source, now: now) ?? true
        if !isLet { refused += loud.note(RateLimiter.key(of: source)) }
        return isLet
    }

    /// Whether there is a flood.
    package mutating func set(_ isOn: Bool, _ now: Instant) -> Report {
        if (limiter != nil) != isOn {
            limiter =
                isOn
                ? RateLimiter(
                    perSource: .init(perSecond: 1000, burst: 100),
                    inAll: .init(perSecond: 50_000, burst: 5000)) : nil
            loud = LoudSources()
        }
        defer { refused = 0 }
        return Report(turnedAway: refused, loud: loud.look(now))
    }
}

/// Sources that are turned away again and again.
struct LoudSources {
    private static let window = Nanoseconds.milliseconds(10)
    /// Turned away within a window: five thousand a second above what is looked at.
    private static let many = 50
    /// Of loud ones one in so many is received (`InitiationFilter.oneIn`).
    private static let received = 8
    /// After so long without as many a source is forgotten.
    private static let lasts = Nanoseconds.milliseconds(100)
    /// A flood from more sources than these is not told apart by them.
    private static let maxCounted = 64
    /// As many as a filter takes (`InitiationFilter.maxSources`).
    private static let maxLoud = 16

    private var begun = Instant(nanoseconds: 0)
    private var counts: [IPAddress: Int] = [:]
    /// Each with when it was last loud.
    private var loud: [IPAddress: Instant] = [:]

    /// One was turned away. How many that stands for.
    mutating func note(_ source: IPAddress) -> Int {
        let weight = loud[source] == nil ? 1 : Self.received
        if counts[source] != nil || counts.count < Self.maxCounted {
            counts[source, default: 0] += weight
        }
        return weight
    }

    mutating func look(_ now: Instant) -> [IPAddress] {
        guard now - begun >= Self.window else { return loud.keys.sorted() }
        begun = now
        for (source, count) in counts
        where count >= Self.many && (loud[source] != nil || loud.count < Self.maxLoud) {
            loud[source] = now
        }
        counts.removeAll(keepingCapacity: true)
        loud = loud.filter { now - $0.value < Self.lasts }
        return loud.keys.sorted()
    }
}
