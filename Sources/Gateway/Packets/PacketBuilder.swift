import Addresses
import Bytes

/// Makes whole packets with right checksums, for `ping` and for tests. Not for the hot path.
package struct PacketBuilder: Sendable {
    package var source: IPAddress
    package var destination: IPAddress
    /// DSCP and ECN.
    package var trafficClass: UInt8 = 0
    /// Time to live or hop limit.
    package var hopLimit: UInt8 = 64
    /// IPv4 only.
    package var identification: UInt16 = 0
    package var dontFragment = true
    /// IPv4 only; padded with zeros to a multiple of 4, at most 40 bytes.
    package var options: [UInt8] = []
    /// IPv6 only, 20 bits.
    package var flowLabel: UInt32 = 0

    /// Both addresses must be of the same family.
    package init(from source: IPAddress, to destination: IPAddress) {
        precondition(source.isIPv4 == destination.isIPv4)
        self.source = source
        self.destination = destination
    }

    /// What a TCP header says beside ports and checksum.
    package struct TCP: Sendable {
        package var sequence: UInt32 = 0
        package var acknowledgment: UInt32 = 0
        package var flags: UInt8 = TCPFlag.ack
        package var window: UInt16 = 0xffff
        package var urgentPointer: UInt16 = 0
        /// Padded with zeros to a multiple of 4, at most 40 bytes.
        package var options: [UInt8] = []
        package init() {}
    }

    /// An IP packet with this payload as it is.
    package func packet(_ protocolNumber: UInt8, _ payload: [UInt8]) -> [UInt8] {
        header(protocolNumber, payloadLength: payload.count) + payload
    }

    package func tcp(
        _ sourcePort: UInt16, _ destinationPort: UInt16, _ tcp: TCP, _ payload: [UInt8] = []
    ) -> [UInt8] {
        let options = Self.padded(tcp.options)
        var bytes = Self.big(sourcePort) + Self.big(destinationPort)
        bytes += Self.big(tcp.sequence) + Self.big(tcp.acknowledgment)
        bytes += [UInt8((20 + options.count) / 4) << 4, tcp.flags] + Self.big(tcp.window)
        bytes += [0, 0] + Self.big(tcp.urgentPointer) + options + payload
        return complete(IPProtocol.tcp, bytes, checksumAt: 16)
    }

    package func udp(
        _ sourcePort: UInt16, _ destinationPort: UInt16, _ payload: [UInt8]
    ) -> [UInt8] {
        let length = UInt16(truncatingIfNeeded: 8 + payload.count)
        let bytes =
            Self.big(sourcePort) + Self.big(destinationPort) + Self.big(length) + [0, 0] + payload
        return complete(IPProtocol.udp, bytes, checksumAt: 6)
    }

    /// An echo request or reply (RFC 792, RFC 4443 section 4).
    package func echo(
        reply: Bool = false, identifier: UInt16, sequence: UInt16, _ payload: [UInt8] = []
    ) -> [UInt8] {
        let type: UInt8 = source.isIPv4 ? (reply ? 0 : 8) : (reply ? 129 : 128)
        let bytes = [type, 0, 0, 0] + Self.big(identifier) + Self.big(sequence) + payload
        let number = source.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpV6
        return complete(number, bytes, checksumAt: 2)
    }

    private func complete(
        _ protocolNumber: UInt8, _ transport: [UInt8], checksumAt place: Int
    ) -> [UInt8] {
        var packet = header(protocolNumber, payloadLength: transport.count) + transport
        let start = packet.count - transport.count
        packet.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            // ICMP for IPv4 alone has no pseudo header.
            let pseudo =
                protocolNumber == IPProtocol.icmp
                ? 0
                : InternetChecksum.pseudoHeader(
                    base, isIPv4: source.isIPv4, protocolNumber: protocolNumber,
                    length: transport.count)
            let sum = InternetChecksum.sum(base + start, count: transport.count, adding: pseudo)
            var checksum = ~InternetChecksum.fold(sum)
            if checksum == 0, protocolNumber == IPProtocol.udp { checksum = 0xffff }
            base.storeBytes(of: checksum, toByteOffset: start + place, as: UInt16.self)
        }
        return packet
    }

    private func header(_ protocolNumber: UInt8, payloadLength: Int) -> [UInt8] {
        guard source.isIPv4 else {
            precondition(payloadLength <= 0xffff)
            let first = 6 << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xf_ffff
            return Self.big(first) + Self.big(UInt16(payloadLength)) + [protocolNumber, hopLimit]
                + source.bytes + destination.bytes
        }
        let options = Self.padded(options)
        let length = 20 + options.count
        precondition(length + payloadLength <= 0xffff)
        var bytes: [UInt8] = [0x40 | UInt8(length / 4), trafficClass]
        bytes += Self.big(UInt16(length + payloadLength)) + Self.big(identification)
        bytes += Self.big(UInt16(dontFragment ? 0x4000 : 0)) + [hopLimit, protocolNumber, 0, 0]
        bytes += source.bytes + destination.bytes + options
        bytes.withUnsafeMutableBytes { header in
            guard let base = header.baseAddress else { return }
            let sum = InternetChecksum.sum(base, count: length)
            base.storeBytes(of: ~InternetChecksum.fold(sum), toByteOffset: 10, as: UInt16.self)
        }
        return bytes
    }

    private static func padded(_ options: [UInt8]) -> [UInt8] {
        precondition(options.count <= 40)
        return options + Array(repeating: 0, count: -options.count & 3)
    }

    private static func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
    }
}

/// An echo reply, as `ping` looks for it.
package struct EchoReply: Hashable, Sendable {
    package let source: IPAddress
    package let identifier: UInt16
    package let sequence: UInt16
    package let payload: [UInt8]

    /// Nil if the packet is anything else, or its checksum is wrong.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard let ip = try? IPPacket(bytes, padded: true), !ip.isFragment else { return nil }
        let length = ip.totalLength - ip.headerLength
        let start = ip.base + ip.headerLength
        let number = ip.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpV6
        guard ip.protocolNumber == number, length >= 8,
            start.loadBig(0, as: UInt16.self) == (ip.isIPv4 ? 0 : 129 << 8)
        else { return nil }
        let pseudo =
            ip.isIPv4
            ? 0
            : InternetChecksum.pseudoHeader(
                ip.base, isIPv4: false, protocolNumber: number, length: length)
        let sum = InternetChecksum.sum(start, count: length, adding: pseudo)
        guard InternetChecksum.fold(sum) == 0xffff else { return nil }
        source = ip.source
        identifier = start.loadBig(4, as: UInt16.self)
        sequence = start.loadBig(6, as: UInt16.self)
        payload = Array(UnsafeRawBufferPointer(start: start + 8, count: length - 8))
    }
}
