import Addresses
import SliceModel

/// What policies look at, from the beginning of a packet as the kernel logs it.
package struct JudgedPacket: Hashable, Sendable {
    package var source: IPAddress
    package var target: IPAddress
    package var flow: PolicyFlow

    /// Nil for what is no whole header. A later fragment has no port.
    package init?(_ bytes: some RandomAccessCollection<UInt8>) {
        let bytes = Array(bytes.prefix(256))
        switch bytes.first.map({ $0 >> 4 }) {
        case 4: self.init(ipv4: bytes)
        case 6: self.init(ipv6: bytes)
        default: return nil
        }
    }

    private init?(ipv4 bytes: [UInt8]) {
        let length = Int(bytes[0] & 15) * 4
        guard length >= 20, bytes.count >= 20,
            let source = IPAddress(bytes: bytes[12..<16]),
            let target = IPAddress(bytes: bytes[16..<20])
        else { return nil }
        let isLaterFragment = (bytes[6] & 0x1f) != 0 || bytes[7] != 0
        self.source = source
        self.target = target
        flow = Self.flow(bytes[9], bytes.dropFirst(length), isLaterFragment)
    }

    private init?(ipv6 bytes: [UInt8]) {
        guard bytes.count >= 40, let source = IPAddress(bytes: bytes[8..<24]),
            let target = IPAddress(bytes: bytes[24..<40])
        else { return nil }
        self.source = source
        self.target = target
        var (next, place) = (bytes[6], 40)
        var isLaterFragment = false
        // Hop-by-hop and destination options, routing, fragment (RFC 8200 section 4).
        while [0, 43, 44, 60].contains(next), place + 8 <= bytes.count {
            let length = next == 44 ? 8 : (Int(bytes[place + 1]) + 1) * 8
            if next == 44 {
                isLaterFragment = bytes[place + 2] != 0 || bytes[place + 3] & 0xf8 != 0
            }
            next = bytes[place]
            place += length
        }
        flow = Self.flow(next, bytes.dropFirst(place), isLaterFragment)
    }

    private static func flow(
        _ number: UInt8, _ rest: ArraySlice<UInt8>, _ isLaterFragment: Bool
    ) -> PolicyFlow {
        let transport: PortMatch.Transport? =
            switch number {
            case 6: .tcp
            case 17: .udp
            case 132: .sctp
            case 1, 58: .icmp
            default: nil
            }
        guard let transport, transport != .icmp, !isLaterFragment, rest.count >= 4 else {
            return PolicyFlow(transport)
        }
        let at = rest.startIndex + 2
        return PolicyFlow(transport, UInt16(rest[at]) << 8 | UInt16(rest[at + 1]))
    }
}
