import AdminAPI
import Addresses
import Logging
import NIOCore

/// Keeps a listener where gateway.conf wants one. An address that is not there yet (a boot, a
/// failover) is tried again: packets do not wait for the page about them.
struct HTTPService: Sendable {
    private static let pause = Duration.seconds(10)

    private let attempts: Task<HTTPListener?, Never>

    init(
        _ address: IPEndpoint, names: [String], group: any EventLoopGroup, logger: Logger,
        _ status: @escaping HTTPListener.StatusProvider
    ) {
        var options = HTTPListener.Options()
        options.names = names
        attempts = Task { [options] in
            var told: String?
            while !Task.isCancelled {
                do {
                    let listener = try await HTTPListener.start(
                        address: address, handler: status, options: options, group: group,
                        logger: logger)
                    logger.info("the status page is at http://\(listener.address)/")
                    return listener
                } catch {
                    let problem = "cannot serve the status page at \(address): \(error)"
                    // Once, and not every ten seconds.
                    if problem != told { logger.error("\(problem); it is tried again") }
                    told = problem
                }
                try? await Task.sleep(for: Self.pause)
            }
            return nil
        }
    }

    func stop() async {
        attempts.cancel()
        await attempts.value?.stop()
    }
}
