import LinuxNet
import Synchronization
import Tunnel

/// One queue of the TUN device with the sockets and the two packet threads that serve it, as far
/// as others see them.
final class PacketLane: Sendable {
    let number: Int
    /// The TUN queue.
    let queue: Int32
    let duty: InboundDuty
    /// The descriptor and family of the socket at the listening port; they change when the port
    /// does.
    let listening: Atomic<Int32>
    let family: Atomic<Int32>
    /// The socket beside it, for sparse flows; -1: there is none.
    let sparse: Atomic<Int32>
    /// The socket at this lane's own port; -1: it sends from the listening port.
    let side: Int32

    // What the control thread has asked a thread to look at.
    let outboundAttention = Atomic<UInt64>(0)
    let inboundAttention = Atomic<UInt64>(0)

    // Which generation a thread may still be reading (see `Quiescence`).
    let outboundSeen = Atomic<UInt64>(Quiescence.idle)
    let inboundSeen = Atomic<UInt64>(Quiescence.idle)

    let outboundDrops: DropCounters
    let inboundDrops: DropCounters

    init(
        number: Int, queue: Int32, _ sockets: UnderlaySockets
    ) throws(LinuxError) {
        self.number = number
        self.queue = queue
        duty = try InboundDuty()
        let socket = sockets.listening[number]
        listening = Atomic(socket.descriptor)
        family = Atomic(socket.family)
        sparse = Atomic(sockets.sparse(ofQueue: number)?.descriptor ?? -1)
        side = sockets.side(ofQueue: number)?.descriptor ?? -1
        outboundDrops = DropCounters()
        inboundDrops = DropCounters()
    }

    /// The socket that this lane sends with.
    @inline(__always)
    var sending: Int32 { side >= 0 ? side : listening.load(ordering: .relaxed) }

    func move(to sockets: UnderlaySockets) {
        let socket = sockets.listening[number]
        family.store(socket.family, ordering: .sequentiallyConsistent)
        sparse.store(
            sockets.sparse(ofQueue: number)?.descriptor ?? -1, ordering: .sequentiallyConsistent)
        listening.store(socket.descriptor, ordering: .sequentiallyConsistent)
    }

    /// The oldest that either thread may be reading.
    var oldestSeen: UInt64 {
        min(
            outboundSeen.load(ordering: .sequentiallyConsistent),
            inboundSeen.load(ordering: .sequentiallyConsistent))
    }

    /// The last that both threads have answered.
    var attention: UInt64 {
        min(
            outboundAttention.load(ordering: .sequentiallyConsistent),
            inboundAttention.load(ordering: .sequentiallyConsistent))
    }
}
