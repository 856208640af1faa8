import Addresses
import Glibc
import LinuxNet
import SliceModel
import SlicePolicy

/// The kernel's half of a slice: reads what is there, compares it with the plan, and changes
/// what differs. Used by one thread at a time.
package final class RouterNamespace {
    package struct Outcome {
        /// What was done, one line each; empty when everything was in place.
        package var changes: [String] = []
        /// Endpoints that could not be put in order, and why.
        package var problems: [AddressBook.Key: any Error] = [:]
    }

    package let namespace: NetworkNamespace
    package let name: String
    /// Whether this object made the namespace, rather than found it.
    package let isNew: Bool
    private let netlink: Netlink
    private let ruleset: RouterRulesetKeeper

    /// Finds or makes the namespace. One of that name that somebody else made is left alone.
    package init(named name: String, tunnelAlias: String) throws {
        self.name = name
        if NetworkNamespace.exists(named: name) {
            namespace = try .named(name)
            netlink = try Netlink(in: namespace)
            isNew = false
            let links = try netlink.links()
            // The device may be the very thing that is missing.
            let ours = links.contains {
                $0.alias == tunnelAlias || $0.alias?.hasPrefix(tunnelAlias + "/") ?? false
            }
            guard ours || links.allSatisfy(\.isLoopback) else {
                throw SliceFailure(
                    "there is a network namespace \(name) already, which this gateway did not "
                        + "make: rename it, or set another namespacePrefix in gateway.conf")
            }
        } else {
            // Litter of a creation that was killed half-way is no namespace, and in the way.
            try? NetworkNamespace.remove(named: name)
            namespace = try .create(named: name)
            netlink = try Netlink(in: namespace)
            isNew = true
        }
        ruleset = RouterRulesetKeeper(try Nftables(in: namespace))
    }

    /// Whether the name still leads to this namespace.
    package var isInPlace: Bool { (try? NetworkNamespace.named(name)) == namespace }

    // MARK: Before the TUN device is made

    package func applySettings(_ plan: RouterPlan) throws -> [String] {
        var changes: [String] = []
        try namespace.run {
            for (key, value) in plan.settings {
                guard try Sysctl.read(key) != value else { continue }
                try Sysctl.write(key, value)
                changes.append("set \(key) to \(value)")
            }
        }
        // Of a namespace that was just made nobody wants to read this.
        return isNew && !ruleset.isApplied ? [] : changes
    }

    // MARK: Everything else

    /// Idempotent. Endpoints whose namespace is not given are left as they are. Throws when the
    /// router itself cannot be put in order.
    package func apply(
        _ plan: RouterPlan, endpoints: [AddressBook.Key: NetworkNamespace]
    ) throws -> Outcome {
        var outcome = Outcome()
        outcome.changes += try applySettings(plan)
        // Before any interface is up: what the ruleset does not know does not pass.
        outcome.changes += try ruleset.apply(plan.ruleset)
        try netlink.setUpIfDown("lo")
        let links = try netlink.links()
        outcome.changes += try removeStrayPorts(plan, links)
        let tunnel = try applyTunnel(plan, &outcome.changes)
        var routes = plan.tunnelRoutes(interfaceIndex: tunnel) + plan.refusals
        for port in plan.ports {
            do {
                if let namespace = endpoints[port.key] {
                    outcome.changes += try apply(port, in: namespace)
                }
            } catch {
                outcome.problems[port.key] = error
            }
            if let link = try netlink.link(named: port.routerInterface), link.isUp {
                routes += port.routerRoutes(interfaceIndex: link.index)
            }
        }
        outcome.changes += try applyRoutes(routes)
        return outcome
    }

    private func applyTunnel(_ plan: RouterPlan, _ changes: inout [String]) throws -> Int32 {
        let link = try netlink.existingLink(named: plan.tunnel)
        if link.alias != plan.tunnelAlias { try netlink.setAlias(plan.tunnel, plan.tunnelAlias) }
        if link.mtu != plan.mtu {
            try netlink.setMTU(plan.tunnel, plan.mtu)
            changes.append("set the MTU of \(plan.tunnel) to \(plan.mtu)")
        }
        if !link.isUp {
            try netlink.setUp(plan.tunnel, true)
            changes.append("brought \(plan.tunnel) up")
        }
        changes += try netlink.applyAddresses(plan.tunnelAddresses, on: link)
        return link.index
    }

    /// The namespace is ours alone: routes that are neither wanted nor the kernel's own go.
    private func applyRoutes(_ wanted: [Route]) throws -> [String] {
        let kernel: UInt8 = 2
        let present = try netlink.routes()
        var changes: [String] = []
        for route in present where !wanted.contains(route) && route.installer != kernel {
            try ignoringAbsence { () throws(LinuxError) in try netlink.removeRoute(route) }
            changes.append("removed the route \(route)")
        }
        let set = Set(present)
        for route in wanted where !set.contains(route) {
            try netlink.replaceRoute(route)
            changes.append("added the route \(route)")
        }
        return changes
    }

    private func removeStrayPorts(_ plan: RouterPlan, _ links: [Link]) throws -> [String] {
        let wanted = Set(plan.ports.map(\.routerInterface))
        var changes: [String] = []
        for link in links where link.isOurPort && !wanted.contains(link.name) {
            try ignoringAbsence { () throws(LinuxError) in try netlink.deleteLink(link.name) }
            changes.append("removed \(link.name) (\(link.alias ?? ""))")
        }
        return changes
    }

    // MARK: Ports

    package func links() throws -> [Link] { try netlink.links() }

    /// Packets dropped by the ruleset, by reason, since this daemon began.
    package func drops() throws -> [String: UInt64] { try ruleset.drops() }

    /// How many conversations each rule has decided, by what it is called in counters.
    package func decided() throws -> [String: UInt64] { try ruleset.decided() }

    /// Puts one endpoint's veth in order, or makes it. Nothing half-made is left behind.
    private func apply(
        _ port: RouterPlan.Port, in endpoint: NetworkNamespace
    ) throws -> [String] {
        let inner = try Netlink(in: endpoint)
        let outerLink = try netlink.link(named: port.routerInterface)
        let innerLink = try inner.link(named: port.endpointInterface)
        let isPair = try arePair(outerLink, innerLink, endpoint)
        if innerLink != nil, !isPair { throw RouterConflict.interface(port.endpointInterface) }
        try refuseConflicts(port, inner, ownInterface: isPair ? innerLink?.index : nil)
        if isPair { return try repair(port, inner, endpoint) }
        if outerLink != nil { try removePort(port.routerInterface) }
        try netlink.createVethPair(
            port.routerInterface, peer: port.endpointInterface, peerNamespace: endpoint,
            mtu: port.mtu, hardwareAddress: port.routerHardwareAddress,
            peerHardwareAddress: port.endpointHardwareAddress, alias: port.alias,
            peerAlias: port.alias)
        do {
            _ = try repair(port, inner, endpoint)
        } catch {
            // Takes the other end and all that lies on it along.
            try? netlink.deleteLink(port.routerInterface)
            throw error
        }
        return ["attached \(port.key) by \(port.routerInterface)"]
    }

    private func arePair(
        _ outer: Link?, _ inner: Link?, _ endpoint: NetworkNamespace
    ) throws -> Bool {
        guard let outer, let inner, outer.peerIndex == inner.index,
            inner.peerIndex == outer.index
        else { return false }
        return try outer.peerNamespaceID == netlink.namespaceID(of: endpoint)
    }

    private func refuseConflicts(
        _ port: RouterPlan.Port, _ inner: Netlink, ownInterface: Int32?
    ) throws {
        let links = try inner.links()
        let conflict = RouterConflict.find(
            prefixes: port.prefixes, addresses: try inner.addresses(),
            routes: try inner.routes(), ownInterface: ownInterface
        ) { index in links.first { $0.index == index }?.name ?? "#\(index)" }
        if let conflict { throw conflict }
    }

    private func repair(
        _ port: RouterPlan.Port, _ inner: Netlink, _ endpoint: NetworkNamespace
    ) throws -> [String] {
        var changes: [String] = []
        let outerName = port.routerInterface
        let innerName = port.endpointInterface
        if port.hasIPv6 { changes += try enableIPv6(port, endpoint) }
        changes += try netlink.applyLink(
            outerName, mtu: port.mtu, hardwareAddress: port.routerHardwareAddress)
        changes += try inner.applyLink(
            innerName, mtu: port.mtu, hardwareAddress: port.endpointHardwareAddress)
        let outer = try netlink.existingLink(named: outerName)
        let link = try inner.existingLink(named: innerName)
        // The router's end has none: the gateway's address is on the TUN device.
        changes += try netlink.applyAddresses([], on: outer)
        changes += try netlink.applyNeighbours(port.routerNeighbours, on: outer)
        changes += try inner.applyAddresses(port.endpointAddresses, on: link)
        changes += try inner.applyNeighbours(port.endpointNeighbours, on: link)
        let wanted = port.endpointRoutes(interfaceIndex: link.index)
        let present = try inner.routes(interfaceIndex: link.index)
        for route in present
        where route.installer == Route.ownProtocol && !wanted.contains(route) {
            try ignoringAbsence { () throws(LinuxError) in try inner.removeRoute(route) }
            changes.append("removed the route \(route) of \(port.key)")
        }
        for route in wanted where !present.contains(route) {
            try inner.replaceRoute(route)
            changes.append("added the route \(route) of \(port.key)")
        }
        return changes
    }

    /// On our interface alone: what the namespace does elsewhere stays as it is.
    private func enableIPv6(
        _ port: RouterPlan.Port, _ endpoint: NetworkNamespace
    ) throws -> [String] {
        let base = "net/ipv6/conf/\(port.endpointInterface)"
        var changes: [String] = []
        try endpoint.run {
            for (key, value) in [("disable_ipv6", "0"), ("addr_gen_mode", "1"), ("accept_ra", "0")]
            where try Sysctl.read("\(base)/\(key)") != value {
                try Sysctl.write("\(base)/\(key)", value)
                changes.append("set \(base)/\(key) of \(port.key) to \(value)")
            }
        }
        return changes
    }

    /// Both ends and everything on them.
    package func removePort(_ interface: String) throws {
        guard let link = try netlink.link(named: interface), link.isOurPort else { return }
        try ignoringAbsence { () throws(LinuxError) in try netlink.deleteLink(interface) }
    }

    /// Takes everything of ours away, the namespace included.
    package func remove() throws {
        for link in try netlink.links() where link.isOurs {
            try ignoringAbsence { () throws(LinuxError) in try netlink.deleteLink(link.name) }
        }
        if isInPlace { try NetworkNamespace.remove(named: name) }
    }
}

