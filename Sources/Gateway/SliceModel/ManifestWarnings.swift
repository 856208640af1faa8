import ConfigFile

/// What a manifest allows itself and its owner probably does not mean: patterns that match nothing,
/// policies that never decide. All of it is sound, none of it complete: the work is bounded, and
/// where it would become too much nothing more is said.
struct ManifestWarnings {
    private let manifest: SliceManifest
    private let places: ManifestPlaces
    private let log: ConfigLog
    private var namespaces: NameTable
    private var clusters: NameTable
    private var regions: NameTable

    static func of(_ manifest: SliceManifest, root: ConfigNode, file: String) -> [ConfigProblem] {
        let log = ConfigLog(file: file, limit: ManifestLimits.warnings, noun: "warnings")
        var warnings = ManifestWarnings(manifest, root, log)
        warnings.check()
        return log.problems
    }

    private init(_ manifest: SliceManifest, _ root: ConfigNode, _ log: ConfigLog) {
        self.manifest = manifest
        self.log = log
        places = ManifestPlaces(root: root)
        namespaces = NameTable(noun: "namespace", manifest.namespaces.map(\.name.text))
        clusters = NameTable(noun: "cluster", manifest.clusters.map(\.name.text))
        regions = NameTable(
            noun: "cluster in a region", Set(manifest.clusters.map(\.region.text)).sorted())
    }

    private mutating func check() {
        checkClusters()
        checkFences()
        for (index, policy) in manifest.policies.enumerated() {
            let place = places.item(index, of: "policies")
            check(policy.from, "from", of: place)
            check(policy.to, "to", of: place)
            warnUnmatched(policy.regions, ["regions"], of: place, in: \.regions)
            if policy.log, policy.action == .allow {
                warn(place, ["log"], "only what a policy denies is logged, and this one allows")
            }
        }
        checkIsolation()
        var shadowed = ShadowedPolicies(manifest.policies)
        shadowed.forEach { index, by in
            let name = manifest.policies[by].name
            let line = places.item(by, of: "policies").mark(["name"]).line
            warn(
                places.item(index, of: "policies"), ["name"],
                "never decides: the policy `\(name)` on line \(line) comes first and matches all "
                    + "that it matches")
        } rest: { index in
            let name = manifest.policies[index].name
            let count = manifest.policies.count - index - 1
            warn(
                places.item(index, of: "policies"), ["name"],
                "matches everything: "
                    + (count == 1
                        ? "the policy after `\(name)` never decides"
                        : "the \(count) policies after `\(name)` never decide"))
        }
        checkServices()
    }

    private func warn(_ place: ManifestPlaces.Item, _ fields: [String], _ message: String) {
        guard !log.isFull else { return log.report(.start, .root, "") }
        log.report(place.mark(fields), place.path(fields), message)
    }

    // MARK: Patterns

    private mutating func check(
        _ selector: EndpointSelector, _ side: String, of place: ManifestPlaces.Item
    ) {
        warnUnmatched(selector.namespaces, [side, "namespaces"], of: place, in: \.namespaces)
        warnUnmatched(selector.clusters, [side, "clusters"], of: place, in: \.clusters)
        warnUnmatched(selector.regions, [side, "regions"], of: place, in: \.regions)
    }

    /// A list of which nothing matches, or in any list a name without an asterisk that is nowhere:
    /// the former never applies, the latter is mistyped.
    private mutating func warnUnmatched(
        _ globs: [Glob]?, _ fields: [String], of place: ManifestPlaces.Item,
        in table: WritableKeyPath<Self, NameTable>
    ) {
        guard let globs else { return }
        var missing: [Int] = []
        for (index, glob) in globs.enumerated() {
            guard let matches = self[keyPath: table].matches(glob) else { return }
            if !matches { missing.append(index) }
        }
        let none = missing.count == globs.count
        for index in missing where none || globs[index].isLiteral {
            guard !log.isFull else { return log.report(.start, .root, "") }
            let hint =
                Similarity.closest(to: globs[index].text, among: self[keyPath: table].names)
                .map { "; did you mean `\($0)`?" }
            log.report(
                place.mark(fields, item: index), place.path(fields).item(index),
                "the slice has no \(self[keyPath: table].noun) `\(globs[index])`\(hint ?? "")")
        }
    }

    // MARK: Clusters and fences

