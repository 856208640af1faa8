import Addresses
import ConfigFile
import Noise

/// The rules that join several fields of a manifest. Everything is compared with what came
/// before it, so a report names two places: its own, and the line of the other.
struct ManifestRules {
    let log: ConfigLog

    func check(_ draft: ManifestDraft) {
        checkPrefixes(draft)
        checkClusterPrefixes(draft)
        checkGateways(draft)
        checkUnique(draft.clusters.compactMap(\.name), "cluster name")
        checkUnique(
            draft.clusters.flatMap { $0.gateways ?? [] }.compactMap(\.value.name), "gateway name")
        checkUnique(draft.namespaces.compactMap(\.name), "namespace name")
        checkNamespaces(draft)
        checkUnique(draft.policies.lazy.compactMap(\.name), "policy name")
        checkServices(draft)
        if let mtu = draft.mtu, mtu.value < 1280,
            draft.prefixes.contains(where: { !$0.value.isIPv4 })
        {
            // RFC 8200 section 5.
            log.report(mtu, "\(mtu.value) is below 1280, the least that IPv6 can live with")
        }
    }

    private func checkUnique<Name: SliceModelName>(
        _ names: some Sequence<Located<Name>>, _ what: String
    ) {
        var seen: [Name: Int] = [:]
        for name in names {
            if let line = seen[name.value] {
                log.report(name, "the \(what) `\(name.value)` is used twice, first on line \(line)")
            } else {
                seen[name.value] = name.mark.line
            }
        }
    }

    // MARK: Prefixes

    private func checkPrefixes(_ draft: ManifestDraft) {
        for prefix in draft.prefixes { checkRange(prefix) }
        checkOverlaps(draft.prefixes) { "\(draft.prefixes[$0].value)" }
    }

    /// In the order of addresses whatever overlaps a prefix stands beside it, or inside the same
    /// larger one: one pass finds, for each prefix, the next larger one around it.
    private func checkOverlaps(_ prefixes: [Located<IPPrefix>], _ show: (Int) -> String) {
        let order = prefixes.indices.sorted {
            (prefixes[$0].value, $0) < (prefixes[$1].value, $1)
        }
        var around: [Int] = []
        // By the later of two in the file, as that is what was added: the first it collides with.
        var earlier: [Int: Int] = [:]
        for index in order {
            let prefix = prefixes[index].value
            while let outer = around.last, !prefixes[outer].value.contains(prefix) {
                around.removeLast()
            }
            if let outer = around.last {
                let later = max(index, outer)
                earlier[later] = min(earlier[later] ?? .max, min(index, outer))
            }
            around.append(index)
        }
        for (index, prefix) in prefixes.enumerated() {
            guard let other = earlier[index] else { continue }
            log.report(
                prefix,
                "\(prefix.value) overlaps \(show(other)) (line \(prefixes[other].mark.line))")
        }
    }

    /// Whether hosts can have addresses in it at all.
    private func checkRange(_ prefix: Located<IPPrefix>) {
        if prefix.value.length == 0 {
            log.report(
                prefix, "\(prefix.value) is everything: a slice takes only a part of the addresses")
            return
        }
        for (range, what) in SpecialRanges.all where range.overlaps(prefix.value) {
            log.report(
                prefix, "\(prefix.value) overlaps \(range) (\(what)): choose another prefix")
            return
        }
        let longest = prefix.value.isIPv4 ? 30 : 126
        if prefix.value.length > longest {
            log.report(
                prefix,
                "\(prefix.value) is too small: /\(longest) is the least that holds a gateway and "
                    + "an endpoint")
        }
    }

    private func checkClusterPrefixes(_ draft: ManifestDraft) {
        let slice = draft.prefixes.map(\.value)
        var all: [Located<IPPrefix>] = []
        var owners: [String] = []
        for cluster in draft.clusters {
            for prefix in cluster.prefixes ?? [] {
                checkRange(prefix)
                if draft.prefixesRead, !slice.contains(where: { $0.contains(prefix.value) }) {
                    let family = slice.filter { $0.isIPv4 == prefix.value.isIPv4 }
                    let places = family.map(\.description).joined(separator: " or ")
                    let hint =
                        family.isEmpty
                        ? "the slice has no \(prefix.value.isIPv4 ? "IPv4" : "IPv6") prefix"
                        : "it must lie inside \(places)"
                    log.report(
                        prefix, "\(prefix.value) is outside the slice's prefixes: \(hint)")
                }
                all.append(prefix)
                owners.append(cluster.shown)
            }
            checkFamilies(cluster, slice)
        }
        checkOverlaps(all) { "\(all[$0].value) of \(owners[$0])" }
    }

    private func checkFamilies(_ cluster: ClusterDraft, _ slice: [IPPrefix]) {
        guard let own = cluster.prefixes, !own.isEmpty else { return }
        for (isIPv4, name) in [(true, "IPv4"), (false, "IPv6")]
        where slice.contains(where: { $0.isIPv4 == isIPv4 })
            && !own.contains(where: { $0.value.isIPv4 == isIPv4 })
        {
            log.report(
                cluster.place,
                "the slice has \(name) and \(cluster.shown) has no \(name) prefix: add one")
        }
    }

