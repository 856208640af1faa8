import Addresses
import SliceModel

extension PolicyPlan {
    /// - Parameters:
    ///   - revision: of isolation, policies, fences and clusters. The ids of `previous` are kept if
    ///     it is the same.
    package init(
        _ model: PolicyModel, revision: UInt64, previous: PolicyPlan? = nil,
        limits: PolicyLimits = PolicyLimits()
    ) throws(PolicyPlanProblem) {
        self.revision = revision
        if let previous, previous.revision == revision {
            // Numbers of what has long gone are taken back once they are the most.
            if !previous.interning.isMostlyUnused(by: previous) { interning = previous.interning }
            ports = previous.ports
        } else {
            ports = Self.portClasses(model.policies)
        }
        var compiler = PolicyCompiler(model: model, limits: limits)
        try compiler.classify(into: &self)
        try compiler.join(into: &self)
        try compiler.writeDecisions(into: &self)
    }

    private static func portClasses(_ policies: [Policy]) -> [PortMatch.Transport: PortClasses] {
        var next = TransportID.firstPortClass
        var classes: [PortMatch.Transport: PortClasses] = [:]
        for transport in [PortMatch.Transport.tcp, .udp, .sctp] {
            var ranges: Set<ClosedRange<UInt16>> = []
            for policy in policies {
                for match in policy.ports ?? [] where match.transport == transport {
                    ranges.insert(match.ports)
                }
            }
            let made = PortClasses(ranges, firstID: next)
            next = made.nextID ?? next
            classes[transport] = made
        }
        return classes
    }
}

/// One compilation, in three passes.
struct PolicyCompiler {
    typealias Pair = PolicyPlan.Pair

    private struct Class {
        var id: UInt32
        /// One of its kind stands for all.
        var profile: Int
        var isLocal: Bool
        /// Policies for everybody at the other end, in order.
        var general: [Int32] = []
    }

    let model: PolicyModel
    let limits: PolicyLimits
    private var steps = 0
    private var sources: [Class] = []
    private var targets: [Class] = []
    /// By profile.
    private var sourceOf: [UInt32] = []
    private var targetOf: [UInt32] = []
    /// By place in `sources` and `targets`.
    private var sourcePolicies: [[Int32]] = []
    private var targetPolicies: [[Int32]] = []
    /// By policy with selectors at both ends: the classes that each matches.
    private var specific: [Int32: (sources: [Int], targets: [Int])] = [:]
    private var base: [Int32] = []
    /// Lists that are in use, and what they are made of.
    private var used: [UInt32: PolicyInterning.ListKey] = [:]

    init(model: PolicyModel, limits: PolicyLimits) {
        self.model = model
        self.limits = limits
    }

    private mutating func take(_ count: Int) throws(PolicyPlanProblem) {
        steps += count
        if steps > limits.steps { throw .tooManySteps(limit: limits.steps) }
    }

    // MARK: Classes

    private struct End: Hashable {
        var selector: EndpointSelector
        var bound: [Glob]?

        var isEverybody: Bool { selector.isEverything && bound == nil }
    }

    mutating func classify(into plan: inout PolicyPlan) throws(PolicyPlanProblem) {
        var members = EndIndex(model)
        var fromOf = [[Int32]](repeating: [], count: model.profiles.count)
        var toOf = fromOf
        for (index, policy) in model.policies.enumerated() {
            let from = End(selector: policy.from, bound: policy.regions)
            let to = End(selector: policy.to, bound: policy.regions)
            if from.isEverybody, to.isEverybody { base.append(Int32(index)) }
            if !from.isEverybody {
                let matched = members.matching(from.selector, from.bound)
                try take(matched.count + 1)
                for profile in matched { fromOf[profile].append(Int32(index)) }
            }
            if !to.isEverybody {
                let matched = members.matching(to.selector, to.bound)
                try take(matched.count + 1)
                for profile in matched { toOf[profile].append(Int32(index)) }
            }
        }
        (sources, sourceOf) = classes(fromOf, &plan.interning.sources)
        (targets, targetOf) = classes(toOf, &plan.interning.targets)
        sourcePolicies = sources.map { fromOf[$0.profile] }
        targetPolicies = targets.map { toOf[$0.profile] }
        for holder in model.holders {
            plan.sources[holder.key] = sourceOf[holder.value.profile]
            plan.targets[holder.key] = targetOf[holder.value.profile]
        }
        assign()
    }

