import Addresses
import ConfigFile
import Noise
import SliceModel
import Testing
import Timing

@Suite struct ManifestTests {
    @Test func readsTheSample() throws {
        let manifest = try Sample.parsed()
        #expect(manifest.name.text == "payments")
        #expect(manifest.version == 3 && manifest.isolation == .open && manifest.port == 51820)
        #expect(manifest.mtu == 1380 && manifest.signature == nil)
        #expect(manifest.prefixes.map(\.description) == ["10.80.0.0/16", "fd00:80::/48"])
        #expect(manifest.clusters.map(\.name.text) == ["west", "central", "east"])
        let central = try #require(manifest.cluster(Sample.name("central")))
        #expect(central.region.text == "eu-central")
        #expect(central.overlayAddresses.map(\.description) == ["10.80.2.1", "fd00:80:0:2::1"])
        #expect(central.overlayAddress(ipv4: false)?.description == "fd00:80:0:2::1")
        #expect(central.gateways.first?.publicKey.base64 == Sample.keyCentral)
        #expect(central.gateways.first?.endpoints == [.host("gw.central.example.net", port: 51820)])
        #expect(central.gateways.first?.persistentKeepalive == Nanoseconds.seconds(25))
        let west = try #require(manifest.clusters.first?.gateways.first)
        #expect(west.endpoints.map(\.description) == ["192.0.2.1:51820", "[2001:db8::1]:51820"])
        #expect(manifest.admits(try Sample.name("kafka"), in: try Sample.name("central")))
        #expect(manifest.admits(try Sample.name("billing"), in: try Sample.name("east")))
        #expect(!manifest.admits(try Sample.name("billing"), in: try Sample.name("central")))
        #expect(!manifest.admits(try Sample.name("other"), in: try Sample.name("west")))
    }

