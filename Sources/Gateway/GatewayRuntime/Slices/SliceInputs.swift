import ConfigFile
import LinuxNet
import Noise
import SliceModel

/// Everything a slice is made from, read and checked before anything is touched.
struct SliceInputs {
    var manifest: SliceManifest
    /// The document, to be stored when it is newer than what is stored.
    var document: [UInt8]?
    var plan: SlicePlan
    var privateKey: PrivateKey
    var presharedKeys: [ClusterName: PresharedKey]
    var state: SliceState
    /// What is wrong with the files, though the slice can run.
    var warnings: [String]

    init(_ config: GatewayConfig.Slice, _ environment: SliceEnvironment) throws {
        let chosen = try Self.chooseManifest(config, environment.stateDirectory)
        try self.init(chosen, config, environment)
    }

    /// The version accepted before, for when a newer one cannot be stored: a version in force
    /// that a restart does not find again would be taken back by it. Nil if there is none.
    func accepted(
        _ config: GatewayConfig.Slice, _ environment: SliceEnvironment, because error: any Error
    ) throws -> SliceInputs? {
        guard
            let stored = Self.accepted(manifest.name, config.owner, environment.stateDirectory)
        else { return nil }
        let warnings =
            SliceFailure.lines(error) + [
                "version \(stored.version), accepted before, stays in force: mend that, then reload"
            ]
        return try SliceInputs(Chosen(manifest: stored, warnings: warnings), config, environment)
    }

    private init(
        _ chosen: Chosen, _ config: GatewayConfig.Slice, _ environment: SliceEnvironment
    ) throws {
        manifest = chosen.manifest
        document = chosen.document
        warnings = chosen.warnings
        state = SliceState(
            stateDirectory: environment.stateDirectory, slice: manifest.name)
        privateKey = try Self.privateKey(config.privateKeyFile)
        plan = try Self.plan(manifest, config, environment.cluster, privateKey)
        presharedKeys = [:]
        for entry in config.presharedKeyFiles {
            presharedKeys[entry.cluster] = try Self.presharedKey(entry.path)
            if !plan.peers.contains(where: { $0.cluster == entry.cluster }) {
                warnings.append(
                    "gateway.conf names a pre-shared key with `\(entry.cluster)`, which the "
                        + "manifest does not have")
            }
        }
    }

    /// The plan, if this gateway can follow it.
    static func plan(
        _ manifest: SliceManifest, _ config: GatewayConfig.Slice, _ cluster: ClusterName,
        _ key: PrivateKey
    ) throws -> SlicePlan {
        let plan = try SlicePlan(manifest, local: cluster, listenPort: config.listenPort)
        guard plan.publicKey == key.publicKey else {
            throw SliceFailure(
                "the key in \(config.privateKeyFile) has the public key \(key.publicKey), and the "
                    + "manifest of slice \(manifest.name) says that cluster \(cluster) has "
                    + "\(plan.publicKey): put the one into the manifest and sign it again, or "
                    + "the other's private key into the file")
        }
        if let peer = plan.peers.first(where: { !$0.cipher.isAvailable }) {
            throw SliceFailure(
                "the manifest of slice \(manifest.name) wants \(peer.cipher.rawValue) between "
                    + "\(cluster) and \(peer.cluster), and this CPU has no AES instructions: take "
                    + "`cipher` away from this cluster's gateway in the manifest and sign it again")
        }
        return plan
    }

    // MARK: Manifest

    private struct Chosen {
        var manifest: SliceManifest
        var document: [UInt8]?
        var warnings: [String] = []
    }

    /// The newer of the file and of what was accepted before.
    private static func chooseManifest(
        _ config: GatewayConfig.Slice, _ stateDirectory: String
    ) throws -> Chosen {
        let path = config.manifest
        let bytes: [UInt8]
        let candidate: SliceManifest
        do {
            bytes = try File.read(path, limitBytes: ManifestLimits.document.bytes)
            candidate = try bytes.withUnsafeBytes { try SliceManifest.parse($0, file: path) }
        } catch {
            // What is in force stays in force when somebody damages the file.
            guard let stored = accepted(from: path, config.owner, stateDirectory) else {
                throw error
            }
            return Chosen(
                manifest: stored,
                warnings: SliceFailure.lines(error) + [
                    "version \(stored.version), accepted before, stays in force"
                ])
        }
        let stored = accepted(candidate.name, config.owner, stateDirectory)
        let decision = ManifestAcceptance.decide(
            candidate, owner: config.owner, current: stored.map { AcceptedManifest($0) })
        switch decision {
        case .accept: return Chosen(manifest: candidate, document: bytes)
        case .same: return Chosen(manifest: candidate)
        case .refuse(let refusal):
            guard let stored else { throw SliceFailure("\(path): \(refusal)") }
            // A newer one came through the admin interface: that is no mistake.
            if case .older = refusal { return Chosen(manifest: stored) }
            return Chosen(
                manifest: stored,
                warnings: [
                    "\(path): \(refusal)",
                    "version \(stored.version), accepted before, stays in force",
                ])
        }
    }

    private static func accepted(
        _ slice: SliceName, _ owner: OwnerPublicKey, _ stateDirectory: String
    ) -> SliceManifest? {
        let state = SliceState(stateDirectory: stateDirectory, slice: slice)
        guard let stored = try? state.manifest(), (try? stored.verify(owner: owner)) != nil,
            stored.name == slice
        else { return nil }
        return stored
    }

    private static func accepted(
        from path: String, _ owner: OwnerPublicKey, _ stateDirectory: String
    ) -> SliceManifest? {
        SliceState.all(stateDirectory).first { $0.source.manifest == path }
            .flatMap { accepted($0.slice, owner, stateDirectory) }
    }

    // MARK: Keys

    private static func privateKey(_ path: String) throws -> PrivateKey {
        var bytes = try SecretFile.read(path, limitBytes: 4096)
        defer { wipe(&bytes) }
        guard let key = PrivateKey(base64: word(bytes)) else {
            throw SliceFailure(
                "\(path) is no private key: it must hold 44 characters of base64, as "
                    + "`slicectl keygen` writes them")
        }
        return key
    }

    private static func presharedKey(_ path: String) throws -> PresharedKey {
        var bytes = try SecretFile.read(path, limitBytes: 4096)
        defer { wipe(&bytes) }
        guard let key = PresharedKey(base64: word(bytes)), !key.isNone else {
            throw SliceFailure(
                "\(path) is no pre-shared key: it must hold 44 characters of base64, as "
                    + "`wg genpsk` writes them")
        }
        return key
    }

    /// The first line that is no comment, without what surrounds it.
    private static func word(_ bytes: [UInt8]) -> String {
        let lines = bytes.split(separator: 10).map { line in
            line.filter { $0 > 32 && $0 != 127 }
        }
        return String(decoding: lines.first { !$0.isEmpty && $0[0] != 35 } ?? [], as: UTF8.self)
    }

    private static func wipe(_ bytes: inout [UInt8]) {
        for index in bytes.indices { bytes[index] = 0 }
    }
}