    /// Classes with their ids, and the id of each profile.
    private func classes(
        _ policies: [[Int32]], _ table: inout [PolicyInterning.ClassKey: UInt32]
    ) -> ([Class], [UInt32]) {
        let hasFences = !model.fences.isEmpty
        let isStrict = model.isolation == .strict
        var known: Set<UInt32> = []
        var classes: [Class] = []
        var ids: [UInt32] = []
        for (index, profile) in model.profiles.enumerated() {
            let key = PolicyInterning.ClassKey(
                policies: policies[index],
                namespace: isStrict || hasFences ? profile.namespace : nil,
                cluster: hasFences ? profile.cluster : nil,
                isLocal: profile.cluster == model.local)
            let id = PolicyInterning.id(key, in: &table)
            ids.append(id)
            if known.insert(id).inserted {
                classes.append(Class(id: id, profile: index, isLocal: key.isLocal))
            }
        }
        return (classes, ids)
    }

    /// Which policies are a row's, a column's, or a pair's.
    private mutating func assign() {
        func isGeneral(_ end: EndpointSelector, _ bound: [Glob]?) -> Bool {
            end.isEverything && bound == nil
        }
        for place in sources.indices {
            for index in sourcePolicies[place] {
                let policy = model.policies[Int(index)]
                if isGeneral(policy.to, policy.regions) {
                    sources[place].general.append(index)
                } else {
                    specific[index, default: ([], [])].sources.append(place)
                }
            }
        }
        for place in targets.indices {
            for index in targetPolicies[place] {
                let policy = model.policies[Int(index)]
                if isGeneral(policy.from, policy.regions) {
                    targets[place].general.append(index)
                } else {
                    specific[index, default: ([], [])].targets.append(place)
                }
            }
        }
    }

    // MARK: Lists

    mutating func join(into plan: inout PolicyPlan) throws(PolicyPlanProblem) {
        // Pairs of places, and the policies that are theirs alone, in order.
        var own: [Pair: [Int32]] = [:]
        func isSeen(_ source: Int, _ target: Int) -> Bool {
            sources[source].isLocal || targets[target].isLocal
        }
        for index in specific.keys.sorted() {
            guard let ends = specific[index] else { continue }
            try take(ends.sources.count * ends.targets.count)
            for source in ends.sources {
                for target in ends.targets where isSeen(source, target) {
                    own[Pair(UInt32(source), UInt32(target)), default: []].append(index)
                }
            }
            if own.count > limits.pairs { throw .tooManyPairs(limit: limits.pairs) }
        }
        try addExceptions(&own, isSeen)
        if own.count > limits.pairs { throw .tooManyPairs(limit: limits.pairs) }

        let rest: PolicyRule = model.isolation == .open ? .open : .strict
        plan.base = try list(base, [], [], [], rest, &plan)
        for source in sources where !source.general.isEmpty {
            plan.rows[source.id] = try list(base, source.general, [], [], rest, &plan)
        }
        for target in targets where !target.general.isEmpty {
            plan.columns[target.id] = try list(base, [], target.general, [], rest, &plan)
        }
        for (pair, policies) in own {
            let (source, target) = (sources[Int(pair.first)], targets[Int(pair.second)])
            let rule = fallback(source, target)
            let id: UInt32
            if case .fence = rule {
                id = try list([], [], [], [], rule, &plan)
            } else {
                id = try list(base, source.general, target.general, policies, rule, &plan)
            }
            plan.pairs[Pair(source.id, target.id)] = id
        }
    }

    /// Pairs that are told apart though no policy is theirs alone.
    private func addExceptions(
        _ own: inout [Pair: [Int32]], _ isSeen: (Int, Int) -> Bool
    ) throws(PolicyPlanProblem) {
        func add(_ source: Int, _ target: Int) throws(PolicyPlanProblem) {
            guard isSeen(source, target) else { return }
            own[Pair(UInt32(source), UInt32(target)), default: []] += []
            if own.count > limits.pairs { throw .tooManyPairs(limit: limits.pairs) }
        }
        // A row and a column of their own: neither alone would do.
        for source in sources.indices where !sources[source].general.isEmpty {
            for target in targets.indices where !targets[target].general.isEmpty {
                try add(source, target)
            }
        }
        if model.isolation == .strict {
            var byNamespace: [NamespaceName: [Int]] = [:]
            for target in targets.indices {
                byNamespace[profile(targets[target]).namespace, default: []].append(target)
            }
            for source in sources.indices {
                for target in byNamespace[profile(sources[source]).namespace] ?? [] {
                    try add(source, target)
                }
            }
        }
        guard !model.fences.isEmpty else { return }
        for source in sources.indices {
            for target in targets.indices
            where model.fence(profile(sources[source]), profile(targets[target])) != nil {
                try add(source, target)
            }
        }
    }

