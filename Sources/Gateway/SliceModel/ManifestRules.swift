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
        if let mtu = draft.mtu, mtu.value < 1280,
            draft.prefixes.contains(where: { !$0.value.isIPv4 })
        {
            // RFC 8200 section 5.
            log.report(mtu, "\(mtu.value) is below 1280, the least that IPv6 can live with")
        }
    }

    private func checkUnique<Name: SliceModelName>(_ names: [Located<Name>], _ what: String) {
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
        checkOverlaps(draft.prefixes) { "\($0.value) (line \($0.mark.line))" }
    }

    private func checkOverlaps(
        _ prefixes: [Located<IPPrefix>], _ show: (Located<IPPrefix>) -> String
    ) {
        for (index, prefix) in prefixes.enumerated() {
            for earlier in prefixes[..<index] where earlier.value.overlaps(prefix.value) {
                log.report(prefix, "\(prefix.value) overlaps \(show(earlier))")
                break
            }
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
        var all: [(prefix: Located<IPPrefix>, owner: String)] = []
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
                for earlier in all where earlier.prefix.value.overlaps(prefix.value) {
                    log.report(
                        prefix,
                        "\(prefix.value) overlaps \(earlier.prefix.value) of \(earlier.owner) "
                            + "(line \(earlier.prefix.mark.line))")
                    break
                }
                all.append((prefix, cluster.shown))
            }
            checkFamilies(cluster, slice)
        }
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
        let known = draft.clusters.compactMap(\.name?.value)
        // With a cluster whose name is wrong, "no such cluster" would be noise.
        let complete = known.count == draft.clusters.count && !known.isEmpty
        for namespace in draft.namespaces {
            checkUnique(namespace.clusters ?? [], "cluster")
            for cluster in namespace.clusters ?? []
            where complete && !known.contains(cluster.value) {
                let hint = Similarity.closest(to: cluster.value.text, among: known.map(\.text))
                    .map { "; did you mean `\($0)`?" }
                log.report(
                    cluster, "the slice has no cluster `\(cluster.value)`\(hint ?? "")")
            }
        }
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
