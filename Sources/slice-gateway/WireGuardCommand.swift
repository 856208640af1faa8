import ArgumentParser
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import Telemetry

struct WireGuardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wireguard",
        abstract: "Make one plain WireGuard interface, to be configured by `wg` or `wg-quick`.",
        discussion: """
            A drop-in for wireguard-go: the interface is made in the current network namespace, \
            and stock `wg` finds its socket in /var/run/wireguard. LOG_LEVEL may be trace, \
            debug, info, notice, warning or error.
            """)

    @Flag(name: [.customShort("f"), .long], help: "Stay in the foreground.")
    var foreground = false

    @Argument(help: "The interface's name.")
    var interface: String

    func run() async throws {
        if !foreground, getenv("WG_PROCESS_FOREGROUND") == nil {
            try Background.start(arguments: ["wireguard", "--foreground", interface])
            return
        }
        let level = getenv("LOG_LEVEL").flatMap { Logger.Level(rawValue: String(cString: $0)) }
        LineLogHandler.bootstrap(level: level ?? .info)
        do {
            try await WireGuardService.run(
                interface: interface, logger: Logger(label: interface),
                onReady: Background.reportReady)
        } catch let error as LinuxError {
            throw ValidationFailure(error)
        }
    }
}

/// An error that is already a whole sentence for the user.
struct ValidationFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: LinuxError) {
        description = error.hint.map { "\(error). \($0)" } ?? "\(error)"
    }
}
