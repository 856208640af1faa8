import ArgumentParser
import KafkaClient
import KafkaWire

struct RecordsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "records", abstract: "Delete the oldest records of a topic.",
        subcommands: [RecordsDelete.self])
}

struct RecordsDelete: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete the records of a topic before an offset.",
        discussion: """
            slice-broker records delete orders --partition 0 --before 1200
            slice-broker records delete orders --all --before 7d

            They are gone for all consumers, and cannot be had back.
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("In these partitions: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @Flag(help: "In all partitions.")
    var all = false

    @Option(help: ArgumentHelp("What stays first: \(PlaceArgument.help).", valueName: "place"))
    var before: PlaceArgument

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if all == (partition != nil) {
            throw ValidationError("say where: either --partition or --all")
        }
    }

    func run(_ session: ClientSession) throws {
        let places = try session.places(
            of: topic, partitions: partition?.indexes, at: before, afterEnd: .latest)
        let layout = try session.cluster.layout(of: topic)
        let partitions = try layout.select(Array(places.keys)).sorted { $0.index < $1.index }
        var results: [DeleteRecordsResponse.DeleteRecordsPartitionResult] = []
        for orphan in partitions where orphan.leader == nil {
            results.append(.init(partitionIndex: orphan.index, errorCode: .leaderNotAvailable))
        }
        for (leader, partitions) in TopicLayout.byLeader(partitions) {
            let answer = try session.cluster.call(
                DeleteRecordsRequest(
                    topics: [
                        .init(
                            name: topic,
                            partitions: partitions.map {
                                .init(partitionIndex: $0.index, offset: places[$0.index] ?? 0)
                            })
                    ], timeoutMs: ClientSession.timeoutMs), at: leader)
            results += answer.topics.flatMap(\.partitions)
        }
        try Outcome.report(
            results.sorted { $0.partitionIndex < $1.partitionIndex }.map {
                Outcome(
                    "partition \($0.partitionIndex) of \(topic)",
                    "now begins at offset \($0.lowWatermark)", $0.errorCode,
                    [
                        ("topic", .string(topic)), ("partition", JSON($0.partitionIndex)),
                        ("earliest", $0.errorCode == .none ? JSON($0.lowWatermark) : nil),
                    ])
            }, session.console)
    }
}

extension ClientSession {
    /// The offsets that a place means; `afterEnd` is what a time that is later than all records
    /// means.
    func places(
        of topic: String, partitions: [Int32]?, at place: PlaceArgument, afterEnd: OffsetPoint
    ) throws -> [Int32: Int64] {
        guard let point = place.point(now: Pause.wallMilliseconds) else {
            guard case .offset(let offset) = place else { return [:] }
            let wanted = try cluster.layout(of: topic).select(partitions)
            return Dictionary(
                wanted.map { ($0.index, offset) }, uniquingKeysWith: { first, _ in first })
        }
        let found = try cluster.offsets(of: topic, partitions: partitions, at: point)
        var offsets = found.mapValues(\.offset)
        let missing = offsets.filter { $0.value < 0 }.keys.sorted()
        if !missing.isEmpty {
            let ends = try cluster.offsets(of: topic, partitions: missing, at: afterEnd)
            for (index, end) in ends { offsets[index] = end.offset }
        }
        return offsets
    }
}
