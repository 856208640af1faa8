import Addresses

/// A route (RTM_NEWROUTE). What was added compares equal to what is read back.
package struct Route: Hashable, Sendable {
    package struct Kind: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let unicast = Kind(rawValue: 1)
        package static let local = Kind(rawValue: 2)
        package static let broadcast = Kind(rawValue: 3)
        package static let anycast = Kind(rawValue: 4)
        package static let multicast = Kind(rawValue: 5)
        /// Drops silently.
        package static let blackhole = Kind(rawValue: 6)
        /// Drops with an ICMP "unreachable".
        package static let unreachable = Kind(rawValue: 7)
        package static let prohibit = Kind(rawValue: 8)

        /// Whether packets go nowhere.
        package var isRefusal: Bool { (6...8).contains(rawValue) }
    }

    package struct Scope: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let universe = Scope(rawValue: 0)
        package static let link = Scope(rawValue: 253)
        package static let host = Scope(rawValue: 254)
    }

    package static let mainTable: UInt32 = 254
    package static let localTable: UInt32 = 255
    /// The protocol number of routes that this product installs, so that they can be told from
    /// others; free in linux/rtnetlink.h and in iproute2's table.
    package static let ownProtocol: UInt8 = 143

    package var destination: IPPrefix
    package var kind: Kind
    package var gateway: IPAddress?
    package var interfaceIndex: Int32?
    package var table: UInt32
    /// The smaller wins. IPv6 has no 0: the kernel makes 1024 of it.
    package var metric: UInt32
    package var scope: Scope
    /// The gateway is taken for reachable on the link, whatever its prefix says.
    package var onLink: Bool
    package var mtu: UInt32?
    package var preferredSource: IPAddress?
    /// Who installed it: RTPROT_KERNEL is 2, RTPROT_BOOT (`ip route`) 3.
    package var installer: UInt8

    package init(
        to destination: IPPrefix, via gateway: IPAddress? = nil, interfaceIndex: Int32? = nil,
        kind: Kind = .unicast, table: UInt32 = Route.mainTable, metric: UInt32? = nil,
        scope: Scope? = nil, onLink: Bool = false, mtu: UInt32? = nil,
        preferredSource: IPAddress? = nil, installer: UInt8 = Route.ownProtocol
    ) {
        self.destination = destination
        self.kind = kind
        self.gateway = gateway
        self.interfaceIndex = interfaceIndex
        self.table = table
        self.metric =
            destination.isIPv4 ? metric ?? 0 : metric.flatMap { $0 == 0 ? nil : $0 } ?? 1024
        let natural: Scope =
            destination.isIPv4 && kind == .unicast && gateway == nil ? .link : .universe
        self.scope = destination.isIPv4 ? scope ?? natural : .universe
        self.onLink = onLink
        self.mtu = mtu
        self.preferredSource = preferredSource
        self.installer = installer
    }

    /// Nil for what is no route, and for the clones that the kernel caches beside its tables.
    package init?(_ message: NetlinkReply.Message) {
        self.init(message, clones: false)
    }

    /// The answer to a look-up, which is marked as a clone.
    init?(answer message: NetlinkReply.Message) {
        self.init(message, clones: true)
    }

    private init?(_ message: NetlinkReply.Message, clones: Bool) {
        guard message.type == RTM.newRoute else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // rtmsg: family, lengths, TOS, table, protocol, scope, type, flags
        guard let family = reader.u8(), let length = reader.u8(), reader.take(2) != nil,
            let shortTable = reader.u8(), let installer = reader.u8(), let scope = reader.u8(),
            let kind = reader.u8(), let flags = reader.u32(), let width = addressBytes(of: family),
            clones || flags & RTA.cloned == 0,
            let zero = IPAddress(bytes: [UInt8](repeating: 0, count: width))
        else { return nil }
        self.kind = Kind(rawValue: kind)
        self.scope = Scope(rawValue: scope)
        self.installer = installer
        table = UInt32(shortTable)
        onLink = flags & RTA.onLink != 0
        metric = 0
        guard let everything = IPPrefix(zero, length: 0) else { return nil }
        destination = everything
        var address = zero
        while let attribute = reader.attribute() {
            if attribute.type == RTA.destination {
                guard let given = attribute.address(bytes: width) else { return nil }
                address = given
            }
            read(attribute, width)
        }
        guard let destination = IPPrefix(address, length: Int(length)) else { return nil }
        self.destination = destination
        // For IPv6 the kernel shows refusals as leaving through lo.
        if self.kind.isRefusal { interfaceIndex = nil }
    }

    private mutating func read(_ attribute: NetlinkAttribute, _ width: Int) {
        switch attribute.type {
        case RTA.outputInterface: interfaceIndex = attribute.i32
        case RTA.gateway: gateway = attribute.address(bytes: width)
        case RTA.priority: metric = attribute.u32 ?? 0
        case RTA.preferredSource: preferredSource = attribute.address(bytes: width)
        case RTA.table: table = attribute.u32 ?? table
        case RTA.via:
            // A gateway of the other family: two bytes of family, then the address.
            guard let family = attribute.u16, family <= 255,
                let bytes = addressBytes(of: UInt8(family)), attribute.payload.count == 2 + bytes
            else { break }
            gateway = IPAddress(bytes: attribute.payload.dropFirst(2))
        case RTA.metrics:
            var nested = attribute.nested
            while let part = nested.attribute() {
                if part.type == RTA.metricMTU { mtu = part.u32 }
            }
        default: break
        }
    }

    func request(_ type: UInt16, flags: UInt16) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags: flags)
        request.append(destination.address.family)
        request.append(UInt8(destination.length))
        request.append(UInt16(0))
        request.append(table < 256 ? UInt8(table) : 0)
        request.append(installer)
        request.append(scope.rawValue)
        request.append(kind.rawValue)
        request.append(onLink ? RTA.onLink : 0)
        request.put(RTA.destination, destination.address)
        if let interfaceIndex { request.put(RTA.outputInterface, interfaceIndex) }
        if let gateway {
            if gateway.isIPv4 == destination.isIPv4 {
                request.put(RTA.gateway, gateway)
            } else {
                request.put(RTA.via, bytes: [gateway.family, 0] + gateway.bytes)
            }
        }
        request.put(RTA.table, table)
        if metric != 0 { request.put(RTA.priority, metric) }
        if let preferredSource { request.put(RTA.preferredSource, preferredSource) }
        if let mtu { request.nest(RTA.metrics) { $0.put(RTA.metricMTU, mtu) } }
        return request
    }
}

extension Route: CustomStringConvertible {
    package var description: String {
        var text = kind.isRefusal ? "refusal of \(destination)" : "\(destination)"
        if let gateway { text += " via \(gateway)" }
        if table != Self.mainTable { text += " table \(table)" }
        return text
    }
}
