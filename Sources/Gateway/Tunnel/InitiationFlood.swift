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
    private var limiter: RateLimiter?
    private var refused = 0

    package init() {}

    package mutating func lets(_ source: IPAddress, _ now: Instant) -> Bool {
        guard limiter != nil else { return true }
        let isLet = limiter?.allow(source, now: now) ?? true
        if !isLet { refused += 1 }
        return isLet
    }

    /// Whether there is a flood. Gives back how many were turned away since the last call.
    package mutating func set(_ isOn: Bool) -> Int {
        if (limiter != nil) != isOn {
            limiter =
                isOn
                ? RateLimiter(
                    perSource: .init(perSecond: 1000, burst: 100),
                    inAll: .init(perSecond: 50_000, burst: 5000)) : nil
        }
        defer { refused = 0 }
        return refused
    }
}
