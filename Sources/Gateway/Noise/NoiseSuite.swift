/// What the handshake is seeded with. Two ends with different suites fail at the first message,
/// which is how a suite that is fixed by configuration cannot be downgraded on the wire.
package struct NoiseSuite: Hashable, Sendable {
    package let construction: String
    /// What the sessions of such a handshake are protected with.
    package let transport: TransportSuite
    /// HASH(construction), and HASH of that and the identifier (WireGuard paper 5.4.2).
    let chainingKey: Bytes32
    let hash: Bytes32

    package init(
        construction: String, transport: TransportSuite,
        identifier: String = "WireGuard v1 zx2c4 Jason@zx2c4.com"
    ) {
        self.construction = construction
        self.transport = transport
        var hash = BLAKE2s()
        hash.update(Array(construction.utf8))
        chainingKey = hash.finish32()
        hash = BLAKE2s()
        hash.update(chainingKey)
        hash.update(Array(identifier.utf8))
        self.hash = hash.finish32()
    }

    package static let wireGuard = NoiseSuite(
        construction: "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", transport: .chaChaPoly)
    /// The same handshake, ChaCha20-Poly1305 included, for sessions that use AES: so its name is
    /// none of those that Noise gives (section 8).
    package static let aesTransport = NoiseSuite(
        construction: "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, transport AES-256-GCM",
        transport: .aesGCM)

    package static func of(_ transport: TransportSuite) -> NoiseSuite {
        transport == .aesGCM ? aesTransport : wireGuard
    }
}

/// Why a handshake message was refused. None of these says anything to the other end.
package enum HandshakeError: Error, Hashable, Sendable {
    /// Not a message of the expected type: wrong length, type or reserved bytes.
    case malformed
    /// MAC1 was not made for our public key: the sender does not know whom it speaks to.
    case badMAC1
    /// Addressed to another index than the one this handshake was begun with.
    case wrongIndex
    /// A field does not decrypt: altered, another pre-shared key, another suite, or forged.
    case notAuthentic
    /// The static key inside is not that of the peer it was checked against.
    case wrongPeer
    /// A public key of low order, with which no secret can be agreed.
    case lowOrderKey
}
