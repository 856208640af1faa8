import ArgumentParser
import KafkaClient
import KafkaWire

struct TopicsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics", abstract: "List, describe, create, delete and enlarge topics.",
        subcommands: [
            TopicsList.self, TopicsDescribe.self, TopicsCreate.self, TopicsDelete.self,
            TopicsAlter.self,
        ])
}

struct TopicsList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The topics of the cluster.")

    @Flag(help: "The cluster's own topics too.")
    var `internal` = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let list = TopicList(try session.cluster.metadata(nil), withInternal: `internal`)
        session.console.result(list.json) { list.text(style: session.console.style) }
    }
}

/// `topics list`.
package struct TopicList: Sendable {
    private let topics: [TopicDescription]

    package init(_ answer: MetadataResponse, withInternal: Bool) {
        topics = answer.topics
            .filter { $0.errorCode == .none && (withInternal || !$0.isInternal) }
            .map { TopicDescription($0) }.sorted { $0.name < $1.name }
    }

    package var json: JSON {
        .array(
            topics.map { topic in
                [
                    "name": .string(topic.name), "topicId": .string(topic.topicId.description),
                    "internal": .bool(topic.isInternal), "partitions": JSON(topic.partitions.count),
                    "replicationFactor": JSON(Self.replicas(topic)),
                    "underReplicated": JSON(Self.underReplicated(topic)),
                    "leaderless": JSON(Self.leaderless(topic)),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        guard !topics.isEmpty else { return "no topics\n" }
        var table = Table([
            "TOPIC", .right("PARTITIONS"), .right("REPLICAS"), "STATE", "ID",
        ])
        for topic in topics {
            let (under, none) = (Self.underReplicated(topic), Self.leaderless(topic))
            let state: Table.Cell =
                none > 0
                ? Table.Cell("\(none) without leader", .bad)
                : under > 0 ? Table.Cell("\(under) not in sync", .warning) : Table.Cell("ok", .good)
            table.rows.append([
                Table.Cell(topic.name), Table.Cell(topic.partitions.count),
                Table.Cell(Self.replicas(topic)), state,
                Table.Cell(topic.topicId == .zero ? "" : topic.topicId.description, .dim),
            ])
        }
        return table.text(style: style)
    }

    private static func replicas(_ topic: TopicDescription) -> Int {
        topic.partitions.map(\.replicas.count).max() ?? 0
    }

    private static func underReplicated(_ topic: TopicDescription) -> Int {
        topic.partitions.count { $0.isUnderReplicated }
    }

    private static func leaderless(_ topic: TopicDescription) -> Int {
        topic.partitions.count { $0.leader < 0 }
    }
}

struct TopicsDescribe: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Leaders, replicas and configuration of topics.",
        discussion: "With --json one name gives an object, none or several give an array.")

    @Argument(help: "Topics; none means all.")
    var names: [String] = []

    @Flag(help: "Only partitions with replicas that are not in sync.")
    var underReplicated = false

    @Flag(help: "Only partitions without a leader.")
    var unavailable = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        var topics = try session.describeTopics(names)
        if underReplicated || unavailable {
            for index in topics.indices {
                topics[index].partitions.removeAll {
                    !(underReplicated && $0.isUnderReplicated || unavailable && $0.leader < 0)
                }
            }
            if names.count != 1 { topics.removeAll { $0.partitions.isEmpty } }
        }
        let all = JSON.array(topics.map(\.json))
        let json = names.count == 1 ? topics.first?.json ?? all : all
        session.console.result(json) {
            topics.isEmpty
                ? "no topics\n"
                : topics.map { $0.text(style: session.console.style) }.joined(separator: "\n")
        }
    }
}

