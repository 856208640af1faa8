import CSodium

/// ChaCha20-Poly1305 (RFC 8439) the way WireGuard uses it: 32-byte key, the nonce is four zero
/// bytes and the counter in little endian, the tag follows the ciphertext.
///
/// The packet path calls these directly: no allocation, no lock, no reference counting.
package enum ChaChaPoly {
    @inlinable package static var tagSize: Int { 16 }

    /// Encrypts `count` bytes into `count + 16` bytes, with no associated data. `into` may be
    /// exactly `plaintext`, but may not overlap it otherwise.
    @inlinable @inline(__always)
    package static func seal(
        key: UnsafeRawPointer, counter: UInt64, plaintext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer
    ) {
        seal(
            key: key, counter: counter, plaintext: plaintext, count: count, into: into,
            associated: nil, associatedCount: 0)
    }

    /// Opens `count` bytes (tag included) into `count - 16` bytes; false if they are not
    /// authentic or shorter than a tag. `into` may be exactly `ciphertext`. On a forgery the
    /// output, and so a ciphertext opened in place, is overwritten with zeros.
    @inlinable @inline(__always)
    package static func open(
        key: UnsafeRawPointer, counter: UInt64, ciphertext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer
    ) -> Bool {
        open(
            key: key, counter: counter, ciphertext: ciphertext, count: count, into: into,
            associated: nil, associatedCount: 0)
    }

    @inlinable @inline(__always)
    package static func seal(
        key: UnsafeRawPointer, counter: UInt64, plaintext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer, associated: UnsafeRawPointer?, associatedCount: Int
    ) {
        var nonce = nonce(counter)
        withUnsafePointer(to: &nonce) { nonce in
            _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                into.assumingMemoryBound(to: UInt8.self), nil,
                plaintext.assumingMemoryBound(to: UInt8.self), UInt64(truncatingIfNeeded: count),
                associated?.assumingMemoryBound(to: UInt8.self),
                UInt64(truncatingIfNeeded: associatedCount), nil,
                UnsafeRawPointer(nonce).assumingMemoryBound(to: UInt8.self),
                key.assumingMemoryBound(to: UInt8.self))
        }
    }

    @inlinable @inline(__always)
    package static func open(
        key: UnsafeRawPointer, counter: UInt64, ciphertext: UnsafeRawPointer, count: Int,
        into: UnsafeMutableRawPointer, associated: UnsafeRawPointer?, associatedCount: Int
    ) -> Bool {
        guard count >= tagSize else { return false }
        var nonce = nonce(counter)
        return withUnsafePointer(to: &nonce) { nonce in
            crypto_aead_chacha20poly1305_ietf_decrypt(
                into.assumingMemoryBound(to: UInt8.self), nil, nil,
                ciphertext.assumingMemoryBound(to: UInt8.self), UInt64(truncatingIfNeeded: count),
                associated?.assumingMemoryBound(to: UInt8.self),
                UInt64(truncatingIfNeeded: associatedCount),
                UnsafeRawPointer(nonce).assumingMemoryBound(to: UInt8.self),
                key.assumingMemoryBound(to: UInt8.self)) == 0
        }
    }

    /// Twelve bytes: 32 zero bits, then the counter in little endian (WireGuard paper 5.4).
    @inlinable @inline(__always)
    static func nonce(_ counter: UInt64) -> (UInt32, UInt32, UInt32) {
        (
            0, UInt32(truncatingIfNeeded: counter).littleEndian,
            UInt32(truncatingIfNeeded: counter >> 32).littleEndian
        )
    }
}

/// XChaCha20-Poly1305 with a 24-byte random nonce, for cookie replies (WireGuard paper 5.4.7).
package enum XChaChaPoly {
    package static let nonceSize = 24
    package static let tagSize = 16

    package static func seal(
        key: UnsafeRawPointer, nonce: UnsafeRawPointer, plaintext: UnsafeRawBufferPointer,
        associated: UnsafeRawBufferPointer, into: UnsafeMutableRawPointer
    ) {
        _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
            into.assumingMemoryBound(to: UInt8.self), nil,
            plaintext.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(plaintext.count),
            associated.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(associated.count),
            nil, nonce.assumingMemoryBound(to: UInt8.self), key.assumingMemoryBound(to: UInt8.self))
    }

    package static func open(
        key: UnsafeRawPointer, nonce: UnsafeRawPointer, ciphertext: UnsafeRawBufferPointer,
        associated: UnsafeRawBufferPointer, into: UnsafeMutableRawPointer
    ) -> Bool {
        guard ciphertext.count >= tagSize, let base = ciphertext.baseAddress else { return false }
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            into.assumingMemoryBound(to: UInt8.self), nil, nil,
            base.assumingMemoryBound(to: UInt8.self), UInt64(ciphertext.count),
            associated.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(associated.count),
            nonce.assumingMemoryBound(to: UInt8.self), key.assumingMemoryBound(to: UInt8.self)) == 0
    }
}
