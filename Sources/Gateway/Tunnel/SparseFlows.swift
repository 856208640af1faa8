import Bytes
import Packets
import Timing

/// Which flows of a TUN queue are sparse: they send so little that they build no queue, so their
/// packets need not wait in one that others have built (RFC 8290 section 1.3). For one thread.
///
/// A flow is sparse until it has sent `burst` bytes more than `rate` allows. Then it is bulk until
/// nothing has come of it for `silence`. For packets of sparse flows overtake others, and none may
/// overtake one of its own flow: the last of bulk must have left every queue. What turns from
/// sparse to bulk only falls behind itself.
///
/// Flows share buckets by a hash, as in RFC 8290: who shares one with bulk is taken for bulk.
package struct SparseFlows: ~Copyable {
    /// In bytes.
    package static let burst: UInt32 = 32_768
    /// In bytes of each 66 µs: 4 MB/s.
    package static let rate: UInt64 = 262
    package static let silence = Nanoseconds.milliseconds(250)

    /// Times are kept in units of 2^16 ns.
    private static let unitShift: UInt64 = 16
    private static let silentUnits = UInt64(silence.count) >> unitShift
    private static let bucketBits = 10

    private struct Bucket {
        /// When a packet last came.
        var seen: UInt64 = 0
        /// What has come beyond `rate`.
        var excess: UInt32 = 0
        var isBulk = false
    }

    private let buckets: UnsafeMutablePointer<Bucket>

    package init() {
        buckets = .allocate(capacity: 1 << Self.bucketBits)
        buckets.initialize(repeating: Bucket(), count: 1 << Self.bucketBits)
    }

    deinit { buckets.deallocate() }

    /// Counts a packet, which may be a large one that is cut later, and says whether its flow is
    /// sparse. What is no packet is not, and neither is a fragment, which does not say what flow it
    /// is of.
    package mutating func isSparse(_ packet: UnsafeRawBufferPointer, now: Instant) -> Bool {
        guard let ip = try? IPPacket(packet), !ip.isFragment else { return false }
        let bucket = buckets + Self.number(ip)
        let unit = now.nanoseconds >> Self.unitShift
        let passed = unit &- bucket.pointee.seen
        bucket.pointee.seen = unit
        if bucket.pointee.isBulk {
            guard passed > Self.silentUnits else { return false }
            bucket.pointee.isBulk = false
        }
        let allowed = min(passed, Self.silentUnits) &* Self.rate
        let before = UInt64(bucket.pointee.excess)
        let excess = (before > allowed ? before &- allowed : 0) &+ UInt64(ip.totalLength)
        bucket.pointee.excess = UInt32(truncatingIfNeeded: excess)
        bucket.pointee.isBulk = excess > UInt64(Self.burst)
        return !bucket.pointee.isBulk
    }

    @inline(__always)
    private static func number(_ ip: IPPacket) -> Int {
        var key = UInt64(ip.protocolNumber)
        if key == UInt64(IPProtocol.tcp) || key == UInt64(IPProtocol.udp),
            ip.totalLength >= ip.headerLength &+ 4
        {
            key = UInt64((ip.base + ip.headerLength).loadUnaligned(as: UInt32.self))
        }
        if ip.isIPv4 {
            key = mixed(key) ^ (ip.base + 12).loadUnaligned(as: UInt64.self)
        } else {
            for offset in stride(from: 8, to: 40, by: 8) {
                key = mixed(key) ^ (ip.base + offset).loadUnaligned(as: UInt64.self)
            }
        }
        return Int(truncatingIfNeeded: mixed(key) >> UInt64(64 - bucketBits))
    }

    @inline(__always)
    private static func mixed(_ key: UInt64) -> UInt64 {
        let product = key.multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return product.high ^ product.low
    }
}
