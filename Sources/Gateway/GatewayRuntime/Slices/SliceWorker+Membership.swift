import Addresses
import ConfigFile
import AdminAPI
import LinuxNet
import Logging
import SliceAudit
import SliceDNS
import SliceDirectory
import SliceModel
import Timing

// The directory, names and health of a slice: what is told to others, and what is done with what
// they tell.
extension SliceWorker {
    static let saveInterval = Nanoseconds.seconds(10)

    func audit(_ kind: AuditEvent.Kind, _ subject: String, _ reason: String) {
        environment.audit?.record(
            kind, slice: name?.text ?? "", subject: subject, reason: reason)
    }

    // MARK: Starting

    /// What waits for sockets begins beside the slice, which does not wait for it.
    func startMembership(_ running: Running) {
        let number = generation
        Task { await openDirectory(number) }
        Task { await openNames(number) }
        startHealth(running)
    }

    private func current(_ number: Int) -> Running? { number == generation ? running : nil }

    private func openDirectory(_ number: Int) async {
        guard let running = current(number), running.membership.directory == nil else { return }
        do {
            let manifest = try directoryManifest(running)
            let incarnation = nextIncarnation(running)
            var options = DirectoryService.Options()
            options.timing.grace = environment.directory.grace
            // Whatever the owner may sign travels.
            options.limits.manifestBytes = ManifestLimits.document.bytes
            options.policies = Self.directoryDigest(running.policyDigest)
            options.restored = restoredDirectory(running)
            let latest = running.membership.latest
            let callbacks = DirectoryService.Callbacks(
                onChange: { [weak self] view, _ in
                    if latest.put(view) { Task { await self?.adoptView(number) } }
                },
                onManifest: { [weak self] received in
                    Task { await self?.adopt(received, number) }
                })
            let service = try await DirectoryService.start(
                in: running.router.namespace, manifest, incarnation: incarnation,
                options: options, logger: logger, callbacks: callbacks)
            guard let running = current(number) else { return await service.stop() }
            running.membership.directory = service
            service.setOwn(
                endpoints: running.membership.endpoints, services: running.membership.services)
        } catch {
            logger.error("the directory does not run: \(SliceFailure.lines(error)[0])")
            current(number)?.membership.problem =
                "the directory does not run: \(SliceFailure.lines(error)[0])"
        }
    }

    private func directoryManifest(_ running: Running) throws -> DirectoryManifest {
        let document = try running.inputs.document ?? running.inputs.state.manifestDocument() ?? []
        guard
            let manifest = DirectoryManifest(
                running.inputs.manifest, local: environment.cluster, document: document)
        else { throw SliceFailure("the manifest does not have cluster \(environment.cluster)") }
        return manifest
    }

    private func nextIncarnation(_ running: Running) -> UInt64 {
        let next = DirectoryService.nextIncarnation(after: running.inputs.state.incarnation())
        do {
            try running.inputs.state.store(incarnation: next)
        } catch {
            // It also grows with the time of day, so that a full disk is no reason to stay silent.
            logger.warning("\(error)")
        }
        return next
    }

    private func restoredDirectory(_ running: Running) -> [DirectoryStore.Cluster] {
        guard let bytes = running.inputs.state.directoryView() else { return [] }
        return (try? DirectoryStore.decode(bytes, of: running.plan.slice)) ?? []
    }

    static func directoryDigest(_ digest: PolicyDigest) -> DirectoryDigest {
        DirectoryDigest(bytes: digest.bytes) ?? .none
    }

    func stopMembership(_ running: Running) async {
        let membership = running.membership
        membership.denials?.stop()
        membership.health?.stop()
        if let directory = membership.directory {
            if membership.isViewUnsaved, let bytes = await directory.stored() {
                try? running.inputs.state.store(directory: bytes)
            }
            await directory.stop()
        }
        await membership.names?.stop()
        membership.directory = nil
        membership.names = nil
        membership.health = nil
        membership.denials = nil
    }

    // MARK: Our own

    /// What this cluster tells the others, if it is not what it has told.
    func tellOwn(_ running: Running) {
        let membership = running.membership
        let endpoints = attached.values.filter { !$0.isAway }
            .sorted { $0.key < $1.key }
            .compactMap { endpoint -> EndpointRecord? in
                guard isAdmitted(endpoint.key, running),
                    let lease = running.book[endpoint.key], lease.isAttached
                else { return nil }
                return EndpointRecord(
                    key: endpoint.key, addresses: lease.addresses, labels: endpoint.labels)
            }
        let isMoved = endpoints != membership.endpoints
        if isMoved {
            membership.endpoints = endpoints
            running.policiesAreStale = true
            membership.health?.set(healthTargets(running))
        }
        let services = ownServices(running)
        guard isMoved || services != membership.services else { return }
        membership.services = services
        membership.directory?.setOwn(endpoints: endpoints, services: services)
        refreshNames(running)
    }

    /// The manifest's and those of the command.
    func offered(_ running: Running) -> [Service] {
        let cluster = environment.cluster.text
        let signed = running.inputs.manifest.services.filter { service in
            service.clusters?.contains { $0.matches(cluster) } ?? true
        }
        let known = Set(signed.map { ServiceRecord.Key($0.namespace, $0.name) })
        return signed
            + running.membership.exports.filter {
                !known.contains(ServiceRecord.Key($0.namespace, $0.name))
            }
    }

    /// Of this cluster.
    private func members(of service: Service, _ running: Running) -> [EndpointRecord] {
        running.membership.endpoints.filter {
            $0.key.namespace == service.namespace
                && service.members.matches($0.key.endpoint, $0.labels)
        }
    }

