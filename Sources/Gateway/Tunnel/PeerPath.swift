import Addresses
import Synchronization
import Timing

/// What the packet threads and the control side share of one peer. It lives at a fixed address
/// from the peer's creation until no packet thread can still see it; every field is atomic, and
/// nothing here is ever locked.
package struct PeerPath: ~Copyable {
    /// The peer's number in its device: the value of its allowed IPs.
    package let number: Int32
    /// The session to send with; nil while there is none.
    package let sending = Atomic<UnsafeMutablePointer<Session>?>(nil)
    /// Where the peer was last heard from, or was configured to be.
    package let endpoint = Atomic<UnsafeMutablePointer<IPEndpoint>?>(nil)

    /// When a message last came from that very endpoint, in units of `coarse`; 0 = not yet.
    package let endpointHeard = Atomic<UInt64>(0)
    /// When the peer was last made to hear from the listening port though its packets go out from
    /// other ports, in units of `coarse`.
    package let listeningPortSpoke = Atomic<UInt64>(0)

    // Counters. Bytes are whole UDP payloads, as WireGuard counts them.
    package let transmittedBytes = Atomic<UInt64>(0)
    package let receivedBytes = Atomic<UInt64>(0)
    package let transmittedPackets = Atomic<UInt64>(0)
    package let receivedPackets = Atomic<UInt64>(0)

    // Marks for the timers of the WireGuard paper, section 6: instants in nanoseconds, 0 = unset.
    // Packet threads only set and clear them; the control side compares them with the clock. So
    // a packet never arms or disarms a timer.

    /// The first data sent since anything authenticated arrived (6.2: no answer for 15 s means
    /// a new handshake).
    package let unansweredSince = Atomic<UInt64>(0)
    /// The first data received since anything was sent (6.5: passive keepalive after 10 s).
    package let unrepliedSince = Atomic<UInt64>(0)
    /// The last authenticated packet in either direction (persistent keepalive).
    package let lastTraversal = Atomic<UInt64>(0)

    package init(number: Int32) { self.number = number }
}

extension PeerPath {
    /// 2^28 ns, 268 ms: moments that a packet may have to write down are written this seldom.
    @inlinable static func coarse(_ now: Instant) -> UInt64 { now.nanoseconds >> 28 }

    /// A message came from the endpoint, or the endpoint was set because one did.
    @inlinable package func markEndpointHeard(_ now: Instant) {
        let unit = Self.coarse(now)
        if endpointHeard.load(ordering: .relaxed) != unit {
            endpointHeard.store(unit, ordering: .relaxed)
        }
    }

    /// Whether the endpoint was heard from no more than 268 to 537 ms ago. If so, another port of
    /// its address is no place to move to, but one more port that this peer sends from.
    @inlinable package func isEndpointAlive(_ now: Instant) -> Bool {
        Self.coarse(now) &- endpointHeard.load(ordering: .relaxed) <= 1
    }

    /// Whether the peer is due to hear from the listening port, once per unit: as long as it does,
    /// it does not take another port for the endpoint.
    @inlinable package func takeListeningPortTurn(_ now: Instant) -> Bool {
        let unit = Self.coarse(now)
        if listeningPortSpoke.load(ordering: .relaxed) == unit { return false }
        return listeningPortSpoke.exchange(unit, ordering: .relaxed) != unit
    }

    /// An authenticated packet was sent. `data`: it carries an inner packet, so an answer is due.
    @inlinable package func markSent(_ now: Instant, data: Bool) {
        let t = now.nanoseconds
        lastTraversal.store(t, ordering: .relaxed)
        if unrepliedSince.load(ordering: .relaxed) != 0 {
            unrepliedSince.store(0, ordering: .relaxed)
        }
        if data, unansweredSince.load(ordering: .relaxed) == 0 {
            unansweredSince.store(t, ordering: .relaxed)
        }
    }

    /// An authenticated packet arrived. `data`: it carries an inner packet, so a reply is due.
    @inlinable package func markReceived(_ now: Instant, data: Bool) {
        let t = now.nanoseconds
        lastTraversal.store(t, ordering: .relaxed)
        if unansweredSince.load(ordering: .relaxed) != 0 {
            unansweredSince.store(0, ordering: .relaxed)
        }
        if data, unrepliedSince.load(ordering: .relaxed) == 0 {
            unrepliedSince.store(t, ordering: .relaxed)
        }
    }

    @inlinable package func countSent(bytes: Int, packets: Int) {
        transmittedBytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
        transmittedPackets.wrappingAdd(UInt64(packets), ordering: .relaxed)
    }

    @inlinable package func countReceived(bytes: Int, packets: Int) {
        receivedBytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
        receivedPackets.wrappingAdd(UInt64(packets), ordering: .relaxed)
    }
}
