import Addresses

/// An entry of the connection tracking table.
package struct ConnectionEntry: Hashable, Sendable {
    /// IPS_* of linux/netfilter/nf_conntrack_common.h.
    package struct Status: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Packets went both ways.
        package static let seenReply = Status(rawValue: 1 << 1)
        /// Not thrown out early when the table is full.
        package static let assured = Status(rawValue: 1 << 2)
        package static let confirmed = Status(rawValue: 1 << 3)
        package static let sourceTranslated = Status(rawValue: 1 << 4)
        package static let destinationTranslated = Status(rawValue: 1 << 5)
        package static let dying = Status(rawValue: 1 << 9)
        package static let offloaded = Status(rawValue: 1 << 14)
    }

    /// TCP_CONNTRACK_* of linux/netfilter/nf_conntrack_tcp.h.
    package enum TCPState: UInt8, Hashable, Sendable {
        case initial
        case synSent
        case synReceived
        case established
        case finWait
        case closeWait
        case lastAck
        case timeWait
        case close
        /// Both ends sent a SYN.
        case synSentTwice
    }

    /// As the first packet had it.
    package var original: ConnectionTuple
    /// As an answer must have it: the other way round, unless addresses are translated.
    package var reply: ConnectionTuple
    package var mark: UInt32
    package var status: Status
    /// How long it lives if no packet comes; nil if the kernel did not say.
    package var timeoutSeconds: UInt32?
    package var tcpState: TCPState?
    /// There only if the entry was made while net/netfilter/nf_conntrack_acct was 1.
    package var originalCounter: Nftables.Counter?
    package var replyCounter: Nftables.Counter?
    /// Tells it from an entry of the same tuple that comes after it, unless that lies at the very
    /// place in memory.
    package var id: UInt32?
    package var zone: UInt16

    package init(
        original: ConnectionTuple, reply: ConnectionTuple, mark: UInt32 = 0,
        status: Status = [], timeoutSeconds: UInt32? = nil
    ) {
        self.original = original
        self.reply = reply
        self.mark = mark
        self.status = status
        self.timeoutSeconds = timeoutSeconds
        zone = 0
    }

    /// Of an IPCTNL_MSG_CT_NEW; nil for anything else.
    package init?(_ message: NetlinkReply.Message) {
        guard var reader = message.netfilter(NFNL.conntrackNew)?.attributes else { return nil }
        var original: ConnectionTuple?
        var reply: ConnectionTuple?
        mark = 0
        status = []
        zone = 0
        while let attribute = reader.attribute() {
            switch attribute.type {
            case CTA.originalTuple: original = ConnectionTuple(attribute)
            case CTA.replyTuple: reply = ConnectionTuple(attribute)
            case CTA.status: status = Status(rawValue: attribute.be32 ?? 0)
            case CTA.timeout: timeoutSeconds = attribute.be32
            case CTA.mark: mark = attribute.be32 ?? 0
            case CTA.originalCounters: originalCounter = Self.counter(attribute)
            case CTA.replyCounters: replyCounter = Self.counter(attribute)
            case CTA.protocolState: tcpState = Self.tcpState(attribute)
            case CTA.id: id = attribute.be32
            case CTA.zone: zone = attribute.be16 ?? 0
            default: break
            }
        }
        guard let original, let reply else { return nil }
        self.original = original
        self.reply = reply
    }

    private static func counter(_ attribute: NetlinkAttribute) -> Nftables.Counter? {
        var packets: UInt64?
        var bytes: UInt64?
        var nested = attribute.nested
        while let part = nested.attribute() {
            switch part.type {
            case CTA.counterPackets: packets = part.be64
            case CTA.counterBytes: bytes = part.be64
            default: break
            }
        }
        guard let packets, let bytes else { return nil }
        return Nftables.Counter(packets: packets, bytes: bytes)
    }

    private static func tcpState(_ attribute: NetlinkAttribute) -> TCPState? {
        var nested = attribute.nested
        while let part = nested.attribute() {
            guard part.type == CTA.tcp else { continue }
            var inner = part.nested
            while let number = inner.attribute() {
                if number.type == CTA.tcpState { return number.u8.flatMap(TCPState.init) }
            }
        }
        return nil
    }
}
