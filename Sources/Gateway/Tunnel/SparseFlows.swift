import Bytes
import Packets
import Timing

/// Which flows of a TUN queue are sparse: they send so little that they build no queue, so their
/// packets need not wait in one that others have built (RFC 8290 section 1.3). For one thread.
///
/// A flow is sparse until it has sent `burst` bytes more than `rate` allows. Then it is bulk until
/// nothing has come of it for `silence`, and what came before has left. For packets of sparse flows
/// overtake others, and none may overtake one of its own flow: the last of bulk must be out of
/// every queue. What turns from sparse to bulk only falls behind itself.
///
/// Flows share buckets by a hash, as in RFC 8290: who shares one with bulk is taken for bulk.
package struct SparseFlows: ~Copyable {
    /// In bytes.
    package static let burst: UInt64 = 32_768
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
        /// What has come beyond `rate`, in bytes.
        var excess: UInt64 = 0
        /// The place in `ReadAhead` of the last packet, of bulk.
        var place = 0
        var isBulk = false
    }

    private let buckets: UnsafeMutablePointer<Bucket>
    private let seed: UInt64

    /// `seed`: which flows share a bucket, that nobody may choose.
    package init(seed: UInt64) {
        self.seed = seed
        buckets = .allocate(capacity: 1 << Self.bucketBits)
        buckets.initialize(repeating: Bucket(), count: 1 << Self.bucketBits)
    }

    deinit { buckets.deallocate() }

    /// Counts a packet, which may be a large one that is cut later, and says whether its flow is
    /// sparse. `ahead` is where it will wait if not.
    ///
    /// Never sparse is what is no packet, and what does not say of which flow it is: fragments (the
    /// first makes bulk of its flow) and IPv6 with extension headers.
    package mutating func isSparse(
        _ packet: UnsafeRawBufferPointer, ahead: borrowing ReadAhead, now: Instant
    ) -> Bool {
        guard let ip = try? IPPacket(packet), let flow = FlowName(ip) else { return false }
        let bucket = buckets + flow.number(seed, bits: Self.bucketBits)
        let unit = now.nanoseconds >> Self.unitShift
        let passed = unit &- bucket.pointee.seen
        bucket.pointee.seen = unit
        if bucket.pointee.isBulk, passed > Self.silentUnits,
            bucket.pointee.place < ahead.placeOfOldest
        {
            bucket.pointee.isBulk = false
        }
        if !bucket.pointee.isBulk {
            let allowed = min(passed, Self.silentUnits) &* Self.rate
            let before = bucket.pointee.excess
            let excess = (before > allowed ? before &- allowed : 0) &+ UInt64(ip.totalLength)
            bucket.pointee.excess = excess
            bucket.pointee.isBulk = excess > Self.burst || flow.isFragmented
        }
        if bucket.pointee.isBulk { bucket.pointee.place = ahead.placeOfNext }
        return !bucket.pointee.isBulk
    }
}

/// Addresses, protocol and ports of a packet.
private struct FlowName {
    let ip: IPPacket
    /// Protocol and, where it has them, ports.
    let words: UInt64
    /// It is the first fragment of a packet.
    let isFragmented: Bool

    /// Nil where ports may be that cannot be seen.
    @inline(__always)
    init?(_ ip: IPPacket) {
        var number = ip.protocolNumber
        var transport = ip.headerLength
        if ip.isIPv4 {
            let place = ip.base.loadBig(6, as: UInt16.self)
            guard place & 0x1fff == 0 else { return nil }
            isFragmented = place & 0x2000 != 0
        } else if number == IPProtocol.fragment, ip.totalLength >= transport &+ 8 {
            guard ip.base.loadBig(transport &+ 2, as: UInt16.self) & 0xfff8 == 0 else { return nil }
            isFragmented = true
            number = ip.base.load(fromByteOffset: transport, as: UInt8.self)
            transport &+= 8
        } else {
            switch number {
            case IPProtocol.tcp, IPProtocol.udp, IPProtocol.icmpV6, IPProtocol.esp:
                isFragmented = false
            default: return nil
            }
        }
        self.ip = ip
        guard number == IPProtocol.tcp || number == IPProtocol.udp else {
            words = UInt64(number)
            return
        }
        guard ip.totalLength >= transport &+ 4 else { return nil }
        let ports = (ip.base + transport).loadUnaligned(as: UInt32.self)
        words = UInt64(ports) << 8 | UInt64(number)
    }

    @inline(__always)
    func number(_ seed: UInt64, bits: Int) -> Int {
        var key = Self.mixed(words ^ seed)
        if ip.isIPv4 {
            key ^= (ip.base + 12).loadUnaligned(as: UInt64.self)
        } else {
            for offset in stride(from: 8, to: 40, by: 8) {
                key = Self.mixed(key) ^ (ip.base + offset).loadUnaligned(as: UInt64.self)
            }
        }
        return Int(truncatingIfNeeded: Self.mixed(key ^ seed) >> UInt64(64 - bits))
    }

    @inline(__always)
    private static func mixed(_ key: UInt64) -> UInt64 {
        let product = key.multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return product.high ^ product.low
    }
}
