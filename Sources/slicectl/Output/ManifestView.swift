import Addresses
import ConfigFile
import Noise
import SliceModel
import Timing

/// `slicectl slice show`: a manifest, and what it means for the gateways.
package struct ManifestView: Sendable {
    private let manifest: SliceManifest
    private let plans: [SlicePlan]
    private let underlayMTU: Int

    package init(_ manifest: SliceManifest, plans: [SlicePlan], underlayMTU: Int) {
        self.manifest = manifest
        self.plans = plans
        self.underlayMTU = underlayMTU
    }

    /// From text to text, with all clusters or as one of them sees it.
    package static func text(
        ofManifest text: String, file: String, cluster: String?, underlayMTU: Int = 1500
    ) throws -> String {
        let manifest = try SliceManifest.parse(text: text, file: file)
        let names = cluster.map { [ClusterName($0)].compactMap { $0 } }
        let plans = try (names ?? manifest.clusters.map(\.name)).map {
            try SlicePlan(manifest, local: $0)
        }
        return ManifestView(manifest, plans: plans, underlayMTU: underlayMTU)
            .text(detailed: cluster != nil)
    }

    package func text(detailed: Bool, style: Style = .plain) -> String {
        var text = "slice \(style.paint(manifest.name.text, .strong))\n"
        text += StatusView.facts(facts(detailed: detailed), style)
        if detailed, let plan = plans.first { return text + "\n" + self.plan(plan, style) }
        return text + "\n" + clusters(style)
    }

    private func facts(detailed: Bool) -> [(String, String)] {
        let facts = [
            ("version", "\(manifest.version)"),
            ("signature", signature),
            ("digest", ManifestDigest(of: manifest).hex),
            ("isolation", manifest.isolation.rawValue),
            ("prefixes", list(manifest.prefixes)),
            ("port", "UDP \(manifest.port)"),
            ("tunnel MTU", mtu(plans)),
            ("namespaces", namespaces),
        ]
        // In detail, each cluster has its own.
        return detailed ? facts.filter { $0.0 != "tunnel MTU" } : facts
    }

    private var signature: String {
        guard let signature = manifest.signature else { return "none: it is not in force anywhere" }
        return (try? manifest.verify(owner: signature.key)) == nil
            ? "BROKEN: changed after it was signed by \(signature.key)"
            : "whole, by owner \(signature.key)"
    }

    private var namespaces: String {
        guard !manifest.namespaces.isEmpty else { return "none: nothing may be attached" }
        return manifest.namespaces.map { namespace in
            guard let clusters = namespace.clusters else { return namespace.name.text }
            return "\(namespace.name) (only \(list(clusters)))"
        }.joined(separator: ", ")
    }

    private func mtu(_ plans: [SlicePlan]) -> String {
        guard let plan = plans.first else { return "-" }
        let v4 = plan.mtu(underlay: underlayMTU, outerIsIPv6: false)
        let v6 = plan.mtu(underlay: underlayMTU, outerIsIPv6: true)
        let values = v4 == v6 ? "\(v4)" : "\(v4) over IPv4, \(v6) over IPv6"
        let bound = manifest.mtu.map { ", at most \($0)" } ?? ""
        return "\(values), where the underlay's is \(underlayMTU)\(bound)"
    }

    private func clusters(_ style: Style) -> String {
        var table = Table([
            .init("CLUSTER"), .init("REGION"), .init("PREFIXES"), .init("OVERLAY ADDRESS"),
            .init("GATEWAY"), .init("REACHED AT"), .init("KEEPALIVE"), .init("PUBLIC KEY"),
        ])
        for cluster in manifest.clusters {
            for (index, gateway) in cluster.gateways.enumerated() {
                let isFirst = index == 0
                table.rows.append([
                    Table.Cell(isFirst ? cluster.name.text : ""),
                    Table.Cell(isFirst ? cluster.region.text : ""),
                    Table.Cell(isFirst ? list(cluster.prefixes) : ""),
                    Table.Cell(isFirst ? list(cluster.overlayAddresses) : ""),
                    Table.Cell(gateway.name.text), Table.Cell(reached(gateway.endpoints)),
                    Table.Cell(
                        gateway.persistentKeepalive.map { Units.duration($0.seconds) } ?? ""),
                    Table.Cell(gateway.publicKey.base64, .dim),
                ])
            }
        }
        return table.text(style: style)
    }

    private func plan(_ plan: SlicePlan, _ style: Style) -> String {
        var text = "as cluster \(style.paint(plan.cluster.text, .strong)) sees it\n"
        text += StatusView.facts(
            [
                ("public key", plan.publicKey.base64),
                ("listens on", "UDP port \(plan.listenPort)"),
                ("overlay address", list(plan.overlayAddresses)),
                ("endpoints get", "addresses of \(list(plan.localPrefixes))"),
                ("endpoints route", list(plan.slicePrefixes)),
                ("tunnel MTU", mtu([plan])),
            ], style)
        guard !plan.peers.isEmpty else { return text + "\nno peers: the slice has one cluster\n" }
        var table = Table([
            .init("PEER"), .init("REGION"), .init("REACHED AT"), .init("ALLOWED IPS"),
            .init("OVERLAY ADDRESS"), .init("KEEPALIVE"), .init("PUBLIC KEY"),
        ])
        for peer in plan.peers {
            table.rows.append([
                Table.Cell(peer.cluster.text), Table.Cell(peer.region.text),
                Table.Cell(reached(peer.endpoints)), Table.Cell(list(peer.allowedIPs)),
                Table.Cell(list(peer.overlayAddresses)),
                Table.Cell(peer.persistentKeepalive.map { Units.duration($0.seconds) } ?? ""),
                Table.Cell(peer.publicKey.base64, .dim),
            ])
        }
        return text + "\n" + table.text(style: style)
    }

    private func reached(_ endpoints: [UnderlayEndpoint]) -> String {
        endpoints.isEmpty ? "nowhere: it calls" : list(endpoints)
    }

    private func list(_ items: [some CustomStringConvertible]) -> String {
        items.map(\.description).joined(separator: ", ")
    }
}

