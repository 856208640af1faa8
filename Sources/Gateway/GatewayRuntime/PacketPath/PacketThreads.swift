import Glibc
import LinuxNet
import Synchronization
import Tunnel

/// The packet threads of one tunnel, two for each lane.
final class PacketThreads: Sendable {
    private let shared: TunnelShared
    /// Outbound and inbound thread of the first lane, of the second, and so on.
    private let threads: [PosixThread]
    private let inboundWorks: UnsafeTransfer<[UnsafeMutablePointer<InboundWork>]>

    /// Starts them all, or none.
    init(
        _ shared: TunnelShared, forwarding: UnsafeMutablePointer<Forwarding>,
        _ options: PacketPathOptions, name: String
    ) throws(LinuxError) {
        self.shared = shared
        let works = shared.lanes.map { lane in
            let work = UnsafeMutablePointer<InboundWork>.allocate(capacity: 1)
            work.initialize(to: InboundWork(shared, lane, forwarding: forwarding))
            return work
        }
        inboundWorks = UnsafeTransfer(works)
        var threads: [PosixThread] = []
        do {
            for lane in shared.lanes {
                let suffix = shared.lanes.count > 1 ? "\(lane.number)" : ""
                let cpu = options.cpu(ofQueue: lane.number)
                let inbound = UnsafeTransfer(works[lane.number])
                let forwarding = UnsafeTransfer(forwarding)
                threads.append(
                    try PosixThread(name: "\(name)-out\(suffix)", cpu: cpu) {
                        var thread = OutboundThread(
                            shared, lane, forwarding: forwarding.value, inbound: inbound.value)
                        thread.run()
                    })
                threads.append(
                    try PosixThread(name: "\(name)-in\(suffix)", cpu: cpu) {
                        InboundThread(shared, lane, inbound: inbound.value).run()
                    })
            }
        } catch {
            Self.stop(shared, threads)
            Self.free(works)
            throw error
        }
        self.threads = threads
    }

    /// Ends the blocking calls that they are in.
    func interrupt() {
        for thread in threads { thread.interrupt() }
    }

    func stop() {
        Self.stop(shared, threads)
        Self.free(inboundWorks.value)
    }

    private static func stop(_ shared: TunnelShared, _ threads: [PosixThread]) {
        shared.stopping.store(true, ordering: .sequentiallyConsistent)
        // Threads that were never started have nothing to look at.
        for lane in shared.lanes {
            if threads.count <= 2 * lane.number {
                lane.outboundAttention.store(.max, ordering: .sequentiallyConsistent)
            }
            if threads.count <= 2 * lane.number + 1 {
                lane.inboundAttention.store(.max, ordering: .sequentiallyConsistent)
            }
        }
        let ticket = shared.wantAttention()
        while !shared.haveLooked(since: ticket) {
            for thread in threads { thread.interrupt() }
            _ = poll(nil, 0, 1)
        }
        for thread in threads { thread.join() }
    }

    private static func free(_ works: [UnsafeMutablePointer<InboundWork>]) {
        for work in works {
            work.deinitialize(count: 1)
            work.deallocate()
        }
    }
}
