import ArgumentParser
import BrokerConfig
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

    @OptionGroup var output: OutputOption

    @Flag(help: "Do not complain if the directory is formatted already for this cluster and node.")
    var ignoreFormatted = false

    func run() throws {
        let config = try options.load(json: output.isJSON)
        let done: [StorageFormatter.Directory]
        do {
            done = try StorageFormatter.format(
                config, clusterId: clusterId, ignoreFormatted: ignoreFormatted)
        } catch {
            if output.isJSON { throw Failure(.failed, "format", "\(error)") }
            complain("\(error)")
            throw ExitCode(1)
        }
        output.console.result(
            [
                "nodeId": JSON(config.nodeID), "clusterId": .string(clusterId),
                "directories": .array(
                    done.map {
                        ["path": .string($0.path), "wasFormatted": .bool($0.wasFormatted)]
                    }),
            ]
        ) {
            done.map { directory in
                directory.wasFormatted
                    ? "\(directory.path) is formatted already\n"
                    : "formatted \(directory.path) for node \(config.nodeID) of cluster "
                        + "\(clusterId)\n"
            }.joined()
        }
    }
}

struct RandomUUIDCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "random-uuid", abstract: "Make an id for a new cluster.")

    @OptionGroup var output: OutputOption

    func run() {
        var id = KafkaUUID.zero
        // A leading dash would look like an option.
        repeat {
            id = KafkaUUID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
        } while id.description.hasPrefix("-")
        let text = id.description
        output.console.result(["clusterId": .string(text)]) { text + "\n" }
    }
}