    private func profile(_ one: Class) -> PolicyModel.Profile { model.profiles[one.profile] }

    private func fallback(_ source: Class, _ target: Class) -> PolicyRule {
        if let namespace = model.fence(profile(source), profile(target)) {
            return .fence(namespace)
        }
        return model.fallback(profile(source).namespace, profile(target).namespace).rule
    }

    /// The policies that can decide, in the manifest's order: behind one for all ports no other
    /// has a say.
    private mutating func list(
        _ base: [Int32], _ row: [Int32], _ column: [Int32], _ own: [Int32], _ rest: PolicyRule,
        _ plan: inout PolicyPlan
    ) throws(PolicyPlanProblem) -> UInt32 {
        var policies = base
        if !row.isEmpty || !column.isEmpty || !own.isEmpty {
            policies += row + column + own
            policies.sort()
        }
        try take(policies.count + 1)
        var key = PolicyInterning.ListKey(policies: policies, rule: rest)
        if let last = policies.firstIndex(where: { model.policies[Int($0)].ports == nil }) {
            key = PolicyInterning.ListKey(
                policies: Array(policies[..<last]), rule: .policy(Int(policies[last])))
        }
        let id = PolicyInterning.id(key, in: &plan.interning.lists) | PolicyPlan.listBit
        used[id] = key
        return id
    }

    // MARK: Decisions

    mutating func writeDecisions(into plan: inout PolicyPlan) throws(PolicyPlanProblem) {
        for (id, key) in used {
            plan.defaults[id] = entry(key.rule)
            var whole: Set<PortMatch.Transport> = []
            for index in key.policies {
                let entry = entry(.policy(Int(index)))
                var becomesWhole: Set<PortMatch.Transport> = []
                for match in model.policies[Int(index)].ports ?? [] {
                    if whole.contains(match.transport) { continue }
                    if match.transport == .icmp || match.ports == PortClasses.everything {
                        becomesWhole.insert(match.transport)
                        continue
                    }
                    for port in plan.ports[match.transport]?.ids(in: match.ports) ?? [] {
                        put(entry, Pair(id, port), &plan)
                    }
                }
                for transport in becomesWhole {
                    put(entry, Pair(id, PolicyPlan.TransportID.of(transport)), &plan)
                }
                whole.formUnion(becomesWhole)
                if plan.decisions.count > limits.decisions {
                    throw .tooManyDecisions(limit: limits.decisions)
                }
            }
        }
    }

    /// The first has decided.
    private func put(_ entry: PolicyPlan.Entry, _ pair: Pair, _ plan: inout PolicyPlan) {
        if plan.decisions[pair] == nil { plan.decisions[pair] = entry }
    }

    private func entry(_ rule: PolicyRule) -> PolicyPlan.Entry {
        switch rule {
        case .policy(let index):
            let policy = model.policies[index]
            return PolicyPlan.Entry(
                rule: rule, isAllowed: policy.action == .allow,
                isLogged: policy.log && policy.action == .deny)
        case .sameness, .open:
            return PolicyPlan.Entry(rule: rule, isAllowed: true, isLogged: false)
        case .fence, .strict, .unknownAddress:
            return PolicyPlan.Entry(rule: rule, isAllowed: false, isLogged: true)
        }
    }
}

/// Finds the profiles that a selector matches, without asking all of them where it names its
/// namespaces; the same question is answered once.
private struct EndIndex {
    private struct Question: Hashable {
        var selector: EndpointSelector
        var bound: [Glob]?
    }

    private let model: PolicyModel
    private var byNamespace: [String: [Int]] = [:]
    private var answers: [Question: [Int]] = [:]

    init(_ model: PolicyModel) {
        self.model = model
        for (index, profile) in model.profiles.enumerated() {
            byNamespace[profile.namespace.text, default: []].append(index)
        }
    }

    mutating func matching(_ selector: EndpointSelector, _ bound: [Glob]?) -> [Int] {
        let question = Question(selector: selector, bound: bound)
        if let known = answers[question] { return known }
        var candidates = model.profiles.indices.map { $0 }
        if let names = selector.namespaces, names.allSatisfy({ !$0.text.utf8.contains(42) }) {
            candidates = Set(names.map(\.text)).sorted().flatMap { byNamespace[$0] ?? [] }
        }
        let found = candidates.filter {
            model.matches(selector, bound, model.profiles[$0])
        }
        answers[question] = found
        return found
    }
}
