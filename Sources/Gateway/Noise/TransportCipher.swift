import CIPSecMB
import CSodium

/// What protects the messages of a session after its handshake.
/// The names are those of manifests and command lines.
package enum TransportSuite: String, Sendable, Hashable, CaseIterable, BitwiseCopyable {
    /// WireGuard's own: ChaCha20-Poly1305, nonces in little endian.
    case chaChaPoly = "chacha20-poly1305"
    /// AES-256-GCM, nonces in big endian as Noise has them (section 12.4).
    case aesGCM = "aes-256-gcm"

    /// Messages under one key after which the initiator makes a new one. ChaCha20: WireGuard paper
    /// 6.1. GCM's blocks are of 128 bits: after 2^28 packets of 1,424 bytes an observer tells them
    /// from noise with a chance of 2^-58, and with 2^-50 if all were of 64 KiB (the bounds of RFC
    /// 8446 section 5.5, squares of the number of blocks).
    @inlinable package var rekeyAfterMessages: UInt64 {
        self == .aesGCM ? 1 << 27 : WireGuard.rekeyAfterMessages
    }
    /// Messages after which none is sent; of ChaCha20 a counter from which on none is.
    @inlinable package var rejectAfterMessages: UInt64 {
        self == .aesGCM ? 1 << 28 : WireGuard.rejectAfterMessages
    }

    /// The counter from which on none is sent, if each message takes so many.
    @inlinable package func endOfCounters(stride: UInt64) -> UInt64 {
        self == .aesGCM ? rejectAfterMessages &* stride : rejectAfterMessages
    }

    /// AES without instructions for it is slow, and leaks its key through the cache's timing: so
    /// there is none on such CPUs.
    package var isAvailable: Bool {
        guard self == .aesGCM else { return true }
        return Sodium.isReady && crypto_aead_aes256gcm_is_available() == 1
    }
}

/// One direction's key, in every form that some cipher wants. Lives in `TransportKeys`.
package struct TransportKey: BitwiseCopyable {
    /// 32 bytes; for AES the expanded forms follow.
    package let bytes: UnsafeRawPointer
    package let suite: TransportSuite

    @usableFromInline static var sodiumOffset: Int { 64 }
    @usableFromInline static var wideOffset: Int { 64 + 512 }

    /// How much room it takes, at an address that 64 divides.
    static func size(_ suite: TransportSuite) -> Int {
        guard suite == .aesGCM else { return 64 }
        precondition(crypto_aead_aes256gcm_statebytes() <= 512)
        return wideOffset + (cipsecmb_aes_key_size() + 63) / 64 * 64
    }

    /// The 32 bytes are there; the rest is made of them.
    static func expand(_ memory: UnsafeMutableRawPointer, _ suite: TransportSuite) {
        guard suite == .aesGCM else { return }
        if suite.isAvailable {
            _ = crypto_aead_aes256gcm_beforenm(
                (memory + sodiumOffset).assumingMemoryBound(
                    to: crypto_aead_aes256gcm_state.self),
                memory.assumingMemoryBound(to: UInt8.self))
        }
        if let manager = expander { cipsecmb_aes_expand(manager, memory, memory + wideOffset) }
    }

    /// Expanding a key changes nothing in the manager: any thread may.
    private nonisolated(unsafe) static let expander: OpaquePointer? = cipsecmb_new()
}

