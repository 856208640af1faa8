import Addresses
import SliceModel

/// Who may talk to whom, as the manifest and the directory have it: slow and obvious. The rules
/// that the kernel follows are compiled from it (`PolicyPlan`) and held to it by tests.
package struct PolicyModel: Sendable {
    package struct Cluster: Hashable, Sendable {
        package var name: ClusterName
        package var region: Region

        package init(name: ClusterName, region: Region) {
            self.name = name
            self.region = region
        }
    }

    /// Everything about an endpoint that policies can ask for. Endpoints with the same are one to
    /// them.
    package struct Profile: Hashable, Sendable {
        package var namespace: NamespaceName
        package var cluster: ClusterName
        package var labels: EndpointLabels

        package init(
            namespace: NamespaceName, cluster: ClusterName, labels: EndpointLabels = .none
        ) {
            self.namespace = namespace
            self.cluster = cluster
            self.labels = labels
        }
    }

    package struct Holder: Hashable, Sendable {
        package var key: AddressBook.Key
        /// In `profiles`.
        package var profile: Int
    }

    package let isolation: SliceManifest.Isolation
    package let policies: [Policy]
    /// Of the namespaces that have one.
    package let fences: [NamespaceName: [Glob]]
    package let regions: [ClusterName: Region]
    /// Whose packets this gateway sees.
    package let local: ClusterName
    package private(set) var profiles: [Profile] = []
    package private(set) var holders: [IPAddress: Holder] = [:]

    package init(
        isolation: SliceManifest.Isolation, policies: [Policy] = [],
        fences: [NamespaceName: [Glob]] = [:], clusters: [Cluster], local: ClusterName,
        endpoints: [(cluster: ClusterName, record: EndpointRecord)]
    ) {
        self.isolation = isolation
        self.policies = policies
        self.local = local
        self.fences = fences
        regions = Dictionary(
            clusters.map { ($0.name, $0.region) }, uniquingKeysWith: { first, _ in first })
        var places: [Profile: Int] = [:]
        for (cluster, record) in endpoints where regions[cluster] != nil {
            let profile = Profile(
                namespace: record.key.namespace, cluster: cluster, labels: record.labels)
            let place = places[profile] ?? profiles.count
            if place == profiles.count {
                places[profile] = place
                profiles.append(profile)
            }
            // The first claim stands, as in the directory.
            for address in record.addresses where holders[address] == nil {
                holders[address] = Holder(key: record.key, profile: place)
            }
        }
    }

    package init(
        _ manifest: SliceManifest, local: ClusterName,
        endpoints: [(cluster: ClusterName, record: EndpointRecord)]
    ) {
        self.init(
            isolation: manifest.isolation, policies: manifest.policies,
            fences: Dictionary(
                manifest.namespaces.compactMap { one in one.regions.map { (one.name, $0) } },
                uniquingKeysWith: { first, _ in first }),
            clusters: manifest.clusters.map { Cluster(name: $0.name, region: $0.region) },
            local: local, endpoints: endpoints)
    }

    /// Everything passes: then nobody needs to look at a packet.
    package var isTrivial: Bool { isolation == .open && policies.isEmpty && fences.isEmpty }

    // MARK: Deciding

    package func decide(
        from source: IPAddress, to target: IPAddress, _ flow: PolicyFlow
    ) -> PolicyDecision {
        guard !isTrivial else { return PolicyDecision(rule: .open, isAllowed: true) }
        guard let source = holders[source], let target = holders[target] else {
            return PolicyDecision(rule: .unknownAddress, isAllowed: false)
        }
        return decide(from: profiles[source.profile], to: profiles[target.profile], flow)
    }

    package func decide(
        from source: Profile, to target: Profile, _ flow: PolicyFlow
    ) -> PolicyDecision {
        if let namespace = fence(source, target) {
            return PolicyDecision(rule: .fence(namespace), isAllowed: false)
        }
        for (index, policy) in policies.enumerated()
        where matchesEnds(policy, source, target) && policy.covers(flow) {
            return PolicyDecision(rule: .policy(index), isAllowed: policy.action == .allow)
        }
        return fallback(source.namespace, target.namespace)
    }

    func fallback(_ source: NamespaceName, _ target: NamespaceName) -> PolicyDecision {
        switch isolation {
        case .open: PolicyDecision(rule: .open, isAllowed: true)
        case .strict where source == target: PolicyDecision(rule: .sameness, isAllowed: true)
        case .strict: PolicyDecision(rule: .strict, isAllowed: false)
        }
    }

    /// The namespace whose fence stands between them.
    func fence(_ source: Profile, _ target: Profile) -> NamespaceName? {
        for (inner, outer) in [(source, target), (target, source)] {
            guard let allowed = fences[inner.namespace] else { continue }
            let isInside = [inner, outer].allSatisfy { end in
                regions[end.cluster].map { region in
                    allowed.contains { $0.matches(region.text) }
                } ?? false
            }
            if !isInside { return inner.namespace }
        }
        return nil
    }

    func matchesEnds(_ policy: Policy, _ source: Profile, _ target: Profile) -> Bool {
        matches(policy.from, policy.regions, source) && matches(policy.to, policy.regions, target)
    }

    func matches(_ selector: EndpointSelector, _ bound: [Glob]?, _ profile: Profile) -> Bool {
        guard let region = regions[profile.cluster] else { return false }
        return selector.matches(
            namespace: profile.namespace, cluster: profile.cluster, region: region,
            labels: profile.labels)
            && (bound?.contains { $0.matches(region.text) } ?? true)
    }

    // MARK: Words

    /// For people: what a rule is called.
    package func describe(_ rule: PolicyRule) -> String {
        switch rule {
        case .unknownAddress: "no cluster has told of an endpoint with this address"
        case .fence(let namespace): "the fence of namespace \(namespace)"
        case .policy(let index):
            "policy \(policies[index].name)"
                + (policies[index].description.isEmpty
                    ? "" : " (\(policies[index].description))")
        case .sameness: "both are of one namespace"
        case .open: "the slice is open"
        case .strict: "the slice is strict, and no policy allows it"
        }
    }
}
