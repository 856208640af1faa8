import Bytes

/// Explicit congestion notification through the tunnel (RFC 6040): congestion that the underlay
/// marks on the outer packet reaches the inner one.
package enum ECN {
    package static let notCapable: UInt8 = 0
    package static let capable1: UInt8 = 1
    package static let capable0: UInt8 = 2
    package static let congestion: UInt8 = 3

    /// The outer type of service for an inner one: normal mode of RFC 6040 section 4.1. The DSCP
    /// is 0, so that the underlay learns nothing of the inner classes.
    @inline(__always)
    package static func encapsulate(_ inner: UInt8) -> UInt8 { inner & 3 }

    /// The inner type of service after decapsulation (RFC 6040 figure 4), or nil: the packet must
    /// be dropped, because its sender would not understand that there was congestion.
    package static func decapsulate(inner: UInt8, outer: UInt8) -> UInt8? {
        switch (inner & 3, outer & 3) {
        case (notCapable, congestion): nil
        case (notCapable, _), (congestion, _): inner
        case (_, congestion): inner | congestion
        case (capable0, capable1): inner & ~3 | capable1
        default: inner
        }
    }

    /// Decapsulates in place. False if the packet must be dropped. An IPv4 checksum that was
    /// wrong stays wrong. Packets too short to be IP are left alone.
    package static func apply(outer: UInt8, to packet: UnsafeMutableRawBufferPointer) -> Bool {
        guard packet.count >= 20, let base = packet.baseAddress else { return true }
        let first = base.loadBig(0, as: UInt16.self)
        let isIPv4 = first >> 12 == 4
        guard isIPv4 || first >> 12 == 6 else { return true }
        let inner = UInt8(truncatingIfNeeded: isIPv4 ? first : first >> 4)
        guard let new = decapsulate(inner: inner, outer: outer) else { return false }
        guard new != inner else { return true }
        if isIPv4 {
            let changed = first & 0xff00 | UInt16(new)
            let checksum = InternetChecksum.updated(
                base.loadBig(10, as: UInt16.self), from: first, to: changed)
            base.storeBig(changed, 0)
            base.storeBig(checksum, 10)
        } else {
            base.storeBig(first & 0xf00f | UInt16(new) << 4, 0)
        }
        return true
    }
}
