/// Names what a manifest lets through: two gateways whose digests differ enforce different rules.
///
/// BLAKE2b-256 over the encoding that signatures use too (ManifestEncoding) of the manifest as it
/// is understood, not as it is written: defaults are filled in, the order of namespaces, clusters
/// and patterns does not matter, that of policies does, and descriptions are left out.
package struct PolicyDigest: Hashable, Sendable, CustomStringConvertible {
    static let domain = "slice-gateway.dev policies v1\n"

    package let bytes: [UInt8]

    package init(of manifest: SliceManifest) {
        bytes = ManifestEncoding.digest(of: Self.message(of: manifest))
    }

    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    package var description: String { Base64.encode(bytes) }

    /// What is digested.
    package static func message(of manifest: SliceManifest) -> [UInt8] {
        var writer = CanonicalWriter(bytes: Array(domain.utf8))
        let clusters = manifest.clusters.sorted { $0.name < $1.name }
        let namespaces = manifest.namespaces.sorted { $0.name < $1.name }
        writer.map(4)
        writer.key("clusters")
        writer.map(clusters.count)
        for cluster in clusters { writer.pair(cluster.name.text, cluster.region.text) }
        writer.pair("isolation", manifest.isolation.rawValue)
        writer.key("namespaces")
        writer.map(namespaces.count)
        for namespace in namespaces {
            writer.key(namespace.name.text)
            writer.lists([
                ("clusters", namespace.clusters?.map(\.text)),
                ("regions", namespace.regions?.map(\.text)),
            ])
        }
        writer.key("policies")
        ManifestEncoding.appendList(of: manifest.policies.count, to: &writer.bytes)
        for policy in manifest.policies { writer.policy(policy) }
        return writer.bytes
    }
}

extension SliceManifest {
    /// Costs a walk over all policies: keep it rather than ask again.
    package var policyDigest: PolicyDigest { PolicyDigest(of: self) }
}

/// Whoever writes a map writes its keys in the order of their bytes.
private struct CanonicalWriter {
    var bytes: [UInt8]

    mutating func map(_ count: Int) { ManifestEncoding.appendMap(of: count, to: &bytes) }

    mutating func key(_ name: String) { ManifestEncoding.appendScalar(name, to: &bytes) }

    mutating func pair(_ name: String, _ value: String) {
        key(name)
        ManifestEncoding.appendScalar(value, to: &bytes)
    }

    /// Each sorted and without repetitions: which of them matches does not matter.
    mutating func list(_ items: [String]) {
        let sorted =
            items.count < 2
            ? items : Set(items).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        ManifestEncoding.appendList(of: sorted.count, to: &bytes)
        for item in sorted { ManifestEncoding.appendScalar(item, to: &bytes) }
    }

    /// A map of those that are given.
    mutating func lists(_ fields: [(name: String, items: [String]?)]) {
        map(fields.count { $0.items != nil })
        for (name, items) in fields {
            guard let items else { continue }
            key(name)
            list(items)
        }
    }

    mutating func selector(_ selector: EndpointSelector) {
        let lists = [
            ("clusters", selector.clusters), ("namespaces", selector.namespaces),
            ("regions", selector.regions),
        ]
        map(lists.count { $0.1 != nil } + (selector.labels.isEmpty ? 0 : 1))
        for (name, globs) in lists {
            if name == "namespaces", !selector.labels.isEmpty {
                key("labels")
                map(selector.labels.count)
                for label in selector.labels { pair(label.key, label.value.text) }
            }
            guard let globs else { continue }
            key(name)
            list(globs.map(\.text))
        }
    }

    mutating func policy(_ policy: Policy) {
        map(5 + (policy.ports == nil ? 0 : 1) + (policy.regions == nil ? 0 : 1))
        pair("action", policy.action.rawValue)
        key("from")
        selector(policy.from)
        pair("log", policy.log ? "true" : "false")
        pair("name", policy.name.text)
        if let ports = policy.ports {
            key("ports")
            list(ports.map(\.description))
        }
        if let regions = policy.regions {
            key("regions")
            list(regions.map(\.text))
        }
        key("to")
        selector(policy.to)
    }
}
