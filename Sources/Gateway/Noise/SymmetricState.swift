/// Noise's SymmetricState as WireGuard writes it out: chaining key, running hash and the key of
/// the next field, in one place that is wiped when the value ends.
struct SymmetricState: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    private let transport: TransportSuite

    private static let byteCount = 128
    private var chainingKey: UnsafeMutableRawPointer { memory }
    private var hash: UnsafeMutableRawPointer { memory + 32 }
    private var key: UnsafeMutableRawPointer { memory + 64 }
    private var scratch: UnsafeMutableRawPointer { memory + 96 }

    private init(_ transport: TransportSuite) {
        self.transport = transport
        Sodium.prepare()
        memory = .allocate(byteCount: Self.byteCount, alignment: 32)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    }

    /// Both ends begin with the construction, the identifier and the responder's static key.
    init(_ suite: NoiseSuite, responder: PublicKey) {
        self.init(suite.transport)
        suite.chainingKey.store(to: chainingKey)
        suite.hash.store(to: hash)
        mixHash(responder)
    }

    deinit {
        Sodium.wipe(memory, Self.byteCount)
        memory.deallocate()
    }

    func clone() -> SymmetricState {
        let copy = SymmetricState(transport)
        copy.memory.copyMemory(from: memory, byteCount: Self.byteCount)
        return copy
    }

    /// H := HASH(H || bytes)
    func mixHash(_ pointer: UnsafeRawPointer, _ count: Int) {
        var state = BLAKE2s()
        state.update(hash, 32)
        state.update(pointer, count)
        state.finish(into: hash)
    }

    func mixHash(_ publicKey: PublicKey) {
        publicKey.raw.withPointer { mixHash($0, 32) }
    }

    /// C := KDF1(C, input)
    func mixChainingKey(_ input: UnsafeRawPointer) {
        KDF.derive1(
            key: chainingKey, input: UnsafeRawBufferPointer(start: input, count: 32),
            into: chainingKey)
    }

    func mixChainingKey(_ publicKey: PublicKey) {
        publicKey.raw.withPointer { mixChainingKey($0) }
    }

    /// (C, k) := KDF2(C, input)
    func mixKey(_ input: UnsafeRawPointer) {
        KDF.derive2(
            key: chainingKey, input: UnsafeRawBufferPointer(start: input, count: 32),
            into: chainingKey, key)
    }

    /// C := KDF1(C, DH(private, public)); false for a low-order point.
    func mixChainingKey(_ local: PrivateKey, _ remote: PublicKey) -> Bool {
        guard local.diffieHellman(remote, into: scratch) else { return false }
        mixChainingKey(UnsafeRawPointer(scratch))
        return true
    }

    /// (C, k) := KDF2(C, DH(private, public)); false for a low-order point.
    func mixKey(_ local: PrivateKey, _ remote: PublicKey) -> Bool {
        guard local.diffieHellman(remote, into: scratch) else { return false }
        mixKey(UnsafeRawPointer(scratch))
        return true
    }

    /// (C, t, k) := KDF3(C, Q); H := HASH(H || t)
    func mixPresharedKey(_ presharedKey: PresharedKey) {
        presharedKey.withUnsafeBytes { input in
            KDF.derive3(key: chainingKey, input: input, into: chainingKey, scratch, key)
        }
        mixHash(scratch, 32)
    }

    /// field := AEAD(k, 0, plaintext, H); H := HASH(H || field)
    func sealAndMix(
        _ plaintext: UnsafeRawPointer, _ count: Int, into field: UnsafeMutableRawPointer
    ) {
        ChaChaPoly.seal(
            key: key, counter: 0, plaintext: plaintext, count: count, into: field,
            associated: hash, associatedCount: 32)
        mixHash(field, count + ChaChaPoly.tagSize)
    }

    /// The opposite; `count` includes the tag. False if the field is not authentic.
    func openAndMix(
        _ field: UnsafeRawPointer, _ count: Int, into plaintext: UnsafeMutableRawPointer
    ) -> Bool {
        guard
            ChaChaPoly.open(
                key: key, counter: 0, ciphertext: field, count: count, into: plaintext,
                associated: hash, associatedCount: 32)
        else { return false }
        mixHash(field, count)
        return true
    }

    /// KDF2(C, nothing): the initiator's sending key, then its receiving key (paper 5.4.5).
    func split(
        isInitiator: Bool, localIndex: UInt32, remoteIndex: UInt32
    ) -> TransportKeys {
        TransportKeys(
            isInitiator: isInitiator, localIndex: localIndex, remoteIndex: remoteIndex,
            suite: transport
        ) { first, second in
            KDF.derive2(
                key: chainingKey, input: UnsafeRawBufferPointer(start: nil, count: 0),
                into: first, second)
        }
    }
}
