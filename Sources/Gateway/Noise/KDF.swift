/// HMAC (RFC 2104) over BLAKE2s. Noise asks for HMAC here, not for the keyed mode of BLAKE2s.
package struct HMACBLAKE2s {
    private var inner = BLAKE2s()
    private var outer = BLAKE2s()

    /// Keys longer than a block are hashed first, as RFC 2104 says; WireGuard's are 32 bytes.
    package init(key: UnsafeRawBufferPointer) {
        var inner = BLAKE2s()
        var outer = BLAKE2s()
        Sodium.withScratch(BLAKE2s.blockSize) { pad in
            let block = UnsafeMutableRawBufferPointer(start: pad, count: BLAKE2s.blockSize)
            if key.count > BLAKE2s.blockSize {
                var hash = BLAKE2s()
                hash.update(key)
                hash.finish(into: pad)
            } else {
                block.copyMemory(from: key)
            }
            for i in block.indices { block[i] ^= 0x36 }
            inner.update(pad, BLAKE2s.blockSize)
            for i in block.indices { block[i] ^= 0x36 ^ 0x5C }
            outer.update(pad, BLAKE2s.blockSize)
        }
        self.inner = inner
        self.outer = outer
        inner.wipe()
        outer.wipe()
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) { inner.update(bytes) }

    /// Writes 32 bytes and wipes the state.
    package mutating func finish(into mac: UnsafeMutableRawPointer) {
        inner.finish(into: mac)
        outer.update(mac, 32)
        outer.finish(into: mac)
    }

    package static func authenticate(
        key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer,
        into mac: UnsafeMutableRawPointer
    ) {
        var hmac = HMACBLAKE2s(key: key)
        hmac.update(message)
        hmac.finish(into: mac)
    }
}

/// KDF1, KDF2 and KDF3 of the WireGuard paper, section 5.4: HKDF with HMAC-BLAKE2s.
/// Keys and outputs are 32 bytes. An output may be the key's own place.
package enum KDF {
    package static func derive1(
        key: UnsafeRawPointer, input: UnsafeRawBufferPointer, into first: UnsafeMutableRawPointer
    ) {
        derive(1, key, input) { first.copyMemory(from: $0, byteCount: 32) }
    }

    package static func derive2(
        key: UnsafeRawPointer, input: UnsafeRawBufferPointer, into first: UnsafeMutableRawPointer,
        _ second: UnsafeMutableRawPointer
    ) {
        derive(2, key, input) {
            first.copyMemory(from: $0, byteCount: 32)
            second.copyMemory(from: $0 + 32, byteCount: 32)
        }
    }

    package static func derive3(
        key: UnsafeRawPointer, input: UnsafeRawBufferPointer, into first: UnsafeMutableRawPointer,
        _ second: UnsafeMutableRawPointer, _ third: UnsafeMutableRawPointer
    ) {
        derive(3, key, input) {
            first.copyMemory(from: $0, byteCount: 32)
            second.copyMemory(from: $0 + 32, byteCount: 32)
            third.copyMemory(from: $0 + 64, byteCount: 32)
        }
    }

    /// T(0) = HMAC(key, input), T(n) = HMAC(T(0), T(n-1) || n) with T(1) = HMAC(T(0), 1).
    private static func derive(
        _ count: Int, _ key: UnsafeRawPointer, _ input: UnsafeRawBufferPointer,
        _ use: (UnsafeRawPointer) -> Void
    ) {
        Sodium.withScratch(32 + 96 + 33) { scratch in
            let extracted = scratch
            let outputs = scratch + 32
            let message = scratch + 128
            HMACBLAKE2s.authenticate(
                key: UnsafeRawBufferPointer(start: key, count: 32), input, into: extracted)
            for n in 1...count {
                let previous = n == 1 ? 0 : 32
                if n > 1 { message.copyMemory(from: outputs + 32 * (n - 2), byteCount: 32) }
                message.storeBytes(of: UInt8(n), toByteOffset: previous, as: UInt8.self)
                HMACBLAKE2s.authenticate(
                    key: UnsafeRawBufferPointer(start: extracted, count: 32),
                    UnsafeRawBufferPointer(start: message, count: previous + 1),
                    into: outputs + 32 * (n - 1))
            }
            use(UnsafeRawPointer(outputs))
        }
    }
}
