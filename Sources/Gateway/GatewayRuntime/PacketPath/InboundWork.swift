import Glibc
import LinuxNet
import Packets
import Synchronization
import Timing
import Tunnel

/// Underlay to TUN, run to completion. For whoever has the duty, one thread at a time.
///
/// What the other end says is of sparse flows has a socket of its own and is written first. It is
/// received last: so whatever of a flow that turns to bulk came before what is at hand is there.
struct InboundWork: ~Copyable {
    /// Datagrams, each of up to 64 KiB when the kernel coalesces.
    private static let slots = 16
    /// So much is opened before another look at what is of sparse flows.
    private static let bytesBetweenLooks = 60_000
    /// How often all slots are filled by those at most before others have their turn: as often as
    /// it takes to receive all that may have been there, and no more, since whoever sends may say
    /// that it is of a sparse flow.
    private static let fillsPerLook = UDPSocket.mostDatagrams / slots + 1

    private let shared: TunnelShared
    private let lane: PacketLane
    private let tun: Int32
    private var inbound: Inbound
    private let receiver: UDPReceiveBatch
    private let sparseReceiver: UDPReceiveBatch
    /// The last round found all there was.
    private(set) var hasDrained = true
    private var lastRound = Instant(nanoseconds: 0)
    /// The control thread does not know yet.
    private var hasHandshakes = false
    private var widening = CipherWidening()

    init(
        _ shared: TunnelShared, _ lane: PacketLane, forwarding: UnsafeMutablePointer<Forwarding>
    ) {
        self.shared = shared
        self.lane = lane
        tun = lane.queue
        inbound = Inbound(
            forwarding: forwarding, counters: lane.inboundDrops,
            coalesceUDP: shared.tun.offloads.contains(.uso))
        receiver = UDPReceiveBatch(capacity: Self.slots)
        sparseReceiver = UDPReceiveBatch(capacity: Self.slots)
    }

    /// Delivers what is there: whether anything was. Of packets that come one by one it is one at a
    /// time, unless `drain`.
    @discardableResult
    mutating func take(drain: Bool) -> Bool {
        hasDrained = true
        let came = take(
            from: lane.listening.load(ordering: .acquiring),
            sparse: lane.sparse.load(ordering: .acquiring), drain: drain)
        guard lane.side >= 0 else { return came }
        return take(from: lane.side, sparse: -1, drain: drain) || came
    }

    private mutating func take(from socket: Int32, sparse: Int32, drain: Bool) -> Bool {
        let now = MonotonicClock.now()
        let isLone = !drain && now - lastRound > InboundDuty.loneAfter
        // Errors of earlier sends (ICMP) are reported once and are over.
        let count = max(
            0, receiver.receive(socket, limit: isLone ? 1 : Self.slots))
        let sparseCount = receiveSparse(sparse)
        guard count + sparseCount > 0 else { return false }
        round(count, sparseCount, sparse, now)
        return true
    }

    private func receiveSparse(_ socket: Int32) -> Int {
        socket < 0 ? 0 : max(0, sparseReceiver.receive(socket, limit: Self.slots))
    }

    private mutating func round(
        _ count: Int, _ sparseCount: Int, _ sparse: Int32, _ now: Instant
    ) {
        shared.quiescence.enter(lane.inboundSeen)
        ProgramPages.shared.notePackets(now)
        lastRound = now
        if max(count, sparseCount) == Self.slots { hasDrained = false }
        var bytes = takeSparse(sparseCount, sparse, now)
        var sinceLook = 0
        for i in 0..<count {
            guard let received = receiver.received(i) else {
                inbound.drops.add(.malformedMessage)
                continue
            }
            if sinceLook >= Self.bytesBetweenLooks {
                bytes += takeSparse(receiveSparse(sparse), sparse, now)
                sinceLook = 0
            }
            bytes += received.count
            sinceLook += received.count
            take(received, isSparse: false, now)
        }
        write()
        if hasHandshakes {
            hasHandshakes = false
            shared.mailbox.ring()
        }
        shared.quiescence.leave(lane.inboundSeen)
        lane.duty.noteRound(units: count + sparseCount, bytes: bytes, now)
        widening.noteRound(units: count + sparseCount, bytes: bytes, &inbound.cipher)
    }

    /// Delivers `first` slots and what comes meanwhile: how many bytes.
    private mutating func takeSparse(_ first: Int, _ socket: Int32, _ now: Instant) -> Int {
        var count = first
        var bytes = 0
        var fills = 0
        while count > 0 {
            for i in 0..<count {
                guard let received = sparseReceiver.received(i) else {
                    inbound.drops.add(.malformedMessage)
                    continue
                }
                bytes += received.count
                take(received, isSparse: true, now)
            }
            writeSparse()
            fills += 1
            guard count == Self.slots, fills < Self.fillsPerLook else { break }
            count = receiveSparse(socket)
        }
        return bytes
    }

    private mutating func take(_ received: UDPReceived, isSparse: Bool, _ now: Instant) {
        var offset = 0
        while offset < received.count {
            let size = min(received.segmentSize, received.count - offset)
            let message = UnsafeMutableRawBufferPointer(
                start: received.base + offset, count: size)
            switch inbound.receive(
                message, from: received.from, tos: received.tos, isSparse: isSparse, now: now)
            {
            case .consumed:
                offset += size
            case .handshake:
                let bytes = UnsafeRawBufferPointer(message)
                if shared.mailbox.put(handshake: bytes, from: received.from, now: now) {
                    hasHandshakes = true
                } else {
                    inbound.drops.add(.controlBusy)
                }
                offset += size
            case .full:
                if isSparse { writeSparse() } else { write() }
            }
        }
    }

    /// News first: what a packet's delivery calls forth (the answer that needs the session
    /// which this packet confirmed) must find it told already.
    private mutating func write() {
        tellNews()
        Self.write(&inbound.coalescer, tun, inbound.drops)
    }

    private mutating func writeSparse() {
        tellNews()
        Self.write(&inbound.sparse, tun, inbound.drops)
    }

    private mutating func tellNews() {
        for i in 0..<inbound.eventCount { _ = shared.mailbox.post(inbound.events[i]) }
        inbound.resetEvents()
    }

    private static func write(_ coalescer: inout Coalescer, _ tun: Int32, _ drops: PacketDrops) {
        guard coalescer.packetCount > 0 else { return }
        coalescer.close()
        for i in 0..<coalescer.groupCount {
            let group = coalescer.group(i)
            let written = group.withMemoryRebound(to: iovec.self) {
                writev(tun, $0.baseAddress, Int32($0.count))
            }
            if written < 0 { drops.add(.writeFailed, coalescer.packetCount(ofGroup: i)) }
        }
        coalescer.reset()
    }
}
