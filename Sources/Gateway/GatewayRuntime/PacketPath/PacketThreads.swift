import Glibc
import LinuxNet
import Synchronization
import Timing
import Tunnel

/// TUN to underlay; the other way as well while it has the inbound duty.
struct OutboundThread: ~Copyable {
    private let shared: TunnelShared
    private var outbound: OutboundWork
    private let inbound: UnsafeMutablePointer<InboundWork>
    private let waiting: UnsafeMutablePointer<pollfd>

    /// `inbound` must outlive this.
    init(
        _ shared: TunnelShared, forwarding: UnsafeMutablePointer<Forwarding>,
        counters: DropCounters, inbound: UnsafeMutablePointer<InboundWork>
    ) {
        self.shared = shared
        self.inbound = inbound
        outbound = OutboundWork(shared, forwarding: forwarding, counters: counters)
        waiting = .allocate(capacity: 2)
        waiting.initialize(repeating: pollfd(), count: 2)
    }

    deinit { waiting.deallocate() }

    mutating func run() {
        // A thread that has ended has nothing left to look at.
        defer { shared.outboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        var isThere = true
        while isThere {
            shared.answer(shared.outboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            switch shared.duty.state {
            case .own: isThere = outbound.wait()
            case .asked: isThere = serveUntilReleased()
            case .released: shared.duty.take()
            case .lent: isThere = serveBoth()
            }
        }
        shared.deviceGone.store(true, ordering: .relaxed)
        shared.mailbox.stop()
    }

    private mutating func serveBoth() -> Bool {
        let socket = shared.socketDescriptor.load(ordering: .acquiring)
        guard wait(beside: socket) else { return true }
        if waiting[1].revents != 0 { inbound.pointee.take(from: socket) }
        let isThere = waiting[0].revents == 0 || outbound.take()
        shared.duty.giveBackIfHeavy()
        return isThere
    }

    private mutating func serveUntilReleased() -> Bool {
        guard wait(beside: shared.duty.released.fd) else { return true }
        if waiting[1].revents != 0 { shared.duty.released.drain() }
        return waiting[0].revents == 0 || outbound.take()
    }

    /// Whether the TUN queue or `descriptor` has something.
    private func wait(beside descriptor: Int32) -> Bool {
        waiting[0] = pollfd(fd: shared.tun.fd, events: Int16(POLLIN), revents: 0)
        waiting[1] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(waiting, 2, -1) > 0
    }
}

/// Underlay to TUN, while it has the inbound duty.
struct InboundThread: ~Copyable {
    private let shared: TunnelShared
    private let inbound: UnsafeMutablePointer<InboundWork>

    /// `inbound` must outlive this.
    init(_ shared: TunnelShared, inbound: UnsafeMutablePointer<InboundWork>) {
        self.shared = shared
        self.inbound = inbound
    }

    func run() {
        defer { shared.inboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        while true {
            shared.answer(shared.inboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            switch shared.duty.state {
            case .own: inbound.pointee.wait()
            case .asked: shared.duty.release()
            case .released, .lent: park()
            }
        }
    }

    private func park() {
        var returned = pollfd(fd: shared.duty.returned.fd, events: Int16(POLLIN), revents: 0)
        if poll(&returned, 1, -1) > 0 { shared.duty.returned.drain() }
    }
}
