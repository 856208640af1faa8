import Bytes

/// The side that answers a handshake, in three steps, because the peer must be looked up and
/// its timestamp judged in between: `consume`, `authenticate`, `respond`.
package enum Responder {
    /// Step 1: checks MAC1 and opens the initiator's static key (WireGuard paper 5.4.2). So far
    /// the sender has proved nothing: the key may have been copied from an old message.
    package static func consume(
        _ message: UnsafeRawBufferPointer, local: StaticIdentity, suite: NoiseSuite = .wireGuard
    ) throws(HandshakeError) -> ReceivedInitiation {
        guard MessageType.peek(message) == .initiation, let base = message.baseAddress
        else { throw .malformed }
        guard MAC1.verify(message, key: local.mac1Key) else { throw .badMAC1 }

        let state = SymmetricState(suite, responder: local.publicKey)
        let ephemeral = PublicKey(at: base + InitiationMessage.ephemeral)
        state.mixChainingKey(ephemeral)
        state.mixHash(ephemeral)
        guard state.mixKey(local.privateKey, ephemeral) else { throw .lowOrderKey }

        var isAuthentic = false
        let remote = Bytes32 { key in
            isAuthentic = state.openAndMix(
                base + InitiationMessage.encryptedStatic, InitiationMessage.encryptedStaticSize,
                into: key)
        }
        guard isAuthentic else { throw .notAuthentic }
        return ReceivedInitiation(
            senderIndex: base.loadLittle(InitiationMessage.senderIndex, as: UInt32.self),
            remotePublicKey: PublicKey(remote), ephemeral: ephemeral,
            encryptedTimestamp: Array(
                message[
                    InitiationMessage.encryptedTimestamp..<InitiationMessage.mac1]),
            state: state)
    }

    package static func consume(
        _ message: [UInt8], local: StaticIdentity, suite: NoiseSuite = .wireGuard
    ) throws(HandshakeError) -> ReceivedInitiation {
        try message.withUnsafeBytes { bytes in
            Result { () throws(HandshakeError) in
                try consume(bytes, local: local, suite: suite)
            }
        }.get()
    }
}

/// An initiation whose sender is named but not yet proved.
package final class ReceivedInitiation: @unchecked Sendable {
    package let senderIndex: UInt32
    package let remotePublicKey: PublicKey
    private let ephemeral: PublicKey
    private let encryptedTimestamp: [UInt8]
    private let state: SymmetricState

    init(
        senderIndex: UInt32, remotePublicKey: PublicKey, ephemeral: PublicKey,
        encryptedTimestamp: [UInt8], state: consuming SymmetricState
    ) {
        self.senderIndex = senderIndex
        self.remotePublicKey = remotePublicKey
        self.ephemeral = ephemeral
        self.encryptedTimestamp = encryptedTimestamp
        self.state = state
    }

    /// Step 2: with the static-static secret, proves that the peer made this message and opens
    /// its timestamp. The caller refuses one that is not greater than the last (paper 5.1).
    package func authenticate(
        _ remote: RemoteIdentity
    ) throws(HandshakeError) -> AuthenticatedInitiation {
        guard remote.isUsable else { throw .lowOrderKey }
        guard remote.publicKey == remotePublicKey else { throw .wrongPeer }
        let state = state.clone()
        remote.staticShared.withPointer { state.mixKey($0) }
        let timestamp = Sodium.withScratch(TAI64N.size) { clear -> TAI64N? in
            let isAuthentic = encryptedTimestamp.withUnsafeBytes { field in
                guard let base = field.baseAddress else { return false }
                return state.openAndMix(base, field.count, into: clear)
            }
            return isAuthentic ? TAI64N(at: clear) : nil
        }
        guard let timestamp else { throw .notAuthentic }
        return AuthenticatedInitiation(
            senderIndex: senderIndex, timestamp: timestamp, remote: remote, ephemeral: ephemeral,
            state: state)
    }
}

/// An initiation that the peer made, at some time: freshness is the timestamp's matter.
package final class AuthenticatedInitiation: @unchecked Sendable {
    package let senderIndex: UInt32
    package let timestamp: TAI64N
    private let remote: RemoteIdentity
    private let ephemeral: PublicKey
    private let state: SymmetricState

    init(
        senderIndex: UInt32, timestamp: TAI64N, remote: RemoteIdentity, ephemeral: PublicKey,
        state: consuming SymmetricState
    ) {
        self.senderIndex = senderIndex
        self.timestamp = timestamp
        self.remote = remote
        self.ephemeral = ephemeral
        self.state = state
    }

    /// Step 3: the second message, 92 bytes, MAC1 included and MAC2 zero (paper 5.4.3), and
    /// the transport keys. `ephemeral` is a fresh key for this handshake alone; the peer is
    /// known to have the same keys only when its first transport message arrives.
    package func respond(
        ephemeral localEphemeral: PrivateKey, senderIndex localIndex: UInt32
    ) throws(HandshakeError) -> (message: [UInt8], keys: TransportKeys) {
        let state = state.clone()
        var message = [UInt8](repeating: 0, count: ResponseMessage.size)
        let isWritten = message.withUnsafeMutableBytes { buffer in
            write(buffer, state, localEphemeral, localIndex)
        }
        guard isWritten else { throw .lowOrderKey }
        let keys = state.split(
            isInitiator: false, localIndex: localIndex, remoteIndex: senderIndex)
        return (message, keys)
    }

    private func write(
        _ buffer: UnsafeMutableRawBufferPointer, _ state: borrowing SymmetricState,
        _ localEphemeral: PrivateKey, _ localIndex: UInt32
    ) -> Bool {
        guard let base = buffer.baseAddress else { return false }
        base.storeLittle(UInt32(MessageType.response.rawValue), 0)
        base.storeLittle(localIndex, ResponseMessage.senderIndex)
        base.storeLittle(senderIndex, ResponseMessage.receiverIndex)

        localEphemeral.publicKey.raw.store(to: base + ResponseMessage.ephemeral)
        state.mixChainingKey(localEphemeral.publicKey)
        state.mixHash(localEphemeral.publicKey)
        guard state.mixChainingKey(localEphemeral, ephemeral) else { return false }
        guard state.mixChainingKey(localEphemeral, remote.publicKey) else { return false }
        state.mixPresharedKey(remote.presharedKey)
        state.sealAndMix(
            UnsafeRawPointer(base), 0, into: base + ResponseMessage.encryptedNothing)

        MAC1.append(to: buffer, key: remote.mac1Key)
        return true
    }
}
