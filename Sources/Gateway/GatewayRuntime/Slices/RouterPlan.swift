import Addresses
import LinuxNet
import SliceDirectory
import SliceModel
import SlicePolicy

/// Everything that has to be in the kernel for one slice: a value, computed from the manifest's
/// plan and the leases, and compared with what is there.
package struct RouterPlan: Hashable, Sendable {
    /// One endpoint's veth pair and what lies on both of its ends.
    package struct Port: Hashable, Sendable {
        package var key: AddressBook.Key
        package var routerInterface: String
        package var endpointInterface: String
        package var alias: String
        package var routerHardwareAddress: [UInt8]
        package var endpointHardwareAddress: [UInt8]
        /// IPv4 first.
        package var addresses: [IPAddress]
        /// Next hop of the endpoint's routes, for the families it has an address of.
        package var gateways: [IPAddress]
        /// What the endpoint routes into the slice.
        package var prefixes: [IPPrefix]
        package var mtu: UInt32

        package var hasIPv6: Bool { addresses.contains { !$0.isIPv4 } }

        /// Host addresses: no prefix route comes with them, and no duplicate detection.
        package var endpointAddresses: [InterfaceAddress] {
            addresses.map(RouterPlan.hostAddress)
        }

        /// In the router: the endpoint, by its hardware address, without asking anyone.
        package var routerNeighbours: [Neighbour] {
            addresses.map { Neighbour($0, at: endpointHardwareAddress) }
        }

        package var endpointNeighbours: [Neighbour] {
            gateways.map { Neighbour($0, at: routerHardwareAddress) }
        }

        package func routerRoutes(interfaceIndex: Int32) -> [Route] {
            addresses.map { Route(to: IPPrefix(host: $0), interfaceIndex: interfaceIndex) }
        }

        package func endpointRoutes(interfaceIndex: Int32) -> [Route] {
            prefixes.compactMap { prefix in
                guard let gateway = gateways.first(where: { $0.isIPv4 == prefix.isIPv4 }),
                    let source = addresses.first(where: { $0.isIPv4 == prefix.isIPv4 })
                else { return nil }
                return Route(
                    to: prefix, via: gateway, interfaceIndex: interfaceIndex, onLink: true,
                    preferredSource: source)
            }
        }
    }

    package var namespace: String
    package var tunnel: String
    package var tunnelAlias: String
    package var mtu: UInt32
    package var overlayAddresses: [IPAddress]
    package var tunnelPrefixes: [IPPrefix]
    package var slicePrefixes: [IPPrefix]
    package var ports: [Port]
    /// The other gateways' overlay addresses.
    package var peerGateways: [IPAddress]
    package var filter: Filter

    /// What is forwarded.
    package enum Filter: Hashable, Sendable {
        case everything
        case policies(PolicyRules)
        /// Policies could not be compiled or applied: nothing.
        case nothing
    }

    /// What no better route takes is refused at once, instead of timing out.
    package static let refusalMetric: UInt32 = 1_000_000

    package init(
        _ plan: SlicePlan, namespacePrefix: String, mtu: Int,
        endpoints: [(key: AddressBook.Key, interface: String?, addresses: [IPAddress])],
        filter: Filter = .everything
    ) {
        self.filter = filter
        peerGateways = plan.peers.flatMap(\.overlayAddresses)
        let namespace = RouterNames.namespace(prefix: namespacePrefix, slice: plan.slice)
        self.namespace = namespace
        tunnel = RouterNames.tunnel(namespace: namespace)
        tunnelAlias = RouterNames.tunnelAlias(plan.slice)
        let mtu = UInt32(clamping: mtu)
        self.mtu = mtu
        overlayAddresses = plan.overlayAddresses
        tunnelPrefixes = plan.tunnelRoutes
        slicePrefixes = plan.slicePrefixes.sorted()
        ports = endpoints.sorted { $0.key < $1.key }.map { endpoint in
            let addresses = endpoint.addresses.sorted()
            let families = Set(addresses.map(\.isIPv4))
            return Port(
                key: endpoint.key,
                routerInterface: RouterNames.port(namespace: namespace, endpoint.key),
                endpointInterface: endpoint.interface
                    ?? RouterNames.endpointInterface(slice: plan.slice),
                alias: RouterNames.portAlias(plan.slice, endpoint.key),
                routerHardwareAddress: RouterNames.hardwareAddress(
                    namespace: namespace, endpoint.key, routerSide: true),
                endpointHardwareAddress: RouterNames.hardwareAddress(
                    namespace: namespace, endpoint.key, routerSide: false),
                addresses: addresses,
                gateways: plan.overlayAddresses.filter { families.contains($0.isIPv4) },
                prefixes: plan.slicePrefixes.filter { families.contains($0.isIPv4) }.sorted(),
                mtu: mtu)
        }
    }

    package var hasIPv6: Bool { slicePrefixes.contains { !$0.isIPv4 } }

    package var tunnelAddresses: [InterfaceAddress] { overlayAddresses.map(Self.hostAddress) }

    package func tunnelRoutes(interfaceIndex: Int32) -> [Route] {
        tunnelPrefixes.map { Route(to: $0, interfaceIndex: interfaceIndex) }
    }

    package var refusals: [Route] {
        slicePrefixes.map {
            Route(to: $0, kind: .unreachable, metric: Self.refusalMetric)
        }
    }

    package var ruleset: RouterRuleset {
        var ruleset = RouterRuleset(
            tunnel: tunnel, gatewayAddresses: overlayAddresses, remotePrefixes: tunnelPrefixes,
            ports: ports.map { .init(interface: $0.routerInterface, addresses: $0.addresses) },
            peerGateways: peerGateways, directoryPort: DirectoryPort.number)
        switch filter {
        case .everything: return ruleset
        case .policies(let rules):
            ruleset.policies = rules
            return ruleset
        case .nothing: return ruleset.closed
        }
    }

    /// Kernel settings of the router namespace, in the order in which they are written. Those
    /// for `default` come first: interfaces take them over when they are made.
    package var settings: [(key: String, value: String)] {
        var settings = [
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv4/conf/all/accept_redirects", "0"),
            ("net/ipv4/conf/default/accept_redirects", "0"),
            ("net/ipv4/conf/all/send_redirects", "0"),
            ("net/ipv4/conf/default/send_redirects", "0"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            // Answers only for addresses of the interface that was asked on: none.
            ("net/ipv4/conf/all/arp_ignore", "1"),
            ("net/ipv4/conf/all/accept_source_route", "0"),
            ("net/ipv4/conf/default/accept_source_route", "0"),
        ]
        if filter != .everything { settings += Self.trackingSettings }
        if hasIPv6 {
            settings += [
                ("net/ipv6/conf/default/disable_ipv6", "0"),
                // No link-local addresses: nothing in here needs them.
                ("net/ipv6/conf/default/addr_gen_mode", "1"),
                ("net/ipv6/conf/all/disable_ipv6", "0"),
                ("net/ipv6/conf/all/forwarding", "1"),
                ("net/ipv6/conf/all/accept_ra", "0"),
                ("net/ipv6/conf/default/accept_ra", "0"),
                ("net/ipv6/conf/all/accept_redirects", "0"),
                ("net/ipv6/conf/default/accept_redirects", "0"),
            ]
        }
        return settings
    }

    /// Half-open and abandoned connections do not stay for long: the table is the machine's, and
    /// one endpoint must not fill it. What was under way before there were policies, or before a
    /// restart of the machine in between, is taken up in its middle (`tcp_loose`, which is the
    /// default) and judged by its addresses; its windows are then not known (`tcp_be_liberal`).
    private static let trackingSettings = [
        ("net/netfilter/nf_conntrack_tcp_loose", "1"),
        ("net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "20"),
        ("net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "20"),
        ("net/netfilter/nf_conntrack_tcp_timeout_unacknowledged", "120"),
        ("net/netfilter/nf_conntrack_tcp_timeout_established", "86400"),
        ("net/netfilter/nf_conntrack_generic_timeout", "60"),
    ]

    static func hostAddress(_ address: IPAddress) -> InterfaceAddress {
        InterfaceAddress(
            address, prefixLength: address.bitWidth,
            flags: address.isIPv4 ? [.noPrefixRoute] : [.noDuplicateDetection, .noPrefixRoute])
    }

    /// The tunnel's MTU over all peers: each by the underlay's MTU on the way to it. Where that
    /// is not known, the usual 1500 and the larger outer header are assumed.
    package static func mtu(
        _ plan: SlicePlan, underlays: [(mtu: Int, isIPv6: Bool)?]
    ) -> Int {
        let known = underlays.isEmpty ? [nil] : underlays
        return known.map { underlay in
            // Beyond jumbo frames it is the loopback of one machine: larger packets gain
            // nothing there.
            plan.mtu(
                underlay: min(underlay?.mtu ?? 1500, 9216), outerIsIPv6: underlay?.isIPv6 ?? true)
        }.min() ?? plan.mtu(underlay: 1500, outerIsIPv6: true)
    }
}

/// Why an endpoint's namespace cannot take the slice's interface.
package enum RouterConflict: Error, Hashable, Sendable, CustomStringConvertible {
    case address(IPAddress, interface: String, prefix: IPPrefix)
    case route(IPPrefix, interface: String?, prefix: IPPrefix)
    case interface(String)

    package var description: String {
        switch self {
        case .address(let address, let interface, let prefix):
            "its interface \(interface) has the address \(address), which lies in the slice's "
                + "prefix \(prefix)"
        case .route(let route, let interface, let prefix):
            "it has a route to \(route)" + (interface.map { " through \($0)" } ?? "")
                + ", which overlaps the slice's prefix \(prefix)"
        case .interface(let name):
            "it has an interface \(name) already, which this gateway did not make"
        }
    }

    /// The first address or route of an endpoint's namespace that the slice would collide with.
    /// The default route is no collision: the slice's prefixes are more specific on purpose.
    package static func find(
        prefixes: [IPPrefix], addresses: [InterfaceAddress], routes: [Route],
        ownInterface: Int32?, interfaceName: (Int32) -> String
    ) -> RouterConflict? {
        for address in addresses where address.interfaceIndex != ownInterface {
            if let prefix = prefixes.first(where: { $0.contains(address.address) }) {
                return .address(
                    address.address, interface: interfaceName(address.interfaceIndex),
                    prefix: prefix)
            }
        }
        for route in routes {
            if let ownInterface, route.interfaceIndex == ownInterface { continue }
            if route.destination.length == 0 || route.table != Route.mainTable { continue }
            if let prefix = prefixes.first(where: { $0.overlaps(route.destination) }) {
                return .route(
                    route.destination, interface: route.interfaceIndex.map(interfaceName),
                    prefix: prefix)
            }
        }
        return nil
    }
}