/// Seals and opens the messages of sessions, for one thread: without allocation, lock or reference
/// counting. It begins with libsodium, which works everywhere and needs no memory; `widen` is for
/// threads that have much to do.
package struct TransportCipher: ~Copyable {
    package static let tagSize = 16

    @usableFromInline var wide: OpaquePointer?
    /// False once it was tried.
    package private(set) var mayWiden = true

    package init() { wide = nil }

    deinit { cipsecmb_free(wide) }

    /// What `widen` brings on this host, or why it brings nothing.
    package static var description: String { String(cString: cipsecmb_description()) }
    package static var canWiden: Bool { cipsecmb_available() == 1 }

    /// Goes over to IPsec-MB if it is there: once, and for good.
    package mutating func widen() {
        guard mayWiden else { return }
        mayWiden = false
        wide = cipsecmb_new()
    }

    package var isWide: Bool { wide != nil }

    /// Encrypts `count` bytes into `count + 16` bytes, with no associated data. `into` may be
    /// exactly `plaintext`, but may not overlap it otherwise.
    @inlinable @inline(__always)
    package func seal(
        _ key: TransportKey, counter: UInt64, plaintext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer
    ) {
        switch key.suite {
        case .chaChaPoly:
            guard let wide, count > 0 else {
                return ChaChaPoly.seal(
                    key: key.bytes, counter: counter, plaintext: plaintext, count: count,
                    into: into)
            }
            var nonce = ChaChaPoly.nonce(counter)
            cipsecmb_chacha_seal(wide, key.bytes, &nonce, plaintext, count, into)
        case .aesGCM:
            var nonce = AESGCM.nonce(counter)
            guard let wide, count > 0 else {
                return AESGCM.seal(
                    key.bytes + TransportKey.sodiumOffset, &nonce, plaintext, count, into)
            }
            cipsecmb_aes_seal(
                wide, key.bytes + TransportKey.wideOffset, &nonce, plaintext, count, into)
        }
    }

    /// Opens `count` bytes (tag included) into `count - 16` bytes; false if they are not
    /// authentic or shorter than a tag. `into` may be exactly `ciphertext`. On a forgery the
    /// output, and so a ciphertext opened in place, is overwritten with zeros.
    @inlinable @inline(__always)
    package func open(
        _ key: TransportKey, counter: UInt64, ciphertext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer
    ) -> Bool {
        let plain = count &- TransportCipher.tagSize
        switch key.suite {
        case .chaChaPoly:
            guard let wide, plain > 0 else {
                return ChaChaPoly.open(
                    key: key.bytes, counter: counter, ciphertext: ciphertext, count: count,
                    into: into)
            }
            var nonce = ChaChaPoly.nonce(counter)
            return cipsecmb_chacha_open(wide, key.bytes, &nonce, ciphertext, plain, into) == 1
        case .aesGCM:
            guard plain >= 0 else { return false }
            var nonce = AESGCM.nonce(counter)
            guard let wide, plain > 0 else {
                return AESGCM.open(
                    key.bytes + TransportKey.sodiumOffset, &nonce, ciphertext, count, into)
            }
            return cipsecmb_aes_open(
                wide, key.bytes + TransportKey.wideOffset, &nonce, ciphertext, plain, into) == 1
        }
    }
}

/// AES-256-GCM by libsodium, for keys that are expanded.
@usableFromInline
enum AESGCM {
    @usableFromInline typealias Nonce = (UInt32, UInt32, UInt32)

    /// Twelve bytes: 32 zero bits, then the counter in big endian (Noise 12.4).
    @inlinable @inline(__always)
    static func nonce(_ counter: UInt64) -> Nonce {
        (
            0, UInt32(truncatingIfNeeded: counter >> 32).bigEndian,
            UInt32(truncatingIfNeeded: counter).bigEndian
        )
    }

    @usableFromInline
    static func seal(
        _ state: UnsafeRawPointer, _ nonce: inout Nonce, _ plaintext: UnsafeRawPointer,
        _ count: Int, _ into: UnsafeMutableRawPointer
    ) {
        withUnsafePointer(to: &nonce) { nonce in
            _ = crypto_aead_aes256gcm_encrypt_afternm(
                into.assumingMemoryBound(to: UInt8.self), nil,
                plaintext.assumingMemoryBound(to: UInt8.self), UInt64(truncatingIfNeeded: count),
                nil, 0, nil, UnsafeRawPointer(nonce).assumingMemoryBound(to: UInt8.self),
                state.assumingMemoryBound(to: crypto_aead_aes256gcm_state.self))
        }
    }

    @usableFromInline
    static func open(
        _ state: UnsafeRawPointer, _ nonce: inout Nonce, _ ciphertext: UnsafeRawPointer,
        _ count: Int, _ into: UnsafeMutableRawPointer
    ) -> Bool {
        withUnsafePointer(to: &nonce) { nonce in
            crypto_aead_aes256gcm_decrypt_afternm(
                into.assumingMemoryBound(to: UInt8.self), nil, nil,
                ciphertext.assumingMemoryBound(to: UInt8.self), UInt64(truncatingIfNeeded: count),
                nil, 0, UnsafeRawPointer(nonce).assumingMemoryBound(to: UInt8.self),
                state.assumingMemoryBound(to: crypto_aead_aes256gcm_state.self)) == 0
        }
    }
}
