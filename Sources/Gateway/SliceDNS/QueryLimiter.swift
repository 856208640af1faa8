import Addresses
import Timing

/// How often one endpoint may ask: a token bucket for each address. Inside a slice a source is
/// who it says (each interface carries one endpoint's addresses only), so that a bucket is an
/// endpoint's, and no endpoint can use up another's.
package struct QueryLimiter: Sendable {
    package static let maximumSources = 16_384
    private static let forgetAfter = Nanoseconds.seconds(5)

    private struct Bucket {
        /// Time that may be spent.
        var credit: Nanoseconds
        var last: Instant
    }

    private let cost: Nanoseconds
    private let full: Nanoseconds
    private var buckets: [IPAddress: Bucket] = [:]
    private var lastSweep: Instant?

    /// 1 to 1,000,000 a second; a burst of at least one.
    package init(perSecond: Int = 2_000, burst: Int = 4_000) {
        let perSecond = Int64(min(max(perSecond, 1), 1_000_000))
        cost = Nanoseconds(1_000_000_000 / perSecond)
        full = cost * Int64(min(max(burst, 1), 1_000_000))
    }

    package var sourceCount: Int { buckets.count }

    package mutating func allows(_ source: IPAddress, now: Instant) -> Bool {
        sweep(now)
        guard var bucket = buckets[source] else {
            guard buckets.count < Self.maximumSources else { return false }
            buckets[source] = Bucket(credit: full - cost, last: now)
            return true
        }
        bucket.credit = min(full, bucket.credit + (now - bucket.last))
        bucket.last = now
        let isAllowed = bucket.credit >= cost
        if isAllowed { bucket.credit = bucket.credit - cost }
        buckets[source] = bucket
        return isAllowed
    }

    private mutating func sweep(_ now: Instant) {
        if let last = lastSweep, now - last < Self.forgetAfter { return }
        lastSweep = now
        // A bucket that was quiet for so long is full again, or nearly.
        buckets = buckets.filter { now - $0.value.last < Self.forgetAfter }
    }
}