struct TopicsCreate: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create topics.",
        discussion: """
            Returns once every partition has a leader. For example:

              slice-broker topics create orders -p 12 -r 3 -c min.insync.replicas=2
            """)

    @Argument(help: "The topics' names.")
    var names: [String]

    @Option(name: .shortAndLong, help: "How many partitions; otherwise as the cluster has it.")
    var partitions: Int32?

    @Option(
        name: .shortAndLong, help: "How many replicas of each; otherwise as the cluster has it.")
    var replicationFactor: Int16?

    @Option(
        help: ArgumentHelp(
            "Brokers of each partition, instead of numbers: 1:2:3,2:3:1.",
            valueName: "assignment"))
    var assignment: AssignmentArgument?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A property of the topic; may be repeated.", valueName: "name=value"))
    var config: [SettingArgument] = []

    @Flag(help: "Topics that are there already are left as they are.")
    var ifNotExists = false

    @Flag(help: "Only say whether it could be done.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if assignment != nil, partitions != nil || replicationFactor != nil {
            throw ValidationError(
                "--assignment says how many partitions and replicas there are: leave out "
                    + "--partitions and --replication-factor")
        }
        if let partitions, partitions < 1 {
            throw ValidationError("--partitions must be 1 or more")
        }
        if let replicationFactor, replicationFactor < 1 {
            throw ValidationError("--replication-factor must be 1 or more")
        }
    }

    var request: CreateTopicsRequest {
        CreateTopicsRequest(
            topics: names.map { name in
                .init(
                    name: name, numPartitions: partitions ?? -1,
                    replicationFactor: replicationFactor ?? -1,
                    assignments: (assignment?.partitions ?? []).enumerated().map {
                        .init(partitionIndex: Int32(clamping: $0), brokerIds: $1)
                    },
                    configs: config.map { .init(name: $0.name, value: $0.value) })
            }, timeoutMs: ClientSession.timeoutMs, validateOnly: dryRun)
    }

    func run(_ session: ClientSession) throws {
        let answer = try session.cluster.call(request)
        if !dryRun { awaitLeaders(answer, session) }
        try Outcome.report(
            answer.topics.map { outcome($0) }, session.console)
    }

    private func outcome(_ topic: CreateTopicsResponse.CreatableTopicResult) -> Outcome {
        let isThere = topic.errorCode == .topicAlreadyExists && ifNotExists
        let sizes =
            topic.numPartitions > 0
            ? " with \(Quantity.count(Int(topic.numPartitions), "partition"))"
                + (topic.replicationFactor > 0 ? " of \(topic.replicationFactor)" : "") : ""
        return Outcome(
            "topic \(topic.name)",
            isThere ? "is there already" : (dryRun ? "could be created" : "is created") + sizes,
            isThere ? .none : topic.errorCode, detail: topic.errorMessage,
            [
                ("name", .string(topic.name)),
                ("topicId", topic.topicId == .zero ? nil : .string(topic.topicId.description)),
                ("partitions", topic.numPartitions > 0 ? JSON(topic.numPartitions) : nil),
                (
                    "replicationFactor",
                    topic.replicationFactor > 0 ? JSON(topic.replicationFactor) : nil
                ),
                ("created", .bool(topic.errorCode == .none && !dryRun)),
            ])
    }

    /// The controller has decided; the broker that is asked next may not have heard of it yet.
    private func awaitLeaders(_ answer: CreateTopicsResponse, _ session: ClientSession) {
        let names = answer.topics.filter { $0.errorCode == .none }.map(\.name)
        var attempts = Attempts(milliseconds: 5000)
        while !names.isEmpty {
            let topics = (try? session.cluster.metadata(names))?.topics ?? []
            let isReady =
                topics.count == names.count
                && topics.allSatisfy {
                    $0.errorCode == .none && !$0.partitions.isEmpty
                        && $0.partitions.allSatisfy { $0.leaderId >= 0 }
                }
            if isReady { return }
            guard attempts.pause() else {
                session.console.note("not all partitions have a leader yet")
                return
            }
        }
    }
}

struct TopicsDelete: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete topics with all their records.")

    @Argument(help: "The topics' names.")
    var names: [String]

    @Flag(help: "Topics that are not there are taken for deleted.")
    var ifExists = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let answer = try session.cluster.call(
            DeleteTopicsRequest(
                topics: names.map { .init(name: $0) }, topicNames: names,
                timeoutMs: ClientSession.timeoutMs))
        try Outcome.report(
            answer.responses.map { topic in
                let isAbsent = topic.errorCode == .unknownTopicOrPartition && ifExists
                return Outcome(
                    "topic \(topic.name ?? "?")", isAbsent ? "is not there" : "is deleted",
                    isAbsent ? .none : topic.errorCode, detail: topic.errorMessage,
                    [
                        ("name", JSON(topic.name)),
                        ("deleted", .bool(topic.errorCode == .none)),
                    ])
            }, session.console)
    }
}

struct TopicsAlter: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "alter", abstract: "Give a topic more partitions.",
        discussion: """
            Records with a key go to other partitions from then on. Properties of a topic are \
            changed with `slice-broker configs set topic`.
            """)

    @Argument(help: "The topic's name.")
    var name: String

    @Option(name: .shortAndLong, help: "How many partitions it shall have.")
    var partitions: Int32

    @Option(
        help: ArgumentHelp(
            "Brokers of each new partition: 1:2:3,2:3:1.", valueName: "assignment"))
    var assignment: AssignmentArgument?

    @Flag(help: "Only say whether it could be done.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let answer = try session.cluster.call(
            CreatePartitionsRequest(
                topics: [
                    .init(
                        name: name, count: partitions,
                        assignments: assignment?.partitions.map { .init(brokerIds: $0) })
                ], timeoutMs: ClientSession.timeoutMs, validateOnly: dryRun))
        let done = dryRun ? "could have" : "has"
        try Outcome.report(
            answer.results.map {
                Outcome(
                    "topic \($0.name)", "\(done) \(Quantity.count(Int(partitions), "partition"))",
                    $0.errorCode, detail: $0.errorMessage,
                    [("name", .string($0.name)), ("partitions", JSON(partitions))])
            }, session.console)
    }
}
