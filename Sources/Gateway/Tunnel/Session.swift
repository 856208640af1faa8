import Noise
import Synchronization
import Timing

/// The keys and counters of one agreed session (paper 5.4.5), at a fixed address that packet
/// threads reach through the session table or their peer's path.
package struct Session: ~Copyable {
    package let localIndex: UInt32
    package let remoteIndex: UInt32
    package let peer: UnsafeMutablePointer<PeerPath>
    package let created: Instant
    package let isInitiator: Bool

    /// Keeps the memory of the two keys below; wiped with it. Packets never touch it.
    private let keys: TransportKeys
    package let sendKey: TransportKey
    package let receiveKey: TransportKey
    package let replayWindow = ReplayWindow()
    /// The first of the next counters, of which one message takes one.
    package let sendCounter = Atomic<UInt64>(0)
    /// False while a responder has not seen data under these keys: it must not send with them
    /// (5.4.5, key confirmation).
    package let confirmed: Atomic<Bool>
    /// A packet thread has already asked for a successor.
    package let rekeyRequested = Atomic<Bool>(false)

    private init(
        peer: UnsafeMutablePointer<PeerPath>, created: Instant, keys: TransportKeys
    ) {
        localIndex = keys.localIndex
        remoteIndex = keys.remoteIndex
        self.peer = peer
        self.created = created
        isInitiator = keys.isInitiator
        confirmed = Atomic(keys.isInitiator)
        self.keys = keys
        sendKey = keys.sendKey
        receiveKey = keys.receiveKey
    }

    package static func make(
        peer: UnsafeMutablePointer<PeerPath>, created: Instant, keys: TransportKeys
    ) -> UnsafeMutablePointer<Session> {
        let session = UnsafeMutablePointer<Session>.allocate(capacity: 1)
        session.initialize(to: Session(peer: peer, created: created, keys: keys))
        return session
    }

    /// Wipes the keys. Nobody may hold the pointer any more.
    package static func destroy(_ session: UnsafeMutablePointer<Session>) {
        session.deinitialize(count: 1)
        session.deallocate()
    }

    /// Paper 6.2: after RejectAfterTime or RejectAfterMessages a session neither sends nor
    /// receives.
    @inlinable package func isUsable(_ now: Instant) -> Bool {
        now - created < WireGuard.rejectAfterTime
    }

    /// The next nonce, or nil when there are none left (RejectAfterMessages). The stride is the
    /// same for all who send, see `CounterClasses`.
    @inlinable package func takeCounter(stride: UInt64, offset: UInt64 = 0) -> UInt64? {
        let first = sendCounter.wrappingAdd(stride, ordering: .relaxed).oldValue
        if first < sendKey.suite.endOfCounters(stride: stride) &- offset { return first &+ offset }
        // However often it is asked for, it does not begin again.
        sendCounter.wrappingSubtract(stride, ordering: .relaxed)
        return nil
    }

    /// Paper 6.2: the initiator renews after RekeyAfterTime or RekeyAfterMessages of sending.
    @inlinable package func wantsSuccessorAfterSending(_ now: Instant, stride: UInt64) -> Bool {
        (isInitiator && now - created >= WireGuard.rekeyAfterTime)
            || sendCounter.load(ordering: .relaxed) >= sendKey.suite.rekeyAfterMessages &* stride
    }

    /// Paper 6.2: an initiator that only receives renews in time for the answer to arrive
    /// before RejectAfterTime.
    @inlinable package func wantsSuccessorAfterReceiving(_ now: Instant) -> Bool {
        isInitiator
            && now - created >= WireGuard.rekeyAfterTimeReceiving
    }
}
