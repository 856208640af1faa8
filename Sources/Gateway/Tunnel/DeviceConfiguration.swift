import Addresses
import Noise
import Timing

/// One change to a device, in the terms of the cross-platform configuration protocol: whatever
/// is nil stays as it is. A change is validated whole before any of it is applied.
package struct DeviceChange: Sendable {
    package enum Key: Sendable {
        case set(PrivateKey)
        /// An all-zero key: the device forgets who it is.
        case clear
    }

    package var privateKey: Key?
    package var listenPort: UInt16?
    package var firewallMark: UInt32?
    /// All peers that `peers` does not name go.
    package var replacePeers = false
    package var peers: [PeerChange] = []

    package init() {}
}

/// One change to one peer. A peer that does not exist yet is made, unless `updateOnly`.
package struct PeerChange: Sendable {
    package struct AllowedIP: Hashable, Sendable {
        package var prefix: IPPrefix
        /// Take it away from this peer, if it has it.
        package var remove: Bool

        package init(_ prefix: IPPrefix, remove: Bool = false) {
            self.prefix = prefix
            self.remove = remove
        }
    }

    package var publicKey: PublicKey
    package var remove = false
    package var updateOnly = false
    /// An all-zero key means none.
    package var presharedKey: PresharedKey?
    package var suite: TransportSuite?
    package var endpoint: IPEndpoint?
    /// Seconds, 0 for off.
    package var persistentKeepalive: UInt16?
    package var replaceAllowedIPs = false
    package var allowedIPs: [AllowedIP] = []

    package init(_ publicKey: PublicKey) { self.publicKey = publicKey }
}

/// What a device knows of itself and its peers at one moment.
package struct DeviceStatus: Sendable {
    package var privateKey: PrivateKey?
    package var listenPort: UInt16 = 0
    package var firewallMark: UInt32 = 0
    package var peers: [PeerStatus] = []

    package init() {}
}

package struct PeerStatus: Sendable {
    package var publicKey: PublicKey
    package var presharedKey: PresharedKey?
    package var suite = TransportSuite.chaChaPoly
    package var endpoint: IPEndpoint?
    /// Seconds, 0 for off.
    package var persistentKeepalive: UInt16 = 0
    package var allowedIPs: [IPPrefix] = []
    /// Bytes on the underlay, as WireGuard counts them: whole UDP payloads.
    package var receivedBytes: UInt64 = 0
    package var transmittedBytes: UInt64 = 0
    /// Inner packets carried.
    package var receivedPackets: UInt64 = 0
    package var transmittedPackets: UInt64 = 0
    /// When the current session was agreed.
    package var lastHandshake: WallTime?
    /// From an initiation to its response: the underlay's round trip and the peer's work.
    package var handshakeRoundTrip: Nanoseconds?
    /// Packets waiting for a session.
    package var stagedPackets: Int = 0
    package var hasSession = false

    package init(_ publicKey: PublicKey) { self.publicKey = publicKey }
}

/// Why a change was refused. Nothing of the change was applied.
package enum DeviceChangeError: Error, Equatable {
    case tooManyPeers(limit: Int)
    case tooManyAllowedIPs(limit: Int)
}
