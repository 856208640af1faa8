import ArgumentParser
import GatewayRuntime
import Glibc

/// The daemon. Invoked by a name that ends in `-wireguard` (a link), it is a drop-in for
/// wireguard-go: wg-quick takes one word for its userspace implementation.
@main
struct SliceGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slice-gateway",
        abstract: "Joins this node's cluster to its slices.",
        version: Version.text,
        subcommands: [RunCommand.self, WireGuardCommand.self, CleanupCommand.self],
        defaultSubcommand: RunCommand.self)

    static func main() async {
        let arguments = CommandLine.arguments
        let isDropIn = arguments.first?.hasSuffix("-wireguard") ?? false
        do {
            var command = try parseAsRoot(
                (isDropIn ? ["wireguard"] : []) + arguments.dropFirst())
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            exit(withError: error)
        }
    }
}
