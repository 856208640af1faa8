import Addresses
import Bytes

/// IP protocol numbers (IANA).
package enum IPProtocol {
    package static let hopByHop: UInt8 = 0
    package static let icmp: UInt8 = 1
    package static let tcp: UInt8 = 6
    package static let udp: UInt8 = 17
    package static let fragment: UInt8 = 44
    package static let esp: UInt8 = 50
    package static let icmpV6: UInt8 = 58
    package static let noNextHeader: UInt8 = 59
    package static let destinationOptions: UInt8 = 60
}

/// A look at the header of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet whose lengths were
/// checked against the buffer. It owns nothing: the buffer must outlive it.
package struct IPPacket {
    package let base: UnsafeRawPointer
    package let isIPv4: Bool
    /// The IPv4 header with its options, or the 40 bytes of IPv6 without extension headers.
    package let headerLength: Int
    /// Header and payload, as the header says.
    package let totalLength: Int

    /// `padded` allows bytes behind the packet, as in a WireGuard message (padded to 16).
    package init(
        _ bytes: UnsafeRawBufferPointer, padded: Bool = false
    ) throws(PacketProblem) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { throw .badVersion }
        let first = base.load(as: UInt8.self)
        switch first >> 4 {
        case 4:
            guard bytes.count >= 20 else { throw .truncated }
            let header = Int(first & 15) &* 4
            let total = Int(base.loadBig(2, as: UInt16.self))
            guard header >= 20, total >= header else { throw .badHeaderLength }
            isIPv4 = true
            headerLength = header
            totalLength = total
        case 6:
            guard bytes.count >= 40 else { throw .truncated }
            isIPv4 = false
            headerLength = 40
            totalLength = 40 &+ Int(base.loadBig(4, as: UInt16.self))
        default:
            throw .badVersion
        }
        guard totalLength <= bytes.count else { throw .truncated }
        guard padded || totalLength == bytes.count else { throw .trailingBytes }
        self.base = base
    }

    /// The protocol of IPv4, the next header of IPv6 (which may be an extension header).
    package var protocolNumber: UInt8 { base.load(fromByteOffset: isIPv4 ? 9 : 6, as: UInt8.self) }

    /// DSCP and ECN: type of service or traffic class.
    package var trafficClass: UInt8 {
        isIPv4
            ? base.load(fromByteOffset: 1, as: UInt8.self)
            : UInt8(truncatingIfNeeded: base.loadBig(0, as: UInt16.self) >> 4)
    }

    /// More fragments follow, or this is not the first. IPv6 says so in an extension header.
    package var isFragment: Bool { isIPv4 && base.loadBig(6, as: UInt16.self) & 0x3fff != 0 }

    /// For IPv4 only.
    package var sourceV4: UInt32 { base.loadBig(12, as: UInt32.self) }
    package var destinationV4: UInt32 { base.loadBig(16, as: UInt32.self) }
    /// For IPv6 only.
    package var sourceV6: (high: UInt64, low: UInt64) {
        (base.loadBig(8, as: UInt64.self), base.loadBig(16, as: UInt64.self))
    }
    package var destinationV6: (high: UInt64, low: UInt64) {
        (base.loadBig(24, as: UInt64.self), base.loadBig(32, as: UInt64.self))
    }

    /// For control paths; packet threads read the numbers above.
    package var source: IPAddress {
        isIPv4
            ? .v4(IPv4Address(sourceV4))
            : .v6(IPv6Address(high: sourceV6.high, low: sourceV6.low))
    }
    package var destination: IPAddress {
        isIPv4
            ? .v4(IPv4Address(destinationV4))
            : .v6(IPv6Address(high: destinationV6.high, low: destinationV6.low))
    }

    /// Where the transport header starts if only hop-by-hop and destination options stand in
    /// front of it, and its protocol. Nil for anything else: fragments, routing headers (whose
    /// pseudo header has another destination), AH, or a chain that is longer than the packet.
    var transport: (offset: Int, protocolNumber: UInt8)? {
        var next = protocolNumber
        var offset = headerLength
        if isIPv4 { return isFragment ? nil : (offset, next) }
        while next == IPProtocol.hopByHop || next == IPProtocol.destinationOptions {
            guard offset &+ 8 <= totalLength else { return nil }
            next = base.load(fromByteOffset: offset, as: UInt8.self)
            offset &+= 8 &* (1 &+ Int(base.load(fromByteOffset: offset &+ 1, as: UInt8.self)))
        }
        switch next {
        case IPProtocol.tcp, IPProtocol.udp: return offset <= totalLength ? (offset, next) : nil
        default: return nil
        }
    }
}
