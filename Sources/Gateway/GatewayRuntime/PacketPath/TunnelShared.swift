import LinuxNet
import Synchronization
import Timing

/// What the threads of one tunnel share.
final class TunnelShared: Sendable {
    let tun: TunDevice
    let lanes: [PacketLane]
    let mailbox: ControlMailbox
    let quiescence: Quiescence
    let busyPoll: Nanoseconds
    let sparseTOS: UInt8
    let stopping = Atomic<Bool>(false)
    /// Initiations come in a flood: threads let some gather before they look.
    let hasFlood = Atomic<Bool>(false)
    /// The TUN device was taken away under us.
    let deviceGone = Atomic<Bool>(false)

    /// Packet threads sit in read(2) rather than in poll(2), a system call less for each time they
    /// wake, or in poll(2) without a descriptor for this. To make them look at the fields of their
    /// lane again, the control thread raises this and interrupts them until all have answered.
    let attentionWanted = Atomic<UInt64>(0)

    init(
        tun: TunDevice, sockets: UnderlaySockets, options: PacketPathOptions
    ) throws(LinuxError) {
        self.tun = tun
        busyPoll = options.busyPoll
        sparseTOS = options.sparseTOS
        mailbox = try ControlMailbox()
        var lanes: [PacketLane] = []
        for (number, queue) in tun.queues.enumerated() {
            lanes.append(try PacketLane(number: number, queue: queue, sockets))
        }
        self.lanes = lanes
        quiescence = Quiescence(lanes)
    }

    func wantAttention() -> UInt64 {
        attentionWanted.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    }

    /// Whether every packet thread has looked since `ticket` was drawn.
    func haveLooked(since ticket: UInt64) -> Bool {
        lanes.allSatisfy { $0.attention >= ticket }
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
