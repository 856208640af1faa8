import CSodium

/// A Curve25519 private key, clamped. Its bytes live in one place and are wiped with the last
/// reference. It never prints itself; `base64` and `hex` are for writing key files.
package final class PrivateKey: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private let secret: SecretBytes
    package let publicKey: PublicKey

    package static let size = 32

    /// `bytes` are clamped as RFC 7748 section 5 says. All zero is refused: on the configuration
    /// socket it stands for "no key".
    package convenience init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, let base = bytes.baseAddress else { return nil }
        self.init(checking: SecretBytes(copying: base, count: 32))
    }

    package convenience init?(bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        let secret = SecretBytes(count: 32) { key in
            bytes.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(start: key, count: 32).copyMemory(from: source)
            }
        }
        self.init(checking: secret)
    }

    package convenience init?(base64 text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeBase64(text, into: $0) }
        guard decoded else { return nil }
        self.init(checking: secret)
    }

    package convenience init?(hex text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeHex(text, into: $0) }
        guard decoded else { return nil }
        self.init(checking: secret)
    }

    /// A fresh key.
    package convenience init(from entropy: Entropy) {
        self.init(
            clamping: SecretBytes(count: 32) { key in
                entropy.fill(UnsafeMutableRawBufferPointer(start: key, count: 32))
            })
    }

    private convenience init?(checking secret: SecretBytes) {
        guard !secret.isZero else { return nil }
        self.init(clamping: secret)
    }

    private init(clamping source: SecretBytes) {
        let secret = SecretBytes(count: 32) { key in
            source.withPointer { key.copyMemory(from: $0, byteCount: 32) }
            let bytes = UnsafeMutableRawBufferPointer(start: key, count: 32)
            bytes[0] &= 248
            bytes[31] = bytes[31] & 127 | 64
        }
        self.secret = secret
        publicKey = PublicKey(
            Bytes32 { key in
                _ = secret.withPointer { secret in
                    crypto_scalarmult_curve25519_base(
                        key.assumingMemoryBound(to: UInt8.self),
                        secret.assumingMemoryBound(to: UInt8.self))
                }
            })
    }

    /// The 32 secret bytes, for the time of `body`.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        secret.withBytes(body)
    }

    /// X25519 with `remote`; false if `remote` is of low order.
    package func diffieHellman(_ remote: PublicKey, into shared: UnsafeMutableRawPointer) -> Bool {
        secret.withPointer { secret in
            remote.raw.withPointer { Sodium.diffieHellman(secret, $0, into: shared) }
        }
    }

    package var base64: String { secret.withPointer(KeyText.base64) }
    package var hex: String { secret.withPointer(KeyText.hex) }
    package var description: String { "PrivateKey(hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package static func == (a: PrivateKey, b: PrivateKey) -> Bool {
        a.secret.withPointer { a in b.secret.withPointer { b in Sodium.equal(a, b, 32) } }
    }
}

/// The optional symmetric key mixed into the handshake (Noise psk2). All zero means none, and
/// is mixed in all the same, as WireGuard does.
package final class PresharedKey: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private let secret: SecretBytes

    package static let size = 32
    package static let none = PresharedKey(SecretBytes(count: 32) { _ in })

    private init(_ secret: SecretBytes) { self.secret = secret }

    package convenience init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, let base = bytes.baseAddress else { return nil }
        self.init(SecretBytes(copying: base, count: 32))
    }

    package convenience init?(bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        self.init(
            SecretBytes(count: 32) { key in
                bytes.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(start: key, count: 32).copyMemory(from: source)
                }
            })
    }

    package convenience init?(base64 text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeBase64(text, into: $0) }
        guard decoded else { return nil }
        self.init(secret)
    }

    package convenience init?(hex text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeHex(text, into: $0) }
        guard decoded else { return nil }
        self.init(secret)
    }

    package convenience init(from entropy: Entropy) {
        self.init(
            SecretBytes(count: 32) { key in
                entropy.fill(UnsafeMutableRawBufferPointer(start: key, count: 32))
            })
    }

    package var isNone: Bool { secret.isZero }

    /// The 32 secret bytes, for the time of `body`.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        secret.withBytes(body)
    }

    package var base64: String { secret.withPointer(KeyText.base64) }
    package var hex: String { secret.withPointer(KeyText.hex) }
    package var description: String { isNone ? "PresharedKey(none)" : "PresharedKey(hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package static func == (a: PresharedKey, b: PresharedKey) -> Bool {
        a.secret.withPointer { a in b.secret.withPointer { b in Sodium.equal(a, b, 32) } }
    }
}
