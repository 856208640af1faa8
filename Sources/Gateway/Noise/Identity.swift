/// This end's static key, and what every message to it is checked with.
package struct StaticIdentity: Sendable {
    package let privateKey: PrivateKey
    package let mac1Key: Bytes32
    package let cookieKey: Bytes32

    package var publicKey: PublicKey { privateKey.publicKey }

    package init(_ privateKey: PrivateKey) {
        self.privateKey = privateKey
        mac1Key = Label.mac1(privateKey.publicKey)
        cookieKey = Label.cookie(privateKey.publicKey)
    }
}

/// A peer as the handshake sees it: its static key, the pre-shared key, and what follows from
/// both ends' keys. To be made again when either end's key changes.
package struct RemoteIdentity: Sendable {
    package let publicKey: PublicKey
    package let presharedKey: PresharedKey
    package let mac1Key: Bytes32
    package let cookieKey: Bytes32
    /// False when the public key is of low order: every handshake with it fails.
    package let isUsable: Bool
    /// DH of the two static keys: the same in every handshake, so it is computed once.
    let staticShared: SecretBytes

    package init(
        local: StaticIdentity, publicKey: PublicKey, presharedKey: PresharedKey = .none
    ) {
        self.publicKey = publicKey
        self.presharedKey = presharedKey
        mac1Key = Label.mac1(publicKey)
        cookieKey = Label.cookie(publicKey)
        var agreed = false
        staticShared = SecretBytes(count: 32) { shared in
            agreed = local.privateKey.diffieHellman(publicKey, into: shared)
        }
        isUsable = agreed
    }

    /// The same peer with another pre-shared key; spares the Diffie-Hellman.
    package func with(presharedKey: PresharedKey) -> RemoteIdentity {
        RemoteIdentity(copying: self, presharedKey)
    }

    private init(copying other: RemoteIdentity, _ presharedKey: PresharedKey) {
        publicKey = other.publicKey
        self.presharedKey = presharedKey
        mac1Key = other.mac1Key
        cookieKey = other.cookieKey
        isUsable = other.isUsable
        staticShared = other.staticShared
    }
}

/// WireGuard paper 5.4.4 and 5.4.7: HASH(label || public key).
private enum Label {
    static func mac1(_ key: PublicKey) -> Bytes32 { hash("mac1----", key) }
    static func cookie(_ key: PublicKey) -> Bytes32 { hash("cookie--", key) }

    private static func hash(_ label: String, _ key: PublicKey) -> Bytes32 {
        var hash = BLAKE2s()
        hash.update(Array(label.utf8))
        hash.update(key.raw)
        return hash.finish32()
    }
}
