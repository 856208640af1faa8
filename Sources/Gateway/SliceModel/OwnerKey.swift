import CSodium
import Noise

/// Who may say what a slice is: an Ed25519 public key (RFC 8032).
package struct OwnerPublicKey: Hashable, Sendable, CustomStringConvertible {
    /// Always 32.
    package let bytes: [UInt8]

    /// Nil unless the bytes are a point of the right order: anything else could make a signature
    /// that several keys, or any message, would satisfy.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Int(crypto_sign_PUBLICKEYBYTES), Sodium.isReady,
            crypto_core_ed25519_is_valid_point(bytes) == 1
        else { return nil }
        self.bytes = bytes
    }

    package init?(_ base64: String) {
        guard base64.utf8.count == 44, let bytes = Base64.decode(base64) else { return nil }
        self.init(bytes: bytes)
    }

    package var description: String { Base64.encode(bytes) }

    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == Int(crypto_sign_BYTES), Sodium.isReady else { return false }
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }
}

enum Sodium {
    /// libsodium picks its implementations once; 1 means that it already had.
    static let isReady = sodium_init() >= 0
}

/// The owner's key pair. The secret half is wiped when the last reference goes.
package final class OwnerKeyPair: Sendable {
    package let publicKey: OwnerPublicKey
    private let secret: WipedBytes

    package static let seedBytes = 32

    /// From the 32 secret bytes that everything else follows from. The caller wipes its copy.
    package init?(seed: [UInt8]) {
        guard seed.count == Self.seedBytes, Sodium.isReady else { return nil }
        let secret = WipedBytes(count: Int(crypto_sign_SECRETKEYBYTES))
        var publicBytes = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
        let made = secret.withBytes { crypto_sign_seed_keypair(&publicBytes, $0, seed) }
        guard made == 0, let publicKey = OwnerPublicKey(bytes: publicBytes) else { return nil }
        self.publicKey = publicKey
        self.secret = secret
    }

    package static func generate(from entropy: Entropy) -> OwnerKeyPair {
        var seed = [UInt8](repeating: 0, count: seedBytes)
        defer { sodium_memzero(&seed, seed.count) }
        seed.withUnsafeMutableBytes { entropy.fill($0) }
        guard let pair = OwnerKeyPair(seed: seed) else {
            preconditionFailure("libsodium does not start on this machine")
        }
        return pair
    }

    package func sign(_ message: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
        let made = secret.withBytes {
            crypto_sign_detached(&signature, nil, message, UInt64(message.count), $0)
        }
        precondition(made == 0, "Ed25519 signing does not fail")
        return signature
    }

    // The key file: comments for the human who finds it, then one line.
    private static let label = "slice-owner-private-key-v1 "

    package var fileText: String {
        var seed = secret.withBytes { Array(UnsafeBufferPointer(start: $0, count: Self.seedBytes)) }
        defer { sodium_memzero(&seed, seed.count) }
        return """
            # The owner key of a slice. Whoever has it decides what the slice is: keep it secret,
            # keep a copy, and keep it off the gateways.
            # public key: \(publicKey)
            \(Self.label)\(Base64.encode(seed))

            """
    }

    package init(fileText: String) throws(OwnerKeyProblem) {
        let lines = fileText.split(whereSeparator: \.isNewline)
            .map { $0.drop { $0 == " " || $0 == "\t" } }
            .filter { !$0.isEmpty && $0.first != "#" }
        guard lines.count == 1, let line = lines.first, line.hasPrefix(Self.label) else {
            throw .notAnOwnerKey
        }
        var text = line.dropFirst(Self.label.count)
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        guard var seed = Base64.decode(text), seed.count == Self.seedBytes else { throw .damaged }
        defer { sodium_memzero(&seed, seed.count) }
        guard let pair = OwnerKeyPair(seed: seed) else { throw .damaged }
        publicKey = pair.publicKey
        secret = pair.secret
    }
}

package enum OwnerKeyProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case notAnOwnerKey
    case damaged

    package var description: String {
        switch self {
        case .notAnOwnerKey:
            "this is not an owner key file: it needs one line that begins with "
                + "slice-owner-private-key-v1 (make one with `slicectl keygen --owner`)"
        case .damaged: "the owner key in this file is damaged: it must be 32 bytes in base64"
        }
    }
}

/// Secret bytes outside Swift's copying arrays, wiped at the end. Written once, before they are
/// shared.
final class WipedBytes: @unchecked Sendable {
    private let pointer: UnsafeMutablePointer<UInt8>
    private let count: Int

    init(count: Int) {
        pointer = .allocate(capacity: count)
        pointer.initialize(repeating: 0, count: count)
        self.count = count
    }

    func withBytes<Result>(_ body: (UnsafeMutablePointer<UInt8>) -> Result) -> Result {
        withExtendedLifetime(self) { body(pointer) }
    }

    deinit {
        sodium_memzero(pointer, count)
        pointer.deallocate()
    }
}
