import Addresses
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
    /// Raised to make a waiting packet thread look at the two above again.
    let wakeOutbound: EventFD
    let wakeInbound: EventFD
    /// The TUN device was taken away under us.
    let deviceGone = Atomic<Bool>(false)

    init(tun: TunDevice, socket: UDPSocket) throws(LinuxError) {
        self.tun = tun
        mailbox = try ControlMailbox()
        socketDescriptor = Atomic(socket.descriptor)
        socketFamily = Atomic(socket.family)
        wakeOutbound = try EventFD()
        wakeInbound = try EventFD()
    }

    func wakeAll() {
        wakeOutbound.signal()
        wakeInbound.signal()
    }
}

/// Waits until `descriptor` is readable, or woken. False when the descriptor is dead.
private func wait(_ descriptor: Int32, _ wake: EventFD) -> Bool {
    var fds = (
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)
    )
    let dead = withUnsafeMutableBytes(of: &fds) { raw -> Bool in
        let list = raw.assumingMemoryBound(to: pollfd.self)
        _ = poll(list.baseAddress, 2, -1)
        if list[1].revents != 0 { wake.drain() }
        return list[0].revents & Int16(POLLERR | POLLNVAL) != 0
            && list[0].revents & Int16(POLLIN) == 0
    }
    return !dead
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
    }

    deinit { buffer.deallocate() }

    mutating func run() {
        while !shared.stopping.load(ordering: .relaxed) {
            shared.quiescence.enter(.outbound)
            if !round(now: MonotonicClock.now()) { continue }
            shared.quiescence.leave(.outbound)
            if !wait(tun, shared.wakeOutbound) { break }
        }
        shared.quiescence.leave(.outbound)
        if !shared.stopping.load(ordering: .relaxed) {
            shared.deviceGone.store(true, ordering: .relaxed)
            shared.mailbox.stop()
        }
    }

    /// Whether the queue was read to its end.
    private mutating func round(now: Instant) -> Bool {
        var reads = 0
        var drained = false
        while reads < Self.readsPerRound {
            let count = read(tun, buffer, Self.readBytes)
            if count <= 0 {
                drained = true
                break
            }
            reads += 1
            outbound.begin(UnsafeMutableRawBufferPointer(start: buffer, count: count))
            advance(now)
            // A large packet is a batch by itself: what follows is better read while this one
            // is on its way.
            if outbound.batch.used > 60_000 { send() }
        }
        send()
        if outbound.hasNews { handOver() }
        return drained
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
        while !shared.stopping.load(ordering: .relaxed) {
            shared.quiescence.enter(.inbound)
            let descriptor = shared.socketDescriptor.load(ordering: .acquiring)
            let count = receiver.receive(descriptor)
            if count > 0 { round(count, now: MonotonicClock.now()) }
            // Slots left over mean that the socket was empty: waiting comes next, not asking.
            if count == Self.slots { continue }
            shared.quiescence.leave(.inbound)
            // Errors of earlier sends (ICMP) are reported once by receive and are over.
            if count >= 0 || count == -Int(EAGAIN) {
                _ = wait(descriptor, shared.wakeInbound)
            }
        }
        shared.quiescence.leave(.inbound)
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
        for i in 0..<inbound.eventCount { _ = shared.mailbox.post(inbound.events[i]) }
        inbound.resetEvents()
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

    private mutating func write() {
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
