import ArgumentParser

/// One call of the program, from arguments to exit code. Tests come in here.
package enum Invocation {
    package static func run(
        _ root: any ParsableCommand.Type, _ arguments: [String], console: Console = .process
    ) async -> Int32 {
        let arguments = hoist(arguments)
        do {
            try await Console.$current.withValue(console) {
                var command = try root.parseAsRoot(arguments)
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
            return report(error, root, arguments, console)
        }
    }

    private static func report(
        _ error: any Error, _ root: any ParsableCommand.Type, _ arguments: [String],
        _ console: Console
    ) -> Int32 {
        let failure: Failure
        switch root.exitCode(for: error) {
        case .success:
            // --help, --version or a script for completion.
            console.out(Array((root.fullMessage(for: error) + "\n").utf8))
            return ExitStatus.done.rawValue
        case .validationFailure:
            // What follows the message: the usage line and where to read more.
            let usage = root.fullMessage(for: error).split(separator: "\n")
                .first { $0.hasPrefix("Usage:") }
            failure = .usage(root.message(for: error), hint: usage.map { "u" + $0.dropFirst() })
        default: failure = Failure(error)
        }
        let words = arguments.prefix { $0 != "--" }
        let style = Style(
            hasColour: console.errorIsTerminal && ClientOptions.colourIsWelcome
                && !words.contains("--no-color"))
        console.error(Array(failure.text(json: words.contains("--json"), style: style).utf8))
        return failure.status.rawValue
    }

    /// `slice-broker --json topics list` means `slice-broker topics list --json`: options that
    /// every command of a client has go behind the command.
    package static func hoist(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if first == "--json" || first == "--no-color"
                || first.hasPrefix("--bootstrap-server=")
            {
                moved.append(first)
                rest.removeFirst()
            } else if first == "--bootstrap-server" || first == "-b", rest.count >= 2 {
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
