import Addresses
import Glibc
import LinuxNet
import Logging
import Noise
import Synchronization
import Timing
import Tunnel

/// One WireGuard interface at work: a TUN device, an underlay socket, two packet threads and one
/// control thread. Everything that configures it goes through `apply`.
package final class TunnelInterface: Sendable {
    package struct Drops: Sendable {
        package var packets: [PacketDrop: UInt64] = [:]
        package var handshakes: [HandshakeRefusal: UInt64] = [:]
    }

    package let name: String
    private let shared: TunnelShared
    private let outboundDrops = DropCounters()
    private let inboundDrops = DropCounters()
    private let threads: [PosixThread]
    private let ended: @Sendable () -> Void

    /// `socket` is where the underlay is, `tun` where the inner network is; they may be in
    /// different network namespaces. `onEnd` is called once, from the control thread, when the
    /// interface has stopped by itself because its TUN device was deleted.
    package init(
        tun: TunDevice, socket: UDPSocket, mtu: Int, follow: InterfaceMTU? = nil,
        limits: Device.Limits = Device.Limits(),
        logger: Logger, openSocket: @escaping @Sendable (UInt16) throws(LinuxError) -> UDPSocket,
        onEnd: @escaping @Sendable () -> Void = {}
    ) throws(LinuxError) {
        name = tun.name
        ended = onEnd
        let shared = try TunnelShared(tun: tun, socket: socket)
        self.shared = shared
        let device = UnsafeTransfer(Device(limits: limits))
        device.value.setMTU(mtu)
        let forwarding = UnsafeTransfer(device.value.forwarding)
        let (outboundDrops, inboundDrops) = (outboundDrops, inboundDrops)
        let firstSocket = Handover(socket)
        let outbound = try PosixThread(name: "\(tun.name)-out") {
            var thread = OutboundThread(
                shared, forwarding: forwarding.value, counters: outboundDrops)
            thread.run()
        }
        let inbound = try PosixThread(name: "\(tun.name)-in") {
            var thread = InboundThread(
                shared, forwarding: forwarding.value, counters: inboundDrops)
            thread.run()
        }
        let control = try PosixThread(name: "\(tun.name)-ctl") {
            let thread = ControlThread(
                shared: shared, device: device.value, socket: firstSocket.take(),
                openSocket: openSocket, follow: follow, logger: logger,
                interrupt: {
                    outbound.interrupt()
                    inbound.interrupt()
                })
            thread.run()
            thread.close()
            outbound.join()
            inbound.join()
            if shared.deviceGone.load(ordering: .relaxed) { onEnd() }
        }
        threads = [control]
    }

    /// Ends the threads and closes the socket. The TUN device is the caller's.
    package func stop() {
        shared.mailbox.stop()
        for thread in threads { thread.join() }
    }

    // MARK: Configuration

    /// Applies a change whole, or throws and applies nothing of it: `DeviceChangeError`, or
    /// `LinuxError` when a new port cannot be opened.
    package func apply(_ change: DeviceChange) async throws {
        try await perform { thread, now in try thread.apply(change, now: now) }
    }

    package func setMTU(_ mtu: Int) async throws {
        try await perform { thread, _ in thread.device.setMTU(mtu) }
    }

    package func status() async throws -> DeviceStatus {
        try await perform { thread, _ in thread.device.status() }
    }

    package func drops() async throws -> Drops {
        drops(try await perform { thread, _ in DeviceDrops(thread.device) })
    }

    private func drops(_ device: DeviceDrops) -> Drops {
        var drops = Drops()
        for drop in PacketDrop.allCases {
            drops.packets[drop] = outboundDrops[drop] + inboundDrops[drop]
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

/// Steps the device: handshakes, timers, configuration. Sleeps when nothing can happen.
final class ControlThread {
    let device: Device
    private let shared: TunnelShared
    private var socket: UDPSocket
    private let openSocket: @Sendable (UInt16) throws(LinuxError) -> UDPSocket
    private var reclaimer: Reclaimer
    private var sender = UDPSendBatch(capacity: 1)
    private let logger: Logger
    /// Where the MTU is not ours alone to set.
    private let follow: InterfaceMTU?
    /// When to let go of the pages that configuration and handshakes touched: they come in
    /// bursts, and what serves them is far more code than what carries packets.
    private var releaseAt: Instant?
    private static let releaseDelay = Nanoseconds.milliseconds(1500)
    /// Ends the blocking calls of the packet threads.
    private let interrupt: () -> Void
    /// Sockets replaced by another port's, each with the attention that must be answered before
    /// its descriptor is closed: until then a packet thread may be about to use the number.
    private var formerSockets: [(ticket: UInt64, socket: UDPSocket)] = []

    init(
        shared: TunnelShared, device: Device, socket: UDPSocket,
        openSocket: @escaping @Sendable (UInt16) throws(LinuxError) -> UDPSocket,
        follow: InterfaceMTU?, logger: Logger, interrupt: @escaping () -> Void
    ) {
        self.follow = follow
        self.interrupt = interrupt
        self.shared = shared
        self.device = device
        self.socket = socket
        self.openSocket = openSocket
        self.logger = logger
        reclaimer = Reclaimer(shared.quiescence)
        // Starting touched more than anything after it.
        releaseAt = MonotonicClock.now() + Self.releaseDelay
        device.setListenPort(socket.port)
    }

    func run() {
        while true {
            let contents = shared.mailbox.take()
            step(contents)
            for command in contents.commands { command(self, now()) }
            perform(device.takeEffects())
            reclaimer.sweep()
            releaseMemory(after: contents)
            closeFormerSockets()
            if contents.isStopping { return }
            wait()
        }
    }

    private func releaseMemory(after contents: borrowing ControlMailbox.Contents) {
        let t = MonotonicClock.now()
        if !contents.isEmpty { releaseAt = t + Self.releaseDelay }
        guard let due = releaseAt, due <= t else { return }
        releaseAt = nil
        ResidentMemory.releaseProgramPages()
    }

    /// Ends the packet threads, then frees what waited for them.
    func close() {
        shared.stopping.store(true, ordering: .sequentiallyConsistent)
        let ticket = shared.attentionWanted.wrappingAdd(
            1, ordering: .sequentiallyConsistent
        ).newValue
        while !shared.haveLooked(since: ticket) {
            interrupt()
            _ = poll(nil, 0, 1)
        }
        perform(device.takeEffects())
        reclaimer.freeAll()
        formerSockets.removeAll()
    }

    private func closeFormerSockets() {
        guard !formerSockets.isEmpty else { return }
        interrupt()
        formerSockets.removeAll { shared.haveLooked(since: $0.ticket) }
    }

    private func now() -> Now { Now(MonotonicClock.now(), wall: WallClock.now()) }

    private func step(_ contents: borrowing ControlMailbox.Contents) {
        for kind in [contents.answers, contents.initiations] {
            let underLoad = kind.count >= ControlMailbox.loadMark
            for handshake in kind {
                handshake.bytes.withUnsafeBytes {
                    device.handshakeMessage(
                        $0, from: handshake.source, underLoad: underLoad, now: now())
                }
                // An answer is not to wait for the whole queue.
                perform(device.takeEffects())
            }
        }
        for event in contents.events { device.packetEvent(event, now: now()) }
        for (peer, packets) in contents.staged { device.stage(packets, for: peer, now: now()) }
        device.tick(now: now())
    }

    private func perform(_ effects: [Effect]) {
        for effect in effects {
            switch effect {
            case .send(var bytes, let endpoint):
                bytes.withUnsafeMutableBytes { raw in
                    guard let base = raw.baseAddress else { return }
                    sender.put(
                        base, count: raw.count, segmentSize: raw.count, to: endpoint, tos: 0,
                        socketFamily: socket.family)
                    let (refused, code) = sender.send(socket.descriptor)
                    if refused > 0 {
                        logger.debug("cannot send to \(endpoint): errno \(code)")
                    }
                }
            case .retire(let retired):
                reclaimer.add { retired.free() }
            case .note(let note):
                log(note)
            }
        }
    }

    private func log(_ note: Note) {
        switch note {
        case .handshakeCompleted(let peer, let initiator):
            logger.debug("\(initiator ? "began" : "answered") a handshake with \(peer)")
        case .handshakeGivenUp(let peer):
            logger.info("no answer from \(peer) for 90 s: giving up until there is traffic")
        case .handshakeRefused(let refusal, let source):
            logger.trace("refused a handshake message from \(source): \(refusal.rawValue)")
        case .roamed(let peer, let endpoint):
            logger.info("\(peer) is now at \(endpoint)")
        case .keysErased(let peer):
            logger.debug("erased the keys of the idle peer \(peer)")
        }
    }

    private func wait() {
        let t = MonotonicClock.now()
        var deadline = device.nextDeadline(now: t)
        if !reclaimer.isEmpty || !formerSockets.isEmpty {
            let soon = t + .milliseconds(formerSockets.isEmpty ? 20 : 1)
            deadline = deadline.map { min($0, soon) } ?? soon
        }
        if let releaseAt { deadline = deadline.map { min($0, releaseAt) } ?? releaseAt }
        var milliseconds: Int32 = -1
        if let deadline {
            let nanoseconds = max(0, (deadline - t).count)
            milliseconds = Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
        }
        // poll(2) passes over a negative descriptor.
        var descriptors = [shared.mailbox.wake.fd, follow?.fd ?? -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        guard poll(&descriptors, 2, milliseconds) > 0 else { return }
        if descriptors[0].revents != 0 { shared.mailbox.wake.drain() }
        if descriptors[1].revents != 0, let mtu = follow?.read() { device.setMTU(mtu) }
    }

    // MARK: Configuration

    func apply(_ change: DeviceChange, now: Now) throws {
        try device.check(change)
        var change = change
        if let port = change.listenPort {
            // Port 0 asks for any: the one there is will do.
            if port != 0, port != socket.port {
                let fresh = try open(port)
                if device.firewallMark != 0 { try fresh.setFirewallMark(device.firewallMark) }
                replaceSocket(fresh)
            }
            change.listenPort = socket.port
        }
        if let mark = change.firewallMark { try socket.setFirewallMark(mark) }
        try device.apply(change, now: now)
    }

    private func open(_ port: UInt16) throws(LinuxError) -> UDPSocket {
        do {
            return try openSocket(port)
        } catch {
            guard error.errno == EADDRINUSE, !formerSockets.isEmpty else { throw error }
        }
        // The port may be that of a socket of ours that packet threads are about to let go of.
        for _ in 0..<100 where !formerSockets.isEmpty {
            _ = poll(nil, 0, 1)
            closeFormerSockets()
        }
        return try openSocket(port)
    }

    private func replaceSocket(_ fresh: UDPSocket) {
        let old = socket
        socket = fresh
        shared.socketFamily.store(fresh.family, ordering: .sequentiallyConsistent)
        shared.socketDescriptor.store(fresh.descriptor, ordering: .sequentiallyConsistent)
        let ticket = shared.attentionWanted.wrappingAdd(
            1, ordering: .sequentiallyConsistent
        ).newValue
        formerSockets.append((ticket, old))
        interrupt()
    }
}
