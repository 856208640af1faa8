import Addresses
import Timing

/// Handshake messages per source while under load (paper 5.3): a token bucket for each IPv4
/// address and each IPv6 /64, which is what one party can hold many addresses of.
package struct RateLimiter {
    package static let perSecond: Int64 = 20
    package static let burst: Int64 = 5
    /// Beyond this many sources new ones are refused until old ones are forgotten.
    package static let maxSources = 16_384

    private static let cost = Nanoseconds(1_000_000_000 / perSecond)
    private static let forgetAfter = Nanoseconds.seconds(1)

    private struct Bucket {
        var tokens: Nanoseconds
        var last: Instant
    }

    private var buckets: [IPAddress: Bucket] = [:]
    private var lastSweep: Instant?

    package init() {}

    package var sourceCount: Int { buckets.count }

    package mutating func allow(_ source: IPAddress, now: Instant) -> Bool {
        sweep(now)
        let key = source.isIPv4 ? source : source.masked(to: 64)
        let full = Self.cost * Self.burst
        guard var bucket = buckets[key] else {
            guard buckets.count < Self.maxSources else { return false }
            buckets[key] = Bucket(tokens: full - Self.cost, last: now)
            return true
        }
        bucket.tokens = min(full, bucket.tokens + (now - bucket.last))
        bucket.last = now
        let allowed = bucket.tokens >= Self.cost
        if allowed { bucket.tokens = bucket.tokens - Self.cost }
        buckets[key] = bucket
        return allowed
    }

    private mutating func sweep(_ now: Instant) {
        if let last = lastSweep, now - last < Self.forgetAfter { return }
        lastSweep = now
        buckets = buckets.filter { now - $0.value.last < Self.forgetAfter }
    }
}
