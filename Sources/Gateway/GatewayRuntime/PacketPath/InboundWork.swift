import Glibc
import LinuxNet
import Packets
import Synchronization
import Timing
import Tunnel

/// Underlay to TUN, run to completion. For whoever has the duty, one thread at a time.
struct InboundWork: ~Copyable {
    /// Datagrams, each of up to 64 KiB when the kernel coalesces.
    private static let slots = 16

    private let shared: TunnelShared
    private let lane: PacketLane
    private let tun: Int32
    private var inbound: Inbound
    private let receiver: UDPReceiveBatch
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
    }

    /// Waits for a datagram and delivers what has come by then.
    mutating func wait(for socket: Int32) {
        let count = receiver.receive(socket, limit: Self.slots, wait: true)
        // Errors of earlier sends (ICMP) are reported once and are over.
        if count > 0 { round(count, MonotonicClock.now()) }
    }

    /// Delivers what is there: whether anything was.
    @discardableResult
    mutating func take(from socket: Int32) -> Bool {
        let now = MonotonicClock.now()
        let isLone = now - lastRound > InboundDuty.loneAfter
        let count = receiver.receive(socket, limit: isLone ? 1 : Self.slots, wait: false)
        if count > 0 { round(count, now) }
        return count > 0
    }

    private mutating func round(_ count: Int, _ now: Instant) {
        shared.quiescence.enter(lane.inboundSeen)
        ProgramPages.shared.notePackets(now)
        lastRound = now
        hasDrained = count < Self.slots
        var bytes = 0
        for i in 0..<count {
            guard let received = receiver.received(i) else {
                inbound.drops.add(.malformedMessage)
                continue
            }
            bytes += received.count
            take(received, now)
        }
        write()
        if hasHandshakes {
            hasHandshakes = false
            shared.mailbox.ring()
        }
        shared.quiescence.leave(lane.inboundSeen)
        lane.duty.noteRound(units: count, bytes: bytes, now)
        widening.noteRound(units: count, bytes: bytes, &inbound.cipher)
    }

    private mutating func take(_ received: UDPReceived, _ now: Instant) {
        var offset = 0
        while offset < received.count {
            let size = min(received.segmentSize, received.count - offset)
            let message = UnsafeMutableRawBufferPointer(
                start: received.base + offset, count: size)
            switch inbound.receive(message, from: received.from, tos: received.tos, now: now) {
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
                write()
            }
        }
    }

    /// News first: what a packet's delivery calls forth (the answer that needs the session
    /// which this packet confirmed) must find it told already.
    private mutating func write() {
        for i in 0..<inbound.eventCount { _ = shared.mailbox.post(inbound.events[i]) }
        inbound.resetEvents()
        guard inbound.coalescer.packetCount > 0 else { return }
        inbound.coalescer.close()
        for i in 0..<inbound.coalescer.groupCount {
            let group = inbound.coalescer.group(i)
            let written = group.withMemoryRebound(to: iovec.self) {
                writev(tun, $0.baseAddress, Int32($0.count))
            }
            if written < 0 {
                inbound.drops.add(.writeFailed, inbound.coalescer.packetCount(ofGroup: i))
            }
        }
        inbound.coalescer.reset()
    }
}
