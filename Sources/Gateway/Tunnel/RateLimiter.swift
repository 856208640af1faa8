import Addresses
import Timing

/// Handshake messages per source while under load (paper 5.3): a token bucket for each IPv4
/// address and each IPv6 /64, which is what one party can hold many addresses of.
package struct RateLimiter {
    /// Beyond this many sources new ones are refused until old ones are forgotten.
    package static let maxSources = 16_384

    private static let forgetAfter = Nanoseconds.seconds(1)

    /// Every source may have so many in a second, and at most `burst` at once.
    private let perSource: Rate
    /// All of them together.
    private let inAll: Rate
    private var all: Bucket?
    private var buckets: [IPAddress: Bucket] = [:]
    private var lastSweep: Instant?

    package struct Rate: Sendable {
        let cost: Nanoseconds
        let full: Nanoseconds

        /// A bucket that holds `burst` has to be full again within a second: then it is forgotten.
        package init(perSecond: Int64, burst: Int64) {
            precondition(burst <= perSecond)
            cost = Nanoseconds(1_000_000_000 / perSecond)
            full = cost * burst
        }
    }

    private struct Bucket {
        var tokens: Nanoseconds
        var last: Instant

        mutating func take(_ rate: Rate, _ now: Instant) -> Bool {
            if now > last {
                tokens = min(rate.full, tokens + (now - last))
                last = now
            }
            guard tokens >= rate.cost else { return false }
            tokens = tokens - rate.cost
            return true
        }
    }

    package init(perSource: Rate, inAll: Rate) {
        self.perSource = perSource
        self.inAll = inAll
    }

    package var sourceCount: Int { buckets.count }

    package mutating func allow(_ source: IPAddress, now: Instant) -> Bool {
        sweep(now)
        let key = Self.key(of: source)
        if buckets[key] == nil, buckets.count >= Self.maxSources { return false }
        // Whoever asks too often does not use up what is for all.
        guard buckets[key, default: Bucket(tokens: perSource.full, last: now)]
            .take(perSource, now)
        else { return false }
        var bucket = all ?? Bucket(tokens: inAll.full, last: now)
        let isAllowed = bucket.take(inAll, now)
        all = bucket
        return isAllowed
    }

    /// Whoever has one IPv6 address of a network may have all.
    static func key(of source: IPAddress) -> IPAddress {
        source.isIPv4 ? source : source.masked(to: 64)
    }

    private mutating func sweep(_ now: Instant) {
        if let last = lastSweep, now - last < Self.forgetAfter { return }
        lastSweep = now
        buckets = buckets.filter { now - $0.value.last < Self.forgetAfter }
    }
}
