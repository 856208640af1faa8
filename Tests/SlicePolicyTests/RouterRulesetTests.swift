import Addresses
import SliceModel
import SlicePolicy
import Testing

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

@Suite struct RouterRulesetTests {
    private func ruleset() throws -> RouterRuleset {
        RouterRuleset(
            tunnel: "slice-a",
            gatewayAddresses: [try address("10.80.1.1"), try address("fd00::1")],
            remotePrefixes: [try prefix("10.80.2.0/24"), try prefix("fd00:2::/64")],
            ports: [
                .init(interface: "epb", addresses: [try address("10.80.1.3")]),
                .init(
                    interface: "epa",
                    addresses: [try address("10.80.1.2"), try address("fd00::2")]),
            ])
    }

    @Test func everyPortOwnsItsAddressesAndNothingElse() throws {
        let text = try ruleset().text
        #expect(
            text.contains("elements = { \"epa\" . 10.80.1.2,\n\t\t\t\"epb\" . 10.80.1.3 }"))
        #expect(text.contains("elements = { \"epa\" . fd00::2 }"))
        #expect(text.contains("elements = { \"epa\",\n\t\t\t\"epb\" }"))
    }

    @Test func theOrderOfPortsDoesNotMatter() throws {
        var other = try ruleset()
        other.ports.reverse()
        other.ports[0].addresses.reverse()
        #expect(other.text == (try ruleset().text))
    }

    @Test func everythingIsDroppedUnlessAllowed() throws {
        var rules = try ruleset()
        rules.policies = try policies(1)
        let text = rules.text
        #expect(text.components("policy drop;") == 3)
        // What the gateway itself sends.
        #expect(text.components("policy accept;") == 1)
        // Every chain that is not a hook's ends in a drop that counts.
        for counter in RouterRuleset.Counter.allCases {
            #expect(text.contains("counter \(counter.rawValue) { }"))
            #expect(text.contains("counter name \"\(counter.rawValue)\" drop"))
        }
    }

    /// Strict, with one endpoint of west.
    private func policies(_ number: UInt32) throws -> PolicyRules {
        let west = try #require(ClusterName("west"))
        let key = AddressBook.Key(
            try #require(NamespaceName("kafka")), try #require(EndpointName("broker-0")))
        let model = PolicyModel(
            isolation: .strict, clusters: [.init(name: west, region: try #require(Region("eu")))],
            local: west,
            endpoints: [
                (west, EndpointRecord(key: key, addresses: [try address("10.80.1.2")]))
            ])
        return PolicyRules(plan: try PolicyPlan(model, revision: 1), number: number)
    }

    @Test func anOpenSliceLooksAtNoConnection() throws {
        #expect(!(try ruleset().text.contains("ct ")))
    }

    @Test func aSmallChangeIsASmallTransaction() throws {
        var rules = try ruleset()
        rules.policies = try policies(7)
        var next = rules
        next.policies = try policies(8)
        next.ports[0].addresses = [try address("10.80.1.4")]
        #expect(
            next.change(from: rules) == """
                delete element inet slice owners4 { "epb" . 10.80.1.3 }
                delete element inet slice current { 0x7 }
                add element inet slice owners4 { "epb" . 10.80.1.4 }
                add element inet slice current { 0x8 }
                flush chain inet slice allow
                add rule inet slice allow meta mark set 0x0 meta priority set 0:0 \
                ct mark set 0x8 accept

                """)
        #expect(rules.change(from: rules) == "")
        // From no policies to some the rules themselves change.
        #expect(rules.change(from: try ruleset()) == nil)
        var moved = rules
        moved.gatewayAddresses = [try address("10.80.1.9")]
        #expect(moved.change(from: rules) == nil)
    }

    @Test func aClosedRouterForwardsNothing() throws {
        let text = try ruleset().closed.text
        #expect(!text.contains("oifname @endpoints"))
        #expect(text.contains("chain forward"))
    }

    @Test func replacesTheTableInOneTransaction() throws {
        #expect(
            try ruleset().text.hasPrefix(
                "table inet slice\ndelete table inet slice\ntable inet slice {\n"))
    }

    @Test func prefixesInsideOthersAreLeftOut() throws {
        var rules = try ruleset()
        rules.remotePrefixes = try [
            "10.80.2.128/25", "10.80.2.0/24", "10.80.2.0/24", "10.80.3.0/24",
        ].map(prefix)
        #expect(rules.text.contains("elements = { 10.80.2.0/24,\n\t\t\t10.80.3.0/24 }"))
    }

    @Test func aSliceWithoutEndpointsHasEmptySets() throws {
        var rules = try ruleset()
        rules.ports = []
        #expect(rules.text.contains("set owners4 {\n\t\ttype ifname . ipv4_addr\n\t}"))
        #expect(rules.text.contains("set endpoints {\n\t\ttype ifname\n\t}"))
    }

    @Test func asksForNoConnectionTracking() throws {
        #expect(!(try ruleset().text.contains("ct ")))
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
