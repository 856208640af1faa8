/// An element of an nftables map, or of a set.
package struct MapElement: Hashable, Sendable {
    package enum Value: Hashable, Sendable {
        /// An element of a set.
        case absent
        /// As it lies in the kernel's registers: a mark in the order of the host.
        case data([UInt8])
        case accept
        case drop
        case jump(String)
        case goto(String)
        /// Another verdict: `return`, `continue`, `queue`, as linux/netfilter/nf_tables.h has it.
        case verdict(Int32)
        /// The name of a stateful object, such as a counter.
        case object(String)
    }

    /// As it lies in the kernel's registers: the parts of a concatenation one behind the other,
    /// each filled up to four bytes; marks in the order of the host, addresses and ports in that
    /// of the network. Empty for `*`.
    package let key: [UInt8]
    /// The last key of a range, in sets that keep ranges of concatenations.
    package let keyEnd: [UInt8]?
    package let value: Value
    package let counter: Nftables.Counter?
    /// No element, but where the range of the element before it ends (not included).
    package let isIntervalEnd: Bool

    package init(
        key: [UInt8], keyEnd: [UInt8]? = nil, value: Value = .absent,
        counter: Nftables.Counter? = nil, isIntervalEnd: Bool = false
    ) {
        self.key = key
        self.keyEnd = keyEnd
        self.value = value
        self.counter = counter
        self.isIntervalEnd = isIntervalEnd
    }

    /// Those of one NFT_MSG_NEWSETELEM; nil for any other message.
    package static func list(_ message: NetlinkReply.Message) -> [MapElement]? {
        guard var reader = message.netfilter(NFNL.tablesNewElements)?.attributes else {
            return nil
        }
        var elements: [MapElement] = []
        while let attribute = reader.attribute() {
            guard attribute.type == NFTA.listElements else { continue }
            var nested = attribute.nested
            while let part = nested.attribute() {
                guard part.type == NFTA.listElement, let element = MapElement(part.nested) else {
                    continue
                }
                elements.append(element)
            }
        }
        return elements
    }

    private init?(_ attributes: NetlinkReader) {
        var reader = attributes
        var flags: UInt32 = 0
        var key: [UInt8]?
        var keyEnd: [UInt8]?
        var value = Value.absent
        var counter: Nftables.Counter?
        while let attribute = reader.attribute() {
            switch attribute.type {
            case NFTA.elementKey: key = Self.data(attribute)
            case NFTA.elementKeyEnd: keyEnd = Self.data(attribute)
            case NFTA.elementData: value = Self.value(attribute)
            case NFTA.elementFlags: flags = attribute.be32 ?? 0
            case NFTA.elementObject: value = .object(attribute.text)
            case NFTA.elementExpression: counter = Self.counter(attribute) ?? counter
            case NFTA.elementExpressions:
                var nested = attribute.nested
                while let part = nested.attribute() { counter = Self.counter(part) ?? counter }
            default: break
            }
        }
        let isCatchAll = flags & NFTA.flagCatchAll != 0
        guard let key = key ?? (isCatchAll ? [] : nil) else { return nil }
        self.key = key
        self.keyEnd = keyEnd
        self.value = value
        self.counter = counter
        isIntervalEnd = flags & NFTA.flagIntervalEnd != 0
    }

    private static func data(_ attribute: NetlinkAttribute) -> [UInt8]? {
        var nested = attribute.nested
        while let part = nested.attribute() {
            if part.type == NFTA.dataValue { return Array(part.payload) }
        }
        return nil
    }

    private static func value(_ attribute: NetlinkAttribute) -> Value {
        var nested = attribute.nested
        while let part = nested.attribute() {
            switch part.type {
            case NFTA.dataValue: return .data(Array(part.payload))
            case NFTA.dataVerdict: return verdict(part)
            default: break
            }
        }
        return .absent
    }

    private static func verdict(_ attribute: NetlinkAttribute) -> Value {
        var code: Int32 = 0
        var chain = ""
        var nested = attribute.nested
        while let part = nested.attribute() {
            switch part.type {
            case NFTA.verdictCode: code = part.be32.map(Int32.init(bitPattern:)) ?? 0
            case NFTA.verdictChain: chain = part.text
            default: break
            }
        }
        // NF_DROP, NF_ACCEPT, NFT_JUMP, NFT_GOTO.
        return switch code {
        case 0: .drop
        case 1: .accept
        case -3: .jump(chain)
        case -4: .goto(chain)
        default: .verdict(code)
        }
    }

    /// Of an expression that is a counter.
    private static func counter(_ attribute: NetlinkAttribute) -> Nftables.Counter? {
        var isCounter = false
        var packets: UInt64?
        var bytes: UInt64?
        var nested = attribute.nested
        while let part = nested.attribute() {
            switch part.type {
            case NFTA.expressionName:
                isCounter = part.payload.prefix { $0 != 0 }.elementsEqual("counter".utf8)
            case NFTA.expressionData:
                var data = part.nested
                while let number = data.attribute() {
                    switch number.type {
                    case NFTA.counterPackets: packets = number.be64
                    case NFTA.counterBytes: bytes = number.be64
                    default: break
                    }
                }
            default: break
            }
        }
        guard isCounter, let packets, let bytes else { return nil }
        return Nftables.Counter(packets: packets, bytes: bytes)
    }
}
