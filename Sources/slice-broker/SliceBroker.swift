import ArgumentParser
import Glibc

@main
struct SliceBroker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slice-broker",
        abstract: "A Kafka broker and controller for clusters that stretch over a slice.",
        discussion: """
            A directory is formatted once, with the id of the cluster it belongs to:

              slice-broker random-uuid
              slice-broker format --config broker.properties --cluster-id ID
              slice-broker start --config broker.properties

            The other commands ask a cluster that runs.

            \(ExitStatus.help)
            """,
        subcommands: [
            StartCommand.self, FormatCommand.self, CheckCommand.self, RandomUUIDCommand.self,
        ] + ClientCommands.all)

    static func main() async {
        Glibc.exit(
            await Invocation.run(SliceBroker.self, Array(CommandLine.arguments.dropFirst())))
    }
}
