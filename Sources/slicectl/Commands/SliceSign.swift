import ArgumentParser
import ConfigFile
import LinuxNet
import SliceModel

struct SliceSign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Sign a manifest with its owner's key.",
        discussion: """
            Only the `signature` field of the file changes: comments, order and formatting stay. \
            A manifest that is not valid is not signed.

            EXAMPLE
              slicectl slice sign payments.yaml --key payments-owner.key
              slicectl slice sign draft.yaml --key payments-owner.key --output payments.yaml
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The owner's key, from `slicectl keygen --owner`.", valueName: "file"),
        completion: .file())
    var key: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write there (- is standard output) and leave the manifest as it is.",
            valueName: "file"),
        completion: .file())
    var output: String?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let console = global.console
        let text = try Input.manifest(manifest)
        let secret = try SecretFile.read(key)
        let pair = try OwnerKeyPair(fileText: String(decoding: secret, as: UTF8.self))
        let signed = try SliceManifest.sign(text, with: pair, file: manifest)
        let target = output ?? manifest
        let parsed = try SliceManifest.parse(text: signed, file: manifest)
        var summary = ManifestSummary(parsed)
        console.note(of: parsed)
        if target == "-" {
            console.out(signed)
            return
        }
        try TextFile.replace(target, signed)
        summary.file = target
        try console.result(summary) {
            "\(target): signed: \(summary.text)\n"
        }
    }
}

/// What identifies a manifest.
struct ManifestSummary: Encodable {
    var slice: String
    var version: UInt64
    var digest: String
    var owner: String?
    var file: String?
    /// What is allowed and probably not meant.
    var warnings: [String]

    init(_ manifest: SliceManifest, file: String? = nil) {
        slice = manifest.name.text
        version = manifest.version
        digest = ManifestDigest(of: manifest).hex
        owner = manifest.signature?.key.description
        self.file = file
        warnings = manifest.warnings.map(\.description)
    }

    var text: String {
        "slice \(slice), version \(version)" + (owner.map { ", owner \($0)" } ?? "")
    }
}

extension Console {
    /// A manifest's warnings; with --json they are part of the result.
    func note(of manifest: SliceManifest) {
        for warning in manifest.warnings { note("warning: \(warning)") }
    }
}

struct SliceVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a manifest: its content and its signature.",
        discussion: """
            All problems are reported at once, as FILE:LINE:COLUMN. With --owner the signature \
            must be that owner's, as a gateway demands it; without, it must only be whole. \
            Warnings tell what is allowed and probably not meant, such as a policy that never \
            decides; they do not change the exit code.

            EXIT CODES
              0  valid and signed
              1  valid, but not signed, not by this owner, or changed afterwards
              2  not valid

            EXAMPLE
              slicectl slice verify payments.yaml --owner $(slicectl pubkey payments-owner.key)
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @Option(help: ArgumentHelp("The owner's public key.", valueName: "key"))
    var owner: String?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let owner = try owner.map { text in
            guard let key = OwnerPublicKey(text) else {
                throw Failure.usage(
                    "--owner takes an owner's public key: 44 characters of base64",
                    hint: "slicectl pubkey prints it from the owner's key")
            }
            return key
        }
        let parsed = try SliceManifest.parse(text: try Input.manifest(manifest), file: manifest)
        do throws(SignatureProblem) {
            guard let expected = owner ?? parsed.signature?.key else { throw .unsigned }
            try parsed.verify(owner: expected)
        } catch {
            throw Failure(.failed, error.code, "\(manifest): \(error.words)", hint: error.hint)
        }
        global.console.note(of: parsed)
        let summary = ManifestSummary(parsed, file: manifest)
        try global.console.result(summary) { "\(manifest): valid: \(summary.text)\n" }
        if owner == nil {
            global.console.note("note: --owner KEY would check whose signature it is")
        }
    }
}

extension SignatureProblem {
    var code: String {
        switch self {
        case .unsigned: "unsigned"
        case .otherOwner: "otherOwner"
        case .changedAfterSigning: "changedAfterSigning"
        }
    }

    /// Its own words speak of gateway.conf, of which `verify` knows nothing.
    var words: String {
        switch self {
        case .unsigned: "it is not signed"
        case .otherOwner(let key): "it is signed by \(key), another owner"
        case .changedAfterSigning: "it was changed after it was signed"
        }
    }

    var hint: String {
        switch self {
        case .unsigned: "its owner signs it with: slicectl slice sign FILE --key OWNER.key"
        case .otherOwner: "compare the key with `owner` in gateway.conf"
        case .changedAfterSigning: "have its owner look at the change and sign again"
        }
    }
}
