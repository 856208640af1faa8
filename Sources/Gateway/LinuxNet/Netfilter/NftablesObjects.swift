/// A counter with a name, of one table.
package struct NamedCounter: Hashable, Sendable {
    package var table: String
    package var name: String
    package var packets: UInt64

    /// Of one NFT_MSG_NEWOBJ; nil for any other message, and for objects that are no counters.
    package static func read(_ message: NetlinkReply.Message) -> NamedCounter? {
        guard var reader = message.netfilter(NFNL.tablesNewObject)?.attributes else { return nil }
        var counter = NamedCounter(table: "", name: "", packets: 0)
        var isCounter = false
        while let attribute = reader.attribute() {
            switch attribute.type {
            case NFTA.objectTable: counter.table = attribute.text
            case NFTA.objectName: counter.name = attribute.text
            case NFTA.objectType: isCounter = attribute.be32 == NFTA.counterObject
            case NFTA.objectData:
                var nested = attribute.nested
                while let part = nested.attribute() {
                    if part.type == NFTA.counterPackets { counter.packets = part.be64 ?? 0 }
                }
            default: break
            }
        }
        return isCounter && !counter.name.isEmpty ? counter : nil
    }
}

extension Nftables {
    /// Packets of the named counters of a table, straight from the kernel: `counters` has
    /// libnftables read every map of the table along with them. Empty if there is no such table.
    package func objectCounters(
        family: String, table: String
    ) throws(LinuxError) -> [String: UInt64] {
        let place = try place(family, table, table)
        var request = NetlinkRequest(
            netfilter: NFNL.tablesGetObject, flags: NLM.dump, family: place.family)
        request.put(NFTA.objectTable, text: table)
        let counters = try Netlink(.netfilter, in: namespace).dump(
            request, "counters of table \(family) \(table)", context: "in \(namespace)",
            NamedCounter.read)
        var packets: [String: UInt64] = [:]
        for counter in counters where counter.table == table {
            packets[counter.name] = counter.packets
        }
        return packets
    }
}
