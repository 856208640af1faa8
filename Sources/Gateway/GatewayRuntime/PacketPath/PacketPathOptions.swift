import Glibc
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

    package init() {}

    init(_ config: GatewayConfig.Tunnel) {
        queues = config.queues ?? Self.queues(forCPUs: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        cpus = config.cpus
        busyPoll = config.busyPoll
    }

    /// A queue keeps two threads busy at most, and the endpoints want CPUs as well: one queue for
    /// every four CPUs, four at most.
    package static func queues(forCPUs count: Int) -> Int { min(4, max(1, count / 4)) }

    func cpu(ofQueue number: Int) -> Int? {
        cpus.isEmpty ? nil : cpus[number % cpus.count]
    }
}
