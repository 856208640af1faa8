import Addresses
import Bytes
import Noise
import Synchronization
import Timing

/// The time of a step: the monotonic clock for timers, the wall clock for timestamps.
package struct Now: Sendable {
    package var instant: Instant
    package var wall: WallTime

    package init(_ instant: Instant, wall: WallTime) {
        self.instant = instant
        self.wall = wall
    }
}

/// What a step asks its shell to do.
package enum Effect {
    /// Send this message on the underlay, and count it for the peer if it was sent.
    case send([UInt8], to: IPEndpoint, of: UnsafeMutablePointer<PeerPath>?)
    /// Free this once no packet thread can see it.
    case retire(Retired)
    /// For the log and for waiting tests; never one per packet.
    case note(Note)
}

/// Things of the control side that people want to know.
package enum Note: Hashable, Sendable {
    case handshakeCompleted(PublicKey, initiator: Bool)
    case handshakeGivenUp(PublicKey)
    case handshakeRefused(HandshakeRefusal, from: IPEndpoint)
    /// The peer begins with another suite than this side is configured to use with it.
    case suitesDiffer(PublicKey, theirs: TransportSuite, ours: TransportSuite)
    case roamed(PublicKey, to: IPEndpoint)
    case keysErased(PublicKey)
}

package enum HandshakeRefusal: String, Hashable, Sendable, CaseIterable {
    case malformed, wrongMAC, underLoad, rateLimited, unknownPeer, forged, replayed, tooFrequent
    case unexpected, noPrivateKey
    /// Authentic, and under another suite than this peer is configured with.
    case otherSuite
}

/// What packet threads tell the control side.
package enum PacketEvent: BitwiseCopyable, Equatable, Sendable {
    /// Data arrived under a session that waited for its confirmation.
    case confirmed(localIndex: UInt32)
    /// An authenticated packet of this peer came from elsewhere.
    case roamed(peer: Int32, to: IPEndpoint)
    /// A session is near its end and this side began it.
    case rekey(peer: Int32)
    /// Packets went to this peer from another port than the one that this side listens on.
    case sentFromSidePort(peer: Int32)
}

