import Bytes

/// What the coalescer wants to know of one packet. A plain value on the stack.
struct Flow {
    enum Kind: UInt8 {
        /// Not an IP packet with consistent lengths.
        case garbage
        /// Could belong to any flow between its two addresses: fragments, IPv4 options, IPv6
        /// extension headers, transport headers that say nonsense.
        case unusual
        /// Of no flow that is ever merged.
        case other
        case tcp
        case udp
    }

    var kind = Kind.garbage
    var isIPv4 = false
    let base: UnsafeMutableRawPointer
    let count: Int
    /// Where the transport header and the payload start.
    var transport = 0
    var header = 0
    var payload = 0
    /// Of addresses and ports; equal flows have equal keys.
    var key: UInt64 = 0
    var sequence: UInt32 = 0
    var flags: UInt8 = 0

    @inline(__always)
    init(_ packet: UnsafeMutableRawBufferPointer, _ start: UnsafeMutableRawPointer, udp: Bool) {
        base = start
        count = packet.count
        guard let ip = try? IPPacket(UnsafeRawBufferPointer(packet)) else { return }
        isIPv4 = ip.isIPv4
        transport = ip.headerLength
        let number = ip.protocolNumber
        if isIPv4 {
            if transport != 20 || ip.isFragment {
                kind = .unusual
                return
            }
        } else if number != IPProtocol.tcp, number != IPProtocol.udp {
            kind =
                number == IPProtocol.icmpV6 || number == IPProtocol.noNextHeader
                ? .other : .unusual
            return
        }
        let room = count &- transport
        switch number {
        case IPProtocol.tcp:
            kind = .unusual
            guard room >= 20 else { return }
            let own = Int(start.load(fromByteOffset: transport &+ 12, as: UInt8.self) >> 4) &* 4
            guard own >= 20, own <= room else { return }
            kind = .tcp
            header = transport &+ own
            flags = start.load(fromByteOffset: transport &+ 13, as: UInt8.self)
            sequence = start.loadBig(transport &+ 4, as: UInt32.self)
        case IPProtocol.udp:
            kind = udp ? .unusual : .other
            guard udp, room >= 8, Int(start.loadBig(transport &+ 4, as: UInt16.self)) == room
            else { return }
            kind = .udp
            header = transport &+ 8
        default:
            kind = .other
            return
        }
        payload = count &- header
        key = makeKey()
    }

    private func makeKey() -> UInt64 {
        let ports = UInt64((base + transport).loadUnaligned(as: UInt32.self))
        var key = ports &* 0x9e37_79b9_7f4a_7c15
        if isIPv4 {
            return key ^ (base + 12).loadUnaligned(as: UInt64.self)
        }
        for offset in stride(from: 8, to: 40, by: 8) {
            key = (key ^ (base + offset).loadUnaligned(as: UInt64.self)) &* 0xff51_afd7_ed55_8ccd
        }
        return key
    }

    /// Whether a group can start with this: it has payload, and nothing but an ACK with perhaps
    /// the ECN flags. (A PSH or FIN would have to be the last as well.)
    var canLead: Bool {
        guard payload > 0 else { return false }
        if kind == .udp { return true }
        return flags & ~(TCPFlag.ece | TCPFlag.cwr) == TCPFlag.ack
    }

    /// Whether all checksums are exactly those that a sender computes, and so those that
    /// segmentation will compute again. Verifying is what keeps a packet that was damaged before
    /// it reached the tunnel from leaving it with a checksum made anew.
    var hasValidChecksums: Bool {
        if isIPv4, !InternetChecksum.isValidIPv4Header(base, length: 20) { return false }
        let isTCP = kind == .tcp
        let place = transport &+ (isTCP ? 16 : 6)
        let field = (base + place).loadUnaligned(as: UInt16.self)
        // Zero has two encodings: TCP senders give 0, UDP senders 0xffff (RFC 768: 0 is none).
        if field == (isTCP ? 0xffff : 0) { return false }
        let length = count &- transport
        let pseudo = InternetChecksum.pseudoHeader(
            base, isIPv4: isIPv4, protocolNumber: isTCP ? IPProtocol.tcp : IPProtocol.udp,
            length: length)
        let sum = InternetChecksum.sum(base + transport, count: length, adding: pseudo)
        return InternetChecksum.fold(sum) == 0xffff
    }
}
