/// A packet that a rule logged (`log group N prefix "..."`), as NFLOG hands it over.
package struct LoggedPacket: Hashable, Sendable {
    /// Of a packet no more than this is copied: the headers, and the first bytes behind them.
    package static let maximumPayloadBytes = 128
    /// NF_LOG_PREFIXLEN of the kernel, with the NUL.
    static let maximumPrefixBytes = 128

    /// NF_INET_* of linux/netfilter.h.
    package enum Hook: UInt8, Hashable, Sendable {
        case prerouting
        case input
        case forward
        case output
        case postrouting
        case ingress
    }

    package var prefix: String
    /// Nil for a number that this room does not know.
    package var hook: Hook?
    package var inputInterface: Int32?
    package var outputInterface: Int32?
    package var mark: UInt32
    /// From the network header on.
    package var payload: [UInt8]
    /// Counts what the kernel logged for the listener, so that a gap is a loss.
    package var sequence: UInt32?

    package init(
        prefix: String, hook: Hook? = nil, inputInterface: Int32? = nil,
        outputInterface: Int32? = nil, mark: UInt32 = 0, payload: [UInt8] = [],
        sequence: UInt32? = nil
    ) {
        self.prefix = prefix
        self.hook = hook
        self.inputInterface = inputInterface
        self.outputInterface = outputInterface
        self.mark = mark
        self.payload = payload
        self.sequence = sequence
    }

    /// Of an NFULNL_MSG_PACKET; nil for anything else.
    package init?(_ message: NetlinkReply.Message) {
        guard var reader = message.netfilter(NFNL.logPacket)?.attributes else { return nil }
        self.init(prefix: "")
        while let attribute = reader.attribute() {
            switch attribute.type {
            case NFULA.packetHeader:
                // The protocol of the link layer, two bytes, comes first.
                var header = attribute.nested
                guard header.take(2) != nil else { break }
                hook = header.u8().flatMap(Hook.init)
            case NFULA.mark: mark = attribute.be32 ?? 0
            case NFULA.inputInterface: inputInterface = Self.index(attribute)
            case NFULA.outputInterface: outputInterface = Self.index(attribute)
            case NFULA.payload:
                payload = Array(attribute.payload.prefix(Self.maximumPayloadBytes))
            case NFULA.prefix:
                prefix =
                    NetlinkAttribute(
                        type: attribute.type,
                        payload: attribute.payload.prefix(Self.maximumPrefixBytes)
                    ).text
            case NFULA.sequence: sequence = attribute.be32
            default: break
            }
        }
    }

    private static func index(_ attribute: NetlinkAttribute) -> Int32? {
        attribute.be32.flatMap { $0 == 0 ? nil : Int32(exactly: $0) }
    }
}
