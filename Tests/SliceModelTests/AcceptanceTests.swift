import Noise
import SliceModel
import Testing

@Suite struct AcceptanceTests {
    private func signed(_ old: String = "version: 3", _ new: String = "version: 3") throws
        -> SliceManifest
    {
        let text = try Sample.manifest.replacing(first: old, with: new)
        return try Sample.parsed(SliceManifest.sign(text, with: Sample.owner(), file: "m"))
    }

    @Test func firstNewerSame() throws {
        let owner = try Sample.owner().publicKey
        let third = try signed()
        let current = AcceptedManifest(third)
        #expect(ManifestAcceptance.decide(third, owner: owner, current: nil) == .accept(current))
        #expect(ManifestAcceptance.decide(third, owner: owner, current: current) == .same)
        let fourth = try signed("version: 3", "version: 4")
        #expect(
            ManifestAcceptance.decide(fourth, owner: owner, current: current)
                == .accept(AcceptedManifest(fourth)))
    }

    @Test func refusals() throws {
        let owner = try Sample.owner().publicKey
        let current = AcceptedManifest(try signed())
        func refusal(_ manifest: SliceManifest, _ owner: OwnerPublicKey) -> ManifestRefusal? {
            guard
                case .refuse(let why) = ManifestAcceptance.decide(
                    manifest, owner: owner, current: current)
            else { return nil }
            return why
        }
        #expect(refusal(try signed("version: 3", "version: 2"), owner) == .older(2, than: 3))
        #expect(
            refusal(try signed("mtu: 1380", "mtu: 1390"), owner) == .differentContent(version: 3))
        #expect(
            refusal(try signed("name: payments", "name: other"), owner)
                == .otherSlice(try Sample.name("other"), expected: try Sample.name("payments")))
        #expect(refusal(try Sample.parsed(), owner) == .signature(.unsigned))
        let stranger = try Sample.owner(9).publicKey
        #expect(refusal(try signed(), stranger) == .signature(.otherOwner(owner)))
        // The owner comes first: a stranger's old version is a stranger's.
        #expect(
            refusal(try signed("version: 3", "version: 1"), stranger)
                == .signature(.otherOwner(owner)))
        var tampered = try signed("version: 3", "version: 9")
        tampered.signedBytes[40] ^= 1
        #expect(refusal(tampered, owner) == .signature(.changedAfterSigning))
    }

    @Test func explanationsSayWhatToDo() throws {
        #expect(
            ManifestRefusal.older(2, than: 3).description.contains("raise spec.version above 3"))
        #expect(ManifestRefusal.differentContent(version: 3).description.contains("to 4 and sign"))
        #expect(SignatureProblem.unsigned.description.contains("slicectl slice sign"))
    }
}