    // MARK: Gateways

    private func checkGateways(_ draft: ManifestDraft) {
        var keys: [PublicKey: Int] = [:]
        var endpoints: [UnderlayEndpoint: Int] = [:]
        var withoutEndpoint: Located<GatewayDraft>?
        var total = 0
        for cluster in draft.clusters {
            let gateways = cluster.gateways ?? []
            total += gateways.count
            if gateways.count > 1 {
                log.report(
                    gateways[1],
                    "a second gateway in one cluster is not supported yet: leave one in "
                        + cluster.shown)
            }
            for gateway in gateways {
                if let key = gateway.value.publicKey {
                    if let line = keys[key.value] {
                        log.report(key, "the public key is used twice, first on line \(line)")
                    }
                    keys[key.value, default: key.mark.line] = keys[key.value] ?? key.mark.line
                }
                for endpoint in gateway.value.endpoints {
                    if let line = endpoints[endpoint.value] {
                        log.report(
                            endpoint,
                            "the endpoint \(endpoint.value) is used twice, first on line \(line)")
                    } else {
                        endpoints[endpoint.value] = endpoint.mark.line
                    }
                    checkEndpoint(endpoint, draft)
                }
                if !gateway.value.triesEndpoints {
                    if let other = withoutEndpoint {
                        log.report(
                            gateway,
                            "has no endpoint, as the gateway on line \(other.mark.line): they "
                                + "could never reach each other; give one of them an endpoint")
                    } else {
                        withoutEndpoint = gateway
                    }
                }
            }
        }
        if total > ManifestLimits.gateways, let first = draft.clusters.first {
            log.report(
                first.place,
                "\(total) gateways in the slice, at most \(ManifestLimits.gateways) allowed")
        }
    }

    private func checkEndpoint(_ endpoint: Located<UnderlayEndpoint>, _ draft: ManifestDraft) {
        guard case .address(let socket) = endpoint.value else { return }
        for (range, what) in SpecialRanges.unreachable where range.contains(socket.address) {
            log.report(endpoint, "\(socket.address) is no address of a host (\(what))")
            return
        }
        if let inside = draft.prefixes.first(where: {
            $0.value.length > 0 && $0.value.contains(socket.address)
        }) {
            log.report(
                endpoint,
                "\(socket.address) lies inside the slice's own prefix \(inside.value): the tunnel "
                    + "would run through itself; give the underlay's address")
        }
    }

    // MARK: Namespaces

    private func checkNamespaces(_ draft: ManifestDraft) {
        let known = Known(draft.clusters.map(\.name?.value))
        for namespace in draft.namespaces {
            checkUnique(namespace.clusters ?? [], "cluster")
            for cluster in namespace.clusters ?? [] where known.isComplete && !known.isEmpty {
                known.check(cluster, "cluster", log)
            }
        }
    }

    private func checkServices(_ draft: ManifestDraft) {
        let known = Known(draft.namespaces.map(\.name?.value))
        var seen: [ServiceRecord.Key: Int] = [:]
        for service in draft.services {
            if draft.namespacesRead, known.isComplete, let namespace = service.namespace {
                known.check(namespace, "namespace", log)
            }
            guard let name = service.name, let namespace = service.namespace else { continue }
            let key = ServiceRecord.Key(namespace.value, name.value)
            if let line = seen[key] {
                log.report(
                    name,
                    "the service `\(name.value)` of namespace `\(namespace.value)` is there twice, "
                        + "first on line \(line)")
            } else {
                seen[key] = name.mark.line
            }
        }
    }
}

/// Names that others may refer to.
private struct Known<Name: SliceModelName> {
    private let names: Set<Name>
    private let inOrder: [Name]
    /// With one whose name is wrong, "there is no such" would be noise.
    let isComplete: Bool

    init(_ names: [Name?]) {
        inOrder = names.compactMap { $0 }
        self.names = Set(inOrder)
        isComplete = inOrder.count == names.count
    }

    var isEmpty: Bool { names.isEmpty }

    func check(_ name: Located<Name>, _ noun: String, _ log: ConfigLog) {
        guard !names.contains(name.value) else { return }
        let hint =
            log.isFull
            ? nil
            : Similarity.closest(to: name.value.text, among: inOrder.map(\.text))
                .map { "; did you mean `\($0)`?" }
        log.report(name, "the slice has no \(noun) `\(name.value)`\(hint ?? "")")
    }
}

/// Addresses that mean something of their own (RFC 6890 and its registries).
enum SpecialRanges {
    /// No host has one as its address.
    static let unreachable: [(IPPrefix, String)] = make([
        ("0.0.0.0/8", "this network"), ("224.0.0.0/4", "multicast"), ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"), ("ff00::/8", "multicast"),
    ])

    /// A slice's prefix may not touch one.
    static let all: [(IPPrefix, String)] =
        unreachable
        + make([
            ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", "link-local"), ("::1/128", "loopback"),
            ("::ffff:0:0/96", "IPv4-mapped"), ("fe80::/10", "link-local"),
        ])

    private static func make(_ table: [(String, String)]) -> [(IPPrefix, String)] {
        table.compactMap { text, what in IPPrefix(text).map { ($0, what) } }
    }
}
