import LinuxNet
import Synchronization
import Timing

/// What the three threads of one tunnel share.
final class TunnelShared: Sendable {
    let tun: TunDevice
    let mailbox: ControlMailbox
    let quiescence = Quiescence()
    let duty: InboundDuty
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
        duty = try InboundDuty()
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
