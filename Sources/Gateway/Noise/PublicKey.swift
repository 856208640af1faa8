/// A Curve25519 public key. Any 32 bytes are one; those of low order fail at the handshake.
package struct PublicKey: Hashable, Comparable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var raw: Bytes32

    package static let size = 32

    package init(_ raw: Bytes32) { self.raw = raw }

    /// Reads 32 bytes at `pointer`.
    package init(at pointer: UnsafeRawPointer) { raw = Bytes32(at: pointer) }

    package init?(bytes: UnsafeRawBufferPointer) {
        guard let raw = Bytes32(bytes) else { return nil }
        self.raw = raw
    }

    package init?(bytes: [UInt8]) {
        guard let raw = bytes.withUnsafeBytes({ Bytes32($0) }) else { return nil }
        self.raw = raw
    }

    /// Exactly what `wg` prints: 44 characters of padded base64.
    package init?(base64 text: String) {
        var decoded = false
        raw = Bytes32 { decoded = KeyText.decodeBase64(text, into: $0) }
        guard decoded else { return nil }
    }

    /// 64 hexadecimal digits, as on the configuration socket.
    package init?(hex text: String) {
        var decoded = false
        raw = Bytes32 { decoded = KeyText.decodeHex(text, into: $0) }
        guard decoded else { return nil }
    }

    package var bytes: [UInt8] { raw.bytes }
    package var base64: String { raw.withPointer(KeyText.base64) }
    package var hex: String { raw.withPointer(KeyText.hex) }
    package var isZero: Bool { raw == Bytes32() }
    package var description: String { base64 }

    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        raw.withUnsafeBytes(body)
    }

    package static func < (a: Self, b: Self) -> Bool { a.raw < b.raw }
}
