import Glibc
import LinuxNet
import Synchronization
import Timing
import Tunnel

/// TUN to underlay; the other way as well while it has the inbound duty.
struct OutboundThread: ~Copyable {
    private let shared: TunnelShared
    private let lane: PacketLane
    private var outbound: OutboundWork
    private let inbound: UnsafeMutablePointer<InboundWork>
    private let waiting: UnsafeMutablePointer<pollfd>
    private var patience: Patience

    /// `inbound` must outlive this.
    init(
        _ shared: TunnelShared, _ lane: PacketLane,
        forwarding: UnsafeMutablePointer<Forwarding>, inbound: UnsafeMutablePointer<InboundWork>
    ) {
        self.shared = shared
        self.lane = lane
        self.inbound = inbound
        patience = Patience(shared.busyPoll)
        outbound = OutboundWork(shared, lane, forwarding: forwarding)
        waiting = .allocate(capacity: 4)
        waiting.initialize(repeating: pollfd(), count: 4)
    }

    deinit { waiting.deallocate() }

    mutating func run() {
        // A thread that has ended has nothing left to look at.
        defer { lane.outboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        var isThere = true
        while isThere {
            shared.answer(lane.outboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            switch lane.duty.state {
            case .own: isThere = outbound.wait()
            case .asked: isThere = serveUntilReleased()
            case .released: lane.duty.take()
            case .lent: isThere = serveBoth()
            }
        }
        shared.deviceGone.store(true, ordering: .relaxed)
        shared.mailbox.stop()
    }

    private mutating func serveBoth() -> Bool {
        if outbound.hasBacklog || patience.isLeft() {
            let came = inbound.pointee.take(drain: false)
            let taken = outbound.take()
            if came || taken == .some { patience.renew() }
            lane.duty.giveBackIfHeavy()
            return taken != .gone
        }
        patience.willSleep()
        let isWoken = wait(
            beside: lane.listening.load(ordering: .acquiring),
            lane.sparse.load(ordering: .acquiring), lane.side)
        guard isWoken else { return true }
        patience.wasWoken()
        if (1...3).contains(where: { waiting[$0].revents != 0 }) {
            inbound.pointee.take(drain: false)
        }
        let isThere = waiting[0].revents == 0 || outbound.take() != .gone
        lane.duty.giveBackIfHeavy()
        return isThere
    }

    private mutating func serveUntilReleased() -> Bool {
        if outbound.hasBacklog { return outbound.take() != .gone }
        guard wait(beside: lane.duty.released.fd, -1, -1) else { return true }
        if waiting[1].revents != 0 { lane.duty.released.drain() }
        return waiting[0].revents == 0 || outbound.take() != .gone
    }

    /// Whether the TUN queue or a descriptor has something; poll(2) passes over negative ones.
    private func wait(beside first: Int32, _ second: Int32, _ third: Int32) -> Bool {
        waiting[0] = pollfd(fd: lane.queue, events: Int16(POLLIN), revents: 0)
        waiting[1] = pollfd(fd: first, events: Int16(POLLIN), revents: 0)
        waiting[2] = pollfd(fd: second, events: Int16(POLLIN), revents: 0)
        waiting[3] = pollfd(fd: third, events: Int16(POLLIN), revents: 0)
        return poll(waiting, 4, -1) > 0
    }
}
