/// Policies that never decide, because one before them matches all that they match.
///
/// Each is compared with all before it while there are few. Of many, only with those before it
/// that match exactly the same and with the first that leave one side open: more would cost the
/// square of their number. Comparisons of patterns are counted, and end too.
struct ShadowedPolicies {
    private static let few = 1500
    private static let wide = 16

    private let policies: [Policy]
    private var budget = 1_000_000

    init(_ policies: [Policy]) { self.policies = policies }

    /// Each that is shadowed, and by which. The first that matches everything goes to `rest` once,
    /// if there are others after it.
    mutating func forEach(_ shadowed: (Int, Int) -> Void, rest: (Int) -> Void) {
        var same: [Match: Int] = [:]
        var candidates: [Int] = []
        let isFew = policies.count <= Self.few
        for (index, policy) in policies.enumerated() {
            let match = Match(policy)
            if let by = same[match] ?? firstCover(of: policy, among: candidates) {
                shadowed(index, by)
                continue
            }
            if match.isEverything {
                if index + 1 < policies.count { rest(index) }
                return
            }
            same[match] = index
            let isWide = policy.from.isEverything || policy.to.isEverything
            if isFew || isWide && candidates.count < Self.wide { candidates.append(index) }
        }
    }

    private struct Match: Hashable {
        var from: EndpointSelector
        var to: EndpointSelector
        var ports: [PortMatch]?
        var regions: [Glob]?

        init(_ policy: Policy) {
            from = policy.from
            to = policy.to
            ports = policy.ports
            regions = policy.regions
        }

        var isEverything: Bool {
            from.isEverything && to.isEverything && ports == nil && regions == nil
        }
    }

    private mutating func firstCover(of policy: Policy, among candidates: [Int]) -> Int? {
        for index in candidates {
            guard budget > 0 else { return nil }
            budget -= 1
            if covers(policies[index], policy) { return index }
        }
        return nil
    }

    private mutating func covers(_ a: Policy, _ b: Policy) -> Bool {
        covers(a.from, b.from) && covers(a.to, b.to) && covers(a.regions, b.regions)
            && covers(a.ports, b.ports)
    }

    private mutating func covers(_ a: EndpointSelector, _ b: EndpointSelector) -> Bool {
        covers(a.namespaces, b.namespaces) && covers(a.clusters, b.clusters)
            && covers(a.regions, b.regions)
            && a.labels.allSatisfy { wide in
                b.labels.contains { $0.key == wide.key && wide.value.covers($0.value) }
            }
    }

    private mutating func covers(_ a: [Glob]?, _ b: [Glob]?) -> Bool {
        guard let a else { return true }
        if a.contains(where: \.isEverything) { return true }
        guard let b else { return false }
        budget -= a.count * b.count
        return budget > 0 && b.allSatisfy { narrow in a.contains { $0.covers(narrow) } }
    }

    private func covers(_ a: [PortMatch]?, _ b: [PortMatch]?) -> Bool {
        guard let a else { return true }
        guard let b else { return false }
        return b.allSatisfy { narrow in
            a.contains {
                $0.transport == narrow.transport && $0.ports.lowerBound <= narrow.ports.lowerBound
                    && narrow.ports.upperBound <= $0.ports.upperBound
            }
        }
    }
}
