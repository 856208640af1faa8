import AdminAPI
import Addresses
import ConfigFile
import Noise
import SliceModel
import Timing

/// `slicectl slice show`: a manifest, and what it means for the gateways.
package struct ManifestView: Sendable {
    let manifest: SliceManifest
    let plans: [SlicePlan]
    let underlayMTU: Int

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
        text += "\n" + clusters(style)
        for part in [PolicyTable.text(manifest, style), ServiceTable.text(manifest, style)]
        where !part.isEmpty { text += "\n" + part }
        return text
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
        let shown = manifest.namespaces.prefix(PolicyTable.shown).map { namespace in
            var bounds: [String] = []
            if let clusters = namespace.clusters { bounds.append("only \(list(clusters))") }
            if let regions = namespace.regions { bounds.append("fenced in \(list(regions))") }
            return bounds.isEmpty
                ? namespace.name.text
                : "\(namespace.name) (\(bounds.joined(separator: ", ")))"
        }
        let rest = manifest.namespaces.count - shown.count
        return shown.joined(separator: ", ")
            + (rest > 0 ? " and \(Units.count(UInt64(rest))) more" : "")
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
            ] + ciphers(plan), style)
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

    /// Worth a line only where it is not WireGuard's own.
    private func ciphers(_ plan: SlicePlan) -> [(String, String)] {
        let aes = plan.peers.filter { $0.cipher != .chaChaPoly }.map(\.cluster.text)
        return aes.isEmpty ? [] : [("AES-256-GCM", "with \(aes.joined(separator: ", "))")]
    }

    private func reached(_ endpoints: [UnderlayEndpoint]) -> String {
        endpoints.isEmpty ? "nowhere: it calls" : list(endpoints)
    }

    private func list(_ items: [some CustomStringConvertible]) -> String {
        items.map(\.description).joined(separator: ", ")
    }
}
