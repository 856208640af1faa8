import Glibc

// What libnftables cannot tell, or not fast enough: straight from the kernel.
extension Nftables {
    /// The number of the ruleset: any transaction that was committed in this namespace changes it,
    /// whoever committed it, and nothing else does. A refused one leaves it.
    package func generation() throws(LinuxError) -> UInt32 {
        let object = "generation of the nftables ruleset"
        let replies = try Netlink(.netfilter, in: namespace).request(
            NetlinkRequest(netfilter: NFNL.tablesGetGeneration, flags: NLM.ack), "read", object,
            "in \(namespace)")
        guard let number = replies.lazy.compactMap(NetlinkReply.rulesetGeneration).first else {
            throw LinuxError(
                "read", object, "in \(namespace)", errno: EPROTO,
                detail: "the kernel did not tell it")
        }
        return number
    }

    /// The elements of a map or a set with what each of them counted. Their order is the kernel's.
    /// ENOENT if there is no such table or map. A list over which the ruleset changed is asked
    /// for again. The kernel finds its place anew for each part of a list, so that the time grows
    /// faster than the map; half as fast if the map was made with a `size`.
    package func elements(
        family: String, table: String, map: String
    ) throws(LinuxError) -> [MapElement] {
        let place = try place(family, table, map)
        var request = NetlinkRequest(
            netfilter: NFNL.tablesGetElements, flags: NLM.dump, family: place.family)
        request.put(NFTA.listTable, text: table)
        request.put(NFTA.listSet, text: map)
        let parts = try Netlink(.netfilter, in: namespace).dump(
            request, place.object, context: "in \(namespace)", MapElement.list)
        var elements: [MapElement] = []
        elements.reserveCapacity(parts.reduce(0) { $0 + $1.count })
        for part in parts { elements += part }
        return elements
    }

    /// Those of the elements that have one of these keys, in the order of the keys; keys that are
    /// not there are left out. The time grows with the keys, not with the map.
    package func elements(
        family: String, table: String, map: String, keys: [[UInt8]]
    ) throws(LinuxError) -> [MapElement] {
        let place = try place(family, table, map)
        guard keys.allSatisfy({ (1...Self.maximumKeyBytes).contains($0.count) }) else {
            throw LinuxError("read", place.object, "in \(namespace)", errno: EINVAL)
        }
        let netlink = try Netlink(.netfilter, in: namespace)
        var found: [MapElement] = []
        var next = 0
        var isThere = false
        while next < keys.count {
            let part = keys[next..<min(next + Self.keysPerRequest, keys.count)]
            let before = found.count
            do throws(LinuxError) {
                try netlink.exchange(
                    Self.get(part, place.family, table, map), "read", place.object,
                    "in \(namespace)"
                ) { message in
                    found += MapElement.list(message) ?? []
                    return true
                }
                next += part.count
            } catch {
                // It answers in order, up to the first that is not there.
                guard error.errno == ENOENT else { throw error }
                next += found.count - before + 1
                if isThere { continue }
                var request = NetlinkRequest(
                    netfilter: NFNL.tablesGetSet, flags: NLM.ack, family: place.family)
                request.put(NFTA.setTable, text: table)
                request.put(NFTA.setName, text: map)
                try netlink.request(request, "read", place.object, "in \(namespace)")
                isThere = true
            }
        }
        return found
    }

    /// The kernel drops answers that do not fit into the socket: of so many it holds thrice.
    private static let keysPerRequest = 64
    /// NFT_DATA_VALUE_MAXLEN.
    private static let maximumKeyBytes = 64

    private static func get(
        _ keys: ArraySlice<[UInt8]>, _ family: UInt8, _ table: String, _ map: String
    ) -> NetlinkRequest {
        var request = NetlinkRequest(
            netfilter: NFNL.tablesGetElements, flags: NLM.ack, family: family)
        request.put(NFTA.listTable, text: table)
        request.put(NFTA.listSet, text: map)
        request.nest(NFTA.listElements) { list in
            for key in keys {
                list.nest(NFTA.listElement) { element in
                    element.nest(NFTA.elementKey) { $0.put(NFTA.dataValue, bytes: key) }
                }
            }
        }
        return request
    }

    func place(
        _ family: String, _ table: String, _ map: String
    ) throws(LinuxError) -> (family: UInt8, object: String) {
        let object = "elements of map \(family) \(table) \(map)"
        guard let number = Self.familyNumbers[family], Self.isName(table), Self.isName(map) else {
            throw LinuxError("list", object, "in \(namespace)", errno: EINVAL)
        }
        return (number, object)
    }

    /// NFPROTO_* of linux/netfilter.h.
    private static let familyNumbers: [String: UInt8] = [
        "inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10,
    ]
}

extension NetlinkReply {
    /// Of an NFT_MSG_NEWGEN.
    package static func rulesetGeneration(_ message: Message) -> UInt32? {
        guard var reader = message.netfilter(NFNL.tablesNewGeneration)?.attributes else {
            return nil
        }
        while let attribute = reader.attribute() {
            if attribute.type == NFTA.generationID { return attribute.be32 }
        }
        return nil
    }
}
