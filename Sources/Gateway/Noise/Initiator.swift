import Bytes

/// The side that begins a handshake, between its two messages. Immutable: a response that is
/// refused leaves it as it was, so the genuine one can still arrive. Dropping it wipes it.
package final class Initiator: @unchecked Sendable {
    package let senderIndex: UInt32
    private let local: StaticIdentity
    private let remote: RemoteIdentity
    private let ephemeral: PrivateKey
    private let state: SymmetricState

    private init(
        _ local: StaticIdentity, _ remote: RemoteIdentity, _ ephemeral: PrivateKey,
        _ senderIndex: UInt32, _ state: consuming SymmetricState
    ) {
        self.local = local
        self.remote = remote
        self.ephemeral = ephemeral
        self.senderIndex = senderIndex
        self.state = state
    }

    /// The first message, 148 bytes, MAC1 included and MAC2 zero (WireGuard paper 5.4.2).
    /// `ephemeral` is a fresh key for this handshake alone.
    package static func begin(
        local: StaticIdentity, remote: RemoteIdentity, ephemeral: PrivateKey, senderIndex: UInt32,
        timestamp: TAI64N, suite: NoiseSuite = .wireGuard
    ) throws(HandshakeError) -> (message: [UInt8], handshake: Initiator) {
        guard remote.isUsable else { throw .lowOrderKey }
        let state = SymmetricState(suite, responder: remote.publicKey)
        var message = [UInt8](repeating: 0, count: InitiationMessage.size)
        let isWritten = message.withUnsafeMutableBytes { buffer in
            write(buffer, state, local, remote, ephemeral, senderIndex, timestamp)
        }
        guard isWritten else { throw .lowOrderKey }
        return (message, Initiator(local, remote, ephemeral, senderIndex, state))
    }

    private static func write(
        _ buffer: UnsafeMutableRawBufferPointer, _ state: borrowing SymmetricState,
        _ local: StaticIdentity, _ remote: RemoteIdentity, _ ephemeral: PrivateKey,
        _ senderIndex: UInt32, _ timestamp: TAI64N
    ) -> Bool {
        guard let base = buffer.baseAddress else { return false }
        base.storeLittle(UInt32(MessageType.initiation.rawValue), 0)
        base.storeLittle(senderIndex, InitiationMessage.senderIndex)

        ephemeral.publicKey.raw.store(to: base + InitiationMessage.ephemeral)
        state.mixChainingKey(ephemeral.publicKey)
        state.mixHash(ephemeral.publicKey)

        guard state.mixKey(ephemeral, remote.publicKey) else { return false }
        local.publicKey.raw.withPointer {
            state.sealAndMix($0, 32, into: base + InitiationMessage.encryptedStatic)
        }

        remote.staticShared.withPointer { state.mixKey($0) }
        Sodium.withScratch(TAI64N.size) { clear in
            timestamp.store(to: clear)
            state.sealAndMix(
                clear, TAI64N.size, into: base + InitiationMessage.encryptedTimestamp)
        }

        MAC1.append(to: buffer, key: remote.mac1Key)
        return true
    }

    /// Reads the second message (paper 5.4.3) and derives the transport keys.
    package func finish(
        _ response: UnsafeRawBufferPointer
    ) throws(HandshakeError) -> TransportKeys {
        guard MessageType.peek(response) == .response, let base = response.baseAddress
        else { throw .malformed }
        guard base.loadLittle(ResponseMessage.receiverIndex, as: UInt32.self) == senderIndex
        else { throw .wrongIndex }
        guard MAC1.verify(response, key: local.mac1Key) else { throw .badMAC1 }

        let state = state.clone()
        let remoteEphemeral = PublicKey(at: base + ResponseMessage.ephemeral)
        state.mixChainingKey(remoteEphemeral)
        state.mixHash(remoteEphemeral)
        guard state.mixChainingKey(ephemeral, remoteEphemeral) else { throw .lowOrderKey }
        guard state.mixChainingKey(local.privateKey, remoteEphemeral) else { throw .lowOrderKey }
        state.mixPresharedKey(remote.presharedKey)
        let isAuthentic = Sodium.withScratch(1) { nothing in
            state.openAndMix(
                base + ResponseMessage.encryptedNothing, ResponseMessage.encryptedNothingSize,
                into: nothing)
        }
        guard isAuthentic else { throw .notAuthentic }
        return state.split(
            isInitiator: true, localIndex: senderIndex,
            remoteIndex: base.loadLittle(ResponseMessage.senderIndex, as: UInt32.self))
    }

    package func finish(_ response: [UInt8]) throws(HandshakeError) -> TransportKeys {
        try response.withUnsafeBytes { bytes in
            Result { () throws(HandshakeError) in try finish(bytes) }
        }.get()
    }
}
