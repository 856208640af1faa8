import Addresses
import ConfigFile
import Noise
import Timing

/// What a slice is: the document its owner signs and every gateway obeys.
package struct SliceManifest: Sendable {
    package static let apiVersion = "slice-gateway.dev/v1alpha1"
    package static let kind = "Slice"

    /// Open: all namespaces of the slice may talk. Strict: only what policies allow.
    package enum Isolation: String, CaseIterable, Sendable {
        case open
        case strict
    }

    package struct Cluster: Hashable, Sendable {
        package var name: ClusterName
        package var region: Region
        /// Inside the slice's prefixes and in all their families. The first of each family holds
        /// the gateway's overlay address.
        package var prefixes: [IPPrefix]
        package var gateways: [Gateway]
    }

    package struct Gateway: Hashable, Sendable {
        package var name: GatewayName
        package var publicKey: PublicKey
        /// In the owner's order of preference. Empty behind a NAT: then it calls the others.
        package var endpoints: [UnderlayEndpoint]
        package var persistentKeepalive: Nanoseconds?
        /// Two gateways that both say AES use it between them; WireGuard's own all others.
        package var cipher = TransportSuite.chaChaPoly
    }

    package struct Namespace: Hashable, Sendable {
        package var name: NamespaceName
        /// Where it may be attached; nil is everywhere.
        package var clusters: [ClusterName]?
        /// The fence: its endpoints are attached, and speak with others, in these regions only.
        package var regions: [Glob]?
    }

    package var name: SliceName
    /// Only ever grows; gateways refuse to go back.
    package var version: UInt64
    package var isolation: Isolation
    package var prefixes: [IPPrefix]
    package var port: UInt16
    package var mtu: Int?
    package var clusters: [Cluster]
    package var namespaces: [Namespace]
    /// The first that matches decides.
    package var policies: [Policy] = []
    package var services: [Service] = []
    /// What is allowed and probably not meant, where it stands. Bounded, as problems are.
    package var warnings: [ConfigProblem] = []
    /// As found in the document; `verify` says whether it is worth anything.
    package var signature: ManifestSignature?
    /// What the signature covers: everything above, as it was written.
    package var signedBytes: [UInt8]

    package func cluster(_ name: ClusterName) -> Cluster? { clusters.first { $0.name == name } }

    /// Whether a namespace belongs to the slice in a cluster.
    package func admits(_ namespace: NamespaceName, in cluster: ClusterName) -> Bool {
        namespaces.contains {
            $0.name == namespace && ($0.clusters?.contains(cluster) ?? true)
                && !isFenced($0, from: cluster)
        }
    }

    /// The fence that keeps a namespace out of a cluster, if it is that which does.
    package func fence(of name: NamespaceName, against cluster: ClusterName) -> [Glob]? {
        namespaces.first { $0.name == name && isFenced($0, from: cluster) }?.regions
    }

    private func isFenced(_ namespace: Namespace, from name: ClusterName) -> Bool {
        guard let regions = namespace.regions, let cluster = cluster(name) else { return false }
        return !regions.contains { $0.matches(cluster.region.text) }
    }
}

extension SliceManifest.Cluster {
    /// The gateway's own addresses inside the slice: the first usable one of the cluster's first
    /// prefix in each family (`overlayAddresses` lists IPv4 before IPv6).
    package var overlayAddresses: [IPAddress] {
        [true, false].compactMap { wanted in
            prefixes.first { $0.isIPv4 == wanted }?.address(at: 1)
        }
    }

    package func overlayAddress(ipv4: Bool) -> IPAddress? {
        prefixes.first { $0.isIPv4 == ipv4 }?.address(at: 1)
    }
}

/// What one slice may hold. Generous for people, bearable for machines: reading the largest
/// document takes a few seconds and less than a gigabyte.
package enum ManifestLimits {
    package static let prefixes = 16
    package static let clusters = 512
    /// In all clusters together.
    package static let gateways = 1024
    package static let endpointsPerGateway = 8
    package static let namespaces = 4096
    package static let policies = 100_000
    package static let services = 4096
    /// Patterns of one list.
    package static let globs = 64
    package static let labels = EndpointLabels.limit
    /// Of one policy, or of one service.
    package static let ports = 64
    package static let warnings = 100
    /// For as many policies as there may be, of 335 bytes and 40 values each.
    package static let document = ConfigLimits(bytes: 32 << 20, nodes: 4_000_000)
}