    /// One edit of the sample, and the problems it must make: all of them, and no other.
    @Test(
        arguments: [
            ("v1alpha1", "v9", ["m:2:13: apiVersion: `slice-gateway.dev/v9` is not known"]),
            ("kind: Slice", "kind: Slide", ["m:3:7: kind: `Slide` is not known"]),
            ("kind: Slice\n", "", ["m:2:1: the field `kind` is missing"]),
            (
                "  name: payments", "  name: Payments",
                ["m:5:9: metadata.name: `Payments` is no slice name"]
            ),
            (
                "  name: payments", "  name: no",
                ["m:5:9: metadata.name: `no` could be read as true or false"]
            ),
            ("version: 3", "version: 0", ["m:7:12: spec.version: 0 is out of range"]),
            (
                "version: 3", "version: \"3\"",
                ["m:7:12: spec.version: must be a whole number without quotes"]
            ),
            ("version: 3", "version: 9223372036854775808", ["out of range"]),
            (
                "version: 3\n  isolation: open", "isolation: strict",
                ["m:7:3: spec: the field `version` is missing"]
            ),
            (
                "isolation: open", "isolation: opne",
                [
                    "m:8:14: spec.isolation: `opne` is not one of open, strict; did you mean"
                ]
            ),
            ("port: 51820", "port: 0", ["m:9:9: spec.port: 0 is out of range: 1 to 65535"]),
            ("mtu: 1380", "mtu: 1279", ["m:10:8: spec.mtu: 1279 is below 1280"]),
            ("mtu: 1380", "mut: 1380", ["m:10:3: spec.mut: unknown field; did you mean `mtu`?"]),
            (
                "mtu: 1380", "firewall: []",
                [
                    "m:10:3: spec.firewall: unknown field; known here: version, isolation, "
                        + "prefixes, port, mtu, clusters, namespaces, policies, services"
                ]
            ),
            // Prefixes of the slice.
            (
                "- 10.80.0.0/16", "- 10.80.1.0/16",
                [
                    "m:12:7: spec.prefixes[0]: `10.80.1.0/16` has bits set beyond /16",
                    "spec.clusters[0].prefixes[0]: 10.80.1.0/24 is outside",
                    "spec.clusters[1].prefixes[0]: 10.80.2.0/24 is outside",
                    "spec.clusters[2].prefixes[0]: 10.80.3.0/24 is outside",
                ]
            ),
            (
                "- fd00:80::/48", "- fd00:80::/48\n    - 10.80.128.0/17",
                [
                    "m:14:7: spec.prefixes[2]: 10.80.128.0/17 overlaps 10.80.0.0/16 (line 12)"
                ]
            ),
            (
                "- fd00:80::/48", "- fd00:80::/48\n    - 0.0.0.0/0",
                [
                    "m:14:7: spec.prefixes[2]: 0.0.0.0/0 is everything",
                    "m:14:7: spec.prefixes[2]: 0.0.0.0/0 overlaps 10.80.0.0/16",
                ]
            ),
            (
                "- fd00:80::/48", "- fd00:80::/48\n    - 126.0.0.0/7",
                [
                    "126.0.0.0/7 overlaps 127.0.0.0/8 (loopback)"
                ]
            ),
            ("- fd00:80::/48", "- fd00:80::/48\n    - 224.1.0.0/16", ["(multicast)"]),
            ("- fd00:80::/48", "- fd00:80::/48\n    - 169.254.7.0/24", ["(link-local)"]),
            ("- fd00:80::/48", "- fd00:80::/48\n    - fe80::/64", ["fe80::/10 (link-local)"]),
            ("- fd00:80::/48", "- fd00:80::/48\n    - ff05::/64", ["ff00::/8 (multicast)"]),
            (
                "- fd00:80::/48", "- fd00:80::/48\n    - 10.99.0.0/31",
                [
                    "spec.prefixes[2]: 10.99.0.0/31 is too small: /30 is the least"
                ]
            ),
            ("- fd00:80::/48", "- fd00:80::/48\n    - 10.99.0.0", ["`10.99.0.0` is not a prefix"]),
            // Clusters.
            (
                "region: us-west", "region: us_west",
                ["m:16:15: spec.clusters[0].region: `us_west` is no region"]
            ),
            ("region: us-west", "region: us--west", ["`us--west` is no region"]),
            ("region: us-west", "region: 1-west", ["`1-west` is no region"]),
            (
                "- name: central", "- name: west",
                [
                    "m:22:13: spec.clusters[1].name: the cluster name `west` is used twice"
                ]
            ),
            (
                "[10.80.2.0/24, ", "[10.80.1.128/25, ",
                [
                    "m:24:18: spec.clusters[1].prefixes[0]: 10.80.1.128/25 overlaps "
                        + "10.80.1.0/24 of cluster `west` (line 17)"
                ]
            ),
            // Around one before it and one after it: each is told where it was added.
            (
                "[10.80.2.0/24, ", "[10.80.0.0/22, ",
                [
                    "m:24:18: spec.clusters[1].prefixes[0]: 10.80.0.0/22 overlaps "
                        + "10.80.1.0/24 of cluster `west` (line 17)",
                    "m:32:18: spec.clusters[2].prefixes[0]: 10.80.3.0/24 overlaps "
                        + "10.80.0.0/22 of cluster `central` (line 24)",
                ]
            ),
            (
                "[10.80.2.0/24, ", "[10.81.2.0/24, ",
                [
                    "10.81.2.0/24 is outside the slice's prefixes: it must lie inside 10.80.0.0/16"
                ]
            ),
            (
                "[10.80.2.0/24, ", "[",
                [
                    "m:22:7: spec.clusters[1]: the slice has IPv4 and cluster `central` has no"
                ]
            ),
            (
                "    - fd00:80::/48\n", "",
                [
                    "m:16:32: spec.clusters[0].prefixes[1]: fd00:80:0:1::/64 is outside the "
                        + "slice's prefixes: the slice has no IPv6 prefix",
                    "spec.clusters[1].prefixes[1]", "spec.clusters[2].prefixes[1]",
                ]
            ),
            ("[10.80.2.0/24, ", "[10.80.2.0/31, ", ["10.80.2.0/31 is too small"]),
            (
                "prefixes: [10.80.2.0/24, \"fd00:80:0:2::/64\"]", "prefixes: []",
                [
                    "m:24:17: spec.clusters[1].prefixes: needs at least 1 item"
                ]
            ),
            // Gateways.
            (
                "publicKey: \(Sample.keyCentral)", "publicKey: \(Sample.keyWest)",
                [
                    "m:27:22: spec.clusters[1].gateways[0].publicKey: the public key is used "
                        + "twice, first on line 20"
                ]
            ),
            (
                "publicKey: \(Sample.keyCentral)", "publicKey: c2hvcnQ=",
                [
                    "is not a WireGuard public key (44 characters of base64"
                ]
            ),
            (
                "publicKey: \(Sample.keyCentral)",
                "publicKey: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                ["is a key of low order"]
            ),
            (
                "publicKey: \(Sample.keyCentral)",
                "publicKey: 4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=", ["is a key of low order"]
            ),
            (
                "persistentKeepalive: 25s", "presharedKey: x",
                [
                    "m:29:11: spec.clusters[1].gateways[0].presharedKey: a secret has no place"
                ]
            ),
            ("persistentKeepalive: 25s", "persistentKeepalive: 25", ["`25` is not a duration"]),
            ("persistentKeepalive: 25s", "cipher: aes-128-gcm", ["aes-256-gcm"]),
            (
                "persistentKeepalive: 25s", "persistentKeepalive: 1500ms",
                ["WireGuard counts whole seconds"]
            ),
            (
                "name: gw-central", "name: gw-west",
                ["the gateway name `gw-west` is used twice, first on line 19"]
            ),
            (
                "gw.central.example.net:51820", "192.0.2.1:51820",
                [
                    "m:28:23: spec.clusters[1].gateways[0].endpoints[0]: the endpoint "
                        + "192.0.2.1:51820 is used twice, first on line 21"
                ]
            ),
            ("gw.central.example.net:51820", "gw.central.example.net", ["is not an endpoint"]),
            (
                "gw.central.example.net:51820", "192.0.2.300:51820",
                ["`192.0.2.300:51820` is not an endpoint"]
            ),
            ("gw.central.example.net:51820", "\"[fe80::1%2]:51820\"", ["is not an endpoint"]),
            ("gw.central.example.net:51820", "192.0.2.1:0", ["is not an endpoint"]),
            (
                "gw.central.example.net:51820", "224.0.0.1:51820",
                ["224.0.0.1 is no address of a host (multicast)"]
            ),
            (
                "gw.central.example.net:51820", "10.80.9.9:51820",
                ["inside the slice's own prefix 10.80.0.0/16"]
            ),
            (
                "endpoints: [gw.central.example.net:51820]", "endpoints: []",
                [
                    "has no endpoint, as the gateway on line 26"
                ]
            ),
            (
                "        - name: gw-east",
                "        - {name: gw-2, publicKey: \(Sample.keyFourth), endpoints: [h:1]}\n"
                    + "        - name: gw-east",
                [
                    "m:35:11: spec.clusters[2].gateways[1]: a second gateway in one cluster is not"
                ]
            ),
            // Namespaces.
            (
                "- name: billing", "- name: kafka",
                [
                    "m:38:13: spec.namespaces[1].name: the namespace name `kafka` is used twice"
                ]
            ),
            (
                "clusters: [west, east]", "clusters: [west, esat]",
                [
                    "m:39:24: spec.namespaces[1].clusters[1]: the slice has no cluster `esat`; did"
                ]
            ),
            (
                "clusters: [west, east]", "clusters: [west, west]",
                ["the cluster `west` is used twice"]
            ),
            ("clusters: [west, east]", "clusters: []", ["needs at least 1 item"]),
            // Everything at once.
            (
                "spec:\n", "spce:\n",
                [
                    "m:2:1: the field `spec` is missing",
                    "m:6:1: spce: unknown field; did you mean `spec`?",
                ]
            ),
            ("namespaces:\n", "namespaces:\n    - &a x\n", ["anchors (&name) are not supported"]),
        ] as [(String, String, [String])])
    func refuses(_ old: String, _ new: String, _ expected: [String]) throws {
        let text = try Sample.manifest.replacing(first: old, with: new)
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(text: text, file: "m")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) {
            #expect(problem.contains(wanted))
        }
    }

    @Test func limitsHold() throws {
        var clusters = ""
        for index in 0..<513 {
            clusters += """
                    - name: c\(index)
                      region: r
                      prefixes: [10.\(80 + index / 256).\(index % 256).0/24]
                      gateways: [{name: g\(index), publicKey: \(Sample.keyWest)}]

                """
        }
        let text = """
            apiVersion: slice-gateway.dev/v1alpha1
            kind: Slice
            metadata: {name: a}
            spec:
              version: 1
              isolation: open
              port: 1
              prefixes: [10.80.0.0/14]
              clusters:
            \(clusters)
            """
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(text: text, file: "m")
        }
        #expect(
            found.contains { $0.contains("spec.clusters[512]: too many: 513 items, at most 512") },
            "\(found)")
    }

    @Test func ipv4Alone() throws {
        let text = """
            apiVersion: slice-gateway.dev/v1alpha1
            kind: Slice
            metadata: {name: a}
            spec:
              version: 1
              isolation: open
              port: 1
              mtu: 600
              prefixes: [10.80.0.0/30]
              clusters:
                - {name: w, region: r, prefixes: [10.80.0.0/30],
                   gateways: [{name: g, publicKey: \(Sample.keyWest)}]}
            """
        let manifest = try Sample.parsed(text)
        #expect(manifest.clusters[0].overlayAddresses.map(\.description) == ["10.80.0.1"])
    }
}
