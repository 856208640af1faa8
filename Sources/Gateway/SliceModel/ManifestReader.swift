import Addresses
import ConfigFile
import Noise
import Timing

// Document to manifest. Reading comes first and keeps where everything stood; the rules across
// fields come after (ManifestRules), so that one run reports all there is to mend.

struct ManifestDraft {
    var name: Located<SliceName>?
    var version: UInt64?
    var isolation: SliceManifest.Isolation?
    var prefixes: [Located<IPPrefix>] = []
    var prefixesRead = false
    var port: UInt16?
    var mtu: Located<Int>?
    var clusters: [ClusterDraft] = []
    var namespaces: [NamespaceDraft] = []
    /// False if what stands there is no list: then no name can be said to be missing.
    var namespacesRead = true
    var policies: [PolicyDraft] = []
    var services: [ServiceDraft] = []
    var signature: ManifestSignature?
}

struct ClusterDraft {
    var place: Located<Void>
    var name: Located<ClusterName>?
    var region: Region?
    var prefixes: [Located<IPPrefix>]?
    var gateways: [Located<GatewayDraft>]?

    var shown: String { name.map { "cluster `\($0.value)`" } ?? "this cluster" }
}

struct GatewayDraft {
    var name: Located<GatewayName>?
    var publicKey: Located<PublicKey>?
    var endpoints: [Located<UnderlayEndpoint>]
    /// Also true if those given were wrong.
    var triesEndpoints: Bool
    var keepalive: Nanoseconds?
    var cipher = TransportSuite.chaChaPoly
}

struct NamespaceDraft {
    var name: Located<NamespaceName>?
    var clusters: [Located<ClusterName>]?
    var regions: [Glob]?
}

extension SliceManifest {
    /// The manifest, or everything that is wrong with the document. The signature is read, not
    /// verified.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, file: String
    ) throws(ConfigProblems) -> SliceManifest {
        let log = ConfigLog(file: file, limit: ManifestLimits.document.problems)
        let root = ConfigParser.parse(bytes, limits: ManifestLimits.document, log: log)
        let draft = root.flatMap { ManifestReader.draft.read($0, .root, log) }
        if let draft { ManifestRules(log: log).check(draft) }
        try log.throwIfAny()
        guard let root, let draft, var manifest = draft.finished(signedBytes: root) else {
            log.report(.start, .root, "is not a manifest")
            throw ConfigProblems(log.problems)
        }
        manifest.warnings = ManifestWarnings.of(manifest, root: root, file: file)
        return manifest
    }

    package static func parse(
        text: String, file: String
    ) throws(ConfigProblems) -> SliceManifest {
        try Array(text.utf8).withUnsafeBytes { bytes in
            Result { () throws(ConfigProblems) in try parse(bytes, file: file) }
        }.get()
    }
}

enum ManifestReader {
    static var draft: ConfigType<ManifestDraft> {
        .object { top in
            var draft = ManifestDraft()
            _ = top.required("apiVersion", exactly(SliceManifest.apiVersion))
            _ = top.required("kind", exactly(SliceManifest.kind))
            draft.name =
                top.required(
                    "metadata",
                    .object { metadata in
                        metadata.required("name", ConfigType<SliceName>.name.located)
                    })
            if let spec = top.required("spec", .object { readSpec($0, draft) }) { draft = spec }
            draft.signature = top.optional("signature", ManifestSignature.type)
            return draft
        }
    }

    private static func readSpec(_ spec: ConfigObject, _ before: ManifestDraft) -> ManifestDraft {
        var draft = before
        // A signed 64-bit number is what JSON and Kubernetes can carry.
        draft.version = spec.required("version", .int(1...UInt64(Int64.max)))
        draft.isolation = spec.required("isolation", .choice)
        if let prefixes = spec.required(
            "prefixes",
            .list(
                of: ConfigType<IPPrefix>.prefix.located, atLeast: 1,
                atMost: ManifestLimits.prefixes))
        {
            draft.prefixes = prefixes
            draft.prefixesRead = !prefixes.isEmpty
        }
        draft.port = spec.required("port", .int(1...65535))
        draft.mtu = spec.optional("mtu", ConfigType<Int>.int(576...65455).located)
        draft.clusters =
            spec.required(
                "clusters", .list(of: cluster, atLeast: 1, atMost: ManifestLimits.clusters)) ?? []
        let namespaces = spec.optional(
            "namespaces", .list(of: namespace, atMost: ManifestLimits.namespaces))
        draft.namespaces = namespaces ?? []
        draft.namespacesRead = namespaces != nil || !spec.has("namespaces")
        draft.policies = spec.optional("policies", policies) ?? []
        draft.services = spec.optional("services", services) ?? []
        return draft
    }

