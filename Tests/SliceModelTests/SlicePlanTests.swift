import Addresses
import Noise
import SliceModel
import Testing
import Timing

@Suite struct SlicePlanTests {
    @Test func peersOfEachCluster() throws {
        let manifest = try Sample.parsed()
        let plan = try SlicePlan(manifest, local: Sample.name("east"))
        #expect(plan.slice.text == "payments" && plan.version == 3 && plan.listenPort == 51820)
        #expect(plan.publicKey.base64 == Sample.keyEast)
        #expect(plan.overlayAddresses.map(\.description) == ["10.80.3.1", "fd00:80:0:3::1"])
        #expect(plan.localPrefixes.map(\.description) == ["10.80.3.0/24", "fd00:80:0:3::/64"])
        #expect(plan.slicePrefixes == manifest.prefixes)
        // By name, whatever the order in the file.
        #expect(plan.peers.map(\.cluster.text) == ["central", "west"])
        let central = try #require(plan.peers.first)
        #expect(central.publicKey.base64 == Sample.keyCentral)
        #expect(central.allowedIPs.map(\.description) == ["10.80.2.0/24", "fd00:80:0:2::/64"])
        #expect(central.persistentKeepalive == Nanoseconds.seconds(25))
        #expect(central.overlayAddresses.map(\.description) == ["10.80.2.1", "fd00:80:0:2::1"])
        #expect(
            plan.tunnelRoutes.map(\.description) == [
                "10.80.1.0/24", "10.80.2.0/24", "fd00:80:0:1::/64", "fd00:80:0:2::/64",
            ])
        #expect(try SlicePlan(manifest, local: Sample.name("east"), listenPort: 7).listenPort == 7)
    }

    /// AES only between two that both have it, whoever computes it.
    @Test func ciphersOfPairs() throws {
        var text = try Sample.manifest.replacing(
            first: "persistentKeepalive: 25s", with: "cipher: aes-256-gcm")
        text = try text.replacing(
            first: "publicKey: \(Sample.keyEast)",
            with: "publicKey: \(Sample.keyEast)\n          cipher: aes-256-gcm")
        let manifest = try Sample.parsed(text)
        func ciphers(_ cluster: String) throws -> [TransportSuite] {
            try SlicePlan(manifest, local: Sample.name(cluster)).peers.map(\.cipher)
        }
        // By name: central and east have it, west has not.
        #expect(try ciphers("west") == [.chaChaPoly, .chaChaPoly])
        #expect(try ciphers("central") == [.aesGCM, .chaChaPoly])
        #expect(try ciphers("east") == [.aesGCM, .chaChaPoly])
    }

    @Test func unknownCluster() throws {
        let manifest = try Sample.parsed()
        let north: ClusterName = try Sample.name("north")
        #expect(
            throws: SlicePlanProblem.noSuchCluster(
                north, known: try ["central", "east", "west"].map { try Sample.name($0) })
        ) { try SlicePlan(manifest, local: north) }
    }

    /// Every cluster's view together is the whole slice: symmetric, and each packet has one way.
    @Test func viewsAgree() throws {
        let manifest = try Sample.parsed()
        for here in manifest.clusters {
            let plan = try SlicePlan(manifest, local: here.name)
            #expect(plan.peers.count == manifest.clusters.count - 1)
            for there in plan.peers {
                let back = try SlicePlan(manifest, local: there.cluster)
                #expect(back.publicKey == there.publicKey && back.localPrefixes == there.allowedIPs)
                #expect(back.overlayAddresses == there.overlayAddresses)
            }
        }
    }

    @Test(arguments: [
        (1500, false, false, 1440), (1500, true, false, 1420), (1500, false, true, 1440),
        (9000, false, true, 8940), (1400, true, true, 1320), (1340, false, true, 1280),
        (1300, false, true, 1280), (1300, false, false, 1240), (1280, true, true, 1280),
        (0, false, false, 576), (-5, true, true, 1280), (Int.min, false, false, 576),
        (.max, true, true, 65455), (65536, false, true, 65475),
    ])
    func tunnelMTU(_ underlay: Int, _ outer6: Bool, _ inner6: Bool, _ expected: Int) {
        #expect(
            SlicePlan.tunnelMTU(underlay: underlay, outerIsIPv6: outer6, innerHasIPv6: inner6)
                == expected)
    }

    @Test func manifestBoundsTheMTU() throws {
        let plan = try SlicePlan(Sample.parsed(), local: Sample.name("east"))
        #expect(plan.mtu(underlay: 9000, outerIsIPv6: false) == 1380)
        #expect(plan.mtu(underlay: 1400, outerIsIPv6: false) == 1340)
    }
}
