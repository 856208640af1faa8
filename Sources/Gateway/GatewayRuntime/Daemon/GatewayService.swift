import ConfigFile
import Glibc
import LinuxNet
import Logging
import SliceModel
import Supervision
import Timing

/// `slice-gateway --config FILE`: the daemon from its first line to its last.
package enum GatewayService {
    /// Runs until SIGTERM or SIGINT. Throws what kept it from starting.
    package static func run(
        _ config: GatewayConfig, _ options: GatewayDaemon.Options, signals: SignalStream,
        logger: Logger
    ) async throws {
        let notifier = ServiceNotifier.fromEnvironment()
        let daemon = try GatewayDaemon(config, options, logger: logger)
        try await daemon.start()
        try? notifier.ready(status: await daemon.summary())
        logger.info("slice-gateway \(Version.text) is ready, admin socket \(config.adminSocket)")
        let watchdog = Task { await keepAlive(daemon, notifier, logger) }
        for await signal in signals.stream {
            guard signal == SIGHUP else {
                logger.info("stopping: signal \(signal)")
                break
            }
            try? notifier.reloading(now: MonotonicClock.now())
            do {
                _ = try await daemon.reload()
            } catch let problems as ConfigProblems {
                for problem in problems.problems { logger.error("\(problem)") }
                logger.error("reload: gateway.conf has errors, nothing was changed")
            } catch {
                logger.error("reload: \(error); nothing was changed")
            }
            try? notifier.ready(status: await daemon.summary())
        }
        watchdog.cancel()
        try? notifier.stopping()
        await daemon.stop()
        logger.info("stopped; namespaces and endpoints stay for the next start")
    }

    /// The status line, and the watchdog's sign of life if somebody waits for it.
    private static func keepAlive(
        _ daemon: GatewayDaemon, _ notifier: ServiceNotifier, _ logger: Logger
    ) async {
        guard notifier.socketPath != nil else { return }
        let interval = notifier.watchdog.map { Nanoseconds($0.count / 3) } ?? .seconds(10)
        while !Task.isCancelled {
            try? await Task.sleep(for: .nanoseconds(interval.count))
            if Task.isCancelled { return }
            if await daemon.isAlive() {
                try? notifier.alive()
            } else {
                logger.error("a tunnel's control thread does not answer: no sign of life sent")
            }
            try? notifier.status(await daemon.summary())
        }
    }
}
