import ConfigFile
import Noise
import SliceModel
import Testing

@Suite struct SignatureTests {
    private func sign(_ text: String, _ owner: OwnerKeyPair) throws -> String {
        try SliceManifest.sign(text, with: owner, file: "m")
    }

    @Test func signedVerifies() throws {
        let owner = try Sample.owner()
        let signed = try sign(Sample.manifest, owner)
        #expect(signed.hasPrefix(Sample.manifest))
        let manifest = try Sample.parsed(signed)
        try manifest.verify(owner: owner.publicKey)
        #expect(throws: SignatureProblem.otherOwner(owner.publicKey)) {
            try manifest.verify(owner: try Sample.owner(2).publicKey)
        }
        #expect(throws: SignatureProblem.unsigned) {
            try Sample.parsed().verify(owner: owner.publicKey)
        }
    }

    /// The sample's signature as Python makes it, with `struct` and the cryptography
    /// package, from the description of the bytes in ManifestEncoding.
    @Test func agreesWithAnotherImplementation() throws {
        let signed = try sign(Sample.manifest, Sample.owner())
        let signature = try #require(Sample.parsed(signed).signature)
        #expect(
            Base64.encode(signature.value)
                == "S1DDDmkC98eh4+H0KUHWl8JAPOP3PPQ7PhvqRKZuI1Ks"
                + "90QpPhEZPuXQD35im/vswp67Vkb+kf/f9GnJRhHQDQ==")
    }

    /// The signature covers what is meant, not how it is written.
    @Test func formattingDoesNotMatter() throws {
        let owner = try Sample.owner()
        let signature = try #require(Sample.parsed(sign(Sample.manifest, owner)).signature)
        // As JSON, with other key order, as it comes back from a Kubernetes API.
        let json = """
            {"spec":{"namespaces":[{"name":"kafka"},{"clusters":["west","east"],"name":"billing"}],
            "prefixes":["10.80.0.0/16","fd00:80::/48"],"mtu":1380,"port":51820,"isolation":"open",
            "version":3,"clusters":[
            {"region":"us-west","name":"west","prefixes":["10.80.1.0/24","fd00:80:0:1::/64"],
            "gateways":
            [{"publicKey":"\(Sample.keyWest)","endpoints":["192.0.2.1:51820","[2001:db8::1]:51820"],
            "name":"gw-west"}]},
            {"name":"central","region":"eu-central","prefixes":["10.80.2.0/24","fd00:80:0:2::/64"],
            "gateways":[{"name":"gw-central","publicKey":"\(Sample.keyCentral)","endpoints":
            ["gw.central.example.net:51820"],"persistentKeepalive":"25s"}]},
            {"name":"east","region":"ap-east-1","prefixes":["10.80.3.0/24","fd00:80:0:3::/64"],
            "gateways":[{"name":"gw-east","publicKey":"\(Sample.keyEast)"}]}]},
            "signature":{"value":"\(Base64.encode(signature.value))","key":"\(signature.key)"},
            "metadata":{"name":"payments"},"kind":"Slice","apiVersion":"slice-gateway.dev/v1alpha1"}
            """
        let manifest = try Sample.parsed(json)
        try manifest.verify(owner: owner.publicKey)
        #expect(ManifestDigest(of: manifest) == ManifestDigest(of: try Sample.parsed()))
    }

    @Test(arguments: [
        ("version: 3", "version: 4"), ("payments", "payment"), ("port: 51820", "port: 51821"),
        ("  mtu: 1380\n", ""), ("clusters: [west, east]", "clusters: [west]"),
        ("      clusters: [west, east]\n", ""),
        ("persistentKeepalive: 25s", "persistentKeepalive: 26s"),
        ("    - name: kafka\n", "    - name: kafka\n    - name: more\n"), ("us-west", "us-east"),
    ])
    func anyChangeOfMeaningIsSeen(_ old: String, _ new: String) throws {
        let owner = try Sample.owner()
        let changed = try sign(Sample.manifest, owner).replacing(first: old, with: new)
        #expect(throws: SignatureProblem.changedAfterSigning) {
            try Sample.parsed(changed).verify(owner: owner.publicKey)
        }
    }

    /// Every byte of a signed manifest, changed: refused, or the same meaning.
    @Test func everyByteChanged() throws {
        let owner = try Sample.owner()
        let signed = try sign(Sample.manifest, owner)
        let original = try Sample.parsed(signed)
        let bytes = Array(signed.utf8)
        var random = SplitMix64(seed: 7)
        var accepted = 0
        for index in bytes.indices {
            for flip in [UInt8(1), 32, UInt8.random(in: 1...255, using: &random)] {
                var changed = bytes
                changed[index] ^= flip
                let manifest = changed.withUnsafeBytes { try? SliceManifest.parse($0, file: "m") }
                guard let manifest, (try? manifest.verify(owner: owner.publicKey)) != nil else {
                    continue
                }
                accepted += 1
                #expect(manifest.signedBytes == original.signedBytes)
                #expect(
                    manifest.clusters == original.clusters && manifest.version == original.version)
                #expect(manifest.prefixes == original.prefixes && manifest.name == original.name)
            }
        }
        // Comments may change, and little else.
        #expect(accepted > 0 && accepted < 200, "\(accepted)")
    }

    @Test func everyTruncationIsRefused() throws {
        let owner = try Sample.owner()
        let bytes = Array(try sign(Sample.manifest, owner).utf8)
        for count in 0..<bytes.count - 1 {
            bytes.prefix(count).withUnsafeBytes { part in
                let manifest = try? SliceManifest.parse(part, file: "m")
                #expect((try? manifest?.verify(owner: owner.publicKey)) == nil)
            }
        }
    }

    // MARK: Placing it in the text

    @Test func replacesTheOldOneAndNothingElse() throws {
        let first = try Sample.owner(1)
        let second = try Sample.owner(2)
        let once = try sign(Sample.manifest, first)
        #expect(try sign(once, first) == once)
        let twice = try sign(once, second)
        #expect(twice == (try sign(Sample.manifest, second)))
        try Sample.parsed(twice).verify(owner: second.publicKey)
    }

    @Test(arguments: [
        // In the middle, with comments around it; damaged; empty; in flow; unfinished.
        "signature:\n  key: x # old\n  value: y\n", "signature: {}\n",
        "signature: {key: a, value: b}\n",
        "signature:\n", "signature: old # why\n", "signature: |\n  some\n  text\n",
        "\"signature\": 'x'\n",
        "signature: [a,\n  b]\n", "signature:\n  # inside\n  key: x\n",
    ])
    func replacesAnything(_ old: String) throws {
        let owner = try Sample.owner()
        let before = "# first\n" + old + "# é after\n"
        let signed = try sign(before + Sample.manifest, owner)
        try Sample.parsed(signed).verify(owner: owner.publicKey)
        #expect(signed.hasPrefix("# first\nsignature:\n  key: "))
        #expect(signed.hasSuffix("# é after\n" + Sample.manifest))
    }

    @Test func endOfTextIsFound() throws {
        let owner = try Sample.owner()
        let body = String(Sample.manifest.dropLast())
        #expect(try sign(body, owner) == sign(Sample.manifest, owner))
        let ended = try sign(Sample.manifest + "...\n# after\n", owner)
        #expect(ended.hasSuffix("...\n# after\n"))
        try Sample.parsed(ended).verify(owner: owner.publicKey)
        let headed = try sign("---\n" + Sample.manifest, owner)
        try Sample.parsed(headed).verify(owner: owner.publicKey)
        let windows = Sample.manifest.split(separator: "\n", omittingEmptySubsequences: false)
            .joined(separator: "\r\n")
        let signed = try sign(windows, owner)
        #expect(signed.hasPrefix(windows))
        #expect(signed.utf8.filter { $0 == 10 }.count == signed.utf8.filter { $0 == 13 }.count)
        try Sample.parsed(signed).verify(owner: owner.publicKey)
        #expect(try sign(signed, owner) == signed)
    }

    @Test func flowDocumentIsRefusedWithAdvice() {
        let found = problems { () throws(ConfigProblems) in
            guard let owner = OwnerKeyPair(seed: [UInt8](repeating: 1, count: 32)) else {
                return ""
            }
            return try SliceManifest.sign("{\"kind\": \"Slice\"}", with: owner, file: "m")
        }
        #expect(found.first?.contains("must be in block style") == true)
    }

    // MARK: Keys

    /// RFC 8032 section 7.1, test 1.
    @Test func knownKeyAndSignature() throws {
        let seed = try #require(
            Base64.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))
        let pair = try #require(OwnerKeyPair(seed: seed))
        #expect(pair.publicKey.description == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        let signature = pair.sign([])
        #expect(signature.prefix(4) == [0xe5, 0x56, 0x43, 0x00] && signature.count == 64)
        #expect(pair.publicKey.verifies(signature, of: []))
        #expect(!pair.publicKey.verifies(signature, of: [0]))
        #expect(!pair.publicKey.verifies(Array(signature.dropLast()), of: []))
        for index in signature.indices {
            var changed = signature
            changed[index] ^= 1
            #expect(!pair.publicKey.verifies(changed, of: []))
        }
    }

    @Test func keyFileRoundTrips() throws {
        let pair = OwnerKeyPair.generate(from: .seeded(5))
        let again = try OwnerKeyPair(fileText: pair.fileText)
        #expect(again.publicKey == pair.publicKey)
        #expect(pair.publicKey.verifies(again.sign([1, 2, 3]), of: [1, 2, 3]))
        #expect(OwnerKeyPair.generate(from: .seeded(6)).publicKey != pair.publicKey)
    }

    @Test(arguments: ["", "#\n", "hello", "slice-owner-private-key-v2 AAAA"])
    func otherFilesAreNoKeys(_ text: String) {
        #expect(throws: OwnerKeyProblem.notAnOwnerKey) { try OwnerKeyPair(fileText: text) }
    }

    @Test(arguments: ["slice-owner-private-key-v1 AAAA", "slice-owner-private-key-v1 %%%%"])
    func damagedKeys(_ text: String) {
        #expect(throws: OwnerKeyProblem.damaged) { try OwnerKeyPair(fileText: text) }
    }

    @Test func badOwnerKeysAreRefused() {
        #expect(OwnerPublicKey(bytes: [UInt8](repeating: 0, count: 32)) == nil)
        #expect(OwnerPublicKey(bytes: [1] + [UInt8](repeating: 0, count: 31)) == nil)
        #expect(OwnerPublicKey(bytes: [UInt8](repeating: 255, count: 32)) == nil)
        #expect(OwnerPublicKey("short") == nil)
    }

    @Test func base64IsStrict() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 200) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
        // RFC 4648 section 10.
        #expect(Base64.encode(Array("foobar".utf8)) == "Zm9vYmFy")
        #expect(Base64.encode(Array("fooba".utf8)) == "Zm9vYmE=")
        #expect(Base64.encode(Array("f".utf8)) == "Zg==")
        for text in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9vYmF=", "=", "====", "Z===", "Zg==Zg==", "Zm9 ", "Zm9-",
        ] {
            #expect(Base64.decode(text) == nil, "\(text)")
        }
    }
}