extension Link {
    var isOurs: Bool { alias?.hasPrefix(RouterNames.aliasPrefix) ?? false }
    var isOurPort: Bool { isOurs && kind == "veth" }
}

/// Somebody else may have been faster.
func ignoringAbsence(_ body: () throws(LinuxError) -> Void) throws(LinuxError) {
    do throws(LinuxError) {
        try body()
    } catch {
        if !error.isAbsent { throw error }
    }
}

// What both ends of a veth need, compared first and changed only where it differs.
extension Netlink {
    func setUpIfDown(_ name: String) throws(LinuxError) {
        if try !existingLink(named: name).isUp { try setUp(name, true) }
    }

    func applyLink(
        _ name: String, mtu: UInt32, hardwareAddress: [UInt8]
    ) throws(LinuxError) -> [String] {
        var changes: [String] = []
        let link = try existingLink(named: name)
        if link.hardwareAddress != hardwareAddress {
            try setHardwareAddress(name, hardwareAddress)
            changes.append("set the hardware address of \(name)")
        }
        if link.mtu != mtu {
            try setMTU(name, mtu)
            changes.append("set the MTU of \(name) to \(mtu)")
        }
        if !link.isUp {
            try setUp(name, true)
            changes.append("brought \(name) up")
        }
        return changes
    }

