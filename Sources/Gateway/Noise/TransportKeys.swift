/// What a handshake leaves behind: one key per direction and both ends' indices. The keys are
/// wiped with the last reference.
package final class TransportKeys: Sendable, CustomStringConvertible, CustomReflectable {
    private let secret: SecretBytes
    package let isInitiator: Bool
    /// The index the peer writes into messages to us.
    package let localIndex: UInt32
    /// The index we write into messages to the peer.
    package let remoteIndex: UInt32

    package let suite: TransportSuite
    private let size: Int

    /// `derive` writes the initiator's sending key, then its receiving key.
    init(
        isInitiator: Bool, localIndex: UInt32, remoteIndex: UInt32, suite: TransportSuite,
        _ derive: (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void
    ) {
        let size = TransportKey.size(suite)
        secret = SecretBytes(count: 2 * size) { keys in
            derive(isInitiator ? keys : keys + size, isInitiator ? keys + size : keys)
            TransportKey.expand(keys, suite)
            TransportKey.expand(keys + size, suite)
        }
        self.suite = suite
        self.size = size
        self.isInitiator = isInitiator
        self.localIndex = localIndex
        self.remoteIndex = remoteIndex
    }

    /// Keys agreed elsewhere, for tests of what comes after the handshake.
    package convenience init?(
        sendKey: [UInt8], receiveKey: [UInt8], isInitiator: Bool, localIndex: UInt32,
        remoteIndex: UInt32, suite: TransportSuite = .chaChaPoly
    ) {
        guard sendKey.count == 32, receiveKey.count == 32 else { return nil }
        self.init(
            isInitiator: isInitiator, localIndex: localIndex, remoteIndex: remoteIndex,
            suite: suite
        ) { first, second in
            let keys = isInitiator ? (sendKey, receiveKey) : (receiveKey, sendKey)
            keys.0.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: first, count: 32).copyMemory(from: $0)
            }
            keys.1.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: second, count: 32).copyMemory(from: $0)
            }
        }
    }

    /// Lives as long as this object: whoever keeps it keeps the object.
    package var sendKey: TransportKey { TransportKey(bytes: secret.base, suite: suite) }
    /// Lives as long as this object: whoever keeps it keeps the object.
    package var receiveKey: TransportKey { TransportKey(bytes: secret.base + size, suite: suite) }

    package var description: String { "TransportKeys(\(localIndex), \(remoteIndex), hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
