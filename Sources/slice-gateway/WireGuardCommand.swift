import ArgumentParser
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import Noise
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

    @Option(
        help: """
            What protects the sessions of all peers: chacha20-poly1305, which is WireGuard, or \
            aes-256-gcm, which only this program understands; both ends need the same.
            """)
    var cipher = TransportSuite.chaChaPoly

    @Argument(help: "The interface's name.")
    var interface: String

    func validate() throws {
        guard cipher.isAvailable else {
            throw ValidationFailure(
                "this CPU has no AES instructions: aes-256-gcm would be slow and leak its key "
                    + "through the cache; use chacha20-poly1305 on both ends")
        }
    }

    func run() async throws {
        if !foreground, getenv("WG_PROCESS_FOREGROUND") == nil {
            try Background.start(
                arguments: ["wireguard", "--foreground", "--cipher", cipher.rawValue, interface])
            return
        }
        let level = getenv("LOG_LEVEL").flatMap { Logger.Level(rawValue: String(cString: $0)) }
        LineLogHandler.bootstrap(level: level ?? .info)
        do {
            try await WireGuardService.run(
                interface: interface, suite: cipher, logger: Logger(label: interface),
                onReady: Background.reportReady)
        } catch let error as LinuxError {
            throw ValidationFailure(error)
        }
    }
}

extension TransportSuite: ExpressibleByArgument {}

/// An error that is already a whole sentence for the user.
struct ValidationFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: LinuxError) {
        description = error.hint.map { "\(error). \($0)" } ?? "\(error)"
    }
}
