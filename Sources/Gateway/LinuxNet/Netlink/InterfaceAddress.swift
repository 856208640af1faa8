import Addresses

/// An address on an interface (RTM_NEWADDR).
package struct InterfaceAddress: Hashable, Sendable {
    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Usable at once: no duplicate address detection (RFC 4862 section 5.4).
        package static let noDuplicateDetection = Flags(rawValue: 0x02)
        package static let duplicate = Flags(rawValue: 0x08)
        package static let deprecated = Flags(rawValue: 0x20)
        package static let tentative = Flags(rawValue: 0x40)
        package static let permanent = Flags(rawValue: 0x80)
        /// No route to the prefix comes with the address.
        package static let noPrefixRoute = Flags(rawValue: 0x200)
    }

    package var address: IPAddress
    package var prefixLength: Int
    package var flags: Flags
    /// Known for addresses that were read back.
    package var interfaceIndex: Int32

    /// IPv6 addresses skip duplicate detection unless told otherwise: overlay addresses are
    /// assigned, and a tentative address cannot be bound.
    package init(_ address: IPAddress, prefixLength: Int, flags: Flags? = nil) {
        self.address = address
        self.prefixLength = prefixLength
        self.flags = flags ?? (address.isIPv4 ? [] : .noDuplicateDetection)
        interfaceIndex = 0
    }

    package var prefix: IPPrefix? { IPPrefix(address, length: prefixLength) }

    package var isIPv6LinkLocal: Bool {
        if case .v6(let a) = address { a.isLinkLocal } else { false }
    }

    package init?(_ message: NetlinkReply.Message) {
        guard message.type == RTM.newAddress else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // ifaddrmsg: family, prefix length, flags, scope, index
        guard let family = reader.u8(), let length = reader.u8(), let short = reader.u8(),
            reader.u8() != nil, let index = reader.i32(), let width = addressBytes(of: family)
        else { return nil }
        var flags = UInt32(short)
        var peer: IPAddress?
        var local: IPAddress?
        while let attribute = reader.attribute() {
            switch attribute.type {
            case IFA.address: peer = attribute.address(bytes: width)
            case IFA.local: local = attribute.address(bytes: width)
            case IFA.flags: flags = attribute.u32 ?? flags
            default: break
            }
        }
        // On point-to-point links IFA_ADDRESS is the other end; IFA_LOCAL is always ours.
        guard let address = local ?? peer, Int(length) <= width * 8 else { return nil }
        self.address = address
        prefixLength = Int(length)
        self.flags = Flags(rawValue: flags)
        interfaceIndex = index
    }
}

extension InterfaceAddress: CustomStringConvertible {
    package var description: String { "\(address)/\(prefixLength)" }
}

/// 4 or 16, or nil for families that are not IP.
func addressBytes(of family: UInt8) -> Int? {
    switch family {
    case Family.ipv4: 4
    case Family.ipv6: 16
    default: nil
    }
}

extension NetlinkAttribute {
    func address(bytes count: Int) -> IPAddress? {
        payload.count == count ? IPAddress(bytes: payload) : nil
    }
}

extension IPAddress {
    var family: UInt8 { isIPv4 ? Family.ipv4 : Family.ipv6 }
}