    /// Exactly these, link-local ones apart.
    func applyAddresses(
        _ wanted: [InterfaceAddress], on link: Link
    ) throws(LinuxError) -> [String] {
        var changes: [String] = []
        let present = try addresses(on: link.name).filter { !$0.isIPv6LinkLocal }
        for address in present {
            let isWanted = wanted.contains {
                $0.address == address.address && $0.prefixLength == address.prefixLength
            }
            if isWanted { continue }
            try ignoringAbsence { () throws(LinuxError) in
                try removeAddress(address, from: link.name)
            }
            changes.append("removed the address \(address) from \(link.name)")
        }
        for address in wanted {
            let isPresent = present.contains {
                $0.address == address.address && $0.prefixLength == address.prefixLength
            }
            if isPresent { continue }
            try replaceAddress(address, on: link.name)
            changes.append("added the address \(address) to \(link.name)")
        }
        return changes
    }

    func applyNeighbours(
        _ wanted: [Neighbour], on link: Link
    ) throws(LinuxError) -> [String] {
        var changes: [String] = []
        let present = try neighbours(on: link.name)
        for neighbour in present
        where neighbour.state.contains(.permanent)
            && !wanted.contains(where: { $0.address == neighbour.address })
        {
            try ignoringAbsence { () throws(LinuxError) in
                try removeNeighbour(neighbour.address, on: link.name)
            }
            changes.append("removed the neighbour \(neighbour.address) from \(link.name)")
        }
        for neighbour in wanted {
            let isPresent = present.contains {
                $0.address == neighbour.address && $0.state.contains(.permanent)
                    && $0.hardwareAddress == neighbour.hardwareAddress
            }
            if isPresent { continue }
            try replaceNeighbour(neighbour, on: link.name)
            changes.append("set the neighbour \(neighbour.address) on \(link.name)")
        }
        return changes
    }
}
