import ArgumentParser
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import Noise
import Telemetry
import Timing

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

    @Option(
        help: """
            Queues of the TUN device, 1 to 16: each has two threads and a UDP port of its own to \
            send from. More than one helps where there are CPUs to spare and several flows.
            """)
    var queues = 1

    @Option(help: "CPUs to bind the packet threads to, queue by queue, such as 2,3.")
    var cpus: String?

    @Option(
        help: """
            Microseconds, 0 to 10000, for which a packet thread asks for the next packet at most \
            before it sleeps, while packets come one by one in such short order.
            """)
    var busyPoll = 100

    @Option(
        name: .customLong("sparse-dscp"),
        help: """
            DSCP, 0 to 63, of packets of flows that send little, by which the other end lets them \
            pass others. 0: none. The same at both ends.
            """)
    var sparseDSCP = PacketPathOptions().sparseDSCP

    @Argument(help: "The interface's name.")
    var interface: String

    func validate() throws {
        guard 1...PacketPathOptions.maximumQueues ~= queues else {
            throw ValidationFailure("--queues must be from 1 to \(PacketPathOptions.maximumQueues)")
        }
        guard 0...10_000 ~= busyPoll else {
            throw ValidationFailure("--busy-poll must be from 0 to 10000 microseconds")
        }
        guard 0...63 ~= sparseDSCP else {
            throw ValidationFailure("--sparse-dscp must be from 0 to 63")
        }
        _ = try packetPath()
        guard cipher.isAvailable else {
            throw ValidationFailure(
                "this CPU has no AES instructions: aes-256-gcm would be slow and leak its key "
                    + "through the cache; use chacha20-poly1305 on both ends")
        }
    }

    private func packetPath() throws -> PacketPathOptions {
        var options = PacketPathOptions()
        options.queues = queues
        options.busyPoll = .microseconds(Int64(busyPoll))
        options.sparseDSCP = sparseDSCP
        options.cpus = try (cpus?.split(separator: ",") ?? []).map { text in
            guard let cpu = Int(text), 0...1023 ~= cpu else {
                throw ValidationFailure("--cpus: `\(text)` is not the number of a CPU")
            }
            return cpu
        }
        return options
    }

    func run() async throws {
        if !foreground, getenv("WG_PROCESS_FOREGROUND") == nil {
            try Background.start(
                arguments: [
                    "wireguard", "--foreground", "--cipher", cipher.rawValue,
                    "--queues", "\(queues)", "--busy-poll", "\(busyPoll)",
                    "--sparse-dscp", "\(sparseDSCP)",
                ] + (cpus.map { ["--cpus", $0] } ?? []) + [interface])
            return
        }
        let level = getenv("LOG_LEVEL").flatMap { Logger.Level(rawValue: String(cString: $0)) }
        LineLogHandler.bootstrap(level: level ?? .info)
        do {
            try await WireGuardService.run(
                interface: interface, suite: cipher, packetPath: try packetPath(),
                logger: Logger(label: interface),
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
