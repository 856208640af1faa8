import ConfigFile
import SliceModel
import Testing

@Suite struct PolicyDigestTests {
    private let policies = """
          policies:
            - name: kafka-clients
              description: applications reach brokers
              from: {namespaces: [billing, "web-*"], labels: {role: "client*"}}
              to: {namespaces: [kafka]}
              ports: [udp/53, tcp/9092]
              regions: ["us-*"]
            - {name: rest, action: deny, log: true}

        """

    private func digest(_ old: String = "", _ new: String = "") throws -> PolicyDigest {
        let text = try PolicyManifestTests.text(policies)
        return try Sample.parsed(old.isEmpty ? text : text.replacing(first: old, with: new))
            .policyDigest
    }

    /// As Python makes it, with `hashlib.blake2b`, from the description in Docs/Protocol.md.
    @Test func agreesWithAnotherImplementation() throws {
        #expect(try digest().description == "ajuZYeGLRcuLVM8JOFVZsdAcZuIxmIIn4pkf/fm7WfA=")
        #expect(PolicyDigest(bytes: try digest().bytes) == (try digest()))
        #expect(PolicyDigest(bytes: [1]) == nil)
    }

    @Test(arguments: [
        ("isolation: strict", "isolation: open"), ("region: us-west", "region: us-east"),
        ("- name: kafka\n", "- name: kafka\n      regions: [\"us-*\"]\n"),
        ("clusters: [west, east]", "clusters: [west]"), ("      clusters: [west, east]\n", ""),
        ("[billing, \"web-*\"]", "[billing]"), ("role: \"client*\"", "role: client"),
        ("role: \"client*\"", "rule: \"client*\""), ("to: {namespaces: [kafka]}", "to: {}"),
        ("udp/53", "udp/54"), ("      regions: [\"us-*\"]\n", ""),
        ("action: deny", "action: allow"),
        ("log: true", "log: false"), ("name: rest", "name: test"),
    ])
    func whatIsEnforcedShows(_ old: String, _ new: String) throws {
        #expect(try digest(old, new) != digest())
    }

    @Test(arguments: [
        ("version: 3", "version: 4"), ("port: 51820", "port: 51821"), ("  mtu: 1380\n", ""),
        ("persistentKeepalive: 25s", "persistentKeepalive: 26s"),
        ("description: applications reach brokers", "description: other"),
        ("[billing, \"web-*\"]", "[\"web-*\", billing, billing]"),
        ("[udp/53, tcp/9092]", "[tcp/9092, udp/53]"),
        (
            "{name: rest, action: deny, log: true}",
            "{name: rest, from: {}, to: {}, log: true, action: deny}"
        ),
        (
            "    - name: kafka\n    - name: billing\n      clusters: [west, east]\n",
            "    - name: billing\n      clusters: [east, west]\n    - name: kafka\n"
        ),
    ])
    func whatIsNotDoesNot(_ old: String, _ new: String) throws {
        #expect(try digest(old, new) == digest())
    }

    @Test func orderOfPoliciesShows() throws {
        let text = try PolicyManifestTests.text("  policies: [{name: a}, {name: b}]\n")
        let other = try text.replacing(first: "{name: a}, {name: b}", with: "{name: b}, {name: a}")
        #expect(try Sample.parsed(text).policyDigest != Sample.parsed(other).policyDigest)
    }

    /// What a future manifest has, and this gateway does not know, is signed all the same.
    @Test func signaturesCoverUnknownFields() throws {
        func bytes(_ text: String) throws -> [UInt8] {
            let log = ConfigLog(file: "m")
            let root = try #require(ConfigParser.parse(text: text, log: log))
            return ManifestEncoding.signedBytes(of: root)
        }
        let text = try PolicyManifestTests.text(policies)
        let known = try bytes(text)
        for (old, new) in [
            ("  version: 3\n", "  version: 3\n  quotas: {a: 1}\n"),
            ("name: rest,", "name: rest, schedule: night,"),
            ("from: {namespaces", "from: {users: [a], namespaces"),
            ("- name: kafka\n", "- name: kafka\n      owner: x\n"),
        ] {
            #expect(try bytes(text.replacing(first: old, with: new)) != known, "\(new)")
        }
    }
}
