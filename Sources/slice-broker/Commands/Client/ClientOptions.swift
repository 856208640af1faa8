import ArgumentParser
import Glibc
import KafkaClient

/// Options of every command that asks a cluster. They may also stand before the command
/// (`Invocation.hoist`).
struct ClientOptions: ParsableArguments {
    static let variable = "SLICE_BROKER_BOOTSTRAP"

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Brokers to ask first, with commas between. Otherwise $\(variable), otherwise "
                + "localhost:9092.", valueName: "host:port"))
    var bootstrapServer: String?

    @Flag(name: .customLong("json"), help: "JSON on standard output, errors as JSON too.")
    var isJSON = false

    @Flag(
        name: .customLong("no-color"),
        help: "No colours. They are only used on a terminal, and never if NO_COLOR is set.")
    var isColourless = false

    var servers: String {
        if let bootstrapServer { return bootstrapServer }
        if let text = environment(Self.variable), !text.isEmpty { return text }
        return "localhost:9092"
    }

    var console: Console {
        var console = Console.current
        console.isJSON = isJSON
        console.style = Style(
            hasColour: console.outIsTerminal && !isColourless && !isJSON && Self.colourIsWelcome)
        return console
    }

    /// no-color.org: set and not empty means none, whatever it says.
    static var colourIsWelcome: Bool {
        (environment("NO_COLOR") ?? "").isEmpty && environment("TERM") != "dumb"
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private func environment(_ name: String) -> String? { Self.environment(name) }
}

/// What a command has to work with.
struct ClientSession {
    let cluster: KafkaCluster
    let console: Console

    /// Of the requests that the controller answers.
    static let timeoutMs: Int32 = 30_000
}

/// A command that asks a cluster.
protocol ClientCommand: ParsableCommand {
    var client: ClientOptions { get }
    func run(_ session: ClientSession) throws
}

extension ClientCommand {
    func run() throws {
        try run(
            ClientSession(
                cluster: try KafkaCluster(bootstrap: client.servers), console: client.console))
    }
}
