import Addresses

/// An entry of the neighbour table: ARP (RFC 826) or IPv6 neighbour discovery (RFC 4861).
package struct Neighbour: Hashable, Sendable {
    package struct State: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        package static let reachable = State(rawValue: 0x02)
        package static let stale = State(rawValue: 0x04)
        package static let failed = State(rawValue: 0x20)
        package static let noARP = State(rawValue: 0x40)
        package static let permanent = State(rawValue: 0x80)
    }

    package var address: IPAddress
    package var hardwareAddress: [UInt8]
    package var state: State
    /// Known for entries that were read back.
    package var interfaceIndex: Int32

    package init(_ address: IPAddress, at hardwareAddress: [UInt8], state: State = .permanent) {
        self.address = address
        self.hardwareAddress = hardwareAddress
        self.state = state
        interfaceIndex = 0
    }

    package init?(_ message: NetlinkReply.Message) {
        guard message.type == RTM.newNeighbour else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // ndmsg: family, padding, index, state, flags, type
        guard let family = reader.u8(), reader.take(3) != nil, let index = reader.i32(),
            let state = reader.u16(), reader.take(2) != nil, let width = addressBytes(of: family)
        else { return nil }
        var address: IPAddress?
        hardwareAddress = []
        while let attribute = reader.attribute() {
            switch attribute.type {
            case NDA.destination: address = attribute.address(bytes: width)
            case NDA.linkAddress: hardwareAddress = Array(attribute.payload.prefix(32))
            default: break
            }
        }
        guard let address else { return nil }
        self.address = address
        self.state = State(rawValue: state)
        interfaceIndex = index
    }
}
