import Addresses
import Noise
import SliceModel
import Tunnel

/// The peers a tunnel should have, and the change that leads there from those it has. Peers that
/// stay are not replaced: their sessions live on.
package struct PeerPlan: Sendable {
    package struct Peer: Sendable {
        package var publicKey: PublicKey
        package var presharedKey: PresharedKey?
        package var allowedIPs: [IPPrefix]
        /// Seconds, 0 for off.
        package var persistentKeepalive: UInt16
        package var suite: TransportSuite

        package init(
            publicKey: PublicKey, presharedKey: PresharedKey?, allowedIPs: [IPPrefix],
            persistentKeepalive: UInt16, suite: TransportSuite = .chaChaPoly
        ) {
            self.publicKey = publicKey
            self.presharedKey = presharedKey
            self.allowedIPs = allowedIPs
            self.persistentKeepalive = persistentKeepalive
            self.suite = suite
        }
    }

    package var peers: [Peer]

    package init(peers: [Peer]) { self.peers = peers }

    /// Nil when nothing has to change. Endpoints are not part of it: they follow the peer.
    package func change(from status: DeviceStatus) -> DeviceChange? {
        var change = DeviceChange()
        let wanted = Set(peers.map(\.publicKey))
        for peer in status.peers where !wanted.contains(peer.publicKey) {
            var gone = PeerChange(peer.publicKey)
            gone.remove = true
            change.peers.append(gone)
        }
        for peer in peers {
            let current = status.peers.first { $0.publicKey == peer.publicKey }
            var update = PeerChange(peer.publicKey)
            var differs = current == nil
            let key = peer.presharedKey ?? .none
            if (current?.presharedKey ?? .none) != key {
                update.presharedKey = key
                differs = true
            }
            if (current?.suite ?? .chaChaPoly) != peer.suite {
                update.suite = peer.suite
                differs = true
            }
            if (current?.persistentKeepalive ?? 0) != peer.persistentKeepalive {
                update.persistentKeepalive = peer.persistentKeepalive
                differs = true
            }
            if (current?.allowedIPs.sorted() ?? []) != peer.allowedIPs.sorted() {
                update.replaceAllowedIPs = true
                update.allowedIPs = peer.allowedIPs.map { .init($0) }
                differs = true
            }
            if differs { change.peers.append(update) }
        }
        return change.peers.isEmpty ? nil : change
    }
}

/// Which of a peer's endpoints to try. The first that answers is kept for as long as it answers;
/// after a while without a session the next one has its turn.
package struct EndpointChoice: Sendable {
    /// Twice the interval in which a handshake is repeated, and a little: two lost in a row are
    /// not yet a dead endpoint.
    package static let patienceSeconds: UInt64 = 12

    package private(set) var index = 0
    private var triedSince: UInt64?

    package init() {}

    /// Which endpoint to set now, or nil to leave things as they are. `now` in seconds.
    package mutating func step(
        count: Int, hasSession: Bool, hasEndpoint: Bool, now: UInt64
    ) -> Int? {
        guard count > 0 else { return nil }
        if hasSession {
            triedSince = now
            return nil
        }
        guard let since = triedSince, hasEndpoint, index < count else {
            triedSince = now
            index = min(index, count - 1)
            return index
        }
        guard now >= since + Self.patienceSeconds else { return nil }
        triedSince = now
        index = (index + 1) % count
        return index
    }
}
