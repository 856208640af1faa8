import Addresses
import GatewayRuntime
import LinuxNet
import Noise
import SliceModel
import Testing
import Tunnel

/// A slice over three clusters, as the gateway of the first sees it.
enum SlicesSample {
    static let keys = (1...3).map { n in
        PrivateKey(bytes: [UInt8](repeating: UInt8(n), count: 32))
    }

    static func manifest(
        prefixes: String = #"10.80.0.0/16, "fd00:80::/48""#, mtu: String = "",
        namespaces: String = "{name: kafka}", version: Int = 1, name: String = "pay",
        port: Int = 51820
    ) throws -> String {
        var text = """
            apiVersion: slice-gateway.dev/v1alpha1
            kind: Slice
            metadata: {name: \(name)}
            spec:
              version: \(version)
              isolation: open
              port: \(port)
              prefixes: [\(prefixes)]
            \(mtu)  clusters:

            """
        for (n, cluster) in ["west", "central", "east"].enumerated() {
            let local =
                prefixes.contains("fd00")
                ? #"10.80.\#(n + 1).0/24, "fd00:80:0:\#(n + 1)::/64""# : "10.80.\(n + 1).0/24"
            let key = try #require(keys[n]).publicKey
            text += """
                    - name: \(cluster)
                      region: eu-\(cluster)
                      prefixes: [\(local)]
                      gateways:
                        - name: gw-\(cluster)
                          publicKey: \(key)
                          endpoints: ["192.0.2.\(n + 1):51820"]

                """
        }
        return text + "  namespaces: [\(namespaces)]\n"
    }

    static func plan(_ text: String) throws -> SlicePlan {
        let west = try #require(ClusterName("west"))
        return try SlicePlan(SliceManifest.parse(text: text, file: "m"), local: west)
    }

    static func key(_ text: String) throws -> AddressBook.Key {
        let parts = text.split(separator: "/")
        return AddressBook.Key(
            try #require(NamespaceName(String(parts[0]))),
            try #require(EndpointName(String(parts[1]))))
    }
}

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

@Suite struct RouterPlanTests {
    private func plan(mtu: Int = 1440) throws -> RouterPlan {
        RouterPlan(
            try SlicesSample.plan(SlicesSample.manifest()), namespacePrefix: "slice-", mtu: mtu,
            endpoints: [
                (try SlicesSample.key("kafka/b"), nil, [try address("10.80.1.3")]),
                (
                    try SlicesSample.key("kafka/a"), "ov0",
                    [try address("fd00:80:0:1::2"), try address("10.80.1.2")]
                ),
            ])
    }

    @Test func namesFollowFromTheSlice() throws {
        let plan = try plan()
        #expect(plan.namespace == "slice-pay" && plan.tunnel == "slice-pay")
        #expect(plan.tunnelAlias == "slice-gateway pay")
        #expect(plan.ports.map(\.key.description) == ["kafka/a", "kafka/b"])
        #expect(plan.ports.map(\.endpointInterface) == ["ov0", "pay"])
        #expect(plan.ports[0].alias == "slice-gateway pay/kafka/a")
    }

    @Test func theGatewayHasHostAddressesAndRoutesToTheOthersOnly() throws {
        let plan = try plan()
        #expect(plan.tunnelAddresses.map(\.description) == ["10.80.1.1/32", "fd00:80:0:1::1/128"])
        let routes = plan.tunnelRoutes(interfaceIndex: 7)
        #expect(
            routes.map(\.destination.description) == [
                "10.80.2.0/24", "10.80.3.0/24", "fd00:80:0:2::/64", "fd00:80:0:3::/64",
            ])
        #expect(routes.allSatisfy { $0.interfaceIndex == 7 && $0.installer == 143 })
        #expect(plan.refusals.map(\.kind) == [.unreachable, .unreachable])
        #expect(plan.refusals.allSatisfy { $0.metric == RouterPlan.refusalMetric })
        #expect(!(routes + plan.refusals).contains { $0.destination.length == 0 })
    }

    @Test func anEndpointRoutesTheSliceAndNothingElse() throws {
        let port = try plan().ports[0]
        let routes = port.endpointRoutes(interfaceIndex: 3)
        #expect(routes.map(\.destination.description) == ["10.80.0.0/16", "fd00:80::/48"])
        #expect(routes.map { $0.gateway?.description } == ["10.80.1.1", "fd00:80:0:1::1"])
        #expect(routes.map { $0.preferredSource?.description } == ["10.80.1.2", "fd00:80:0:1::2"])
        #expect(routes.allSatisfy { $0.onLink && $0.installer == Route.ownProtocol })
        #expect(port.endpointAddresses.map(\.prefixLength) == [32, 128])
        #expect(port.endpointAddresses.allSatisfy { $0.flags.contains(.noPrefixRoute) })
    }

