import ConfigFile
import Foundation
import SliceModel
import Testing

/// What the documents show must work.
@Suite struct DocumentTests {
    @Test func theWholeManifestOfTheProtocol() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let protocolText = try String(
            contentsOf: root.appending(path: "Docs/Protocol.md"), encoding: .utf8)
        let parts = protocolText.components(separatedBy: "### 5.6 A whole manifest")
        let section = try #require(parts.last)
        let yaml = try #require(
            section.components(separatedBy: "```yaml\n").dropFirst().first?
                .components(separatedBy: "```").first)
        let owner = try Sample.owner()
        let manifest = try Sample.parsed(SliceManifest.sign(yaml, with: owner, file: "m"))
        try manifest.verify(owner: owner.publicKey)
        #expect(manifest.warnings.map(\.description) == [])
        #expect(manifest.policies.count == 4 && manifest.services.count == 2)
        #expect(manifest.isolation == .strict)
    }
}
