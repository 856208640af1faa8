import Addresses

/// One direction of a connection, as connection tracking knows it.
package struct ConnectionTuple: Hashable, Sendable {
    /// What an echo request and its reply have in place of ports.
    package struct Echo: Hashable, Sendable {
        package var identifier: UInt16
        package var type: UInt8
        package var code: UInt8

        package init(identifier: UInt16, type: UInt8, code: UInt8 = 0) {
            self.identifier = identifier
            self.type = type
            self.code = code
        }
    }

    package enum Detail: Hashable, Sendable {
        case ports(source: UInt16, destination: UInt16)
        case echo(Echo)
        /// Protocols of which the kernel knows no more than the number.
        case other
    }

    package var source: IPAddress
    package var destination: IPAddress
    /// 6 is TCP, 17 UDP, 1 ICMP, 58 ICMPv6.
    package var protocolNumber: UInt8
    package var detail: Detail

    package init(
        from source: IPAddress, to destination: IPAddress, protocolNumber: UInt8,
        _ detail: Detail = .other
    ) {
        self.source = source
        self.destination = destination
        self.protocolNumber = protocolNumber
        self.detail = detail
    }

    package var sourcePort: UInt16? {
        if case .ports(let source, _) = detail { source } else { nil }
    }

    package var destinationPort: UInt16? {
        if case .ports(_, let destination) = detail { destination } else { nil }
    }

    /// Of a CTA_TUPLE_*. Nil unless both addresses are there, of one family.
    init?(_ attribute: NetlinkAttribute) {
        var source: IPAddress?
        var destination: IPAddress?
        var numbers = Numbers()
        var nested = attribute.nested
        while let part = nested.attribute() {
            switch part.type {
            case CTA.tupleAddresses:
                var addresses = part.nested
                while let address = addresses.attribute() {
                    switch address.type {
                    case CTA.sourceIPv4: source = address.address(bytes: 4)
                    case CTA.destinationIPv4: destination = address.address(bytes: 4)
                    case CTA.sourceIPv6: source = address.address(bytes: 16)
                    case CTA.destinationIPv6: destination = address.address(bytes: 16)
                    default: break
                    }
                }
            case CTA.tupleProtocol: numbers.read(part.nested)
            default: break
            }
        }
        guard let source, let destination, source.isIPv4 == destination.isIPv4,
            let number = numbers.proto
        else { return nil }
        self.init(from: source, to: destination, protocolNumber: number, numbers.detail)
    }

    private struct Numbers {
        var proto: UInt8?
        var sourcePort: UInt16?
        var destinationPort: UInt16?
        var identifier: UInt16?
        var type: UInt8 = 0
        var code: UInt8 = 0

        mutating func read(_ attributes: NetlinkReader) {
            var reader = attributes
            while let part = reader.attribute() {
                switch part.type {
                case CTA.protocolNumber: proto = part.u8
                case CTA.sourcePort: sourcePort = part.be16
                case CTA.destinationPort: destinationPort = part.be16
                case CTA.icmpIdentifier, CTA.icmpv6Identifier: identifier = part.be16
                case CTA.icmpType, CTA.icmpv6Type: type = part.u8 ?? 0
                case CTA.icmpCode, CTA.icmpv6Code: code = part.u8 ?? 0
                default: break
                }
            }
        }

        var detail: Detail {
            if let identifier {
                return .echo(Echo(identifier: identifier, type: type, code: code))
            }
            guard let sourcePort, let destinationPort else { return .other }
            return .ports(source: sourcePort, destination: destinationPort)
        }
    }

    /// The inverse: the nested attributes of a CTA_TUPLE_*.
    func put(_ request: inout NetlinkRequest) {
        let isIPv4 = source.isIPv4
        request.nest(CTA.tupleAddresses) {
            $0.put(isIPv4 ? CTA.sourceIPv4 : CTA.sourceIPv6, source)
            $0.put(isIPv4 ? CTA.destinationIPv4 : CTA.destinationIPv6, destination)
        }
        request.nest(CTA.tupleProtocol) {
            $0.put(CTA.protocolNumber, protocolNumber)
            switch detail {
            case .ports(let source, let destination):
                $0.put(CTA.sourcePort, source.bigEndian)
                $0.put(CTA.destinationPort, destination.bigEndian)
            case .echo(let echo):
                // Numbers of ICMP and of ICMPv6 stand three apart.
                let shift: UInt16 = isIPv4 ? 0 : 3
                $0.put(CTA.icmpIdentifier + shift, echo.identifier.bigEndian)
                $0.put(CTA.icmpType + shift, echo.type)
                $0.put(CTA.icmpCode + shift, echo.code)
            case .other: break
            }
        }
    }
}

extension ConnectionTuple: CustomStringConvertible {
    package var description: String {
        func end(_ address: IPAddress, _ port: UInt16?) -> String {
            guard let port else { return "\(address)" }
            return address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        }
        let name =
            switch protocolNumber {
            case 1: "icmp"
            case 6: "tcp"
            case 17: "udp"
            case 58: "icmpv6"
            case 132: "sctp"
            default: "protocol \(protocolNumber)"
            }
        var text = "\(name) \(end(source, sourcePort)) -> \(end(destination, destinationPort))"
        if case .echo(let echo) = detail { text += " id \(echo.identifier)" }
        return text
    }
}