extension ManifestView {
    package struct Document: Encodable {
        struct Cluster: Encodable {
            var name: String
            var region: String
            var prefixes: [String]
            var overlayAddresses: [String]
            var gateways: [Gateway]
            /// What this cluster's gateway makes of it; absent when another was asked for.
            var peers: [String]?
            var tunnelMTUOverIPv4: Int?
            var tunnelMTUOverIPv6: Int?
        }
        struct Gateway: Encodable {
            var name: String
            var publicKey: String
            var endpoints: [String]
            var persistentKeepaliveSeconds: Int64?
        }
        struct Namespace: Encodable {
            var name: String
            var clusters: [String]?
        }
        var slice: String
        var version: UInt64
        var digest: String
        var isolation: String
        var prefixes: [String]
        var port: UInt16
        var mtu: Int?
        var underlayMTU: Int
        var owner: String?
        var isSignatureWhole: Bool
        var clusters: [Cluster]
        var namespaces: [Namespace]
    }

    package var document: Document {
        Document(
            slice: manifest.name.text, version: manifest.version,
            digest: ManifestDigest(of: manifest).hex,
            isolation: manifest.isolation.rawValue,
            prefixes: manifest.prefixes.map(\.description), port: manifest.port,
            mtu: manifest.mtu, underlayMTU: underlayMTU,
            owner: manifest.signature?.key.description,
            isSignatureWhole: manifest.signature.map {
                (try? manifest.verify(owner: $0.key)) != nil
            } ?? false,
            clusters: manifest.clusters.map(cluster),
            namespaces: manifest.namespaces.map {
                Document.Namespace(name: $0.name.text, clusters: $0.clusters?.map(\.text))
            })
    }

    private func cluster(_ cluster: SliceManifest.Cluster) -> Document.Cluster {
        let plan = plans.first { $0.cluster == cluster.name }
        return Document.Cluster(
            name: cluster.name.text, region: cluster.region.text,
            prefixes: cluster.prefixes.map(\.description),
            overlayAddresses: cluster.overlayAddresses.map(\.description),
            gateways: cluster.gateways.map { gateway in
                Document.Gateway(
                    name: gateway.name.text, publicKey: gateway.publicKey.base64,
                    endpoints: gateway.endpoints.map(\.description),
                    persistentKeepaliveSeconds: gateway.persistentKeepalive.map {
                        $0.count / 1_000_000_000
                    })
            },
            peers: plan?.peers.map(\.cluster.text),
            tunnelMTUOverIPv4: plan?.mtu(underlay: underlayMTU, outerIsIPv6: false),
            tunnelMTUOverIPv6: plan?.mtu(underlay: underlayMTU, outerIsIPv6: true))
    }
}

extension ManifestDigest {
    /// Lower-case hexadecimal, as the daemon reports it.
    var hex: String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
