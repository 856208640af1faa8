import Glibc
import LinuxNet
import Synchronization
import Tunnel

/// Underlay to TUN, while it has the inbound duty.
struct InboundThread: ~Copyable {
    private let shared: TunnelShared
    private let lane: PacketLane
    private let inbound: UnsafeMutablePointer<InboundWork>
    private let waiting: UnsafeMutablePointer<pollfd>
    /// In a flood, once all is read that has come: to be woken for every datagram of a stranger
    /// would cost more than to open those of peers.
    private static let gatherMicroseconds: UInt32 = 20

    /// `inbound` must outlive this.
    init(
        _ shared: TunnelShared, _ lane: PacketLane, inbound: UnsafeMutablePointer<InboundWork>
    ) {
        self.shared = shared
        self.lane = lane
        self.inbound = inbound
        waiting = .allocate(capacity: 3)
        waiting.initialize(repeating: pollfd(), count: 3)
    }

    deinit { waiting.deallocate() }

    func run() {
        defer { lane.inboundAttention.store(.max, ordering: .sequentiallyConsistent) }
        while true {
            shared.answer(lane.inboundAttention)
            if shared.stopping.load(ordering: .relaxed) { return }
            switch lane.duty.state {
            case .own: serve()
            case .asked: lane.duty.release()
            case .released, .lent: park()
            }
        }
    }

    private func serve() {
        if inbound.pointee.hasDrained, shared.hasFlood.load(ordering: .relaxed) {
            usleep(Self.gatherMicroseconds)
        }
        if inbound.pointee.hasDrained {
            waiting[0] = pollfd(
                fd: lane.listening.load(ordering: .acquiring), events: Int16(POLLIN), revents: 0)
            waiting[1] = pollfd(
                fd: lane.sparse.load(ordering: .acquiring), events: Int16(POLLIN), revents: 0)
            waiting[2] = pollfd(fd: lane.side, events: Int16(POLLIN), revents: 0)
            guard poll(waiting, 3, -1) > 0 else { return }
        }
        inbound.pointee.take(drain: true)
    }

    private func park() {
        var returned = pollfd(fd: lane.duty.returned.fd, events: Int16(POLLIN), revents: 0)
        if poll(&returned, 1, -1) > 0 { lane.duty.returned.drain() }
    }
}
