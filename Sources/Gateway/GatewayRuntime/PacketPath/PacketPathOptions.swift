import Glibc
import LinuxNet
import SliceModel
import Timing

/// How the packet threads of a tunnel use the machine.
package struct PacketPathOptions: Equatable, Sendable {
    package static let maximumQueues = 16

    /// Queues of the TUN device, each with two threads and a port to send from.
    package var queues = 1
    /// CPUs that the threads are bound to, queue by queue and from the first again; empty: the
    /// scheduler's choice.
    package var cpus: [Int] = []
    /// For how long at most a thread asks again and again after a packet, before it waits to be
    /// woken.
    package var busyPoll = Nanoseconds.microseconds(100)
    /// The outer DSCP of packets of sparse flows, 0 to 63; 0: they have none, and overtake nothing
    /// at the other end.
    package var sparseDSCP = GatewayConfig.Tunnel.defaultSparseDSCP

    package init() {}

    init(_ config: GatewayConfig.Tunnel) {
        queues = config.queues ?? Self.queues(forCPUs: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        cpus = config.cpus
        busyPoll = config.busyPoll
        sparseDSCP = config.sparseDSCP
    }

    /// A queue keeps two threads busy at most, and the endpoints want CPUs as well: one queue for
    /// every four CPUs, four at most.
    package static func queues(forCPUs count: Int) -> Int { min(4, max(1, count / 4)) }

    var sparseTOS: UInt8 { UInt8(sparseDSCP << 2) }

    func openSockets(port: UInt16) throws(LinuxError) -> UnderlaySockets {
        try UnderlaySockets(port: port, queues: queues, sparseTOS: sparseTOS)
    }

    func cpu(ofQueue number: Int) -> Int? {
        cpus.isEmpty ? nil : cpus[number % cpus.count]
    }
}
