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
        waiting = .allocate(capacity: 3)
        waiting.initialize(repeating: pollfd(), count: 3)
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
        let listening = lane.listening.load(ordering: .acquiring)
        if patience.isLeft() {
            let came = inbound.pointee.take(from: listening)
            let cameBeside = lane.side >= 0 && inbound.pointee.take(from: lane.side)
            let taken = outbound.take()
            if came || cameBeside || taken == .some { patience.renew() }
            lane.duty.giveBackIfHeavy()
            return taken != .gone
        }
        patience.willSleep()
        guard wait(beside: listening, lane.side) else { return true }
        patience.wasWoken()
        if waiting[1].revents != 0 { inbound.pointee.take(from: listening) }
        if waiting[2].revents != 0 { inbound.pointee.take(from: lane.side) }
        let isThere = waiting[0].revents == 0 || outbound.take() != .gone
        lane.duty.giveBackIfHeavy()
        return isThere
    }

    private mutating func serveUntilReleased() -> Bool {
        guard wait(beside: lane.duty.released.fd, -1) else { return true }
        if waiting[1].revents != 0 { lane.duty.released.drain() }
        return waiting[0].revents == 0 || outbound.take() != .gone
    }

    /// Whether the TUN queue or a descriptor has something; poll(2) passes over negative ones.
    private func wait(beside first: Int32, _ second: Int32) -> Bool {
        waiting[0] = pollfd(fd: lane.queue, events: Int16(POLLIN), revents: 0)
        waiting[1] = pollfd(fd: first, events: Int16(POLLIN), revents: 0)
        waiting[2] = pollfd(fd: second, events: Int16(POLLIN), revents: 0)
        return poll(waiting, 3, -1) > 0
    }
}
