import ArgumentParser
import Glibc
import LinuxNet
import Noise
import SliceModel

struct Keygen: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a secret key.",
        discussion: """
            Without --output the secret goes to standard output, as `wg genkey` does it. With \
            it, the secret goes to a file that only its owner can read, and the public key is \
            printed.

            EXAMPLES
              slicectl keygen --owner --output payments-owner.key     the slice's owner, kept safe
              slicectl keygen --output /etc/slice-gateway/payments.key     one per gateway
              slicectl keygen --preshared --output payments-east.psk     a further secret of two
              slicectl keygen | tee west.key | slicectl pubkey
            """)

    enum Kind: String, EnumerableFlag, Encodable {
        case gateway, owner, preshared

        static func help(for value: Kind) -> ArgumentHelp? {
            switch value {
            case .gateway: "A gateway's private key (this is what is made otherwise)."
            case .owner: "The key of a slice's owner, which signs its manifest."
            case .preshared: "A pre-shared key for two gateways; it has no public half."
            }
        }
    }

    @Flag(exclusivity: .exclusive) var kind: Kind = .gateway

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Write the key there.", valueName: "file"),
        completion: .file())
    var output: String?

    @Flag(help: "Replace the file if there is one. What the old key opened stays closed then.")
    var force = false

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    struct Result: Encodable {
        var kind: Kind
        var publicKey: String?
        /// Where the secret is; or the secret itself, if no file was named.
        var file: String?
        var secret: String?
    }

    func run() async throws {
        let console = global.console
        let (secret, publicKey) = make()
        guard let output else {
            if console.isJSON {
                var bare = secret
                // One line is a value; the owner's file is several.
                if kind != .owner { bare.removeLast() }
                try console.result(Result(kind: kind, publicKey: publicKey, secret: bare)) { "" }
                return
            }
            console.out(secret)
            if let publicKey, console.errorIsTerminal { console.note("public key: \(publicKey)") }
            return
        }
        try write(secret, to: output)
        try console.result(Result(kind: kind, publicKey: publicKey, file: output)) {
            publicKey.map { "\($0)\n" } ?? ""
        }
        console.note("\(noun) written to \(output)")
    }

    private var noun: String {
        switch kind {
        case .gateway: "private key"
        case .owner: "owner key"
        case .preshared: "pre-shared key"
        }
    }

    private func make() -> (secret: String, publicKey: String?) {
        switch kind {
        case .gateway:
            let key = PrivateKey(from: .system)
            return (key.base64 + "\n", key.publicKey.base64)
        case .owner:
            let pair = OwnerKeyPair.generate(from: .system)
            return (pair.fileText, pair.publicKey.description)
        case .preshared: return (PresharedKey(from: .system).base64 + "\n", nil)
        }
    }

    private func write(_ secret: String, to path: String) throws {
        if force {
            try SecretFile.write(path, Array(secret.utf8))
            return
        }
        // Taking the name first, so that of two who write at once one is told.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST {
                throw Failure(
                    .conflict, "conflict", "\(path) is there already, and was not touched",
                    hint: "choose another name, or replace it with --force")
            }
            throw LinuxError("create", path, errno: errno)
        }
        close(descriptor)
        do {
            try SecretFile.write(path, Array(secret.utf8))
        } catch {
            unlink(path)
            throw error
        }
    }
}

struct Pubkey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the public half of a secret key.",
        discussion: """
            Reads a gateway's private key or an owner's key, from a file or from standard input, \
            and finds out which it is. The public key of a gateway goes into the manifest, the \
            owner's into gateway.conf.

            EXAMPLES
              slicectl pubkey /etc/slice-gateway/payments.key
              slicectl pubkey < payments-owner.key
            """)

    @Argument(help: "The key's file; standard input otherwise.", completion: .file())
    var file: String?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    struct Result: Encodable {
        var kind: Keygen.Kind
        var publicKey: String
    }

    func run() async throws {
        let bytes = try file.map { try SecretFile.read($0) } ?? Input.read(limitBytes: 65_536)
        let result = try Self.publicKey(of: String(decoding: bytes, as: UTF8.self))
        try global.console.result(result) { result.publicKey + "\n" }
    }

    static func publicKey(of text: String) throws -> Result {
        if text.contains("slice-owner-private-key") {
            let pair = try OwnerKeyPair(fileText: text)
            return Result(kind: .owner, publicKey: pair.publicKey.description)
        }
        guard let key = KeyFile.privateKey(text) else {
            throw Failure(
                .invalid, "invalidKey", "this is no private key",
                hint: "it must be 44 characters of base64, as `slicectl keygen` writes them")
        }
        return Result(kind: .gateway, publicKey: key.publicKey.base64)
    }
}

/// What stands in the files of `keygen`, with the white space around it that editors leave.
enum KeyFile {
    static func privateKey(_ text: String) -> PrivateKey? { PrivateKey(base64: trimmed(text)) }
    static func presharedKey(_ text: String) -> PresharedKey? {
        PresharedKey(base64: trimmed(text))
    }

    private static func trimmed(_ text: String) -> String {
        var rest = text[...]
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        return String(rest)
    }
}