/// One WireGuard device: identity, peers, handshakes and timers, stepped by events and time.
///
/// It reads no clock, opens no socket and starts no task. Packets in flight do not pass through
/// it: packet threads use the sessions and routes that it publishes in `forwarding`.
package final class Device {
    package struct Limits: Sendable {
        package var peers = 4096
        package var allowedIPs = 131_072
        /// Packets that wait for one peer's session; the oldest go first.
        package var stagedPackets = 128

        package init() {}
    }

    package let forwarding: UnsafeMutablePointer<Forwarding>
    package let limits: Limits
    /// Of peers that nothing else is said of.
    package let suite: TransportSuite
    /// For the few messages of the control side.
    let cipher = TransportCipher()
    package internal(set) var refusals: [UInt64]
    /// Packets that waited for a session in vain: too many of them, or for too long.
    package internal(set) var droppedWithoutSession: UInt64 = 0

    var identity: StaticIdentity?
    var privateKey: PrivateKey?
    var peers: [Peer?] = []
    var numbers: [PublicKey: Int32] = [:]
    var allowedIPs = AllowedIPs()
    /// Every receiver index that is in use, and whose it is.
    var indices: [UInt32: Int32] = [:]
    var slotsInUse: SlotSet
    let entropy: Entropy
    var cookies: CookieChecker?
    /// Initiations and responses, under load, of sources that have shown where they are.
    var handshakeLimiter = Device.handshakeLimiter()
    /// Cookie replies, for those that have not. A reply costs nine microseconds: a flood from one
    /// place does not get more of them than its share, and all floods together leave time for
    /// packets.
    var cookieLimiter = RateLimiter(
        perSource: .init(perSecond: 100, burst: 20), inAll: .init(perSecond: 10_000, burst: 1000))
    /// Until when initiations, or responses, must carry MAC2. Apart, so that a flood of
    /// initiations does not cost our own handshakes another round trip.
    var initiationsLoadedUntil: Instant?
    var responsesLoadedUntil: Instant?
    /// The next deadline of each peer, by its number.
    var deadlines = DeadlineHeap()
    /// When the marks of packet threads are looked at next; nil while no session lives.
    var marksDue: Instant?
    /// The suite of the first peer, and whether some other has the other one.
    var usualSuite: TransportSuite
    var hasBothSuites = false
    /// When an initiation was last opened with a suite that no peer has.
    var otherSuiteTried: Instant?
    var listenPort: UInt16 = 0
    package internal(set) var firewallMark: UInt32 = 0
    var effects: [Effect] = []

    /// 20 a second, 5 at once, as other implementations have it.
    package static func handshakeLimiter() -> RateLimiter {
        RateLimiter(
            perSource: .init(perSecond: 20, burst: 5),
            inAll: .init(perSecond: 100_000, burst: 10_000))
    }

    /// `lanes`: how many threads send packets at the same time.
    package init(
        limits: Limits = Limits(), suite: TransportSuite = .chaChaPoly, lanes: Int = 1,
        entropy: Entropy = .system
    ) {
        self.limits = limits
        self.suite = suite
        usualSuite = suite
        self.entropy = entropy
        refusals = Array(repeating: 0, count: HandshakeRefusal.allCases.count)
        forwarding = .allocate(capacity: 1)
        // At most three sessions and a pending handshake a peer, so at most half full.
        forwarding.initialize(to: Forwarding(sessionCapacity: limits.peers * 8, lanes: lanes))
        slotsInUse = SlotSet(count: forwarding.pointee.sessions.slotCount)
        publishRoutes()
        effects.removeAll()
    }

    /// No packet thread may run any more.
    deinit {
        for peer in peers { if let peer { discard(peer) } }
        for case .retire(let retired) in effects { retired.free() }
        if let routes = forwarding.pointee.routes.load(ordering: .relaxed) {
            Retired.routes(routes).free()
        }
        forwarding.deinitialize(count: 1)
        forwarding.deallocate()
    }

    package func takeEffects() -> [Effect] {
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package var publicKey: PublicKey? { identity?.publicKey }

    func peer(_ number: Int32) -> Peer? {
        number >= 0 && Int(number) < peers.count ? peers[Int(number)] : nil
    }

    // MARK: Events

    /// Packets that found no session: they wait for one, and a handshake is asked for.
    package func stage(_ packets: [[UInt8]], for number: Int32, now: Now) {
        guard let peer = peer(number) else { return }
        for packet in packets {
            if peer.staged.count >= limits.stagedPackets {
                peer.staged.removeFirst()
                droppedWithoutSession += 1
            }
            peer.staged.append(packet)
        }
        if peer.sendingSession(now.instant) != nil {
            flush(peer, now: now)
        } else {
            beginHandshake(peer, now: now, retry: false)
        }
    }

    package func packetEvent(_ event: PacketEvent, now: Now) {
        switch event {
        case .confirmed(let index):
            confirm(index, now: now)
        case .roamed(let number, let endpoint):
            if let peer = peer(number) { setEndpoint(endpoint, of: peer, heard: now.instant) }
        case .rekey(let number):
            if let peer = peer(number) { beginHandshake(peer, now: now, retry: false) }
        case .sentFromSidePort(let number):
            if let peer = peer(number), peer.sendingSession(now.instant) != nil {
                sendKeepalive(peer, now: now)
            }
        }
    }

    // MARK: Sending

    /// Sends what waited, in order. The session is there.
    func flush(_ peer: Peer, now: Now) {
        let waiting = peer.staged
        peer.staged.removeAll()
        for packet in waiting { sendData(packet, to: peer, now: now) }
    }

    func sendKeepalive(_ peer: Peer, now: Now) {
        guard peer.sendingSession(now.instant) != nil else {
            beginHandshake(peer, now: now, retry: false)
            return
        }
        sendData([], to: peer, now: now)
    }

    private func sendData(_ packet: [UInt8], to peer: Peer, now: Now) {
        guard let session = peer.sendingSession(now.instant), let endpoint = peer.endpoint else {
            return
        }
        let mtu = forwarding.pointee.mtu.load(ordering: .relaxed)
        let padded = Padding.length(packet.count, mtu: mtu)
        let stride = forwarding.pointee.counterStride
        // What waited must not be overtaken by what its flow sends next, sparse or not.
        let offset = packet.isEmpty ? 0 : CounterClasses.sparse
        guard let counter = session.pointee.takeCounter(stride: stride, offset: offset) else {
            beginHandshake(peer, now: now, retry: false)
            return
        }
        let count = TransportMessage.overhead + padded
        var message = [UInt8](repeating: 0, count: count)
        message.withUnsafeMutableBytes { raw in
            guard let base = raw.baseAddress else { return }
            TransportMessage.writeHeader(
                at: base, receiverIndex: session.pointee.remoteIndex, counter: counter)
            let body = base + TransportMessage.payload
            packet.withUnsafeBytes {
                if let p = $0.baseAddress { body.copyMemory(from: p, byteCount: packet.count) }
            }
            cipher.seal(
                session.pointee.sendKey, counter: counter, plaintext: body, count: padded,
                into: body)
        }
        effects.append(.send(message, to: endpoint, of: peer.path))
        peer.path.pointee.markSent(now.instant, data: !packet.isEmpty)
        if session.pointee.wantsSuccessorAfterSending(now.instant, stride: stride) {
            beginHandshake(peer, now: now, retry: false)
        }
    }

    // MARK: Endpoints

    /// `heard`: something authentic came from there. What is only configured gives way to the
    /// first port of that address that anything comes from.
    func setEndpoint(_ endpoint: IPEndpoint, of peer: Peer, heard: Instant?) {
        if let heard {
            peer.path.pointee.markEndpointHeard(heard)
        } else {
            peer.path.pointee.endpointHeard.store(0, ordering: .relaxed)
        }
        let old = peer.path.pointee.endpoint.load(ordering: .relaxed)
        if let old, old.pointee == endpoint { return }
        let fresh = UnsafeMutablePointer<IPEndpoint>.allocate(capacity: 1)
        fresh.initialize(to: endpoint)
        peer.path.pointee.endpoint.store(fresh, ordering: .sequentiallyConsistent)
        if let old {
            effects.append(.retire(.endpoint(old)))
            effects.append(.note(.roamed(peer.publicKey, to: endpoint)))
        }
    }
}

/// How far a packet is padded (paper 5.4.6): to 16 bytes, but not beyond the MTU.
package enum Padding {
    @inlinable package static func length(_ count: Int, mtu: Int) -> Int {
        let padded = (count + 15) & ~15
        return padded <= mtu || count > mtu ? padded : mtu
    }
}
