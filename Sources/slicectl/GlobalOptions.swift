import AdminAPI
import ArgumentParser
import Glibc
import NIOCore

/// Options of every command. They may also stand before the command (`Invocation.hoist`).
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .customLong("socket"),
        help: ArgumentHelp(
            "The daemon's admin socket. Otherwise $SLICECTL_SOCKET, otherwise "
                + "\(AdminRoute.defaultSocketPath).", valueName: "path"),
        completion: .file())
    var socketOption: String?

    @Flag(name: .customLong("json"), help: "JSON on standard output, errors as JSON too.")
    var isJSON = false

    @Flag(
        name: .customLong("no-color"),
        help: "No colours. They are only used on a terminal, and never if NO_COLOR is set.")
    var isColourless = false

    var socket: String {
        if let socketOption { return socketOption }
        if let text = environment("SLICECTL_SOCKET"), !text.isEmpty { return text }
        return AdminRoute.defaultSocketPath
    }

    func client(timeout: TimeAmount = .seconds(30)) -> AdminClient {
        AdminClient(path: socket, timeout: timeout)
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
}

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
