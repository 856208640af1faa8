import ArgumentParser
import Glibc

@main
struct Slicectl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slicectl",
        abstract: "Makes slices, and talks to this node's slice-gateway.",
        discussion: """
            A slice in five steps: `slicectl keygen --owner` makes its owner's key, `slicectl \
            keygen` one key per gateway, `slicectl slice new` writes the manifest, `slicectl \
            slice sign` signs it, and `slicectl slice apply` hands it to a running gateway. Then \
            `slicectl attach` lets network namespaces in, and `slicectl status` shows them.

            Every command has --help with an example, and --json for scripts.

            \(ExitStatus.help)
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Key and manifest",
                subcommands: [
                    Keygen.self, Pubkey.self, Slice.self,
                ]),
            CommandGroup(
                name: "Gateway",
                subcommands: [
                    Attach.self, Detach.self, Status.self, Peers.self, DirectoryCommand.self,
                    Services.self, PolicyCommand.self, Ping.self, Audit.self, Reload.self,
                ]),
            CommandGroup(
                name: "Host and program",
                subcommands: [
                    Doctor.self, VersionCommand.self, Completions.self,
                ]),
        ])

    static func main() async {
        Glibc.exit(await Invocation.run(Array(CommandLine.arguments.dropFirst())))
    }
}

/// slicectl comes with the daemon and has its version; a test holds the two together.
package enum Version {
    package static let text = "0.1.0"
}

/// One call of the program, from arguments to exit code. Tests come in here.
package enum Invocation {
    package static func run(_ arguments: [String], console: Console = .process) async -> Int32 {
        let arguments = hoist(arguments)
        do {
            try await Console.$current.withValue(console) {
                var command = try Slicectl.parseAsRoot(arguments)
                if var command = command as? any AsyncParsableCommand {
                    try await command.run()
                } else {
                    try command.run()
                }
            }
            return ExitStatus.done.rawValue
        } catch let code as ExitCode {
            return code.rawValue
        } catch {
            return report(error, arguments, console)
        }
    }

    private static func report(
        _ error: any Error, _ arguments: [String], _ console: Console
    ) -> Int32 {
        let isJSON = arguments.prefix { $0 != "--" }.contains("--json")
        let style = Style(
            hasColour: console.errorIsTerminal && GlobalOptions.colourIsWelcome
                && !arguments.contains("--no-color"))
        let failure: Failure
        switch Slicectl.exitCode(for: error) {
        case .success:
            // --help, --version or a script for completion.
            console.out(Slicectl.fullMessage(for: error) + "\n")
            return ExitStatus.done.rawValue
        case .validationFailure:
            let message = Slicectl.message(for: error)
            let all = Slicectl.fullMessage(for: error)
            // What follows the message: the usage line and where to read more.
            let hint = all.split(separator: "\n").first { $0.hasPrefix("Usage:") }
            failure = .usage(message, hint: hint.map { "u" + $0.dropFirst() })
        default: failure = Failure(error)
        }
        console.error(failure.text(json: isJSON, style: style))
        return failure.status.rawValue
    }

    /// `slicectl --json status` means `slicectl status --json`: options that every command has
    /// go behind the command.
    package static func hoist(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if first == "--json" || first == "--no-color" || first.hasPrefix("--socket=") {
                moved.append(first)
                rest.removeFirst()
            } else if first == "--socket", rest.count >= 2 {
                moved += rest.prefix(2)
                rest.removeFirst(2)
            } else {
                break
            }
        }
        guard !moved.isEmpty, let command = rest.first, !command.hasPrefix("-") else {
            return arguments
        }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return Array(rest[..<end]) + moved + Array(rest[end...])
    }
}