    private static func exactly(_ expected: String) -> ConfigType<String> {
        ConfigType<String>.string(1...253).checked {
            $0 == expected
                ? nil : "`\(printable($0))` is not known to this gateway: write \(expected)"
        }
    }

    private static var cluster: ConfigType<ClusterDraft> {
        .object { object in
            ClusterDraft(
                place: Located((), mark: object.node.start, path: object.path),
                name: object.required("name", ConfigType<ClusterName>.name.located),
                region: object.required("region", .name),
                prefixes: object.required(
                    "prefixes",
                    .list(
                        of: ConfigType<IPPrefix>.prefix.located, atLeast: 1,
                        atMost: ManifestLimits.prefixes)),
                gateways: object.required(
                    "gateways",
                    .list(of: gateway.located, atLeast: 1, atMost: ManifestLimits.gateways)))
        }
    }

    private static var gateway: ConfigType<GatewayDraft> {
        .object { object in
            for secret in ["privateKey", "presharedKey", "presharedKeys"] {
                object.refuse(
                    secret,
                    "a secret has no place in a manifest, which all may read: keep it in a file "
                        + "on the gateway and name the file in gateway.conf")
            }
            return GatewayDraft(
                name: object.required("name", ConfigType<GatewayName>.name.located),
                publicKey: object.required("publicKey", ConfigType<PublicKey>.publicKey.located),
                endpoints: object.optional(
                    "endpoints",
                    .list(
                        of: ConfigType<UnderlayEndpoint>.underlayEndpoint.located,
                        atMost: ManifestLimits.endpointsPerGateway),
                    default: []),
                triesEndpoints: hasItems(object.node["endpoints"]),
                keepalive: object.optional(
                    "persistentKeepalive",
                    .duration(Nanoseconds.seconds(1)...Nanoseconds.seconds(65535))
                        .checked {
                            $0.count % 1_000_000_000 == 0
                                ? nil : "WireGuard counts whole seconds: write such as 25s"
                        }),
                cipher: object.optional("cipher", .choice, default: .chaChaPoly))
        }
    }

    private static func hasItems(_ node: ConfigNode?) -> Bool {
        switch node?.content {
        case nil: false
        case .list(let items): !items.isEmpty
        default: true
        }
    }

    private static var namespace: ConfigType<NamespaceDraft> {
        .object { object in
            NamespaceDraft(
                name: object.required("name", ConfigType<NamespaceName>.name.located),
                clusters: object.optional(
                    "clusters",
                    .list(
                        of: ConfigType<ClusterName>.name.located, atLeast: 1,
                        atMost: ManifestLimits.clusters)),
                regions: object.optional("regions", .globs))
        }
    }
}

extension ManifestDraft {
    /// Complete if nothing was reported.
    func finished(signedBytes root: ConfigNode) -> SliceManifest? {
        guard let name, let version, let isolation, let port else { return nil }
        var clusters: [SliceManifest.Cluster] = []
        for draft in self.clusters {
            guard let name = draft.name?.value, let region = draft.region,
                let prefixes = draft.prefixes, let gateways = draft.gateways
            else { return nil }
            var finished: [SliceManifest.Gateway] = []
            for gateway in gateways.map(\.value) {
                guard let name = gateway.name?.value, let key = gateway.publicKey?.value else {
                    return nil
                }
                finished.append(
                    SliceManifest.Gateway(
                        name: name, publicKey: key, endpoints: gateway.endpoints.map(\.value),
                        persistentKeepalive: gateway.keepalive, cipher: gateway.cipher))
            }
            clusters.append(
                SliceManifest.Cluster(
                    name: name, region: region, prefixes: prefixes.map(\.value),
                    gateways: finished))
        }
        var namespaces: [SliceManifest.Namespace] = []
        for draft in self.namespaces {
            guard let name = draft.name?.value else { return nil }
            namespaces.append(
                SliceManifest.Namespace(
                    name: name, clusters: draft.clusters.map { $0.map(\.value) },
                    regions: draft.regions))
        }
        let policies = self.policies.compactMap(\.policy)
        let services = self.services.compactMap(\.service)
        guard policies.count == self.policies.count, services.count == self.services.count else {
            return nil
        }
        return SliceManifest(
            name: name.value, version: version, isolation: isolation,
            prefixes: prefixes.map(\.value), port: port, mtu: mtu?.value, clusters: clusters,
            namespaces: namespaces, policies: policies, services: services,
            signature: signature,
            signedBytes: ManifestEncoding.signedBytes(of: root))
    }
}
