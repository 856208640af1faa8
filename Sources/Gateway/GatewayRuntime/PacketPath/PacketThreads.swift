import Addresses
import CLinux
import Glibc
import LinuxNet
import Packets
import Synchronization
import Timing
import Tunnel

/// What the three threads of one tunnel share.
final class TunnelShared: Sendable {
    let tun: TunDevice
    let mailbox: ControlMailbox
    let quiescence = Quiescence()
    /// The underlay socket's descriptor and family; changes when the port does.
    let socketDescriptor: Atomic<Int32>
    let socketFamily: Atomic<Int32>
    let stopping = Atomic<Bool>(false)
    /// The TUN device was taken away under us.
    let deviceGone = Atomic<Bool>(false)

    /// Packet threads sit in read(2) and recvmmsg(2) rather than in poll(2): a system call less
    /// for each time they wake. To make them look at the fields above again, the control thread
    /// raises this and interrupts them until both have answered.
    let attentionWanted = Atomic<UInt64>(0)
    let outboundAttention = Atomic<UInt64>(0)
    let inboundAttention = Atomic<UInt64>(0)

    init(tun: TunDevice, socket: UDPSocket) throws(LinuxError) {
        self.tun = tun
        mailbox = try ControlMailbox()
        socketDescriptor = Atomic(socket.descriptor)
        socketFamily = Atomic(socket.family)
    }

    /// Whether every packet thread has looked since `ticket` was drawn.
    func haveLooked(since ticket: UInt64) -> Bool {
        min(
            outboundAttention.load(ordering: .sequentiallyConsistent),
            inboundAttention.load(ordering: .sequentiallyConsistent)) >= ticket
    }

    /// First thing in each turn of a packet thread, before it reads any of the fields.
    @inline(__always)
    func answer(_ attention: borrowing Atomic<UInt64>) {
        let wanted = attentionWanted.load(ordering: .sequentiallyConsistent)
        if attention.load(ordering: .relaxed) != wanted {
            attention.store(wanted, ordering: .sequentiallyConsistent)
        }
    }
}

/// TUN to underlay, run to completion.
struct OutboundThread: ~Copyable {
    /// Reads before what was sealed is sent: enough to fill batches, few enough that the first
    /// packet does not wait long for the last.
    private static let readsPerRound = 64
    /// A packet of 64 KiB and its virtio header.
    private static let readBytes = 65_536 + 64

    private let shared: TunnelShared
    private let tun: Int32
    private var outbound: Outbound
    private var sender: UDPSendBatch
    private let buffer: UnsafeMutableRawPointer

    init(
        _ shared: TunnelShared, forwarding: UnsafeMutablePointer<Forwarding>,
        counters: DropCounters
    ) {
        self.shared = shared
        tun = shared.tun.fd
        outbound = Outbound(forwarding: forwarding, counters: counters)
        sender = UDPSendBatch(capacity: outbound.batch.groupCapacity)
        buffer = .allocate(byteCount: Self.readBytes, alignment: 4096)
        _ = fcntl(tun, F_SETFL, fcntl(tun, F_GETFL) & ~O_NONBLOCK)
    }

    deinit { buffer.deallocate() }

    mutating func run() {
        // A thread that has ended has nothing left to look at.
        defer { shared.outboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        while true {
            shared.answer(shared.outboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            let count = read(tun, buffer, Self.readBytes)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            shared.quiescence.enter(.outbound)
            let now = MonotonicClock.now()
            ProgramPages.shared.notePackets(now)
            round(first: count, now: now)
            shared.quiescence.leave(.outbound)
        }
        shared.deviceGone.store(true, ordering: .relaxed)
        shared.mailbox.stop()
    }

    private mutating func round(first: Int, now: Instant) {
        var count = first
        var reads = 0
        while count > 0 {
            reads += 1
            outbound.begin(UnsafeMutableRawBufferPointer(start: buffer, count: count))
            advance(now)
            if reads == Self.readsPerRound { break }
            // A large packet is a batch by itself: what follows is better read while this one
            // is on its way.
            if outbound.batch.used > 60_000 { send() }
            count = clinux_read_now(tun, buffer, Self.readBytes)
        }
        send()
        if outbound.hasNews { handOver() }
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

    private mutating func send() {
        guard !outbound.batch.isEmpty else { return }
        let family = shared.socketFamily.load(ordering: .relaxed)
        for i in 0..<outbound.batch.groupCount {
            let group = outbound.batch.groups[i]
            sender.put(
                outbound.batch.slab + group.offset, count: group.count,
                segmentSize: group.segmentSize, to: group.endpoint, tos: group.tos,
                socketFamily: family)
        }
        let (refused, _) = sender.send(shared.socketDescriptor.load(ordering: .relaxed))
        if refused > 0 { outbound.drops.add(.sendFailed, refused) }
        for i in 0..<outbound.batch.groupCount {
            let group = outbound.batch.groups[i]
            let lost = sender.refused[i]
            group.peer.pointee.countSent(
                bytes: group.count - lost.bytes, packets: Int(group.segments) - lost.messages)
        }
        outbound.batch.reset()
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
        for i in 0..<outbound.rekeyCount {
            _ = shared.mailbox.post(.rekey(peer: outbound.rekeys[i]))
        }
        outbound.resetNews()
    }
}

/// Underlay to TUN, run to completion.
struct InboundThread: ~Copyable {
    /// Datagrams, each of up to 64 KiB when the kernel coalesces.
    private static let slots = 16

    private let shared: TunnelShared
    private let tun: Int32
    private var inbound: Inbound
    private let receiver: UDPReceiveBatch

    init(
        _ shared: TunnelShared, forwarding: UnsafeMutablePointer<Forwarding>,
        counters: DropCounters
    ) {
        self.shared = shared
        tun = shared.tun.fd
        inbound = Inbound(forwarding: forwarding, counters: counters)
        receiver = UDPReceiveBatch(capacity: Self.slots)
    }

    mutating func run() {
        defer { shared.inboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        while true {
            shared.answer(shared.inboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            let count = receiver.receive(shared.socketDescriptor.load(ordering: .acquiring))
            // Errors of earlier sends (ICMP) are reported once and are over.
            guard count > 0 else { continue }
            shared.quiescence.enter(.inbound)
            let now = MonotonicClock.now()
            ProgramPages.shared.notePackets(now)
            round(count, now: now)
            shared.quiescence.leave(.inbound)
        }
    }

    private mutating func round(_ count: Int, now: Instant) {
        for i in 0..<count {
            guard let received = receiver.received(i) else {
                inbound.drops.add(.malformedMessage)
                continue
            }
            take(received, now)
        }
        write()
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
                if !shared.mailbox.post(handshake: bytes, from: received.from) {
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
