import Addresses
import Glibc

/// The connection tracking table of one network namespace (ctnetlink). It has entries only while
/// some rule in the namespace asks for them.
package struct Conntrack: Sendable {
    package let namespace: NetworkNamespace

    /// In `namespace`, or in that of the calling thread.
    package init(in namespace: NetworkNamespace? = nil) throws(LinuxError) {
        if let namespace { self.namespace = namespace } else { self.namespace = try .current() }
    }

    package struct Listing: Hashable, Sendable {
        package var entries: [ConnectionEntry]
        /// There were more than the limit.
        package var isCutOff: Bool

        package init(entries: [ConnectionEntry] = [], isCutOff: Bool = false) {
            self.entries = entries
            self.isCutOff = isCutOff
        }
    }

    /// Entries of both families, in the kernel's order; with `mark`, those that bear it. The table
    /// changes meanwhile: what is young or old may be missing, or be there twice.
    package func entries(
        limit: Int = 65_536, mark: UInt32? = nil
    ) throws(LinuxError) -> Listing {
        var request = NetlinkRequest(netfilter: NFNL.conntrackGet, flags: NLM.dump)
        if let mark {
            request.put(CTA.mark, mark.bigEndian)
            request.put(CTA.markMask, UInt32.max)
        }
        var listing = Listing()
        try open().exchange(request, "list", "connections", context) { message in
            guard let entry = ConnectionEntry(message) else { return true }
            guard listing.entries.count < limit else {
                listing.isCutOff = true
                return false
            }
            listing.entries.append(entry)
            return true
        }
        return listing
    }

    /// Forgets this entry: ENOENT if it has gone, mostly also when one of the same tuple came after
    /// it (by its id). What comes next of the connection is judged as if it were new.
    package func delete(_ entry: ConnectionEntry) throws(LinuxError) {
        try delete(entry.original, id: entry.id, zone: entry.zone)
    }

    /// Forgets the entry whose first packet was such. ENOENT if there is none.
    package func delete(_ original: ConnectionTuple) throws(LinuxError) {
        try delete(original, id: nil, zone: 0)
    }

    private func delete(
        _ original: ConnectionTuple, id: UInt32?, zone: UInt16
    ) throws(LinuxError) {
        let object = "connection \(original)"
        let family = original.source.family
        guard family == original.destination.family else {
            throw LinuxError("delete", object, context, errno: EINVAL)
        }
        var request = NetlinkRequest(
            netfilter: NFNL.conntrackDelete, flags: NLM.ack, family: family)
        // Without a tuple the kernel would empty the table.
        request.nest(CTA.originalTuple) { original.put(&$0) }
        if let id { request.put(CTA.id, id.bigEndian) }
        if zone != 0 { request.put(CTA.zone, zone.bigEndian) }
        try open().request(request, "delete", object, context)
    }

    /// How full the table is. The maximum is the host's, but each namespace may fill it alone.
    package struct Usage: Hashable, Sendable {
        package var entries: UInt32
        package var maximum: UInt32

        package init(entries: UInt32, maximum: UInt32) {
            self.entries = entries
            self.maximum = maximum
        }

        package init?(_ message: NetlinkReply.Message) {
            guard var reader = message.netfilter(NFNL.conntrackStatistics)?.attributes else {
                return nil
            }
            var entries: UInt32?
            maximum = 0
            while let attribute = reader.attribute() {
                switch attribute.type {
                case CTA.statisticsEntries: entries = attribute.be32
                case CTA.statisticsMaximum: maximum = attribute.be32 ?? 0
                default: break
                }
            }
            guard let entries else { return nil }
            self.entries = entries
        }
    }

    package func usage() throws(LinuxError) -> Usage {
        let object = "size of the connection table"
        let request = NetlinkRequest(netfilter: NFNL.conntrackStatistics, flags: NLM.ack)
        let replies = try open().request(request, "read", object, context)
        guard let usage = replies.lazy.compactMap({ Usage($0) }).first else {
            throw LinuxError(
                "read", object, context, errno: EPROTO, detail: "the kernel did not tell it")
        }
        return usage
    }

    /// What the table did since the namespace was made: packets, of all processors together.
    package struct Statistics: Hashable, Sendable {
        /// Packets that belong to no connection and may not begin one.
        package var invalid: UInt64 = 0
        /// Entries that could not be put in, for want of room or because another was faster.
        package var insertFailed: UInt64 = 0
        /// Packets dropped because the table was full, or memory short.
        package var dropped: UInt64 = 0
        /// Entries thrown out to make room for new ones.
        package var earlyDropped: UInt64 = 0

        package init() {}

        /// Of one processor.
        package init?(_ message: NetlinkReply.Message) {
            guard
                var reader = message.netfilter(NFNL.conntrackStatisticsOfProcessor)?.attributes
            else { return nil }
            while let attribute = reader.attribute() {
                switch attribute.type {
                case CTA.statisticsInvalid: invalid = UInt64(attribute.be32 ?? 0)
                case CTA.statisticsInsertFailed: insertFailed = UInt64(attribute.be32 ?? 0)
                case CTA.statisticsDropped: dropped = UInt64(attribute.be32 ?? 0)
                case CTA.statisticsEarlyDropped: earlyDropped = UInt64(attribute.be32 ?? 0)
                default: break
                }
            }
        }
    }

    package func statistics() throws(LinuxError) -> Statistics {
        let request = NetlinkRequest(
            netfilter: NFNL.conntrackStatisticsOfProcessor, flags: NLM.dump)
        let processors = try open().dump(
            request, "statistics of the connection table", context: context
        ) { Statistics($0) }
        return processors.reduce(into: Statistics()) { sum, one in
            // At most as many as there are processors, of 32 bits each.
            sum.invalid &+= one.invalid
            sum.insertFailed &+= one.insertFailed
            sum.dropped &+= one.dropped
            sum.earlyDropped &+= one.earlyDropped
        }
    }

    private var context: String { "in \(namespace)" }

    private func open() throws(LinuxError) -> Netlink { try Netlink(.netfilter, in: namespace) }
}
