import Logging
import NIOCore
import Supervision
import Synchronization
import Timing

/// Tells the service manager how the node is doing, and that it is alive only while its event loops
/// turn: what keeps one of them from turning keeps the node from answering.
package final class Supervisor: Sendable {
    private let notifier: ServiceNotifier
    private let loops: [(name: String, loop: any EventLoop)]
    private let logger: Logger
    private let isStopping = Mutex(false)
    /// Loops that were asked to say something and have not yet.
    private let silent = Mutex<Set<String>>([])

    package init(
        _ notifier: ServiceNotifier, _ loops: [(name: String, loop: any EventLoop)],
        logger: Logger
    ) {
        self.notifier = notifier
        self.loops = loops
        self.logger = logger
    }

    /// How often there is something to say.
    private var interval: Nanoseconds {
        notifier.watchdog.map { Nanoseconds($0.count / 3) } ?? .seconds(10)
    }

    package func ready(_ status: String) { try? notifier.ready(status: status) }

    package func status(_ text: String) { try? notifier.status(text) }

    package func stopping(_ status: String) {
        isStopping.withLock { $0 = true }
        try? notifier.stopping()
        try? notifier.status(status)
    }

    /// Gives signs of life until it is cancelled.
    package func keepAlive(_ status: @Sendable () async -> String) async {
        guard notifier.socketPath != nil else { return }
        while !Task.isCancelled {
            let late = silent.withLock { $0.sorted() }
            if late.isEmpty {
                if notifier.watchdog != nil { try? notifier.alive() }
                ask()
                let text = await status()
                if !isStopping.withLock({ $0 }) { self.status(text) }
            } else {
                let who = late.joined(separator: " and ")
                logger.error("no sign of life: the event loop of the \(who) has not turned")
            }
            try? await Task.sleep(for: .nanoseconds(interval.count))
        }
    }

    private func ask() {
        silent.withLock { silent in
            for (name, _) in loops { silent.insert(name) }
        }
        for (name, loop) in loops {
            loop.execute { [self] in silent.withLock { _ = $0.remove(name) } }
        }
    }
}