    /// SERVICE.NAMESPACE.svc and ENDPOINT.NAMESPACE.CLUSTER would be the same name.
    private func checkClusters() {
        for (index, cluster) in manifest.clusters.enumerated() where cluster.name.text == "svc" {
            warn(
                places.item(index, of: "clusters"), ["name"],
                "endpoints of a cluster `svc` have the names of services: call it otherwise")
        }
    }

    private mutating func checkFences() {
        let regionOf = Dictionary(
            manifest.clusters.map { ($0.name, $0.region.text) }, uniquingKeysWith: { a, _ in a })
        var budget = 1_000_000
        for (index, namespace) in manifest.namespaces.enumerated() {
            guard let fence = namespace.regions else { continue }
            let place = places.item(index, of: "namespaces")
            warnUnmatched(fence, ["regions"], of: place, in: \.regions)
            guard let clusters = namespace.clusters else { continue }
            for (number, cluster) in clusters.enumerated() {
                budget -= fence.count
                guard budget > 0 else { return }
                guard let region = regionOf[cluster], !fence.contains(where: { $0.matches(region) })
                else { continue }
                guard !log.isFull else { return log.report(.start, .root, "") }
                log.report(
                    place.mark(["clusters"], item: number), place.path(["clusters"]).item(number),
                    "cluster `\(cluster)` lies in \(region), outside the fence of this namespace: "
                        + "it cannot be attached there")
            }
        }
    }

    /// In an open slice a policy that allows matters only before one that denies.
    private func checkIsolation() {
        guard manifest.isolation == .open, let last = manifest.policies.last, last.action == .allow
        else { return }
        let start = manifest.policies.lastIndex { $0.action == .deny }.map { $0 + 1 } ?? 0
        warn(
            places.item(start, of: "policies"), ["name"],
            "changes nothing: the slice is open, and no policy from here on denies anything; "
                + "did you mean isolation: strict?")
    }

    // MARK: Services

    private mutating func checkServices() {
        for (index, service) in manifest.services.enumerated() {
            let place = places.item(index, of: "services")
            warnUnmatched(service.clusters, ["clusters"], of: place, in: \.clusters)
            warnUnmatched(service.importedBy, ["importedBy"], of: place, in: \.clusters)
        }
    }
}

extension Glob {
    var isLiteral: Bool { !text.utf8.contains(42) }

    /// Whatever `other` matches, this matches. Its asterisks stand here for themselves, and only
    /// an asterisk can match them: which then matches also whatever they stand for.
    func covers(_ other: Glob) -> Bool { self == other || matches(other.text) }
}

/// Names that patterns look for.
private struct NameTable {
    let noun: String
    let names: [String]
    private let all: Set<String>
    private var known: [Glob: Bool] = [:]
    /// How many more comparisons there may be.
    private var budget = 1_000_000

    init(noun: String, _ names: [String]) {
        self.noun = noun
        self.names = names
        all = Set(names)
    }

    /// Nil if it was too much work to find out.
    mutating func matches(_ glob: Glob) -> Bool? {
        if glob.isLiteral { return all.contains(glob.text) }
        if glob.isEverything { return !names.isEmpty }
        if let answer = known[glob] { return answer }
        guard budget >= names.count else { return nil }
        var answer = false
        for name in names {
            budget -= 1
            if glob.matches(name) {
                answer = true
                break
            }
        }
        known[glob] = answer
        return answer
    }
}

/// Where the parts of a valid manifest stand, found again in its tree: warnings are few, and
/// keeping a place for each of a hundred thousand policies would cost more than looking.
private struct ManifestPlaces {
    private let lists: [String: [ConfigNode]]

    init(root: ConfigNode) {
        var lists: [String: [ConfigNode]] = [:]
        for name in ["clusters", "namespaces", "policies", "services"] {
            guard case .list(let items)? = root["spec"]?[name]?.content else { continue }
            lists[name] = items
        }
        self.lists = lists
    }

    struct Item {
        var node: ConfigNode?
        var list: String
        var index: Int

        func mark(_ fields: [String], item: Int? = nil) -> ConfigMark {
            var place = node
            for field in fields { place = place?[field] ?? place }
            if let item, case .list(let items)? = place?.content, item < items.count {
                place = items[item]
            }
            return place?.start ?? .start
        }

        func path(_ fields: [String]) -> ConfigPath {
            fields.reduce(ConfigPath.root.field("spec").field(list).item(index)) { $0.field($1) }
        }
    }

    func item(_ index: Int, of list: String) -> Item {
        let items = lists[list] ?? []
        return Item(node: index < items.count ? items[index] : nil, list: list, index: index)
    }
}
