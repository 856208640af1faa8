import SliceModel
import Testing

/// The fuzzers' entry points over what they would start from, so that each runs in every test.
@Suite struct FuzzTests {
    private func mutations(of text: String, seed: UInt64, _ body: (UnsafeRawBufferPointer) -> Void)
    {
        let bytes = Array(text.utf8)
        var random = SplitMix64(seed: seed)
        let tokens = [
            "&a ", "*a", "!!x ", "---\n", "\t", "\"", "'", "[", "]", "{", "}", ": ", "- ", "\0",
            "|\n", "#", "\u{2028}", "/0", "99999999999999999999",
        ]
        for _ in 0..<1500 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<max(1, changed.count), using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    if !changed.isEmpty {
                        changed[place] = UInt8.random(in: 0...255, using: &random)
                    }
                case 1:
                    let token = tokens.randomElement(using: &random) ?? ""
                    changed.insert(contentsOf: Array(token.utf8), at: min(place, changed.count))
                case 2:
                    let end = min(changed.count, place + Int.random(in: 1...40, using: &random))
                    if place < end { changed.removeSubrange(place..<end) }
                default:
                    let end = min(changed.count, place + Int.random(in: 1...200, using: &random))
                    if place < end {
                        changed.insert(contentsOf: Array(changed[place..<end]), at: place)
                    }
                }
            }
            changed.withUnsafeBytes(body)
        }
    }

    @Test func manifests() throws {
        let signed = try SliceManifest.sign(Sample.manifest, with: Sample.owner(), file: "m")
        #expect(Array(signed.utf8).withUnsafeBytes { ManifestFuzz.run($0) })
        var accepted = 0
        let strict = try PolicyManifestTests.text(PolicyManifestTests.full)
        #expect(Array(strict.utf8).withUnsafeBytes { ManifestFuzz.run($0) })
        mutations(of: strict, seed: 14) { ManifestFuzz.run($0) }
        mutations(of: signed, seed: 11) { if ManifestFuzz.run($0) { accepted += 1 } }
        #expect(accepted > 10 && accepted < 1200)
    }

    @Test func configurations() {
        let text =
            "cluster: w\nslices: []\nlimits: {maxSlices: 3}\nlogLevel: info\n"
            + "dns: {zone: a.b, forward: [1.0.0.1, \"[fd00::1]:53\"]}\nhttp: {listen: 1.0.0.1:1}\n"
        #expect(Array(text.utf8).withUnsafeBytes { GatewayConfigFuzz.run($0) })
        mutations(of: text, seed: 12) { GatewayConfigFuzz.run($0) }
    }

    @Test func books() {
        let text = """
            {version: 1, leases: [
            {namespace: a, endpoint: b, addresses: [10.80.1.2, "fd00:80:1::2"], attached: true,
            step: 4},
            {namespace: a, endpoint: c, addresses: [10.80.1.3], attached: false, step: 9}]}
            """
        #expect(Array(text.utf8).withUnsafeBytes { AddressBookFuzz.run($0) })
        mutations(of: text, seed: 13) { AddressBookFuzz.run($0) }
    }
}
