import Addresses
import ConfigFile
import Noise

/// A manifest to begin with: what `slicectl slice new` writes. Commented, because the file is
/// what its owner keeps and edits.
package struct ManifestTemplate: Sendable {
    package struct Cluster: Sendable {
        package var name: ClusterName
        package var region: Region
        /// Nil leaves a place to fill in, which `slicectl slice sign` insists on.
        package var publicKey: PublicKey?
        package var endpoint: UnderlayEndpoint?
        /// Of its own, inside the slice's. Where it has none, an equal part is its own.
        package var prefixes: [IPPrefix]

        package init(
            name: ClusterName, region: Region, publicKey: PublicKey? = nil,
            endpoint: UnderlayEndpoint? = nil, prefixes: [IPPrefix] = []
        ) {
            self.name = name
            self.region = region
            self.publicKey = publicKey
            self.endpoint = endpoint
            self.prefixes = prefixes
        }
    }

    package var name: SliceName
    package var prefixes: [IPPrefix]
    package var port: UInt16
    package var clusters: [Cluster]
    package var namespaces: [NamespaceName]
    package var isolation: SliceManifest.Isolation

    package init(
        name: SliceName, prefixes: [IPPrefix], port: UInt16, clusters: [Cluster],
        namespaces: [NamespaceName], isolation: SliceManifest.Isolation = .open
    ) {
        self.name = name
        self.prefixes = prefixes
        self.port = port
        self.clusters = clusters
        self.namespaces = namespaces
        self.isolation = isolation
    }

    /// Nil if a prefix is too small to give every cluster a part.
    package func text() -> String? {
        var text = """
            # Slice \(name). Its owner signs this file with `slicectl slice sign`; gateways refuse
            # it unsigned, changed, or older than what they have. Comments and formatting are not
            # signed, everything under spec is.
            apiVersion: \(SliceManifest.apiVersion)
            kind: \(SliceManifest.kind)
            metadata:
              name: \(quoted(name.text))
            spec:
              # Raise it with every change.
              version: 1

              # open: all namespaces of the slice may talk to each other. strict: each within
              # itself, and with others only as policies allow.
              isolation: \(isolation.rawValue)

              # The addresses of the slice. They must be free wherever it is attached.
              prefixes:

            """
        for prefix in prefixes { text += "    - \(quoted(prefix.description))\n" }
        text += """

              # The UDP port of the gateways, open between the clusters.
              port: \(port)

              # The MTU inside is derived from each underlay's. To fix an upper bound:
              # mtu: 1380

              # Where the slice is. The first address of a cluster's prefix is its gateway's.
              clusters:

            """
        for (index, cluster) in clusters.enumerated() {
            guard let part = section(for: cluster, at: index) else { return nil }
            text += part
        }
        if !namespaces.isEmpty {
            text += """

                  # Who may be attached. A namespace is the same one in every cluster; to keep it
                  # to some, add for example: clusters: [\(clusters.first?.name.text ?? "west")]
                  # To keep it and all it says within regions: regions: ["eu-*"]
                  namespaces:

                """
            for namespace in namespaces { text += "    - name: \(quoted(namespace.text))\n" }
        }
        return text + examples
    }

    /// Commented out: what a slice lets through is for its owner to say.
    private var examples: String {
        let namespace = quoted(namespaces.first?.text ?? "kafka")
        return """

              # Who may talk to whom: the first policy that matches decides. An asterisk stands for
              # anything; what is left out matches everything.
              # policies:
              #   - name: clients
              #     description: applications reach \(namespace)
              #     from: {namespaces: ["app-*"]}
              #     to: {namespaces: [\(namespace)]}
              #     ports: [tcp/9092]

              # What endpoints offer under one name: SERVICE.NAMESPACE.svc.slice.local.
              # services:
              #   - name: brokers
              #     namespace: \(namespace)
              #     ports: [{name: broker, port: 9092}]
              #     check: {port: 9092}

            """
    }

    private func section(for cluster: Cluster, at index: Int) -> String? {
        var text = """
                - name: \(quoted(cluster.name.text))
                  region: \(quoted(cluster.region.text))
                  prefixes:

            """
        for prefix in cluster.prefixes { text += "        - \(quoted(prefix.description))\n" }
        for prefix in prefixes where !cluster.prefixes.contains(where: prefix.contains) {
            guard let part = Self.part(index, of: clusters.count, in: prefix) else { return nil }
            text += "        - \(quoted(part.description))\n"
        }
        let key =
            cluster.publicKey?.base64 ?? "\"\" # fill in: `slicectl pubkey` on this gateway"
        text += """
                  gateways:
                    - name: \(quoted(gatewayName(cluster.name)))
                      publicKey: \(key)

            """
        if let endpoint = cluster.endpoint {
            text += """
                          # host:port as the other clusters reach it.
                          endpoints: [\(quoted(endpoint.description, always: true))]

                """
        } else {
            text += """
                          # host:port as the other clusters reach it. Without one, this gateway
                          # must call the others: then also give persistentKeepalive: 25s
                          endpoints: []

                """
        }
        return text
    }

    private func gatewayName(_ cluster: ClusterName) -> String {
        let name = "gw-" + cluster.text
        return NameRules.isLabel(name) ? name : cluster.text
    }

    private func quoted(_ text: String, always: Bool = false) -> String {
        always ? "\"\(text)\"" : plainIfSafe(text)
    }

    /// The n-th of `count` equal parts: /24 or /64 where the prefix has room for that, else as
    /// large as fits.
    package static func part(_ index: Int, of count: Int, in prefix: IPPrefix) -> IPPrefix? {
        guard index >= 0, index < count, count <= ManifestLimits.clusters else { return nil }
        let longest = prefix.isIPv4 ? 30 : 126
        let usual = prefix.isIPv4 ? 24 : 64
        // One part more than clusters, so that the second cluster's number is 2 where it can be,
        // and a cluster may be added: 10.80.1.0/24, 10.80.2.0/24, ...
        func bits(_ parts: Int) -> Int {
            var bits = 0
            while 1 << bits < parts { bits += 1 }
            return bits
        }
        var first = 1
        var length = prefix.length + bits(count + 1)
        if length > longest {
            first = 0
            length = prefix.length + bits(count)
        }
        length = max(length, usual)
        guard length <= longest else { return nil }
        let step = prefix.address.bitWidth - length
        let number = UInt64(index + first)
        switch prefix.address {
        case .v4(let base):
            return IPPrefix(
                .v4(IPv4Address(base.value | UInt32(truncatingIfNeeded: number << UInt64(step)))),
                length: length)
        case .v6(let base):
            let high = step >= 64 ? base.high | number << UInt64(step - 64) : base.high
            let low = step >= 64 ? base.low : base.low | number << UInt64(step)
            let carry = step < 64 && step > 0 ? number >> UInt64(64 - step) : 0
            return IPPrefix(.v6(IPv6Address(high: high | carry, low: low)), length: length)
        }
    }
}