    @Test func anEndpointOfOneFamilyHasRoutesOfThatFamily() throws {
        let port = try plan().ports[1]
        #expect(port.endpointRoutes(interfaceIndex: 3).map(\.destination.isIPv4) == [true])
        #expect(port.gateways.map(\.description) == ["10.80.1.1"] && !port.hasIPv6)
    }

    @Test func bothEndsKnowEachOtherWithoutAsking() throws {
        let port = try plan().ports[0]
        #expect(port.routerNeighbours.map(\.address) == port.addresses)
        #expect(
            port.routerNeighbours.allSatisfy {
                $0.hardwareAddress == port.endpointHardwareAddress && $0.state == .permanent
            })
        #expect(port.endpointNeighbours.map(\.address) == port.gateways)
        #expect(
            port.endpointNeighbours.allSatisfy {
                $0.hardwareAddress == port.routerHardwareAddress
            })
        for mac in [port.routerHardwareAddress, port.endpointHardwareAddress] {
            #expect(mac.count == 6 && mac[0] & 3 == 2)
        }
        #expect(port.routerHardwareAddress != port.endpointHardwareAddress)
    }

    @Test func namesAreShortAndApart() throws {
        let long = try #require(SliceName(String(repeating: "a", count: 60)))
        let other = try #require(SliceName(String(repeating: "a", count: 61)))
        let a = RouterNames.endpointInterface(slice: long)
        let b = RouterNames.endpointInterface(slice: other)
        #expect(a.utf8.count == 15 && b.utf8.count == 15 && a != b)
        #expect(a.hasPrefix("aaaaaaaaa-"))
        // A digest of parts, not of their concatenation.
        let x = RouterNames.port(namespace: "r", try SlicesSample.key("ab/c"))
        let y = RouterNames.port(namespace: "r", try SlicesSample.key("a/bc"))
        let z = RouterNames.port(namespace: "s", try SlicesSample.key("ab/c"))
        #expect(Set([x, y, z]).count == 3 && x.utf8.count == 14)
    }

    @Test func ipv4OnlyAsksNothingOfIPv6() throws {
        let plan = RouterPlan(
            try SlicesSample.plan(SlicesSample.manifest(prefixes: "10.80.0.0/16")),
            namespacePrefix: "slice-", mtu: 1440, endpoints: [])
        #expect(!plan.settings.contains { $0.key.contains("ipv6") })
        #expect(try self.plan().settings.contains { $0.key == "net/ipv6/conf/all/forwarding" })
    }

    @Test(
        arguments: [
            ([], 1420), ([(1500, false)], 1440), ([(1500, true)], 1420),
            ([(1500, false), nil], 1420), ([(1500, false), (1400, false)], 1340),
            ([(65536, false)], 9156), ([(1000, false)], 1280),
        ] as [([(Int, Bool)?], Int)])
    func mtuIsTheSmallestOnTheWayToAnyPeer(_ underlays: [(Int, Bool)?], _ expected: Int) throws {
        let plan = try SlicesSample.plan(SlicesSample.manifest())
        let given = underlays.map { $0.map { (mtu: $0.0, isIPv6: $0.1) } }
        #expect(RouterPlan.mtu(plan, underlays: given) == expected)
    }

    @Test func theManifestBoundsTheMTU() throws {
        let plan = try SlicesSample.plan(SlicesSample.manifest(mtu: "  mtu: 1380\n"))
        #expect(RouterPlan.mtu(plan, underlays: [(1500, false)]) == 1380)
        #expect(RouterPlan.mtu(plan, underlays: [(1400, false)]) == 1340)
    }
}

@Suite struct RouterConflictTests {
    private func find(
        addresses: [String] = [], routes: [Route] = [], own: Int32? = nil
    ) throws -> RouterConflict? {
        RouterConflict.find(
            prefixes: [try prefix("10.80.0.0/16")],
            addresses: try addresses.map {
                InterfaceAddress(try address($0), prefixLength: 24)
            }, routes: routes, ownInterface: own, interfaceName: { "if\($0)" })
    }

    @Test func anAddressInsideTheSliceIsRefused() throws {
        #expect(try find(addresses: ["10.81.0.1", "192.0.2.1"]) == nil)
        let conflict = try find(addresses: ["10.80.3.4"])
        #expect(conflict?.description.contains("10.80.3.4") ?? false)
        // On our own interface it is what we put there.
        #expect(try find(addresses: ["10.80.3.4"], own: 0) == nil)
    }

    @Test func routesThatOverlapAreRefusedWhicheverIsLarger() throws {
        for text in ["10.80.4.0/24", "10.0.0.0/8", "10.80.0.0/16"] {
            let route = Route(to: try prefix(text), interfaceIndex: 2)
            #expect(try find(routes: [route]) != nil, "\(text)")
            #expect(try find(routes: [route], own: 2) == nil)
        }
        let others = try ["0.0.0.0/0", "10.81.0.0/16", "fd00::/8"].map {
            Route(to: try prefix($0), interfaceIndex: 2)
        }
        #expect(try find(routes: others) == nil)
    }

