import Addresses
import Glibc

// Interfaces: `ip link`, without `ip`.
extension Netlink {
    /// What the kernel takes for an interface's name: 1 to 15 bytes, no `/`, no white space.
    package static func isInterfaceName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 32 && $0 != 127 && $0 != 47 && $0 != 58 }
    }

    func checkName(_ name: String, _ operation: String) throws(LinuxError) {
        guard Self.isInterfaceName(name) else {
            throw LinuxError(
                operation, name, errno: EINVAL,
                detail: "an interface name is 1 to 15 bytes without `/`, `:` or white space")
        }
    }

    package func links() throws(LinuxError) -> [Link] {
        var request = NetlinkRequest(RTM.getLink, flags: NLM.dump)
        request.putLinkHeader()
        return try dump(request, "interfaces", Link.init)
    }

    /// Nil if there is none of that name.
    package func link(named name: String) throws(LinuxError) -> Link? {
        do {
            return try existingLink(named: name)
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
    }

    /// ENODEV if there is none of that name.
    package func existingLink(named name: String) throws(LinuxError) -> Link {
        try checkName(name, "find interface")
        var request = NetlinkRequest(RTM.getLink, flags: NLM.ack)
        request.putLinkHeader()
        request.put(IFLA.name, text: name)
        let replies = try self.request(request, "find interface", name)
        guard let link = replies.lazy.compactMap(Link.init).first else {
            throw LinuxError("find interface", name, errno: ENODEV)
        }
        return link
    }

    package func link(index: Int32) throws(LinuxError) -> Link? {
        var request = NetlinkRequest(RTM.getLink, flags: NLM.ack)
        request.putLinkHeader(index: index)
        do {
            return try self.request(request, "find interface", "#\(index)")
                .lazy.compactMap(Link.init).first
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
    }

    package func index(of name: String) throws(LinuxError) -> Int32 {
        try existingLink(named: name).index
    }

    /// A pair of virtual Ethernet interfaces. The peer is born in `peerNamespace`, if given.
    /// All or nothing.
    package func createVethPair(
        _ name: String, peer: String, peerNamespace: NetworkNamespace? = nil, mtu: UInt32? = nil,
        hardwareAddress: [UInt8]? = nil, peerHardwareAddress: [UInt8]? = nil,
        alias: String? = nil, peerAlias: String? = nil
    ) throws(LinuxError) {
        let context = peerNamespace.map { "with peer \(peer) in \($0)" } ?? "with peer \(peer)"
        try checkName(name, "create veth")
        try checkName(peer, "create veth")
        var request = NetlinkRequest(RTM.newLink, flags: NLM.ack | NLM.create | NLM.exclusive)
        request.putLinkHeader()
        request.put(IFLA.name, text: name)
        if let mtu { request.put(IFLA.mtu, mtu) }
        if let hardwareAddress { request.put(IFLA.address, bytes: hardwareAddress.prefix(32)) }
        request.nest(IFLA.info) {
            $0.put(IFLA.infoKind, text: "veth")
            $0.nest(IFLA.infoData) {
                $0.nest(IFLA.vethPeer) {
                    $0.putLinkHeader()
                    $0.put(IFLA.name, text: peer)
                    if let mtu { $0.put(IFLA.mtu, mtu) }
                    if let peerHardwareAddress {
                        $0.put(IFLA.address, bytes: peerHardwareAddress.prefix(32))
                    }
                    if let peerNamespace { $0.put(IFLA.namespaceFD, peerNamespace.fd) }
                }
            }
        }
        try self.request(request, "create veth", name, context)
        do {
            // The kernel takes no alias at creation.
            if let alias { try setAlias(name, alias) }
            if let peerAlias {
                if let peerNamespace {
                    try Netlink(in: peerNamespace).setAlias(peer, peerAlias)
                } else {
                    try setAlias(peer, peerAlias)
                }
            }
        } catch {
            try? deleteLink(name)
            throw error
        }
    }

    package func createBridge(_ name: String) throws(LinuxError) {
        try checkName(name, "create bridge")
        var request = NetlinkRequest(RTM.newLink, flags: NLM.ack | NLM.create | NLM.exclusive)
        request.putLinkHeader()
        request.put(IFLA.name, text: name)
        request.nest(IFLA.info) { $0.put(IFLA.infoKind, text: "bridge") }
        try self.request(request, "create bridge", name)
    }

    package func setUp(_ name: String, _ up: Bool) throws(LinuxError) {
        try change(name, up ? "bring up" : "take down", flags: (up ? 1 : 0, 1))
    }

    /// Makes it a port of a bridge, or with nil frees it.
    package func setMaster(_ name: String, _ bridge: String?) throws(LinuxError) {
        let index: Int32
        if let bridge { index = try self.index(of: bridge) } else { index = 0 }
        let context = bridge.map { "to bridge \($0)" } ?? "from its bridge"
        try change(name, bridge == nil ? "detach" : "attach", context) {
            $0.put(IFLA.master, index)
        }
    }

    package func rename(_ name: String, to new: String) throws(LinuxError) {
        try checkName(new, "rename")
        let index = try index(of: name)
        var request = NetlinkRequest(RTM.newLink, flags: NLM.ack)
        request.putLinkHeader(index: index)
        request.put(IFLA.name, text: new)
        try self.request(request, "rename", name, "to \(new)")
    }

    package func setMTU(_ name: String, _ mtu: UInt32) throws(LinuxError) {
        try change(name, "set the MTU of", "to \(mtu)") { $0.put(IFLA.mtu, mtu) }
    }

    package func setHardwareAddress(_ name: String, _ address: [UInt8]) throws(LinuxError) {
        try change(name, "set the hardware address of") {
            $0.put(IFLA.address, bytes: address.prefix(32))
        }
    }

    /// At most 255 bytes (IFALIASZ). An empty alias removes it.
    package func setAlias(_ name: String, _ alias: String) throws(LinuxError) {
        guard alias.utf8.count < 256 else {
            throw LinuxError(
                "set the alias of", name, errno: EINVAL, detail: "it is longer than 255 bytes")
        }
        // Without the NUL: the kernel would count it.
        try change(name, "set the alias of") { $0.put(IFLA.alias, bytes: Array(alias.utf8)) }
    }

    /// It arrives down and without addresses.
    package func move(_ name: String, to namespace: NetworkNamespace) throws(LinuxError) {
        try change(name, "move", "into \(namespace)") { $0.put(IFLA.namespaceFD, namespace.fd) }
    }

    /// ENODEV if there is none.
    package func deleteLink(_ name: String) throws(LinuxError) {
        try checkName(name, "delete interface")
        var request = NetlinkRequest(RTM.deleteLink, flags: NLM.ack)
        request.putLinkHeader()
        request.put(IFLA.name, text: name)
        try self.request(request, "delete interface", name)
    }

    /// The id this namespace has for another one, if it has one: what `Link.peerNamespaceID` holds.
    package func namespaceID(of namespace: NetworkNamespace) throws(LinuxError) -> Int32? {
        var request = NetlinkRequest(RTM.getNamespaceID, flags: NLM.ack)
        request.append(UInt32(0))
        request.put(NETNSA.fd, namespace.fd)
        return try self.request(request, "find the id of", "\(namespace)")
            .lazy.compactMap(NetlinkReply.namespaceID).first
    }

    private func change(
        _ name: String, _ operation: String, _ context: String = "",
        flags: (value: UInt32, mask: UInt32) = (0, 0),
        _ body: (inout NetlinkRequest) -> Void = { _ in }
    ) throws(LinuxError) {
        try checkName(name, operation)
        // RTM_NEWLINK without NLM_F_CREATE changes an existing interface, found by its name.
        var request = NetlinkRequest(RTM.newLink, flags: NLM.ack)
        request.putLinkHeader(flags: flags.value, mask: flags.mask)
        request.put(IFLA.name, text: name)
        body(&request)
        try self.request(request, operation, name, context)
    }
}

extension NetlinkRequest {
    /// ifinfomsg
    mutating func putLinkHeader(index: Int32 = 0, flags: UInt32 = 0, mask: UInt32 = 0) {
        append(UInt32(0))
        append(index)
        append(flags)
        append(mask)
    }
}
