import BrokerConfig
import Logging
import Synchronization

/// `slice-broker start`: the node from its first line to its last.
package enum BrokerService {
    /// - Returns: nil after a shutdown that was asked for, otherwise why the node ended.
    package static func run(
        _ config: BrokerConfig, logger: Logger, signals: AsyncStream<Int32>
    ) async -> String? {
        let (ends, continuation) = AsyncStream<String?>.makeStream()
        let process = BrokerProcess(config, logger: logger) { continuation.yield($0) }
        let waiting = Task {
            for await signal in signals {
                logger.info("stopping: signal \(signal)")
                process.shutDown()
            }
        }
        defer { waiting.cancel() }
        do {
            let roles = config.roles.map(\.rawValue).sorted().joined(separator: " and ")
            logger.info("node \(config.nodeID) starts as \(roles)")
            try await process.start {
                logger.notice("node \(config.nodeID) is ready")
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
        await process.close()
        if problem == nil { logger.info("stopped") }
        return problem
    }
}
