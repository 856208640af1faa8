import CLinux
import Glibc
import LinuxNet
import Packets
import Synchronization
import Timing
import Tunnel

/// TUN to underlay, run to completion. For one thread.
struct OutboundWork: ~Copyable {
    /// Reads before what was sealed is sent: enough to fill batches, few enough that the first
    /// packet does not wait long for the last.
    private static let readsPerRound = 64
    /// So much in a batch is about what one send carries.
    private static let trainBytes = 60_000
    /// A packet of 64 KiB and its virtio header.
    private static let readBytes = 65_536 + 64

    /// What a look without waiting found.
    enum Taken { case some, none, gone }

    private let shared: TunnelShared
    private let lane: PacketLane
    private let tun: Int32
    private var outbound: Outbound
    private var sender: UDPSendBatch
    private let buffer: UnsafeMutableRawPointer
    private var lastRound = Instant(nanoseconds: 0)
    private var widening = CipherWidening()

    init(
        _ shared: TunnelShared, _ lane: PacketLane, forwarding: UnsafeMutablePointer<Forwarding>
    ) {
        self.shared = shared
        self.lane = lane
        tun = lane.queue
        outbound = Outbound(
            forwarding: forwarding, counters: lane.outboundDrops, isFromSidePort: lane.side >= 0)
        sender = UDPSendBatch(capacity: outbound.batch.groupCapacity)
        buffer = .allocate(byteCount: Self.readBytes, alignment: 4096)
        _ = fcntl(tun, F_SETFL, fcntl(tun, F_GETFL) & ~O_NONBLOCK)
    }

    deinit { buffer.deallocate() }

    /// Waits for a packet and sends what has come by then. False when the device is gone.
    mutating func wait() -> Bool {
        let count = read(tun, buffer, Self.readBytes)
        if count > 0 {
            round(first: count, drain: true)
            return true
        }
        return count < 0 && errno == EINTR
    }

    /// Sends what is there.
    mutating func take() -> Taken {
        let count = clinux_read_now(tun, buffer, Self.readBytes)
        if count > 0 {
            round(first: count, drain: false)
            return .some
        }
        return count == -Int(EAGAIN) || count == -Int(EINTR) ? .none : .gone
    }

    /// A lone packet leaves before anyone asks whether there is another, unless `drain`.
    private mutating func round(first: Int, drain: Bool) {
        shared.quiescence.enter(lane.outboundSeen)
        let now = MonotonicClock.now()
        ProgramPages.shared.notePackets(now)
        let isLone = !drain && now - lastRound > InboundDuty.loneAfter
        lastRound = now
        round(first: first, limit: isLone ? 1 : Self.readsPerRound, now: now)
        shared.quiescence.leave(lane.outboundSeen)
    }

    private mutating func round(first: Int, limit: Int, now: Instant) {
        var count = first
        var reads = 0
        var bytes = 0
        while count > 0 {
            reads += 1
            bytes += count
            outbound.begin(UnsafeMutableRawBufferPointer(start: buffer, count: count))
            advance(now)
            if reads == limit { break }
            // A large packet fills a train by itself: what follows is better read while this one
            // is on its way. Its last segments, for which the train has no room, wait for those of
            // the next packet: alone they would cost as much as a train.
            if outbound.batch.used > Self.trainBytes { send(outbound.batch.fullGroups) }
            count = clinux_read_now(tun, buffer, Self.readBytes)
        }
        send()
        if outbound.hasNews { handOver() }
        lane.duty.noteRound(units: reads, bytes: bytes, now)
        widening.noteRound(units: reads, bytes: bytes, &outbound.cipher)
    }

    private mutating func advance(_ now: Instant) {
        while true {
            switch outbound.advance(now: now) {
            case .done: return
            case .batchFull: send()
            case .stagingFull: handOver()
            }
        }
    }

    private mutating func send() { send(outbound.batch.groupCount) }

    private mutating func send(_ groups: Int) {
        guard groups > 0 else { return }
        let family = lane.family.load(ordering: .relaxed)
        for i in 0..<groups {
            let group = outbound.batch.groups[i]
            sender.put(
                outbound.batch.slab + group.offset, count: group.count,
                segmentSize: group.segmentSize, to: group.endpoint, tos: group.tos,
                socketFamily: family)
        }
        let (refused, _) = sender.send(lane.sending)
        if refused > 0 { outbound.drops.add(.sendFailed, refused) }
        for i in 0..<groups {
            let group = outbound.batch.groups[i]
            let lost = sender.refused[i]
            group.peer.pointee.countSent(
                bytes: group.count - lost.bytes, packets: Int(group.segments) - lost.messages)
        }
        outbound.batch.removeFirst(groups)
    }

    private mutating func handOver() {
        for i in 0..<outbound.stagedCount {
            let staged = outbound.staged[i]
            let packet = UnsafeRawBufferPointer(
                start: outbound.staging + staged.offset, count: staged.count)
            if !shared.mailbox.post(packet: packet, peer: staged.peer) {
                outbound.drops.add(.controlBusy)
            }
        }
        for i in 0..<outbound.eventCount { _ = shared.mailbox.post(outbound.events[i]) }
        outbound.resetNews()
    }
}
