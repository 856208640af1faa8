import ArgumentParser
import ConfigFile
import GatewayRuntime
import Glibc
import LinuxNet
import Logging
import SliceModel
import Telemetry

/// The daemon itself: what runs when no subcommand is named.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Join this node's cluster to the slices of a configuration file (the default).",
        discussion: """
            SIGHUP reads the file again; SIGTERM stops and leaves namespaces and endpoints in \
            place, so that connections survive a restart.
            """)

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config = "/etc/slice-gateway/gateway.conf"

    @Flag(name: .customLong("check"), help: "Only check the file, and say what is wrong with it.")
    var onlyCheck = false

    func run() async throws {
        // First, so that no thread takes them instead.
        let signals = try SignalStream([SIGINT, SIGTERM, SIGHUP])
        let loaded = try Self.load(config)
        if onlyCheck {
            print("\(config) is sound")
            return
        }
        let level = Logger.Level(rawValue: loaded.logLevel.rawValue) ?? .info
        LineLogHandler.bootstrap(level: level, json: loaded.logFormat == .json)
        let logger = Logger(label: "gateway")
        var options = GatewayDaemon.Options(configPath: Self.absolute(config))
        if let directory = getenv("SLICE_GATEWAY_WG_SOCKETS") {
            options.configurationSockets = String(cString: directory)
        }
        if let directory = getenv("SLICE_GATEWAY_NETNS_FILES") {
            options.netnsConfiguration = String(cString: directory)
        }
        do {
            try await GatewayService.run(loaded, options, signals: signals, logger: logger)
        } catch {
            for line in "\(error)".split(separator: "\n") { complain("\(line)") }
            throw ExitCode(1)
        }
    }

    /// Every problem of the file, and exit code 2.
    static func load(_ path: String) throws -> GatewayConfig {
        do {
            return try GatewayConfig.read(path)
        } catch {
            complain("\(error)")
            throw ExitCode(2)
        }
    }

    /// A later reload must find it wherever the process was started.
    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }
}

struct CleanupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract:
            "Remove the router namespaces and interfaces that a stopped daemon left in place.",
        discussion: """
            Endpoints lose their slice interface. Accepted manifests and the addresses given to \
            endpoints are kept: the next start gives the same ones again.
            """)

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config = "/etc/slice-gateway/gateway.conf"

    @Flag(help: "All router namespaces whose name begins with --namespace-prefix.")
    var all = false

    @Option(help: "With --all: what their names begin with.")
    var namespacePrefix = GatewayConfig.defaultNamespacePrefix

    func run() throws {
        do {
            let removed =
                all
                ? try Cleanup.runAll(namespacePrefix: namespacePrefix)
                : try Cleanup.run(RunCommand.load(config))
            for name in removed { print("removed \(name)") }
            if removed.isEmpty { print("there was nothing to remove") }
        } catch let code as ExitCode {
            throw code
        } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
    }
}

/// To standard error, as one message of this program.
func complain(_ text: String) {
    let line = Array("slice-gateway: \(text)\n".utf8)
    _ = write(2, line, line.count)
}
