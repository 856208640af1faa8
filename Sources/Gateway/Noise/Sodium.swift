import CSodium

/// The one place that starts libsodium and the small helpers the room shares.
enum Sodium {
    /// Picks libsodium's implementations for this CPU, once. Its functions work before that,
    /// only slower, so it is enough that every way to a key passes here.
    static let isReady: Bool = sodium_init() >= 0

    static func prepare() {
        precondition(isReady, "libsodium could not be initialised")
    }

    static func wipe(_ pointer: UnsafeMutableRawPointer, _ count: Int) {
        sodium_memzero(pointer, count)
    }

    /// Runs `body` with `count` zeroed bytes that are wiped when it returns.
    static func withScratch<R>(_ count: Int, _ body: (UnsafeMutableRawPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { buffer in
            // The allocation is never empty: every caller asks for at least one byte.
            guard let base = buffer.baseAddress else { preconditionFailure("empty scratch") }
            base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            defer { wipe(base, count) }
            return body(base)
        }
    }

    /// X25519 (RFC 7748). False when the result is all zero, that is, when the public key is of
    /// low order and the "shared" secret would be known to everyone.
    static func diffieHellman(
        _ privateKey: UnsafeRawPointer, _ publicKey: UnsafeRawPointer,
        into shared: UnsafeMutableRawPointer
    ) -> Bool {
        crypto_scalarmult_curve25519(
            shared.assumingMemoryBound(to: UInt8.self),
            privateKey.assumingMemoryBound(to: UInt8.self),
            publicKey.assumingMemoryBound(to: UInt8.self)) == 0
            && sodium_is_zero(shared.assumingMemoryBound(to: UInt8.self), 32) == 0
    }

    /// Equality whose time does not depend on the contents.
    static func equal(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        sodium_memcmp(a, b, count) == 0
    }
}

/// A fixed run of secret bytes outside the reach of copies: written once while it is made,
/// read-only afterwards, zeroed before the memory is given back.
final class SecretBytes: @unchecked Sendable {
    let base: UnsafeRawPointer
    let count: Int

    init(count: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
        Sodium.prepare()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        fill(memory)
        base = UnsafeRawPointer(memory)
        self.count = count
    }

    convenience init(copying source: UnsafeRawPointer, count: Int) {
        self.init(count: count) { $0.copyMemory(from: source, byteCount: count) }
    }

    var isZero: Bool {
        withPointer { sodium_is_zero($0.assumingMemoryBound(to: UInt8.self), count) == 1 }
    }

    /// The bytes, and the promise that they are not wiped before `body` returns. `base` alone
    /// does not keep its object alive.
    func withPointer<R>(_ body: (UnsafeRawPointer) -> R) -> R {
        withExtendedLifetime(self) { body(base) }
    }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withExtendedLifetime(self) { body(UnsafeRawBufferPointer(start: base, count: count)) }
    }

    deinit {
        let memory = UnsafeMutableRawPointer(mutating: base)
        Sodium.wipe(memory, count)
        memory.deallocate()
    }
}
