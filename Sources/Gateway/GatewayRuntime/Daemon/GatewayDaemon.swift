import AdminAPI
import ConfigFile
import FoundationEssentials
import Glibc
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import SliceAudit
import SliceModel
import Timing

/// The gateway: holds the configuration and one worker per slice, and answers the admin
/// interface.
package actor GatewayDaemon {
    package struct Options: Sendable {
        package var configPath: String
        /// Where `wg` looks for sockets.
        package var configurationSockets = ConfigurationSocket.defaultDirectory
        /// Where `ip netns exec` looks for files to show in place of those in /etc.
        package var netnsConfiguration = ResolvConf.directory

        package init(configPath: String) { self.configPath = configPath }
    }

    struct Entry {
        let worker: SliceWorker
        let ticker: Task<Void, Never>
    }

    let options: Options
    let logger: Logger
    private(set) var config: GatewayConfig
    let environment: SliceEnvironment
    /// Held for life: one daemon per state directory.
    private let lock: FileLock
    private let group: MultiThreadedEventLoopGroup
    private let audit: AuditLog
    /// By the manifest's file, which is how gateway.conf tells slices apart.
    private var entries: [String: Entry] = [:]
    private var spareExecutors: [ThreadExecutor] = []
    private var server: AdminServer?
    private var http: HTTPService?
    private let startedAt = MonotonicClock.now()
    private(set) var loadedAt = WallClock.now()
    private var isReloading = false
    /// The admin interface answers before every slice of the configuration has been looked at.
    private var isStarting = true

    /// Checks everything that can be checked, and takes the state directory, before anything is
    /// touched.
    package init(_ config: GatewayConfig, _ options: Options, logger: Logger) throws {
        self.config = config
        self.options = options
        self.logger = logger
        try Preconditions.check()
        try Directory.create(config.stateDirectory, mode: 0o700)
        lock = try Preconditions.lock(config.stateDirectory)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        audit = try AuditLog(
            path: config.auditFile, cluster: config.cluster.text, logger: logger)
        audit.record(.started, subject: Version.text)
        environment = SliceEnvironment(
            cluster: config.cluster, stateDirectory: config.stateDirectory,
            namespacePrefix: config.namespacePrefix, limits: config.limits,
            packetPath: PacketPathOptions(config.tunnel), group: group,
            resolver: try NameResolver(), claims: SliceClaims(), logger: logger,
            configurationSockets: options.configurationSockets, dns: config.dns,
            directory: config.directory, netnsConfiguration: options.netnsConfiguration,
            audit: audit)
    }

    // MARK: Starting and stopping

    package func start() async throws {
        do {
            server = try await AdminServer.start(
                path: config.adminSocket, handler: AdminService(daemon: self), group: group,
                logger: logger)
        } catch {
            throw SliceFailure("cannot serve the admin socket \(config.adminSocket): \(error)")
        }
        serveHTTP()
        await removeForgotten()
        for slice in config.slices { await add(slice) }
        isStarting = false
        for slice in await status().slices where slice.state == .down {
            logger.warning("slice \(slice.name) is down; it is tried again every few seconds")
        }
    }

    package func stop() async {
        await http?.stop()
        await server?.stop(grace: .seconds(2))
        for (_, entry) in entries.sorted(by: { $0.key < $1.key }) {
            entry.ticker.cancel()
            await entry.ticker.value
            await entry.worker.stop()
        }
        entries = [:]
        audit.stop()
        try? await group.shutdownGracefully()
    }

    private func serveHTTP() {
        http = config.http.map { wanted in
            HTTPService(
                wanted.listen, names: wanted.names, group: group, logger: logger
            ) { [weak self] in await self?.status() }
        }
    }

    private func add(_ slice: GatewayConfig.Slice) async {
        let executor: ThreadExecutor
        do {
            executor = try spareExecutors.popLast() ?? ThreadExecutor(name: "slice")
        } catch {
            logger.error("cannot start a thread for \(slice.manifest): \(error)")
            return
        }
        let worker = SliceWorker(slice, environment, executor: executor)
        await worker.start()
        let ticker = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                if !Task.isCancelled { await worker.tick() }
            }
        }
        entries[slice.manifest] = Entry(worker: worker, ticker: ticker)
    }

    private func remove(_ manifest: String) async {
        guard let entry = entries.removeValue(forKey: manifest) else { return }
        entry.ticker.cancel()
        await entry.ticker.value
        await entry.worker.tearDown()
        spareExecutors.append(entry.worker.executor)
    }

    /// Slices that were taken out of the configuration while no daemon ran.
    private func removeForgotten() async {
        let wanted = Set(config.slices.map(\.manifest))
        for (slice, source) in SliceState.all(config.stateDirectory)
        where !wanted.contains(source.manifest) {
            do {
                if try Cleanup.remove(namespace: source.routerNamespace) {
                    logger.notice("removed slice \(slice), which gateway.conf no longer names")
                }
                SliceState(stateDirectory: config.stateDirectory, slice: slice).removeSource()
            } catch {
                logger.error("cannot remove slice \(slice): \(error)")
            }
        }
    }

    var workers: [SliceWorker] {
        config.slices.compactMap { entries[$0.manifest]?.worker }
    }

    /// The worker of a slice, by the slice's name.
    func worker(_ name: String) async throws -> SliceWorker {
        for worker in workers where await worker.name?.text == name { return worker }
        if isStarting {
            throw APIError(
                .unavailable, "the gateway is starting, and has no slice of that name yet",
                hint: "try again in a moment")
        }
        var known: [String] = []
        for worker in workers { if let name = await worker.name { known.append(name.text) } }
        throw APIError(
            .notFound, "this gateway has no slice of that name",
            hint: known.isEmpty
                ? "gateway.conf names no slice"
                : "it has: \(known.sorted().joined(separator: ", "))")
    }

    func refuseWhileStarting() throws {
        guard isStarting else { return }
        throw APIError(
            .unavailable, "the gateway is starting, and does not know all of its slices yet",
            hint: "try again in a moment")
    }

    /// For the watchdog.
    package func isAlive() async -> Bool {
        for worker in workers where await !worker.isAlive() { return false }
        return true
    }

    // MARK: Configuration

    /// Reads gateway.conf again. A file with an error changes nothing.
    package func reload() async throws -> ReloadReply {
        guard !isReloading, !isStarting else {
            throw APIError(
                .unavailable,
                isStarting ? "the gateway is starting" : "a reload is under way",
                hint: "try again in a moment")
        }
        isReloading = true
        defer { isReloading = false }
        let fresh = try GatewayConfig.read(options.configPath)
        var reply = ReloadReply(needsRestart: Self.fixed(from: config, to: fresh))
        let old = config
        var merged = fresh
        merged.cluster = old.cluster
        merged.stateDirectory = old.stateDirectory
        merged.adminSocket = old.adminSocket
        merged.namespacePrefix = old.namespacePrefix
        merged.limits = old.limits
        merged.tunnel = old.tunnel
        merged.dns = old.dns
        merged.directory = old.directory
        merged.auditFile = old.auditFile
        config = merged
        loadedAt = WallClock.now()
        if old.http != fresh.http {
            await http?.stop()
            serveHTTP()
            reply.changes.append(
                fresh.http.map { "the status page is at \($0.listen)" }
                    ?? "the status page is no longer served")
        }
        let kept = Set(fresh.slices.map(\.manifest))
        for slice in old.slices where !kept.contains(slice.manifest) {
            await remove(slice.manifest)
            reply.changes.append("left the slice of \(slice.manifest)")
        }
        for slice in fresh.slices {
            if let entry = entries[slice.manifest] {
                reply.changes += await entry.worker.update(slice)
            } else {
                await add(slice)
                reply.changes.append("joined the slice of \(slice.manifest)")
            }
        }
        for change in reply.changes { logger.notice("reload: \(change)") }
        for field in reply.needsRestart {
            logger.warning("\(field) was changed in gateway.conf: that needs a restart")
        }
        return reply
    }

    private static func fixed(from old: GatewayConfig, to new: GatewayConfig) -> [String] {
        var fields: [String] = []
        if old.cluster != new.cluster { fields.append("cluster") }
        if old.stateDirectory != new.stateDirectory { fields.append("stateDirectory") }
        if old.adminSocket != new.adminSocket { fields.append("adminSocket") }
        if old.namespacePrefix != new.namespacePrefix { fields.append("namespacePrefix") }
        if old.logLevel != new.logLevel { fields.append("logLevel") }
        if old.logFormat != new.logFormat { fields.append("logFormat") }
        if old.limits != new.limits { fields.append("limits") }
        if old.tunnel != new.tunnel { fields.append("tunnel") }
        if old.dns != new.dns { fields.append("dns") }
        if old.directory != new.directory { fields.append("directory") }
        if old.auditFile != new.auditFile { fields.append("audit.file") }
        return fields
    }

    // MARK: Status

    func status() async -> StatusReport {
        var report = StatusReport(
            daemon: DaemonStatus(
                version: Version.text, cluster: config.cluster.text, processID: Int(getpid()),
                uptimeSeconds: UInt64(max(0, (MonotonicClock.now() - startedAt).count))
                    / 1_000_000_000,
                configurationLoadedAt: Self.text(loadedAt)))
        report.daemon.auditEntries = audit.entries
        report.daemon.auditProblem = audit.problem
        for worker in workers { report.slices.append(await worker.status()) }
        return report
    }

    /// One line for `systemctl status`.
    package func summary() async -> String {
        let slices = await status().slices
        let up = slices.filter { $0.state == .up }.count
        let endpoints = slices.map(\.endpoints.count).reduce(0, +)
        return "\(up) of \(slices.count) slices up, \(endpoints) endpoints"
    }

    private static func text(_ time: WallTime) -> String {
        Date(timeIntervalSince1970: Double(time.nanosecondsSince1970 / 1_000_000_000))
            .formatted(.iso8601)
    }
}

extension GatewayConfig {
    package static func read(_ path: String) throws -> GatewayConfig {
        let bytes = try File.read(path, limitBytes: 1 << 20)
        return try bytes.withUnsafeBytes { try parse($0, file: path) }
    }
}
