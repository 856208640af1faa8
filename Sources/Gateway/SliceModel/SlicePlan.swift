import Addresses
import Noise
import Timing

/// What a manifest means for the gateway of one cluster.
package struct SlicePlan: Hashable, Sendable {
    package struct Peer: Hashable, Sendable {
        package var cluster: ClusterName
        package var region: Region
        package var gateway: GatewayName
        package var publicKey: PublicKey
        /// In order of preference; empty if the peer must call us.
        package var endpoints: [UnderlayEndpoint]
        /// Exactly the peer's cluster prefixes: cryptokey routing (WireGuard paper, section 2)
        /// then drops whatever claims to come from elsewhere.
        package var allowedIPs: [IPPrefix]
        package var persistentKeepalive: Nanoseconds?
        package var cipher: TransportSuite
        /// The peer's own addresses inside the slice: what a ping through the tunnel is sent to.
        package var overlayAddresses: [IPAddress]
    }

    package var slice: SliceName
    package var version: UInt64
    package var cluster: ClusterName
    package var publicKey: PublicKey
    package var listenPort: UInt16
    /// The router's own addresses as host prefixes, IPv4 first.
    package var overlayAddresses: [IPAddress]
    /// Where endpoints of this cluster get their addresses from.
    package var localPrefixes: [IPPrefix]
    /// What endpoints route into the slice, and nothing else.
    package var slicePrefixes: [IPPrefix]
    /// In the order of names, whatever the manifest's order.
    package var peers: [Peer]
    package var manifestMTU: Int?

    package init(
        _ manifest: SliceManifest, local name: ClusterName, listenPort: UInt16? = nil
    ) throws(SlicePlanProblem) {
        guard let local = manifest.cluster(name), let here = local.gateways.first else {
            throw .noSuchCluster(name, known: manifest.clusters.map(\.name).sorted())
        }
        slice = manifest.name
        version = manifest.version
        cluster = name
        publicKey = here.publicKey
        self.listenPort = listenPort ?? manifest.port
        overlayAddresses = local.overlayAddresses
        localPrefixes = local.prefixes
        slicePrefixes = manifest.prefixes
        manifestMTU = manifest.mtu
        peers = manifest.clusters.filter { $0.name != name }.sorted { $0.name < $1.name }
            .flatMap { cluster in
                // One gateway a cluster for now: two could not both hold the same prefixes.
                cluster.gateways.prefix(1).map { gateway in
                    Peer(
                        cluster: cluster.name, region: cluster.region, gateway: gateway.name,
                        publicKey: gateway.publicKey, endpoints: gateway.endpoints,
                        allowedIPs: cluster.prefixes,
                        persistentKeepalive: gateway.persistentKeepalive,
                        // Decided by the owner for both: nothing on the wire can lower it.
                        cipher: here.cipher == gateway.cipher ? gateway.cipher : .chaChaPoly,
                        overlayAddresses: cluster.overlayAddresses)
                }
            }
    }

    package var hasIPv6: Bool { slicePrefixes.contains { !$0.isIPv4 } }

    /// The routes of the router namespace into the tunnel: the other clusters' prefixes.
    package var tunnelRoutes: [IPPrefix] { peers.flatMap(\.allowedIPs).sorted() }

    /// The MTU of the tunnel and of the endpoints' interfaces. The manifest's, if it has one, is
    /// an upper bound: a packet that the underlay cannot carry helps nobody.
    package func mtu(underlay: Int, outerIsIPv6: Bool) -> Int {
        let derived = Self.tunnelMTU(
            underlay: underlay, outerIsIPv6: outerIsIPv6, innerHasIPv6: hasIPv6)
        return manifestMTU.map { min($0, derived) } ?? derived
    }

    /// What is left of the underlay's MTU after the outer IP header (20, RFC 791, or 40, RFC
    /// 8200), UDP (8) and WireGuard's transport message (16 of header, 16 of tag). Where IPv6
    /// runs inside it stays at 1280, its least (RFC 8200 section 5): the outer packet is then
    /// fragmented, which is slow and works. 576 is what every IPv4 host takes (RFC 791).
    package static func tunnelMTU(underlay: Int, outerIsIPv6: Bool, innerHasIPv6: Bool) -> Int {
        let room = min(max(underlay, 0), 65535) - (outerIsIPv6 ? 80 : 60)
        return max(room, innerHasIPv6 ? 1280 : 576)
    }
}

package enum SlicePlanProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case noSuchCluster(ClusterName, known: [ClusterName])

    package var description: String {
        switch self {
        case .noSuchCluster(let name, let known):
            "the manifest has no cluster `\(name)`, which gateway.conf says this is; it has: "
                + known.map(\.text).joined(separator: ", ")
        }
    }
}
