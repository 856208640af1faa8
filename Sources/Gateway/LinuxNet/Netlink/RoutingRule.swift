import Addresses

/// A rule of the routing policy database, as `ip rule` shows it (linux/fib_rules.h).
package struct RoutingRule: Hashable, Sendable {
    package struct Action: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let lookup = Action(rawValue: 1)
        package static let blackhole = Action(rawValue: 6)
        package static let unreachable = Action(rawValue: 7)
        package static let prohibit = Action(rawValue: 8)
    }

    package var isIPv4: Bool
    package var priority: UInt32
    package var action: Action
    package var table: UInt32
    package var inputInterface: String?
    package var outputInterface: String?
    package var from: IPPrefix?
    package var to: IPPrefix?
    /// Who installed it, numbered as for routes.
    package var installer: UInt8

    package init(
        isIPv4: Bool, priority: UInt32, table: UInt32, action: Action = .lookup,
        inputInterface: String? = nil, outputInterface: String? = nil, from: IPPrefix? = nil,
        to: IPPrefix? = nil, installer: UInt8 = Route.ownProtocol
    ) {
        self.isIPv4 = isIPv4
        self.priority = priority
        self.table = table
        self.action = action
        self.inputInterface = inputInterface
        self.outputInterface = outputInterface
        self.from = from
        self.to = to
        self.installer = installer
    }

    package init?(_ message: NetlinkReply.Message) {
        guard message.type == RTM.newRule else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // fib_rule_hdr: family, lengths, TOS, table, two reserved, action, flags
        guard let family = reader.u8(), let toLength = reader.u8(), let fromLength = reader.u8(),
            reader.u8() != nil, let shortTable = reader.u8(), reader.take(2) != nil,
            let action = reader.u8(), reader.u32() != nil, let width = addressBytes(of: family)
        else { return nil }
        isIPv4 = width == 4
        self.action = Action(rawValue: action)
        table = UInt32(shortTable)
        priority = 0
        installer = 0
        while let attribute = reader.attribute() {
            switch attribute.type {
            case FRA.priority: priority = attribute.u32 ?? 0
            case FRA.table: table = attribute.u32 ?? table
            case FRA.inputInterface: inputInterface = attribute.text
            case FRA.outputInterface: outputInterface = attribute.text
            case FRA.proto: installer = attribute.u8 ?? 0
            case FRA.source:
                from = attribute.address(bytes: width).flatMap {
                    IPPrefix($0, length: Int(fromLength))
                }
            case FRA.destination:
                to = attribute.address(bytes: width).flatMap { IPPrefix($0, length: Int(toLength)) }
            default: break
            }
        }
    }

    func request(_ type: UInt16, flags: UInt16) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags: flags)
        request.append(isIPv4 ? Family.ipv4 : Family.ipv6)
        request.append(UInt8(to?.length ?? 0))
        request.append(UInt8(from?.length ?? 0))
        request.append(UInt8(0))
        request.append(table < 256 ? UInt8(table) : 0)
        request.append(UInt16(0))
        request.append(action.rawValue)
        request.append(UInt32(0))
        request.put(FRA.priority, priority)
        if action == .lookup { request.put(FRA.table, table) }
        if let to { request.put(FRA.destination, to.address) }
        if let from { request.put(FRA.source, from.address) }
        if let inputInterface { request.put(FRA.inputInterface, text: inputInterface) }
        if let outputInterface { request.put(FRA.outputInterface, text: outputInterface) }
        request.put(FRA.proto, installer)
        return request
    }
}

extension RoutingRule: CustomStringConvertible {
    package var description: String {
        var text = "\(priority):"
        if let from { text += " from \(from)" }
        if let to { text += " to \(to)" }
        if let inputInterface { text += " iif \(inputInterface)" }
        if let outputInterface { text += " oif \(outputInterface)" }
        return text + (action == .lookup ? " lookup \(table)" : " action \(action.rawValue)")
    }
}
