import Addresses
import Glibc
import LinuxNet
import Logging
import Noise
import Synchronization
import Timing
import Tunnel

/// One WireGuard interface at work: a TUN device, underlay sockets, two packet threads a queue and
/// one control thread. Everything that configures it goes through `apply`.
package final class TunnelInterface: Sendable {
    package struct Drops: Sendable {
        package var packets: [PacketDrop: UInt64] = [:]
        package var handshakes: [HandshakeRefusal: UInt64] = [:]
    }

    package let name: String
    private let shared: TunnelShared
    private let control: PosixThread

    /// `sockets` are where the underlay is, `tun` where the inner network is; they may be in
    /// different network namespaces. `onEnd` is called once, from the control thread, when the
    /// interface has stopped by itself because its TUN device was deleted.
    init(
        tun: TunDevice, sockets: UnderlaySockets, mtu: Int, follow: InterfaceMTU? = nil,
        limits: Device.Limits = Device.Limits(), suite: TransportSuite = .chaChaPoly,
        options: PacketPathOptions = PacketPathOptions(), logger: Logger,
        onEnd: @escaping @Sendable () -> Void = {}
    ) throws(LinuxError) {
        name = tun.name
        let shared = try TunnelShared(tun: tun, sockets: sockets, options: options)
        self.shared = shared
        let device = UnsafeTransfer(Device(limits: limits, suite: suite, lanes: shared.lanes.count))
        device.value.setMTU(mtu)
        let forwarding = device.value.forwarding
        let firstSockets = Handover(sockets)
        let packetThreads = try PacketThreads(
            shared, forwarding: forwarding, options, name: tun.name)
        do {
            control = try PosixThread(name: "\(tun.name)-ctl") {
                let thread = ControlThread(
                    shared: shared, device: device.value, sockets: firstSockets.take(),
                    follow: follow, logger: logger, packetThreads: packetThreads)
                thread.run()
                thread.close()
                if shared.deviceGone.load(ordering: .relaxed) { onEnd() }
            }
        } catch {
            packetThreads.stop()
            throw error
        }
    }

    /// Ends the threads and closes the sockets. The TUN device is the caller's.
    package func stop() {
        shared.mailbox.stop()
        control.join()
    }

    // MARK: Configuration

    /// Applies a change whole, or throws and applies nothing of it: `DeviceChangeError`, or
    /// `LinuxError` when a new port cannot be opened.
    package func apply(_ change: DeviceChange) async throws {
        try await perform { thread, now in try thread.apply(change, now: now) }
    }

    package func status() async throws -> DeviceStatus {
        try await perform { thread, _ in thread.device.status() }
    }

    private func drops(_ device: DeviceDrops) -> Drops {
        var drops = Drops()
        for drop in PacketDrop.allCases {
            drops.packets[drop] = shared.lanes.reduce(0) {
                $0 + $1.outboundDrops[drop] + $1.inboundDrops[drop]
            }
        }
        drops.packets[.noSession, default: 0] += device.withoutSession
        for (i, refusal) in HandshakeRefusal.allCases.enumerated() {
            drops.handshakes[refusal] = device.refusals[i]
        }
        return drops
    }

    package struct Stopped: Error {}
    /// The control thread is busy or stuck: what was asked may still happen.
    package struct NoAnswer: Error {}

    /// As `apply`, for callers that have a thread to wait on.
    package func waitToApply(_ change: DeviceChange) throws {
        try wait { thread, now in try thread.apply(change, now: now) }
    }

    package func waitToSetMTU(_ mtu: Int) throws {
        try wait { thread, _ in thread.device.setMTU(mtu) }
    }

    package func waitForStatus() throws -> (device: DeviceStatus, drops: Drops) {
        let (status, device) = try wait { thread, _ in
            (thread.device.status(), DeviceDrops(thread.device))
        }
        return (status, drops(device))
    }

    /// Whether the control thread is alive, for a watchdog.
    package func waitForAnswer() throws { try wait { _, _ in } }

    private func wait<T: Sendable>(
        _ body: @escaping @Sendable (ControlThread, Now) throws -> T
    ) throws -> T {
        let answered = try EventFD()
        let box = WaitBox<T>()
        let posted = shared.mailbox.post { thread, now in
            let result = Result { try body(thread, now) }
            box.slot.withLock { $0 = result }
            answered.signal()
        }
        guard posted else { throw Stopped() }
        var waiting = pollfd(fd: answered.fd, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Self.answerMilliseconds) > 0,
            let result = box.slot.withLock({ $0 })
        else { throw NoAnswer() }
        return try result.get()
    }

    private static let answerMilliseconds: Int32 = 5000

    private func perform<T: Sendable>(
        _ body: @escaping @Sendable (ControlThread, Now) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let posted = shared.mailbox.post { thread, now in
                continuation.resume(with: Result { try body(thread, now) })
            }
            if !posted { continuation.resume(throwing: Stopped()) }
        }
    }
}

/// Where an answer waits for whoever asked.
private final class WaitBox<T: Sendable>: Sendable {
    let slot = Mutex<Result<T, any Error>?>(nil)
}

/// Gives a value away to a thread, and keeps nothing: a closure would keep the first socket, and
/// so its port, for as long as the thread runs.
private final class Handover<T: Sendable>: Sendable {
    private let value: Mutex<T?>
    init(_ value: T) { self.value = Mutex(value) }

    /// Once.
    func take() -> T {
        guard let value = value.withLock({ $0.take() }) else {
            preconditionFailure("taken twice")
        }
        return value
    }
}

/// What the control side has refused and dropped.
private struct DeviceDrops: Sendable {
    var refusals: [UInt64]
    var withoutSession: UInt64

    init(_ device: Device) {
        refusals = device.refusals
        withoutSession = device.droppedWithoutSession
    }
}

/// Carries a value to the one thread that will own it.
struct UnsafeTransfer<T>: @unchecked Sendable {
    let value: T
    init(_ value: T) { self.value = value }
}