    private func ownServices(_ running: Running) -> [ServiceRecord] {
        let membership = running.membership
        return offered(running).map { service in
            let key = ServiceRecord.Key(service.namespace, service.name)
            let members = members(of: service, running).map { record in
                let id = HealthTarget.ID(key, record.key.endpoint)
                return ServiceRecord.Member(
                    endpoint: record.key.endpoint,
                    isHealthy: service.check == nil || (membership.health?.isHealthy(id) ?? true))
            }
            return ServiceRecord(
                key: key, ports: service.ports, importedBy: service.importedBy, members: members)
        }.sorted { $0.key < $1.key }
    }

    // MARK: Health

    private func startHealth(_ running: Running) {
        let number = generation
        do {
            running.membership.health = try HealthChecker(
                in: running.router.namespace, from: running.plan.overlayAddresses
            ) { [weak self] changes in
                Task { await self?.healthChanged(changes, number) }
            }
            running.membership.health?.set(healthTargets(running))
        } catch {
            logger.error("services are not checked: \(error)")
        }
    }

    private func healthTargets(_ running: Running) -> [HealthTarget] {
        offered(running).flatMap { service -> [HealthTarget] in
            guard let check = service.check else { return [] }
            let key = ServiceRecord.Key(service.namespace, service.name)
            return members(of: service, running).map {
                HealthTarget(
                    id: .init(key, $0.key.endpoint), addresses: $0.addresses, check: check)
            }
        }
    }

    private func healthChanged(_ changes: [HealthBook.Change], _ number: Int) {
        guard let running = current(number) else { return }
        for change in changes {
            logger.notice(
                "\(change.id) \(change.isHealthy ? "answers again" : "does not answer: left out")")
        }
        tellOwn(running)
    }

    /// Which services there are has changed.
    func servicesChanged(_ running: Running) {
        running.membership.health?.set(healthTargets(running))
        tellOwn(running)
    }

    // MARK: What others tell

    private func adoptView(_ number: Int) {
        guard let running = current(number), let view = running.membership.latest.take() else {
            return
        }
        running.membership.view = view
        running.membership.isViewUnsaved = true
        refuseMisplaced(view, running)
        running.policiesAreStale = true
        do {
            // No endpoint has changed, only what the rules know of others.
            let outcome = try apply(running, only: [])
            for change in outcome.changes { logger.debug("\(change)") }
        } catch {
            let lines = SliceFailure.lines(error)
            if lines != routerFailures { for line in lines { logger.error("\(line)") } }
            routerFailures = lines
            running.nextReconciliation = MonotonicClock.now()
        }
        refreshNames(running)
    }

    /// All that may be believed, our own first. What the manifest does not admit where it says that
    /// it is (a fence, a cluster) is left out.
    func known(_ running: Running) -> [(cluster: ClusterName, record: EndpointRecord)] {
        var known = running.membership.endpoints.map { (environment.cluster, $0) }
        for cluster in running.membership.view?.inOrder ?? []
        where cluster.cluster != environment.cluster {
            known += cluster.sortedEndpoints.filter {
                running.inputs.manifest.admits($0.key.namespace, in: cluster.cluster)
            }.map { (cluster.cluster, $0) }
        }
        return known
    }

    private func refuseMisplaced(_ view: DirectoryView, _ running: Running) {
        let manifest = running.inputs.manifest
        var refused: Set<String> = []
        for cluster in view.inOrder where cluster.cluster != environment.cluster {
            for record in cluster.sortedEndpoints
            where !manifest.admits(record.key.namespace, in: cluster.cluster) {
                let name = "\(record.key)@\(cluster.cluster)"
                refused.insert(name)
                guard !running.membership.refused.contains(name) else { continue }
                let fence = manifest.fence(of: record.key.namespace, against: cluster.cluster)
                let reason =
                    fence.map {
                        "it lies outside the fence of its namespace ("
                            + $0.map(\.text).joined(separator: ", ") + ")"
                    } ?? "the manifest does not admit its namespace there"
                logger.warning("endpoint \(name) is not believed: \(reason)")
                audit(.routeRefused, name, reason)
            }
        }
        running.membership.refused = refused
    }

    private func adopt(_ received: ReceivedManifest, _ number: Int) {
        guard let running = current(number) else { return }
        var isAccepted = false
        do {
            let manifest = try received.document.withUnsafeBytes {
                try SliceManifest.parse($0, file: "the manifest of \(received.from)")
            }
            let reply = try applyManifest(manifest, received.document, dryRun: false)
            isAccepted = true
            if reply.changed {
                logger.notice(
                    "version \(manifest.version) of the manifest came from \(received.from)")
            }
        } catch {
            let why = SliceFailure.lines(error)[0]
            logger.warning("the manifest that \(received.from) offers is refused: \(why)")
            audit(.manifestRefused, "version \(received.version) from \(received.from)", why)
        }
        running.membership.directory?.judge(received, isAccepted: isAccepted)
    }

    /// The manifest in force is another one.
    func tellManifest(_ running: Running) {
        guard let manifest = try? directoryManifest(running) else { return }
        running.membership.directory?.update(manifest)
        running.membership.directory?.setPolicies(Self.directoryDigest(running.policyDigest))
        servicesChanged(running)
        refreshNames(running)
    }

    func saveDirectory(_ running: Running, _ now: Instant) {
        let membership = running.membership
        guard membership.isViewUnsaved, now >= membership.nextSave,
            let directory = membership.directory
        else { return }
        membership.isViewUnsaved = false
        membership.nextSave = now + Self.saveInterval
        let state = running.inputs.state
        Task {
            if let bytes = await directory.stored() { try? state.store(directory: bytes) }
        }
    }
}
