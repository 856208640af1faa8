import Addresses
import GatewayRuntime
import Glibc
import LinuxNet
import SliceModel
import SlicePolicy
import Testing

/// A router namespace with a device, and namespaces to attach; all of it goes at the end.
private final class RouterLab {
    let router: RouterNamespace
    let endpoint: NetworkNamespace
    let key: AddressBook.Key
    private let tun: TunDevice
    private let plan: SlicePlan
    private let prefix: String

    init() throws {
        prefix = "rt\(getpid())-"
        plan = try SlicesSample.plan(SlicesSample.manifest())
        key = try SlicesSample.key("kafka/a")
        endpoint = try .anonymous()
        let sketch = RouterPlan(plan, namespacePrefix: prefix, mtu: 1420, endpoints: [])
        router = try RouterNamespace(named: sketch.namespace, tunnelAlias: sketch.tunnelAlias)
        do {
            _ = try router.applySettings(sketch)
            var options = TunDevice.Options(name: sketch.tunnel)
            options.persistent = true
            tun = try TunDevice(options, in: router.namespace)
            try Netlink(in: router.namespace).setAlias(tun.name, sketch.tunnelAlias)
        } catch {
            try? NetworkNamespace.remove(named: sketch.namespace)
            throw error
        }
    }

    deinit {
        try? router.remove()
        tun.close()
    }

    func desired(attached: Bool = true, mtu: Int = 1420) throws -> RouterPlan {
        let addresses = ["10.80.1.2", "fd00:80:0:1::2"].compactMap { IPAddress($0) }
        return RouterPlan(
            plan, namespacePrefix: prefix, mtu: mtu,
            endpoints: attached ? [(key, nil, addresses)] : [])
    }

    @discardableResult
    func apply(attached: Bool = true, mtu: Int = 1420) throws -> RouterNamespace.Outcome {
        try router.apply(
            desired(attached: attached, mtu: mtu), endpoints: attached ? [key: endpoint] : [:])
    }
}

