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
        self.init(at: base)
    }

    package convenience init?(bytes: [UInt8]) {
        var bytes = bytes
        defer { bytes.withUnsafeMutableBytes { $0.baseAddress.map { Sodium.wipe($0, 32) } } }
        guard bytes.count == Self.size else { return nil }
        let secret = SecretBytes(count: 32) { key in
            bytes.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(start: key, count: 32).copyMemory(from: source)
            }
        }
        self.init(at: secret.base)
    }

    package convenience init?(base64 text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeBase64(text, into: $0) }
        guard decoded else { return nil }
        self.init(at: secret.base)
    }

    package convenience init?(hex text: String) {
        var decoded = false
        let secret = SecretBytes(count: 32) { decoded = KeyText.decodeHex(text, into: $0) }
        guard decoded else { return nil }
        self.init(at: secret.base)
    }

    /// A fresh key.
    package convenience init(from entropy: Entropy) {
        self.init(
            clamping: SecretBytes(count: 32) { key in
                entropy.fill(UnsafeMutableRawBufferPointer(start: key, count: 32))
            })
    }

    private convenience init?(at source: UnsafeRawPointer) {
        let secret = SecretBytes(copying: source, count: 32)
        guard !secret.isZero else { return nil }
        self.init(clamping: secret)
    }

    private init(clamping source: SecretBytes) {
        let secret = SecretBytes(count: 32) { key in
            key.copyMemory(from: source.base, byteCount: 32)
            let bytes = UnsafeMutableRawBufferPointer(start: key, count: 32)
            bytes[0] &= 248
            bytes[31] = bytes[31] & 127 | 64
        }
        self.secret = secret
        publicKey = PublicKey(
            Bytes32 { key in
                _ = crypto_scalarmult_curve25519_base(
                    key.assumingMemoryBound(to: UInt8.self),
                    secret.base.assumingMemoryBound(to: UInt8.self))
            })
    }

    /// The 32 secret bytes, for the time of `body`.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withExtendedLifetime(secret) {
            body(UnsafeRawBufferPointer(start: secret.base, count: 32))
        }
    }

    /// X25519 with `remote`; false if `remote` is of low order.
    func diffieHellman(_ remote: PublicKey, into shared: UnsafeMutableRawPointer) -> Bool {
        withExtendedLifetime(secret) {
            remote.raw.withPointer { Sodium.diffieHellman(secret.base, $0, into: shared) }
        }
    }

    package var base64: String { withExtendedLifetime(secret) { KeyText.base64(secret.base) } }
    package var hex: String { withExtendedLifetime(secret) { KeyText.hex(secret.base) } }
    package var description: String { "PrivateKey(hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package static func == (a: PrivateKey, b: PrivateKey) -> Bool {
        withExtendedLifetime((a, b)) { Sodium.equal(a.secret.base, b.secret.base, 32) }
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

    package var isNone: Bool { withExtendedLifetime(secret) { secret.isZero } }

    /// The 32 secret bytes, for the time of `body`.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withExtendedLifetime(secret) {
            body(UnsafeRawBufferPointer(start: secret.base, count: 32))
        }
    }

    package var base64: String { withExtendedLifetime(secret) { KeyText.base64(secret.base) } }
    package var hex: String { withExtendedLifetime(secret) { KeyText.hex(secret.base) } }
    package var description: String { isNone ? "PresharedKey(none)" : "PresharedKey(hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package static func == (a: PresharedKey, b: PresharedKey) -> Bool {
        withExtendedLifetime((a, b)) { Sodium.equal(a.secret.base, b.secret.base, 32) }
    }
}
