import AdminAPI
import ArgumentParser
import NIOCore

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version of slicectl and of the running gateway.",
        discussion: """
            EXAMPLE
              slicectl version
            """)

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    private struct Result: Encodable {
        var slicectl: String
        var apiVersion: Int
        /// Absent when it cannot be asked.
        var daemon: VersionReply?
    }

    func run() async throws {
        var daemon: VersionReply?
        var absence = ""
        do {
            daemon = try await global.client(timeout: .seconds(2)).version()
        } catch let error as AdminClientError {
            absence = error.message
        }
        let result = Result(
            slicectl: Version.text, apiVersion: VersionReply.currentAPIVersion, daemon: daemon)
        try global.console.result(result) {
            "slicectl \(Version.text)\n"
                + (daemon.map { "slice-gateway \(DisplayText.clean($0.version)), running\n" }
                    ?? "\(DisplayText.clean(absence))\n")
        }
    }
}

struct Completions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a script that completes slicectl's commands in a shell.",
        discussion: """
            EXAMPLES
              slicectl completions bash > /usr/share/bash-completion/completions/slicectl
              slicectl completions zsh > /usr/share/zsh/vendor-completions/_slicectl
              slicectl completions fish > ~/.config/fish/completions/slicectl.fish
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        var completionShell: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "bash, zsh or fish.") var shell: Shell

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    private struct Result: Encodable {
        var shell: String
        var script: String
    }

    func run() async throws {
        let script = Slicectl.completionScript(for: shell.completionShell)
        try global.console.result(Result(shell: shell.rawValue, script: script)) {
            script.hasSuffix("\n") ? script : script + "\n"
        }
    }
}
