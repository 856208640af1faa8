import BrokerConfig
import Logging
import Supervision
import Synchronization
import Telemetry

/// `slice-broker start`: the node from its first line to its last.
package enum BrokerService {
    /// Makes standard error the process's log, as the configuration says.
    package static func openLog(_ config: BrokerConfig) -> Logger {
        let isJSON = config.text("log.format") == "json"
        LineLogHandler.bootstrap(
            level: Logger.Level(rawValue: config.text("log.level")) ?? .info, json: isJSON)
        var logger = Logger(label: "slice-broker")
        if isJSON { logger[metadataKey: nodeKey] = .string(String(config.nodeID)) }
        return logger
    }

    /// Beside each line of a log for machines, and only there: which node speaks.
    static let nodeKey = "node"

    /// - Returns: nil after a shutdown that was asked for, otherwise why the node ended.
    package static func run(
        _ config: BrokerConfig, logger: Logger, signals: AsyncStream<Int32>
    ) async -> String? {
        let (ends, continuation) = AsyncStream<String?>.makeStream()
        let process = BrokerProcess(config, logger: logger) { continuation.yield($0) }
        let supervisor = process.supervisor(.fromEnvironment())
        let waiting = Task {
            for await signal in signals {
                logger.info("stopping: signal \(signal)")
                supervisor.stopping("stopping: leaderships are handed over")
                process.shutDown()
            }
        }
        let (readiness, isReady) = AsyncStream<Void>.makeStream()
        let watching = Task {
            for await _ in readiness { break }
            guard !Task.isCancelled else { return }
            supervisor.ready(await process.summary())
            await supervisor.keepAlive { await process.summary() }
        }
        defer {
            waiting.cancel()
            watching.cancel()
        }
        do {
            let roles = config.roles.map(\.rawValue).sorted().joined(separator: " and ")
            logger.info("node \(config.nodeID) starts as \(roles)")
            supervisor.status("starts as \(roles)")
            try await process.start {
                logger.notice("node \(config.nodeID) is ready")
                isReady.yield()
            }
        } catch {
            await process.close()
            return "\(error)"
        }
        var problem: String?
        for await end in ends {
            problem = end
            break
        }
        // Cancelled before the loops are gone, which would take no more questions.
        watching.cancel()
        await watching.value
        await process.close()
        if problem == nil { logger.info("stopped") }
        return problem
    }
}
