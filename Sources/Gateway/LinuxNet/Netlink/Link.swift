/// A network interface as the kernel describes it (RTM_NEWLINK).
package struct Link: Hashable, Sendable {
    package var index: Int32
    package var name: String
    /// `veth`, `tun`, `bridge`, or nil for hardware and loopback.
    package var kind: String?
    package var mtu: UInt32
    package var flags: UInt32
    /// RFC 2863 state, IF_OPER_*: 6 is up, 2 is down, 0 is unknown.
    package var operationalState: UInt8
    package var hardwareAddress: [UInt8]
    package var alias: String?
    /// The index of the bridge it is a port of.
    package var master: Int32?
    /// For a veth: the index of the other end, in the other end's namespace.
    package var peerIndex: Int32?
    /// The id that this namespace gives to the namespace of the peer; nil if it is this one.
    package var peerNamespaceID: Int32?
    package var counters: Counters

    package struct Counters: Hashable, Sendable {
        package var receivedPackets: UInt64 = 0
        package var sentPackets: UInt64 = 0
        package var receivedBytes: UInt64 = 0
        package var sentBytes: UInt64 = 0
        package var receiveErrors: UInt64 = 0
        package var sendErrors: UInt64 = 0
        package var receiveDropped: UInt64 = 0
        package var sendDropped: UInt64 = 0
    }

    /// Administratively up (IFF_UP).
    package var isUp: Bool { flags & 0x1 != 0 }
    package var isLoopback: Bool { flags & 0x8 != 0 }
    /// Up and with a carrier (IFF_RUNNING).
    package var isRunning: Bool { flags & 0x40 != 0 }

    /// `aa:bb:cc:dd:ee:ff`, or nothing for devices of layer 3.
    package var hardwareAddressText: String {
        hardwareAddress.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined(separator: ":")
    }

    /// Nil if the message is not an interface or lacks its name.
    package init?(_ message: NetlinkReply.Message) {
        guard message.type == RTM.newLink else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // ifinfomsg: family, padding, type, index, flags, change mask
        guard reader.take(4) != nil, let index = reader.i32(), let flags = reader.u32(),
            reader.take(4) != nil
        else { return nil }
        self.index = index
        self.flags = flags
        name = ""
        mtu = 0
        operationalState = 0
        hardwareAddress = []
        counters = Counters()
        while let attribute = reader.attribute() { read(attribute) }
        if name.isEmpty { return nil }
    }

    private mutating func read(_ attribute: NetlinkAttribute) {
        switch attribute.type {
        case IFLA.name: name = attribute.text
        case IFLA.mtu: mtu = attribute.u32 ?? 0
        case IFLA.address: hardwareAddress = Array(attribute.payload.prefix(32))
        case IFLA.alias: alias = attribute.text
        case IFLA.master: master = attribute.i32
        case IFLA.link: peerIndex = attribute.i32
        case IFLA.linkNamespaceID: peerNamespaceID = attribute.i32
        case IFLA.operationalState: operationalState = attribute.u8 ?? 0
        case IFLA.statistics64: counters = Counters(attribute) ?? counters
        case IFLA.info:
            var nested = attribute.nested
            while let part = nested.attribute() {
                if part.type == IFLA.infoKind { kind = part.text }
            }
        default: break
        }
    }
}

extension Link.Counters {
    /// From rtnl_link_stats64: the first eight of its fields.
    fileprivate init?(_ attribute: NetlinkAttribute) {
        guard attribute.payload.count >= 64 else { return nil }
        func field(_ n: Int) -> UInt64 { NetlinkReader.number(attribute.payload.dropFirst(8 * n)) }
        receivedPackets = field(0)
        sentPackets = field(1)
        receivedBytes = field(2)
        sentBytes = field(3)
        receiveErrors = field(4)
        sendErrors = field(5)
        receiveDropped = field(6)
        sendDropped = field(7)
    }
}