@Suite(.serialized, .enabled(if: geteuid() == 0)) struct RouterNamespaceTests {
    @Test func theSecondTimeNothingChanges() throws {
        let lab = try RouterLab()
        let first = try lab.apply()
        #expect(first.problems.isEmpty && !first.changes.isEmpty)
        #expect(try lab.apply().changes == [])
    }

    @Test func detachingLeavesTheNamespaceAsItWas() throws {
        let lab = try RouterLab()
        let netlink = try Netlink(in: lab.endpoint)
        func seen() throws -> [String] {
            try netlink.links().map(\.name) + netlink.addresses().map(\.description)
                + netlink.routes().map { "\($0)" }
        }
        let before = try seen()
        try lab.apply()
        #expect(try seen() != before)
        try lab.apply(attached: false)
        #expect(try seen() == before)
        #expect(try lab.router.links().allSatisfy { $0.kind != "veth" })
    }

    @Test func whatIsBrokenIsRepaired() throws {
        let lab = try RouterLab()
        try lab.apply()
        let inner = try Netlink(in: lab.endpoint)
        let outer = try Netlink(in: lab.router.namespace)
        let plan = try lab.desired()
        let port = try #require(plan.ports.first)
        let index = try inner.index(of: port.endpointInterface)
        let breakages: [(String, () throws -> Void)] = [
            ("MTU", { try inner.setMTU("pay", 1300) }),
            ("link", { try inner.setUp("pay", false) }),
            ("veth", { try inner.deleteLink("pay") }),
            ("address", { try inner.removeAddress(port.endpointAddresses[0], from: "pay") }),
            ("route", { try inner.removeRoute(port.endpointRoutes(interfaceIndex: index)[0]) }),
            ("refusal", { try outer.removeRoute(plan.refusals[0]) }),
            ("tunnel", { try outer.setUp(plan.tunnel, false) }),
            ("overlay", { try outer.removeAddress(plan.tunnelAddresses[0], from: plan.tunnel) }),
            ("rules", { try Nftables(in: lab.router.namespace).apply("flush ruleset") }),
            (
                "forwarding",
                { try Sysctl.write("net/ipv4/ip_forward", "0", in: lab.router.namespace) }
            ),
            (
                "neighbour",
                { try inner.removeNeighbour(port.gateways[0], on: port.endpointInterface) }
            ),
            (
                "stranger",
                {
                    let everything = try #require(IPPrefix("0.0.0.0/0"))
                    try outer.addRoute(
                        Route(
                            to: everything, interfaceIndex: try outer.index(of: plan.tunnel),
                            installer: 3))
                }
            ),
        ]
        for (name, damage) in breakages where name != "veth" {
            try damage()
            let outcome = try lab.apply()
            #expect(outcome.problems.isEmpty && !outcome.changes.isEmpty, "\(name)")
            #expect(try lab.apply().changes == [], "\(name)")
        }
        // Last, because the index is another one then.
        try inner.deleteLink("pay")
        #expect(try !lab.apply().changes.isEmpty)
        #expect(try lab.apply().changes == [])
    }

    @Test func aConflictLeavesNothingBehind() throws {
        let lab = try RouterLab()
        let netlink = try Netlink(in: lab.endpoint)
        try netlink.createBridge("other")
        let inside = try #require(IPAddress("10.80.200.1"))
        try netlink.addAddress(InterfaceAddress(inside, prefixLength: 32), to: "other")
        let outcome = try lab.apply()
        #expect(outcome.problems[lab.key] is RouterConflict)
        #expect(try netlink.links().map(\.name).sorted() == ["lo", "other"])
        #expect(try lab.router.links().allSatisfy { $0.kind != "veth" })
        // Gone, it is attached as if nothing had been.
        try netlink.deleteLink("other")
        #expect(try lab.apply().problems.isEmpty)
    }

    @Test func anInterfaceOfSomebodyElseIsLeftAlone() throws {
        let lab = try RouterLab()
        let netlink = try Netlink(in: lab.endpoint)
        try netlink.createBridge("pay")
        #expect(try lab.apply().problems[lab.key] as? RouterConflict == .interface("pay"))
        #expect(try netlink.link(named: "pay")?.kind == "bridge")
    }

    @Test func aNamespaceOfSomebodyElseIsRefused() throws {
        let name = "rt\(getpid())-taken"
        try NetworkNamespace.create(named: name)
        defer { try? NetworkNamespace.remove(named: name) }
        try Netlink(in: NetworkNamespace.named(name)).createBridge("theirs")
        #expect(throws: (any Error).self) {
            _ = try RouterNamespace(named: name, tunnelAlias: "slice-gateway taken")
        }
        #expect(NetworkNamespace.exists(named: name))
    }

    @Test func theKernelTakesTheRulesetAndShowsItUnchanged() throws {
        let rules = try RouterLab().desired().ruleset
        let namespace = try NetworkNamespace.anonymous()
        let nftables = try Nftables(in: namespace)
        try nftables.apply(rules.text)
        let once = try nftables.text()
        try nftables.apply(rules.text)
        #expect(try nftables.text() == once)
        let counters = try nftables.counters(
            family: RouterRuleset.family, table: RouterRuleset.table)
        #expect(
            Set(counters.keys)
                == Set(RouterRuleset.Counter.allCases.map(\.rawValue)).subtracting(
                    RouterRuleset.policyCounters.map(\.rawValue)))
    }

    /// Whole, then changed element by element: the kernel ends up with the same as if it had been
    /// given the second one whole.
    @Test func smallChangesLeadToTheSameRules() throws {
        var first = try RouterLab().desired().ruleset
        first.policies = try policies(endpoints: 2, number: 7)
        var second = first
        second.ports.removeLast()
        second.policies = try policies(endpoints: 3, number: 8)
        let (changed, whole) = (
            try NetworkNamespace.anonymous(), try NetworkNamespace.anonymous()
        )
        let change = try #require(second.change(from: first))
        try Nftables(in: changed).apply(first.text)
        try Nftables(in: changed).apply(change)
        try Nftables(in: whole).apply(second.text)
        func lines(_ namespace: NetworkNamespace) throws -> [String] {
            // The order of elements is the kernel's.
            try Nftables(in: namespace).text()
                .split { $0 == "\n" || $0 == "," }
                .map { String($0.filter { $0 != " " && $0 != "\t" }) }
                .map { $0.hasPrefix("elements={") ? String($0.dropFirst(10)) : $0 }
                .map { $0.hasSuffix("}") && $0.count > 1 ? String($0.dropLast()) : $0 }.sorted()
        }
        #expect(try lines(changed) == lines(whole))
        #expect(try lines(changed).contains { $0.contains("0x00000008") })
    }

    /// Listed or asked for, and whatever changes: nothing is lost, and nothing is counted for
    /// another policy.
    @Test(arguments: [0, .max])
    func decisionsAreCountedForThePolicyThatMadeThem(fewElements: Int) throws {
        let nftables = try Nftables(in: try NetworkNamespace.anonymous())
        let keeper = RouterRulesetKeeper(nftables, fewElements: fewElements)
        var ruleset = try RouterLab().desired().ruleset
        func apply(_ names: [String], _ number: UInt32, endpoints: Int = 4) throws -> [String] {
            ruleset.policies = try policies(endpoints: endpoints, number: number, names: names)
            return try keeper.apply(ruleset)
        }
        _ = try apply(["clients"], 7)
        #expect(try keeper.decided() == [:])
        let total = UInt64(try count(nftables) * 5)
        #expect(total > 0)
        #expect(try keeper.decided() == ["clients": total])
        // Somebody else was there: all of it is replaced.
        #expect(try apply(["clients"], 8) == ["replaced the nftables ruleset"])
        #expect(try keeper.decided() == ["clients": total])
        _ = try count(nftables)
        _ = try apply(["clients"], 9)  // sees that, too
        #expect(try keeper.decided() == ["clients": 2 * total])
        // Element by element: those that stay go on counting, for whoever has them then.
        #expect(try apply(["clients"], 10, endpoints: 5) == ["changed the nftables ruleset"])
        #expect(try keeper.decided() == ["clients": 2 * total])
        #expect(try apply(["others", "clients"], 11) == ["changed the nftables ruleset"])
        #expect(try keeper.decided() == ["clients": 2 * total])
        #expect(try apply(["others"], 12) == ["changed the nftables ruleset"])
        #expect(try keeper.decided() == ["clients": 2 * total])
    }

    /// As if five packets had met each of the decisions; returns how many there are.
    private func count(_ nftables: Nftables) throws -> Int {
        let place = "\(RouterRuleset.family) \(RouterRuleset.table) decisions"
        let elements = try nftables.elements(
            family: RouterRuleset.family, table: RouterRuleset.table, map: "decisions")
        for element in elements {
            let words = stride(from: 0, to: 8, by: 4).map { at in
                element.key[at..<at + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            }
            let key = "0x\(String(words[0], radix: 16)) . 0:\(String(words[1], radix: 16))"
            try nftables.apply(
                "delete element \(place) { \(key) }\n"
                    + "add element \(place) { \(key) counter packets 5 bytes 50 : goto allow }\n")
        }
        return elements.count
    }

    private func policies(
        endpoints: Int, number: UInt32, names: [String] = ["clients"]
    ) throws -> PolicyRules {
        let west = try #require(ClusterName("west"))
        let records = try (0..<endpoints).map { index in
            (
                cluster: west,
                record: EndpointRecord(
                    key: .init(
                        try #require(NamespaceName(index % 2 == 0 ? "kafka" : "apps")),
                        try #require(EndpointName("e\(index)"))),
                    addresses: [try #require(IPAddress("10.80.1.\(10 + index)"))])
            )
        }
        let model = PolicyModel(
            isolation: .strict,
            policies: try names.map { name in
                // Of nobody there is, but for `clients`.
                Policy(
                    name: try #require(PolicyName(name)),
                    from: EndpointSelector(
                        namespaces: [try #require(Glob(name == "clients" ? "apps" : name))]),
                    to: EndpointSelector(namespaces: [try #require(Glob("kafka"))]),
                    ports: [try #require(PortMatch("tcp/9092-9093"))])
            }, clusters: [.init(name: west, region: try #require(Region("eu")))], local: west,
            endpoints: records)
        return PolicyRules(
            plan: try PolicyPlan(model, revision: UInt64(number)), number: number,
            names: model.policies.map(\.name))
    }
}
