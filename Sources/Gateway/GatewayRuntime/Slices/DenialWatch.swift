import Glibc
import LinuxNet
import SlicePolicy
import Synchronization

/// Listens to what the rules of one router namespace log, and hands it on a few packets at a time.
final class DenialWatch: Sendable {
    private let log: PacketLog
    private let wake: EventFD
    private let isStopping = Atomic<Bool>(false)
    private let heard: @Sendable ([JudgedPacket], _ lost: UInt64) -> Void

    /// The rules log ten packets a second for each reason; more at once is lost, and counted.
    private static let packetsPerBatch = 64

    init(
        in namespace: NetworkNamespace,
        heard: @escaping @Sendable ([JudgedPacket], _ lost: UInt64) -> Void
    ) throws(LinuxError) {
        log = try PacketLog(in: namespace, group: UInt16(PolicyRules.logGroup))
        wake = try EventFD()
        self.heard = heard
        _ = try PosixThread(name: "denials") { self.run() }
    }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.signal()
    }

    private func run() {
        while !isStopping.load(ordering: .acquiring) {
            var descriptors = [log.fd, wake.fd].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            _ = poll(&descriptors, 2, -1)
            guard !isStopping.load(ordering: .acquiring),
                let batch = try? log.read(max: Self.packetsPerBatch)
            else { continue }
            let packets = batch.packets.compactMap { JudgedPacket($0.payload) }
            if !packets.isEmpty || batch.lost > 0 { heard(packets, batch.lost) }
        }
        log.close()
    }
}
