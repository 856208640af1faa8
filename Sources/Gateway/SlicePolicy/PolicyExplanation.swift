import Addresses
import SliceModel

/// Why something may pass, or not: the rule that decides, and why those before it do not.
package struct PolicyExplanation: Hashable, Sendable {
    package struct Passed: Hashable, Sendable {
        package var policy: PolicyName
        package var reason: String
    }

    package var decision: PolicyDecision
    /// The rule in words.
    package var rule: String
    /// In the manifest's order; the last few where there are many.
    package var passed: [Passed]
    /// How many more there were.
    package var unnamed: Int

    package static let namedLimit = 20
}

extension PolicyModel {
    /// The endpoint that has an address, as people write it.
    package func name(of address: IPAddress) -> String? {
        holders[address].map { holder in
            "\(holder.key)@\(profiles[holder.profile].cluster)"
        }
    }

    /// Addresses of `NAMESPACE/ENDPOINT@CLUSTER`, `NAMESPACE/ENDPOINT` (in every cluster),
    /// `NAMESPACE@CLUSTER`, `NAMESPACE`, or of an address itself; in order.
    package func addresses(of text: String) -> [IPAddress] {
        if let address = IPAddress(text) { return [address] }
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let cluster = parts.count == 2 ? String(parts[1]) : nil
        let names = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        return holders.filter { _, holder in
            (cluster == nil || profiles[holder.profile].cluster.text == cluster)
                && holder.key.namespace.text == names[0]
                && (names.count == 1 || holder.key.endpoint.text == names[1])
        }.keys.sorted()
    }

    package func explain(
        from source: IPAddress, to target: IPAddress, _ flow: PolicyFlow
    ) -> PolicyExplanation {
        let decision = decide(from: source, to: target, flow)
        var explanation = PolicyExplanation(
            decision: decision, rule: describe(decision.rule), passed: [], unnamed: 0)
        guard let source = holders[source], let target = holders[target] else {
            return explanation
        }
        let (from, to) = (profiles[source.profile], profiles[target.profile])
        let end: Int
        switch decision.rule {
        case .policy(let index): end = index
        case .sameness, .strict, .open: end = policies.count
        case .unknownAddress, .fence: end = 0
        }
        let begin = max(0, end - PolicyExplanation.namedLimit)
        explanation.unnamed = begin
        explanation.passed = policies[begin..<end].map { policy in
            .init(policy: policy.name, reason: mismatch(policy, from, to, flow))
        }
        return explanation
    }

    /// The first thing that a policy wants otherwise.
    private func mismatch(
        _ policy: Policy, _ from: Profile, _ to: Profile, _ flow: PolicyFlow
    ) -> String {
        for (word, selector, profile) in [("from", policy.from, from), ("to", policy.to, to)] {
            func differs(_ globs: [Glob]?, _ value: String) -> Bool {
                globs.map { !$0.contains { $0.matches(value) } } ?? false
            }
            func list(_ globs: [Glob]?) -> String {
                (globs ?? []).map(\.text).joined(separator: ", ")
            }
            let region = regions[profile.cluster]?.text ?? ""
            if differs(selector.namespaces, profile.namespace.text) {
                return "\(word): namespace \(profile.namespace) is not \(list(selector.namespaces))"
            }
            if differs(selector.clusters, profile.cluster.text) {
                return "\(word): cluster \(profile.cluster) is not \(list(selector.clusters))"
            }
            if differs(selector.regions, region) {
                return "\(word): region \(region) is not \(list(selector.regions))"
            }
            for label in selector.labels {
                let value = profile.labels[label.key]
                if value.map({ !label.value.matches($0) }) ?? true {
                    return "\(word): label \(label.key) is \(value ?? "not set"), "
                        + "not \(label.value)"
                }
            }
            if differs(policy.regions, region) {
                return "region \(region) is not \(list(policy.regions))"
            }
        }
        let ports = (policy.ports ?? []).map(\.description).joined(separator: ", ")
        return "\(flow) is not \(ports)"
    }
}
