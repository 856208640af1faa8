import Addresses
import Glibc
import LinuxNet
import Logging
import Noise
import Synchronization
import Timing
import Tunnel

/// Steps the device: handshakes, timers, configuration. Sleeps when nothing can happen.
final class ControlThread {
    let device: Device
    private let shared: TunnelShared
    private var sockets: UnderlaySockets
    private var reclaimer: Reclaimer
    private var sender = UDPSendBatch(capacity: 1)
    private let logger: Logger
    /// Where the MTU is not ours alone to set.
    private let follow: InterfaceMTU?
    /// The last handshake, packet without a session or command: they come in bursts.
    private var lastNews = MonotonicClock.now()
    private let packetThreads: PacketThreads
    private var flood = InitiationFlood()
    /// Whose initiations the kernel drops; nil: not known of every socket.
    private var loudSources: [IPAddress]? = []
    /// When somebody was last told that suites differ: initiations come every five seconds.
    private var suitesWarned: Instant?
    /// Sockets replaced by another port's, each with the attention that must be answered before
    /// its descriptor is closed: until then a packet thread may be about to use the number.
    private var formerSockets: [(ticket: UInt64, sockets: UnderlaySockets)] = []

    init(
        shared: TunnelShared, device: Device, sockets: UnderlaySockets,
        follow: InterfaceMTU?, logger: Logger, packetThreads: PacketThreads
    ) {
        self.follow = follow
        self.packetThreads = packetThreads
        self.shared = shared
        self.device = device
        self.sockets = sockets
        self.logger = logger
        reclaimer = Reclaimer(shared.quiescence)
        device.setListenPort(sockets.port)
    }

    func run() {
        while true {
            let contents = shared.mailbox.take()
            step(contents)
            for command in contents.commands { command(self, now()) }
            perform(device.takeEffects())
            reclaimer.sweep()
            closeFormerSockets()
            if contents.isStopping { return }
            lightenDuties()
            if !contents.isEmpty { lastNews = MonotonicClock.now() }
            if hasFlood(contents.initiations.count) {
                // It is looked at a thousand times a second, not once for each message: to be
                // woken costs more than to refuse one.
                _ = poll(nil, 0, 1)
            } else {
                wait()
            }
        }
    }

    private func hasFlood(_ initiations: Int) -> Bool {
        let now = MonotonicClock.now()
        let report = shared.mailbox.setFlood(flood.isOn(now), now)
        flood.note(initiations + report.turnedAway, now)
        if report.loud != loudSources { dropInitiations(of: report.loud) }
        let isOn = flood.isOn(now)
        if shared.hasFlood.load(ordering: .relaxed) != isOn {
            shared.hasFlood.store(isOn, ordering: .relaxed)
        }
        return isOn
    }

    private func dropInitiations(of sources: [IPAddress]) {
        do {
            try sockets.dropInitiations(of: sources)
            loudSources = sources
        } catch {
            // Tried again with the next look: a filter must not outlast its flood.
            loudSources = nil
            logger.debug("\(error)")
        }
    }

    private func lightenDuties() {
        let now = MonotonicClock.now()
        var isWanted = false
        for lane in shared.lanes where lane.duty.askIfLight(now) { isWanted = true }
        if isWanted { packetThreads.interrupt() }
    }

    /// Ends the packet threads, then frees what waited for them.
    func close() {
        packetThreads.stop()
        perform(device.takeEffects())
        reclaimer.freeAll()
        formerSockets.removeAll()
    }

    private func closeFormerSockets() {
        guard !formerSockets.isEmpty else { return }
        packetThreads.interrupt()
        formerSockets.removeAll { shared.haveLooked(since: $0.ticket) }
    }

    private func now() -> Now { Now(MonotonicClock.now(), wall: WallClock.now()) }

    private func step(_ contents: borrowing ControlMailbox.Contents) {
        let t = MonotonicClock.now()
        for kind in [contents.answers, contents.initiations] {
            let underLoad = kind.count >= ControlMailbox.loadMark || flood.isOn(t)
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
            case .send(var bytes, let endpoint, let path):
                bytes.withUnsafeMutableBytes { raw in
                    guard let base = raw.baseAddress else { return }
                    let isPacket =
                        raw[0] == MessageType.transport.rawValue
                        && raw.count > TransportMessage.overhead
                    // A packet that waited goes as those of sparse flows do, see the device.
                    sender.put(
                        base, count: raw.count, segmentSize: raw.count, to: endpoint,
                        tos: isPacket ? shared.sparseTOS : 0,
                        socketFamily: sockets.first.family)
                    let (refused, code) = sender.send(sockets.first.descriptor)
                    if refused > 0 {
                        logger.debug("cannot send to \(endpoint): errno \(code)")
                    } else {
                        path?.pointee.countSent(bytes: raw.count, packets: isPacket ? 1 : 0)
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
        case .suitesDiffer(let peer, let theirs, let ours):
            let now = MonotonicClock.now()
            if let last = suitesWarned, now - last < .seconds(60) { return }
            suitesWarned = now
            logger.warning(
                """
                no session with \(peer): it wants \(theirs.rawValue), and here it is to use \
                \(ours.rawValue). Both ends need the same cipher: apply the newer manifest where \
                it is missing
                """)
        case .roamed(let peer, let endpoint):
            logger.info("\(peer) is now at \(endpoint)")
        case .keysErased(let peer):
            logger.debug("erased the keys of the idle peer \(peer)")
        }
    }

    private func wait() {
        let t = MonotonicClock.now()
        var deadline = device.nextDeadline
        let isInterrupting = !formerSockets.isEmpty || shared.lanes.contains { $0.duty.isChanging }
        if !reclaimer.isEmpty || isInterrupting {
            let soon = t + .milliseconds(isInterrupting ? 1 : 20)
            deadline = deadline.map { min($0, soon) } ?? soon
        }
        // Once after the last news even if nothing else is due.
        let quiet = lastNews + ProgramPages.quietTime
        if quiet > t { deadline = deadline.map { min($0, quiet) } ?? quiet }
        var milliseconds: Int32 = -1
        if let deadline {
            let nanoseconds = max(0, (deadline - t).count)
            milliseconds = Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
        }
        // poll(2) passes over a negative descriptor.
        var descriptors = [shared.mailbox.wake.fd, follow?.fd ?? -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        ProgramPages.shared.releaseIfQuiet(since: lastNews, now: t)
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
            if port != 0, port != sockets.port {
                let fresh = try open(port)
                if device.firewallMark != 0 { try fresh.setFirewallMark(device.firewallMark) }
                replaceSockets(fresh)
            }
            change.listenPort = sockets.port
        }
        if let mark = change.firewallMark { try sockets.setFirewallMark(mark) }
        try device.apply(change, now: now)
    }

    private func open(_ port: UInt16) throws(LinuxError) -> UnderlaySockets {
        do {
            return try sockets.moved(to: port)
        } catch {
            guard error.errno == EADDRINUSE, !formerSockets.isEmpty else { throw error }
        }
        // The port may be that of a socket of ours that packet threads are about to let go of.
        for _ in 0..<100 where !formerSockets.isEmpty {
            _ = poll(nil, 0, 1)
            closeFormerSockets()
        }
        return try sockets.moved(to: port)
    }

    private func replaceSockets(_ fresh: UnderlaySockets) {
        let old = sockets
        sockets = fresh
        loudSources = nil
        for lane in shared.lanes { lane.move(to: fresh) }
        formerSockets.append((shared.wantAttention(), old))
        packetThreads.interrupt()
    }
}
