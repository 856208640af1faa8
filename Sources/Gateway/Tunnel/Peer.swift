import Addresses
import Noise
import Synchronization
import Timing

/// The control side of one peer: its configuration, its handshakes and its deadlines.
final class Peer {
    let number: Int32
    let publicKey: PublicKey
    let path: UnsafeMutablePointer<PeerPath>
    /// Of sessions to come; those that are there live to their end.
    var suite: TransportSuite

    var remote: RemoteIdentity?
    var presharedKey: PresharedKey?
    /// Seconds, 0 for off.
    var persistentKeepalive: UInt16 = 0

    // Sessions, in the terms of the paper's section 6.3.
    var previous: UnsafeMutablePointer<Session>?
    var current: UnsafeMutablePointer<Session>?
    var next: UnsafeMutablePointer<Session>?

    // The handshake that this side began.
    var pending: Initiator?
    var initiationSent: Instant?
    var attempts = 0
    var retransmitAt: Instant?

    // The handshakes that the other side began.
    var greatestTimestamp: TAI64N?
    var lastConsumed: Instant?

    /// Nil as long as this device has no key.
    var cookies: CookieStore?
    var lastSentTimestamp: TAI64N?

    /// When old key material is erased (paper 6.4: three times RejectAfterTime).
    var eraseAt: Instant?

    var staged: [[UInt8]] = []
    var lastHandshake: WallTime?
    var handshakeRoundTrip: Nanoseconds?

    init(number: Int32, publicKey: PublicKey, suite: TransportSuite) {
        self.number = number
        self.publicKey = publicKey
        self.suite = suite
        path = .allocate(capacity: 1)
        path.initialize(to: PeerPath(number: number))
    }

    var endpoint: IPEndpoint? { path.pointee.endpoint.load(ordering: .relaxed)?.pointee }

    /// The session that packets are sent with, if it may still be used.
    func sendingSession(_ now: Instant) -> UnsafeMutablePointer<Session>? {
        guard let current, current.pointee.isUsable(now) else { return nil }
        return current
    }
}
