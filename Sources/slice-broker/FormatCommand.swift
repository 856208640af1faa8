import ArgumentParser
import BrokerRuntime
import KafkaWire

struct FormatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "format",
        abstract: "Make the data directory of a node ready for its first start.",
        discussion: """
            Writes who the directory belongs to (meta.properties). A directory that is formatted \
            already is left as it is.
            """)

    @OptionGroup var options: ConfigOption

    @Option(help: "The cluster's id, the same on all of its nodes; see random-uuid.")
    var clusterId: String

    @Flag(help: "Do not complain if the directory is formatted already for this cluster and node.")
    var ignoreFormatted = false

    func run() throws {
        let config = try options.load()
        do {
            let done = try StorageFormatter.format(
                config, clusterId: clusterId, ignoreFormatted: ignoreFormatted)
            for line in done { print(line) }
        } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
    }
}

struct RandomUUIDCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "random-uuid", abstract: "Make an id for a new cluster.")

    func run() {
        var id = KafkaUUID.zero
        // A leading dash would look like an option.
        repeat {
            id = KafkaUUID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
        } while id.description.hasPrefix("-")
        print(id)
    }
}
