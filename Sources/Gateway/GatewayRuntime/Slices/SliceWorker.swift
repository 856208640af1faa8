import Addresses
import Bytes
import Glibc
import LinuxNet
import Logging
import NIOCore
import Noise
import SliceModel
import SlicePolicy
import Timing
import Tunnel

/// One slice at work. Everything it does to the kernel happens on the actor's own thread, one
/// thing after the other, without a suspension in between.
actor SliceWorker {
    struct Resolution {
        var addresses: [IPEndpoint] = []
        var problem: String?
        var isUnderWay = false
        var askedAt: Instant?
    }

    nonisolated let executor: ThreadExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    let environment: SliceEnvironment
    var config: GatewayConfig.Slice
    var logger: Logger
    var running: Running?
    /// Why it does not run, or what is wrong though it does.
    var failures: [String] = []
    var routerFailures: [String] = []
    /// The last known name, also while it does not run.
    var name: SliceName?
    var attached: [AddressBook.Key: Attached] = [:]
    private var nextAttempt: Instant?
    var generation = 0

    static let retryInterval = Nanoseconds.seconds(5)
    static let reconcileInterval = Nanoseconds.seconds(2)
    static let probeInterval = Nanoseconds.seconds(5)

    init(
        _ config: GatewayConfig.Slice, _ environment: SliceEnvironment, executor: ThreadExecutor
    ) {
        self.config = config
        self.environment = environment
        self.executor = executor
        logger = environment.logger
        // So that a slice which cannot start is still called by its name.
        name = SliceState.name(of: config.manifest, in: environment.stateDirectory)
    }

    // MARK: Starting and stopping

    /// Starts, or says in the status why not; `tick` tries again.
    func start() {
        guard running == nil else { return }
        nextAttempt = MonotonicClock.now() + Self.retryInterval
        do {
            let running = try bringUp()
            self.running = running
            failures = running.inputs.warnings
            for warning in failures { logger.warning("\(warning)") }
            logger.info(
                "slice \(running.plan.slice) is up",
                metadata: [
                    "version": "\(running.plan.version)", "port": "\(running.plan.listenPort)",
                    "interface": "\(running.tun.name)", "namespace": "\(running.router.name)",
                ])
            serveConfiguration(running)
            releaseLeases(running)
            try restoreServices(running)
            // What it takes to make all of it is no news.
            reconcile(running, changesAt: .debug)
            startMembership(running)
            stepPeers(running)
            // The sooner there is a session, the sooner connections that waited go on.
            probe(running)
        } catch {
            let lines = SliceFailure.lines(error)
            if lines != failures {
                for line in lines {
                    logger.error("\(line)", metadata: ["file": "\(config.manifest)"])
                }
            }
            failures = lines
        }
    }

    private func bringUp() throws -> Running {
        var inputs = try SliceInputs(config, environment)
        let slice = inputs.manifest.name
        if let holder = environment.claims.claim(slice, for: config.manifest) {
            throw SliceFailure(
                "slice `\(slice)` is joined already, by the manifest \(holder): keep one of them")
        }
        name = slice
        logger[metadataKey: "slice"] = "\(slice)"
        try inputs.state.create()
        inputs = try stored(inputs)
        let (book, dropped) = try inputs.state.leases(
            prefixes: inputs.plan.localPrefixes, limit: environment.limits.maxEndpointsPerSlice)
        for lease in dropped {
            logger.notice("\(lease.key) loses its addresses: they are no longer of this cluster")
        }
        try restoreAttachments(inputs.state)
        let sockets = try openSockets(inputs.plan.listenPort)
        let sketch = RouterPlan(
            inputs.plan, namespacePrefix: environment.namespacePrefix, mtu: 1420, endpoints: [])
        try inputs.state.store(
            source: SliceState.Source(
                manifest: config.manifest, routerNamespace: sketch.namespace))
        let router = try RouterNamespace(
            named: sketch.namespace, tunnelAlias: sketch.tunnelAlias)
        do {
            _ = try router.applySettings(sketch)
            return try bringUp(inputs, book, router, sketch, sockets)
        } catch {
            // What was there before stays: endpoints may be using it.
            if router.isNew { try? router.remove() }
            throw error
        }
    }

    private func bringUp(
        _ inputs: SliceInputs, _ book: AddressBook, _ router: RouterNamespace,
        _ sketch: RouterPlan, _ sockets: UnderlaySockets
    ) throws -> Running {
        var options = TunDevice.Options(name: sketch.tunnel)
        options.persistent = true
        options.queues = environment.packetPath.queues
        let tun = try attach(options, router, sketch)
        // Marks it, and with it the namespace, as ours.
        try Netlink(in: router.namespace).setAlias(tun.name, sketch.tunnelAlias)
        generation += 1
        let ended = generation
        var limits = Device.Limits()
        limits.stagedPackets = environment.limits.stagedPackets
        var mine = logger
        mine[metadataKey: "interface"] = "\(tun.name)"
        let tunnel = try TunnelInterface(
            tun: tun, sockets: sockets, mtu: 1420, limits: limits,
            options: environment.packetPath, logger: mine,
            onEnd: { [weak self] in Task { await self?.tunnelEnded(ended) } })
        do {
            var change = DeviceChange()
            change.privateKey = .set(inputs.privateKey)
            change.peers = Self.peerPlan(inputs).change(from: DeviceStatus())?.peers ?? []
            try tunnel.waitToApply(change)
            let netlink = try Netlink(in: router.namespace)
            for address in sketch.tunnelAddresses {
                try netlink.replaceAddress(address, on: tun.name)
            }
            try netlink.setUpIfDown(tun.name)
            let prober = try EchoProber(
                in: router.namespace, from: inputs.plan.overlayAddresses)
            return Running(
                inputs: inputs, book: book, router: router, tun: tun, tunnel: tunnel,
                prober: prober)
        } catch {
            tunnel.stop()
            tun.close()
            throw error
        }
    }

    /// The device of the last daemon has one queue or several for good (IFF_MULTI_QUEUE): if it is
    /// to be the other, it is made anew.
    private func attach(
        _ options: TunDevice.Options, _ router: RouterNamespace, _ sketch: RouterPlan
    ) throws -> TunDevice {
        do throws(LinuxError) {
            return try TunDevice(options, in: router.namespace)
        } catch {
            let netlink = try Netlink(in: router.namespace)
            guard error.errno == EINVAL,
                try netlink.links().contains(where: {
                    $0.name == options.name && $0.alias == sketch.tunnelAlias
                })
            else { throw error }
            logger.notice("\(options.name) is made anew for \(options.queues) queues")
            try netlink.deleteLink(options.name)
            return try TunDevice(options, in: router.namespace)
        }
    }

    /// Ends the tunnel and leaves the router namespace and the endpoints as they are: their
    /// connections wait for the next daemon.
    func stop() async {
        guard let running else { return }
        self.running = nil
        generation += 1
        await stopMembership(running)
        running.prober.stop()
        running.tunnel.stop()
        running.tun.close()
        await running.socket?.stop(grace: .seconds(1))
    }

    /// Ends it and takes away all that was made for it. What has to be remembered stays.
    func tearDown() async {
        let running = self.running
        for name in running?.membership.resolvConfs.keys.sorted() ?? [] {
            running.map { removeResolvConf(name, $0) }
        }
        await stop()
        if let running {
            do {
                try running.router.remove()
                running.inputs.state.removeSource()
            } catch {
                logger.error("\(error)")
            }
        }
        environment.claims.release(config.manifest)
        attached = [:]
    }

    private func tunnelEnded(_ number: Int) {
        guard number == generation, let running else { return }
        logger.warning("the device \(running.tun.name) was deleted: making it again")
        running.tunnelEnded = true
        running.nextReconciliation = MonotonicClock.now()
    }

    private func openSockets(_ port: UInt16) throws -> UnderlaySockets {
        do throws(LinuxError) {
            return try environment.packetPath.openSockets(port: port)
        } catch {
            guard error.errno == EADDRINUSE else { throw error }
            throw SliceFailure(
                "UDP port \(port) is in use by another program (`ss -lunp sport = :\(port)` "
                    + "shows which): stop it, or set another listenPort in gateway.conf")
        }
    }

    /// What `wg show` reads. The slice works without it.
    private func serveConfiguration(_ running: Running) {
        var options = ConfigurationSocket.Options()
        options.hideSecrets = true
        options.directory = environment.configurationSockets
        let tunnel = running.tunnel
        let device = ConfigurationSocket.Device(
            get: { try await tunnel.status() }, set: { _ in .readOnly })
        let (group, logger, interface) = (environment.group, logger, running.tun.name)
        let number = generation
        Task { [options] in
            do {
                let socket = try await ConfigurationSocket.start(
                    interface: interface, device: device, options: options, group: group,
                    logger: logger)
                keep(socket, number)
            } catch {
                logger.warning("`wg show` will not see \(interface): \(error)")
            }
        }
    }

    private func keep(_ socket: ConfigurationSocket, _ number: Int) {
        if number == generation, let running {
            running.socket = socket
        } else {
            Task { await socket.stop() }
        }
    }

    // MARK: While it runs

    /// Called every second.
    func tick() async {
        let now = MonotonicClock.now()
        guard let running else {
            if let nextAttempt, now >= nextAttempt { start() }
            return
        }
        if running.tunnelEnded || !running.router.isInPlace {
            if !running.tunnelEnded {
                logger.warning("the namespace \(running.router.name) was removed: making it again")
                try? running.router.remove()
            }
            await stop()
            start()
            return
        }
        stepPeers(running)
        if running.hasFreeMemory {
            running.hasFreeMemory = false
            ResidentMemory.releaseFreeMemory()
        }
        if now >= running.nextReconciliation { reconcile(running) }
        saveDirectory(running, now)
        auditClaims(running)
        if now >= running.nextProbe {
            running.nextProbe = now + Self.probeInterval
            probe(running)
        }
    }

    /// For the watchdog: whether the thread that keeps the sessions answers.
    func isAlive() -> Bool {
        guard let running, !running.tunnelEnded else { return true }
        do {
            try running.tunnel.waitForAnswer()
            return true
        } catch is TunnelInterface.Stopped {
            return true
        } catch {
            return false
        }
    }

    /// Makes the kernel's state what it should be.
    func reconcile(_ running: Running, changesAt level: Logger.Level = .notice) {
        let begin = MonotonicClock.now()
        do {
            let outcome = try apply(running)
            for change in outcome.changes { logger.log(level: level, "\(change)") }
            routerFailures = []
        } catch {
            let lines = SliceFailure.lines(error)
            if lines != routerFailures { for line in lines { logger.error("\(line)") } }
            routerFailures = lines
        }
        // With very many endpoints this takes a while: it may have a twentieth of the time.
        let end = MonotonicClock.now()
        running.nextReconciliation =
            end + max(Self.reconcileInterval, (end - begin) * 20)
    }

    /// With `keys` only these endpoints' namespaces are looked into: a container that comes or
    /// goes does not wait for all the others.
    @discardableResult
    func apply(
        _ running: Running, only keys: Set<AddressBook.Key>? = nil
    ) throws -> RouterNamespace.Outcome {
        let mtu = currentMTU(running)
        if mtu != running.mtu {
            try running.tunnel.waitToSetMTU(mtu)
            running.mtu = mtu
        }
        let endpoints = openEndpoints(running, only: keys)
        tellOwn(running)
        refreshPolicies(running)
        let outcome = try running.router.apply(routerPlan(running), endpoints: endpoints)
        if running.prober.addresses != running.plan.overlayAddresses {
            let fresh = try EchoProber(
                in: running.router.namespace, from: running.plan.overlayAddresses)
            running.prober.stop()
            running.prober = fresh
        }
        for (key, error) in outcome.problems {
            note(key, SliceFailure.lines(error).joined(separator: "; "))
        }
        applyResolvConfs(running)
        return outcome
    }

    func routerPlan(_ running: Running) -> RouterPlan {
        RouterPlan(
            running.plan, namespacePrefix: environment.namespacePrefix, mtu: running.mtu,
            endpoints: attached.values.compactMap { endpoint in
                guard isAdmitted(endpoint.key, running),
                    let lease = running.book[endpoint.key], lease.isAttached
                else { return nil }
                return (endpoint.key, endpoint.interface, lease.addresses)
            }, filter: running.policies.filter)
    }

    private func probe(_ running: Running) {
        guard let status = try? running.tunnel.waitForStatus().device else { return }
        for peer in running.plan.peers {
            // To a peer of unknown whereabouts it would only count as a drop.
            guard let target = peer.overlayAddresses.first,
                status.peers.contains(where: {
                    $0.publicKey == peer.publicKey && $0.endpoint != nil
                })
            else { continue }
            let prober = running.prober
            let number = generation
            Task {
                let outcome = await prober.ping(target, payload: 16, timeout: .seconds(4))
                if case .answered(let time) = outcome { keep(time, of: peer.publicKey, number) }
            }
        }
    }

    private func keep(_ time: Nanoseconds, of peer: PublicKey, _ number: Int) {
        guard number == generation, let running else { return }
        running.roundTrips[peer] = (time, MonotonicClock.now())
        if let cluster = running.plan.peers.first(where: { $0.publicKey == peer })?.cluster {
            noteDistance(cluster, time, running)
        }
    }
}
