import Addresses
import Noise
import Packets
import Synchronization
import Timing

/// The way of messages from the underlay to a TUN queue, for one thread: open in place, check,
/// gather. Nothing is allocated, counted as a reference or locked for a packet.
///
/// `receive` each message of a batch of datagrams, hand over `events`, then `coalescer.close()`,
/// write its groups, `coalescer.reset()`.
package struct Inbound: ~Copyable {
    package enum Verdict {
        case consumed
        /// A handshake message or cookie reply: for the control side.
        case handshake
        /// No more packets fit: write the groups, reset, and receive this message again.
        case full
    }

    private static let maxEvents = 64
    private static let sparseCapacity = 128

    private let forwarding: UnsafeMutablePointer<Forwarding>
    package var coalescer: Coalescer
    /// For packets that are written before those.
    package var sparse: Coalescer
    /// Has to be widened by whoever sees that there is much to do.
    package var cipher = TransportCipher()
    package let drops: PacketDrops
    /// Keeps the memory of `drops`.
    private let counters: DropCounters
    package let events: UnsafeMutablePointer<PacketEvent>
    package private(set) var eventCount = 0

    /// `forwarding` must outlive this. `coalesceUDP`: if the kernel takes segmented UDP from a TUN
    /// queue (Linux 6.2).
    package init(
        forwarding: UnsafeMutablePointer<Forwarding>, counters: DropCounters = DropCounters(),
        capacity: Int = 1024, coalesceUDP: Bool = false
    ) {
        self.forwarding = forwarding
        self.counters = counters
        drops = counters.drops
        coalescer = Coalescer(capacity: capacity, coalesceUDP: coalesceUDP)
        sparse = Coalescer(capacity: Self.sparseCapacity, coalesceUDP: coalesceUDP)
        events = .allocate(capacity: Self.maxEvents)
    }

    deinit { events.deallocate() }

    package mutating func resetEvents() { eventCount = 0 }

    /// `message` is opened in place, and its memory must stay until the coalescer's reset.
    /// `tos` is the outer one, for ECN (RFC 6040).
    package mutating func receive(
        _ message: UnsafeMutableRawBufferPointer, from source: IPEndpoint, tos: UInt8,
        isSparse: Bool = false, now: Instant
    ) -> Verdict {
        guard let type = MessageType.peek(UnsafeRawBufferPointer(message)),
            let base = message.baseAddress
        else {
            drops.add(.malformedMessage)
            return .consumed
        }
        guard type == .transport else { return .handshake }
        if isSparse {
            guard sparse.packetCount < sparse.capacity else { return .full }
        } else {
            guard coalescer.packetCount < coalescer.capacity else { return .full }
        }
        if let drop = open(base, message.count, source, tos, isSparse, now) { drops.add(drop) }
        return .consumed
    }

    @inline(__always)
    private mutating func open(
        _ base: UnsafeMutableRawPointer, _ count: Int, _ source: IPEndpoint, _ tos: UInt8,
        _ isSparse: Bool, _ now: Instant
    ) -> PacketDrop? {
        let (index, counter) = TransportMessage.readHeader(at: base)
        guard let session = forwarding.pointee.sessions.find(index) else { return .unknownIndex }
        guard session.pointee.isUsable(now) else { return .expiredSession }
        guard session.pointee.replayWindow.check(counter) else { return .replayed }
        let body = base + TransportMessage.payload
        guard
            cipher.open(
                session.pointee.receiveKey, counter: counter, ciphertext: body,
                count: count &- TransportMessage.payload, into: body)
        else { return .forged }
        guard session.pointee.replayWindow.accept(counter) else { return .replayed }

        // Authentic from here on: whatever the inner packet is, the peer is alive and there.
        let path = session.pointee.peer
        let plain = count &- TransportMessage.overhead
        noticeSource(path, source, isKeepalive: plain == 0, now)
        if !session.pointee.confirmed.load(ordering: .relaxed) {
            note(.confirmed(localIndex: index))
        }
        if session.pointee.wantsSuccessorAfterReceiving(now),
            !session.pointee.rekeyRequested.exchange(true, ordering: .relaxed)
        {
            note(.rekey(peer: path.pointee.number))
        }
        path.pointee.markReceived(now, data: plain > 0)
        guard plain > 0 else {
            path.pointee.countReceived(bytes: count, packets: 0)
            return nil
        }
        path.pointee.countReceived(bytes: count, packets: 1)
        return deliver(
            UnsafeMutableRawBufferPointer(start: body, count: plain), path, tos, isSparse)
    }

    @inline(__always)
    private mutating func deliver(
        _ plain: UnsafeMutableRawBufferPointer, _ path: UnsafeMutablePointer<PeerPath>,
        _ tos: UInt8, _ isSparse: Bool
    ) -> PacketDrop? {
        guard let ip = try? IPPacket(UnsafeRawBufferPointer(plain), padded: true) else {
            return .malformedInner
        }
        // Cryptokey routing (paper 2): a peer speaks only for its own addresses.
        guard owner(ip) == path.pointee.number else { return .sourceNotAllowed }
        let packet = UnsafeMutableRawBufferPointer(rebasing: plain[..<ip.totalLength])
        if tos & 3 != 0, !ECN.apply(outer: tos, to: packet) { return .congestionMarked }
        _ = isSparse ? sparse.add(packet) : coalescer.add(packet)
        return nil
    }

    @inline(__always)
    private func owner(_ ip: IPPacket) -> Int32 {
        guard let routes = forwarding.pointee.routes.load(ordering: .acquiring) else { return -1 }
        if ip.isIPv4 { return routes.pointee.allowedIPs.lookup(v4: ip.sourceV4) }
        let (high, low) = ip.sourceV6
        return routes.pointee.allowedIPs.lookup(v6: high, low: low)
    }

    @inline(__always)
    private mutating func noticeSource(
        _ path: UnsafeMutablePointer<PeerPath>, _ source: IPEndpoint, isKeepalive: Bool,
        _ now: Instant
    ) {
        if let known = path.pointee.endpoint.load(ordering: .acquiring) {
            if known.pointee == source {
                path.pointee.markEndpointHeard(now)
                return
            }
            // A peer with several queues sends from several ports, and lets us hear from its
            // listening port in between: keepalives come from nowhere else.
            if !isKeepalive, known.pointee.address == source.address,
                known.pointee.scope == source.scope, path.pointee.isEndpointAlive(now)
            {
                return
            }
        }
        note(.roamed(peer: path.pointee.number, to: source))
    }

    /// What is already noted in this batch, or does not fit, is noted again by a later packet.
    private mutating func note(_ event: PacketEvent) {
        guard eventCount < Self.maxEvents else { return }
        if eventCount > 0, events[eventCount - 1] == event { return }
        events[eventCount] = event
        eventCount += 1
    }
}