    @Test func routesOfOtherTablesAreNoneOfOurs() throws {
        let route = Route(to: try prefix("10.80.0.0/16"), interfaceIndex: 2, table: 100)
        #expect(try find(routes: [route]) == nil)
    }
}

@Suite struct PeerPlanTests {
    private func peer(
        _ n: Int, _ allowed: [String], keepalive: UInt16 = 0, psk: PresharedKey? = nil
    ) throws -> PeerPlan.Peer {
        PeerPlan.Peer(
            publicKey: try #require(SlicesSample.keys[n]).publicKey, presharedKey: psk,
            allowedIPs: try allowed.map(prefix), persistentKeepalive: keepalive)
    }

    private func status(_ peer: PeerPlan.Peer) -> PeerStatus {
        var status = PeerStatus(peer.publicKey)
        status.allowedIPs = peer.allowedIPs
        status.persistentKeepalive = peer.persistentKeepalive
        status.presharedKey = peer.presharedKey
        return status
    }

    @Test func whatIsThereIsLeftAlone() throws {
        let peers = try [
            peer(0, ["10.80.2.0/24", "fd00::/64"], keepalive: 25), peer(1, ["10.80.3.0/24"]),
        ]
        var device = DeviceStatus()
        device.peers = peers.map(status)
        device.peers[0].allowedIPs.reverse()
        #expect(PeerPlan(peers: peers).change(from: device) == nil)
    }

    @Test func newComeOldGoAndChangedAreChanged() throws {
        let old = try [peer(0, ["10.80.2.0/24"]), peer(1, ["10.80.3.0/24"])]
        var device = DeviceStatus()
        device.peers = old.map(status)
        let psk = try #require(PresharedKey(bytes: [UInt8](repeating: 9, count: 32)))
        let wanted = try [
            peer(1, ["10.80.4.0/24"], keepalive: 5, psk: psk), peer(2, ["fd00::/64"]),
        ]
        let change = try #require(PeerPlan(peers: wanted).change(from: device))
        #expect(!change.replacePeers)
        #expect(change.peers.map(\.publicKey) == [old[0].publicKey] + wanted.map(\.publicKey))
        #expect(change.peers.map(\.remove) == [true, false, false])
        #expect(change.peers[1].persistentKeepalive == 5 && change.peers[1].presharedKey == psk)
        #expect(change.peers[1].replaceAllowedIPs)
        // Where a peer is, is not decided here.
        #expect(change.peers.allSatisfy { $0.endpoint == nil })
    }

    @Test func aPresharedKeyIsTakenAway() throws {
        let psk = try #require(PresharedKey(bytes: [UInt8](repeating: 9, count: 32)))
        let before = try peer(0, ["10.80.2.0/24"], psk: psk)
        var device = DeviceStatus()
        device.peers = [status(before)]
        let change = try PeerPlan(peers: [peer(0, ["10.80.2.0/24"])]).change(from: device)
        #expect(change?.peers.first?.presharedKey?.isNone == true)
    }
}

@Suite struct EndpointChoiceTests {
    @Test func theFirstIsTriedAtOnceAndTheNextWhenItIsSilent() {
        var choice = EndpointChoice()
        var set = choice.step(count: 3, hasSession: false, hasEndpoint: false, now: 100)
        #expect(set == 0)
        var seen: [Int] = []
        for now in UInt64(101)...150 {
            set = choice.step(count: 3, hasSession: false, hasEndpoint: true, now: now)
            if let set { seen.append(set) }
        }
        #expect(seen == [1, 2, 0, 1])
    }

    @Test func whatAnswersIsKept() {
        var choice = EndpointChoice()
        _ = choice.step(count: 2, hasSession: false, hasEndpoint: false, now: 0)
        for now in UInt64(1)...1000 {
            let set = choice.step(count: 2, hasSession: true, hasEndpoint: true, now: now)
            #expect(set == nil)
        }
        // Lost: it gets its time again before the other has its turn.
        let patience = EndpointChoice.patienceSeconds
        var set = choice.step(
            count: 2, hasSession: false, hasEndpoint: true, now: 1000 + patience - 1)
        #expect(set == nil)
        set = choice.step(count: 2, hasSession: false, hasEndpoint: true, now: 1000 + patience)
        #expect(set == 1)
    }

    @Test func withoutCandidatesThereIsNothingToSet() {
        var choice = EndpointChoice()
        #expect(choice.step(count: 0, hasSession: false, hasEndpoint: false, now: 1) == nil)
        #expect(choice.step(count: 1, hasSession: false, hasEndpoint: false, now: 2) == 0)
    }
}
