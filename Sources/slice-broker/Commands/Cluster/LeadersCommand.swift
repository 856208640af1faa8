import ArgumentParser
import KafkaClient
import KafkaWire

struct LeadersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leaders", abstract: "Elect leaders of partitions.",
        subcommands: [LeadersElect.self])
}

enum ElectionArgument: String, ExpressibleByArgument, CaseIterable {
    case preferred, unclean

    /// KIP-460.
    var code: Int8 { self == .preferred ? 0 : 1 }
}

struct LeadersElect: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "elect", abstract: "Have partitions led by the replica that should.",
        discussion: """
            slice-broker leaders elect preferred --all
            slice-broker leaders elect unclean --topic orders --partition 3

            Preferred is the first of a partition's replicas, if it is in sync. Unclean takes any \
            replica that is alive where none in sync is: records that it does not have are lost.
            """)

    @Argument(help: "preferred or unclean.")
    var election: ElectionArgument

    @Option(name: .shortAndLong, help: "Of this topic.")
    var topic: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @Flag(help: "Of all topics.")
    var all = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if all == (topic != nil) { throw ValidationError("say where: either --topic or --all") }
        if partition != nil, topic == nil { throw ValidationError("--partition needs --topic") }
    }

    func run(_ session: ClientSession) throws {
        var wanted: [ElectLeadersRequest.TopicPartitions]?
        if let topic {
            let partitions = try session.cluster.layout(of: topic).select(partition?.indexes)
            wanted = [.init(topic: topic, partitions: partitions.map(\.index))]
        }
        let answer = try session.cluster.call(
            ElectLeadersRequest(
                electionType: election.code, topicPartitions: wanted,
                timeoutMs: ClientSession.timeoutMs))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the election")
        }
        let results = answer.replicaElectionResults.flatMap { topic in
            topic.partitionResult.map { (topic: topic.topic, result: $0) }
        }.sorted { ($0.topic, $0.result.partitionId) < ($1.topic, $1.result.partitionId) }
        try Outcome.report(
            results.map { topic, result in
                let isNeedless = result.errorCode == .electionNotNeeded
                return Outcome(
                    "partition \(result.partitionId) of \(topic)",
                    isNeedless ? "is led by the right replica already" : "has a new leader",
                    isNeedless ? .none : result.errorCode, detail: result.errorMessage,
                    [
                        ("topic", .string(topic)), ("partition", JSON(result.partitionId)),
                        ("elected", .bool(result.errorCode == .none)),
                    ])
            }, session.console)
        if results.isEmpty { session.console.note("no partition needs another leader") }
    }
}
