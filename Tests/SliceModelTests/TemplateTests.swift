import Addresses
import ConfigFile
import Noise
import SliceModel
import Testing

@Suite struct TemplateTests {
    private func template(_ prefixes: [String], clusters: [String], keys: Bool = true) throws
        -> ManifestTemplate
    {
        let allKeys = [Sample.keyWest, Sample.keyCentral, Sample.keyEast, Sample.keyFourth]
        return ManifestTemplate(
            name: try Sample.name("payments"),
            prefixes: try prefixes.map { try #require(IPPrefix($0)) }, port: 51820,
            clusters: try clusters.enumerated().map { index, name in
                ManifestTemplate.Cluster(
                    name: try Sample.name(name), region: try Sample.name("eu-central"),
                    publicKey: keys ? PublicKey(base64: allKeys[index % 4]) : nil,
                    endpoint: index == 0 ? nil : UnderlayEndpoint("[2001:db8::\(index)]:51820"))
            }, namespaces: [try Sample.name("kafka"), try Sample.name("no")])
    }

    @Test func signsAsItIs() throws {
        let text = try #require(
            try template(["10.80.0.0/16", "fd00:80::/48"], clusters: ["west", "no", "1e3"]).text())
        let owner = try Sample.owner()
        let manifest = try Sample.parsed(SliceManifest.sign(text, with: owner, file: "m"))
        try manifest.verify(owner: owner.publicKey)
        #expect(manifest.clusters.map(\.name.text) == ["west", "no", "1e3"])
        #expect(
            manifest.clusters[1].prefixes.map(\.description) == [
                "10.80.2.0/24", "fd00:80:0:2::/64",
            ])
        #expect(manifest.namespaces.map(\.name.text) == ["kafka", "no"])
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 100 })
    }

    @Test func missingKeysAreAskedFor() throws {
        let text = try #require(
            try template(["10.80.0.0/16"], clusters: ["west"], keys: false).text())
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(text: text, file: "m")
        }
        #expect(found.count == 1)
        #expect(found.first?.contains("publicKey: is not a WireGuard public key") == true)
    }

    @Test(
        arguments: [
            ("10.80.0.0/16", 3, "10.80.1.0/24", "10.80.3.0/24"),
            ("10.0.0.0/8", 2, "10.64.0.0/10", nil),
            ("10.80.4.0/24", 3, "10.80.4.64/26", "10.80.4.192/26"),
            ("10.80.4.0/29", 2, "10.80.4.0/30", "10.80.4.4/30"), ("10.80.4.0/29", 3, nil, nil),
            ("10.80.4.0/28", 2, "10.80.4.4/30", "10.80.4.8/30"),
            ("10.80.4.0/28", 4, "10.80.4.0/30", "10.80.4.12/30"),
            ("10.80.4.0/28", 5, nil, nil), ("fd00::/48", 3, "fd00:0:0:1::/64", "fd00:0:0:3::/64"),
            ("fd00::/63", 3, "fd00:0:0:0:8000::/65", "fd00:0:0:1:8000::/65"),
            ("fd00::/64", 1, "fd00::8000:0:0:0/65", "fd00::8000:0:0:0/65"),
            ("fd00::/124", 3, "fd00::4/126", "fd00::c/126"),
        ] as [(String, Int, String?, String?)])
    func parts(_ text: String, _ count: Int, _ first: String?, _ last: String?) throws {
        let prefix = try #require(IPPrefix(text))
        let parts = (0..<count).map { ManifestTemplate.part($0, of: count, in: prefix) }
        if text != "10.0.0.0/8" {
            #expect(parts.first??.description == first.flatMap { IPPrefix($0)?.description })
            #expect(parts.last??.description == last.flatMap { IPPrefix($0)?.description })
        }
        let made = parts.compactMap { $0 }
        #expect(made.allSatisfy { prefix.contains($0) })
        for (index, part) in made.enumerated() {
            #expect(!made[..<index].contains { $0.overlaps(part) })
        }
    }

    @Test func tooSmallAPrefixMakesNoText() throws {
        #expect(try template(["10.80.0.0/30"], clusters: ["west", "east"]).text() == nil)
    }
}
