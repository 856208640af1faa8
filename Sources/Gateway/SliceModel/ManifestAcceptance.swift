/// What a gateway remembers of the manifest it runs.
package struct AcceptedManifest: Hashable, Sendable {
    package var name: SliceName
    package var version: UInt64
    package var digest: ManifestDigest

    package init(name: SliceName, version: UInt64, digest: ManifestDigest) {
        self.name = name
        self.version = version
        self.digest = digest
    }

    package init(_ manifest: SliceManifest) {
        self.init(
            name: manifest.name, version: manifest.version, digest: ManifestDigest(of: manifest))
    }
}

package enum ManifestRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case signature(SignatureProblem)
    case otherSlice(SliceName, expected: SliceName)
    case older(UInt64, than: UInt64)
    case differentContent(version: UInt64)

    package var description: String {
        switch self {
        case .signature(let problem): problem.description
        case .otherSlice(let name, let expected):
            "the manifest is for slice `\(name)`, and this gateway holds slice `\(expected)` here"
        case .older(let version, let current):
            "the manifest has version \(version), and version \(current) is in force already: "
                + "raise spec.version above \(current) and sign again"
        case .differentContent(let version):
            "another manifest with the same version \(version) is in force: raise spec.version "
                + "to \(version &+ 1) and sign again, so that all gateways agree which is newer"
        }
    }
}

package enum ManifestDecision: Hashable, Sendable {
    /// New here, or newer than what is in force.
    case accept(AcceptedManifest)
    /// What is in force already.
    case same
    case refuse(ManifestRefusal)
}

/// Whether a manifest that arrived, from a file or from a peer, takes the place of the current.
/// The signature comes first: of what the owner did not sign, nothing else is worth saying.
package enum ManifestAcceptance {
    package static func decide(
        _ candidate: SliceManifest, owner: OwnerPublicKey, current: AcceptedManifest?
    ) -> ManifestDecision {
        do throws(SignatureProblem) {
            try candidate.verify(owner: owner)
        } catch {
            return .refuse(.signature(error))
        }
        let accepted = AcceptedManifest(candidate)
        guard let current else { return .accept(accepted) }
        guard current.name == accepted.name else {
            return .refuse(.otherSlice(accepted.name, expected: current.name))
        }
        if accepted.version < current.version {
            return .refuse(.older(accepted.version, than: current.version))
        }
        if accepted.version == current.version {
            return accepted.digest == current.digest
                ? .same : .refuse(.differentContent(version: current.version))
        }
        return .accept(accepted)
    }
}
