import Addresses
import SliceModel
import SlicePolicy
import Testing

private struct Chance {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    mutating func one(in percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
}

/// A slice of three clusters, and policies of every kind.
private struct RandomSlice {
    static let clusters = ["west", "central", "east"]
    static let regions = ["eu-west", "eu-central", "us-east"]
    static let namespaces = ["kafka", "apps", "web-a", "web-b", "audit"]

    var chance: Chance

    mutating func model(local: String = "west") throws -> PolicyModel {
        var endpoints: [(cluster: ClusterName, record: EndpointRecord)] = []
        for (c, cluster) in Self.clusters.enumerated() {
            for (n, namespace) in Self.namespaces.enumerated() {
                for copy in 0..<2 {
                    let labels = chance.one(in: 50) ? ["role": chance.pick(["a", "b"])] : [:]
                    let record = EndpointRecord(
                        key: .init(
                            try #require(NamespaceName(namespace)),
                            try #require(EndpointName("e\(copy)"))),
                        addresses: [
                            try #require(IPAddress("10.80.\(c + 1).\(10 + n * 2 + copy)")),
                            try #require(IPAddress("fd00:80:0:\(c + 1)::\(10 + n * 2 + copy)")),
                        ],
                        labels: try #require(EndpointLabels(labels)))
                    endpoints.append((try #require(ClusterName(cluster)), record))
                }
            }
        }
        var policies: [Policy] = []
        for index in 0..<chance.below(10) {
            policies.append(
                Policy(
                    name: try #require(PolicyName("p\(index)")),
                    action: chance.one(in: 60) ? .allow : .deny, from: try selector(),
                    to: try selector(), ports: chance.one(in: 70) ? try ports() : nil,
                    regions: chance.one(in: 15) ? [try glob(["eu-*", "us-*"])] : nil,
                    log: chance.one(in: 30)))
        }
        var fences: [NamespaceName: [Glob]] = [:]
        for name in Self.namespaces where chance.one(in: 12) {
            fences[try #require(NamespaceName(name))] = [try glob(["eu-*", "us-east", "*"])]
        }
        return PolicyModel(
            isolation: chance.one(in: 50) ? .open : .strict, policies: policies,
            fences: fences,
            clusters: try zip(Self.clusters, Self.regions).map {
                .init(name: try #require(ClusterName($0)), region: try #require(Region($1)))
            }, local: try #require(ClusterName(local)), endpoints: endpoints)
    }

    private mutating func glob(_ words: [String]) throws -> Glob {
        try #require(Glob(chance.pick(words)))
    }

    private mutating func selector() throws -> EndpointSelector {
        var selector = EndpointSelector()
        if chance.one(in: 60) {
            selector.namespaces = try (0...chance.below(2)).map { _ in
                try glob(Self.namespaces + ["web-*", "*a*"])
            }
        }
        if chance.one(in: 20) { selector.clusters = [try glob(Self.clusters + ["*st"])] }
        if chance.one(in: 20) { selector.regions = [try glob(Self.regions + ["eu-*"])] }
        if chance.one(in: 25) {
            selector.labels = [.init(key: "role", value: try glob(["a", "b", "*"]))]
        }
        return selector
    }

    private mutating func ports() throws -> [PortMatch] {
        try (0...chance.below(3)).map { _ in
            try #require(
                PortMatch(
                    chance.pick([
                        "tcp", "udp", "icmp", "sctp/9", "tcp/9092", "tcp/9000-9093",
                        "tcp/9093-9100", "udp/53", "udp/50-60", "tcp/1-65535", "udp/60-70",
                    ])))
        }
    }
}

private let flows: [PolicyFlow] = [
    "tcp/1", "tcp/8999", "tcp/9000", "tcp/9091", "tcp/9092", "tcp/9093", "tcp/9094", "tcp/9100",
    "tcp/9101", "tcp/65535", "udp/49", "udp/50", "udp/53", "udp/60", "udp/61", "udp/70", "udp/71",
    "sctp/9", "sctp/10", "icmp", "other",
].compactMap { PolicyFlow($0) }

@Suite struct PolicyPlanTests {
    /// What this gateway sees: at least one end is its own.
    private func seen(_ model: PolicyModel) -> [(IPAddress, IPAddress)] {
        let addresses = model.holders.keys.sorted()
        func isLocal(_ address: IPAddress) -> Bool {
            model.holders[address].map { model.profiles[$0.profile].cluster == model.local }
                ?? false
        }
        return addresses.flatMap { a in
            addresses.filter { b in
                a.isIPv4 == b.isIPv4 && a != b && (isLocal(a) || isLocal(b))
            }.map { (a, $0) }
        }
    }

    @Test(arguments: 0..<60) func thePlanDecidesAsTheModel(seed: Int) throws {
        var random = RandomSlice(chance: Chance(state: UInt64(seed)))
        let model = try random.model(local: RandomSlice.clusters[seed % 3])
        let plan = try PolicyPlan(model, revision: 1)
        for (a, b) in seen(model) where a.isIPv4 || seed % 5 == 0 {
            for flow in flows {
                let expected = model.decide(from: a, to: b, flow)
                if model.isTrivial { continue }
                #expect(plan.decide(from: a, to: b, flow) == expected, "\(a) -> \(b) \(flow)")
            }
        }
        #expect(flows.count == 21)
    }

    /// Endpoints come and go: the plan made from the one before decides the same.
    @Test(arguments: 0..<20) func aPlanFromAnEarlierOneDecidesTheSame(seed: Int) throws {
        var random = RandomSlice(chance: Chance(state: UInt64(seed) + 1_000))
        let whole = try random.model()
        func without(_ share: Int) -> PolicyModel {
            PolicyModel(
                isolation: whole.isolation, policies: whole.policies,
                fences: whole.fences,
                clusters: whole.regions.map { .init(name: $0.key, region: $0.value) },
                local: whole.local,
                endpoints: whole.holders.sorted { $0.key < $1.key }.enumerated()
                    .filter { $0.offset % share != 0 }.map { _, one in
                        let profile = whole.profiles[one.value.profile]
                        return (
                            profile.cluster,
                            EndpointRecord(
                                key: one.value.key, addresses: [one.key], labels: profile.labels)
                        )
                    })
        }
        var plan: PolicyPlan?
        for share in [3, 2, 7, 5] {
            let model = without(share)
            let next = try PolicyPlan(model, revision: 4, previous: plan)
            for (a, b) in seen(model) where a.isIPv4 {
                for flow in [flows[4], flows[12], flows[19]] where !model.isTrivial {
                    #expect(
                        next.decide(from: a, to: b, flow) == model.decide(from: a, to: b, flow))
                }
            }
            if let plan {
                // Who stays keeps the number.
                for (address, id) in plan.sources where next.sources[address] != nil {
                    #expect(next.sources[address] == id)
                }
            }
            plan = next
        }
    }

    @Test func limitsAreNamed() throws {
        var random = RandomSlice(chance: Chance(state: 3))
        let model = try random.model()
        #expect(throws: PolicyPlanProblem.tooManySteps(limit: 0)) {
            try PolicyPlan(model, revision: 1, limits: PolicyLimits(steps: 0))
        }
    }
}
