import ArgumentParser
import KafkaClient
import KafkaWire

struct ReassignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reassign", abstract: "Move replicas to other brokers.",
        subcommands: [
            ReassignStart.self, ReassignStatus.self, ReassignCancel.self, ReassignUnthrottle.self,
        ])
}

/// Which partitions are meant.
struct ReassignmentTarget: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A JSON file as Kafka's kafka-reassign-partitions has it; - is standard input.",
            valueName: "file"))
    var plan: String?

    @Option(name: .shortAndLong, help: "Of this topic.")
    var topic: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    func validate() throws {
        if plan != nil, topic != nil {
            throw ValidationError("say what to move once: either --plan or --topic")
        }
        if partition != nil, topic == nil { throw ValidationError("--partition needs --topic") }
    }

    func loadPlan() throws -> ReassignmentPlan? {
        guard let plan else { return nil }
        return try ReassignmentPlan(
            parsing: try StandardInput.document(plan), from: plan == "-" ? "standard input" : plan)
    }

    /// Nil for all.
    func partitions(
        _ session: ClientSession
    ) throws -> [ListPartitionReassignmentsRequest.ListPartitionReassignmentsTopics]? {
        if let plan = try loadPlan() {
            return plan.byTopic.map {
                .init(name: $0.topic, partitionIndexes: $0.entries.map(\.partition))
            }
        }
        guard let topic else { return nil }
        let partitions = try session.cluster.layout(of: topic).select(partition?.indexes)
        return [.init(name: topic, partitionIndexes: partitions.map(\.index))]
    }
}

struct ReassignStart: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Begin to move replicas.",
        discussion: """
            slice-broker reassign start --plan plan.json --throttle 50000000 --wait
            slice-broker reassign start --topic orders --partition 0 --replicas 1,2,4

            A throttle stays in force until `slice-broker reassign unthrottle`, which --wait does \
            by itself at the end.
            """)

    @OptionGroup var target: ReassignmentTarget

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The brokers, the preferred leader first.", valueName: "1,2,3"))
    var replicas: ReplicasArgument?

    @Option(help: ArgumentHelp("How fast each broker may copy.", valueName: "bytes/s"))
    var throttle: Int64?

    @Flag(help: "Return once everything is moved.")
    var wait = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if (target.plan == nil) == (target.topic == nil) {
            throw ValidationError("say what to move: either --plan, or --topic and --replicas")
        }
        if (target.topic == nil) != (replicas == nil) {
            throw ValidationError("--topic and --replicas go together")
        }
        if let throttle, throttle < 1 {
            throw ValidationError("--throttle is 1 byte a second or more")
        }
    }

    func run(_ session: ClientSession) throws {
        let plan = try plan(session)
        if let throttle { try session.throttle(plan, bytes: throttle) }
        let answer = try session.cluster.call(
            AlterPartitionReassignmentsRequest(
                timeoutMs: ClientSession.timeoutMs,
                topics: plan.byTopic.map { topic, entries in
                    .init(
                        name: topic,
                        partitions: entries.map {
                            .init(partitionIndex: $0.partition, replicas: $0.replicas)
                        })
                }))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the reassignment", answer.errorMessage)
        }
        let results = answer.responses.flatMap { topic in
            topic.partitions.map { (topic.name, $0) }
        }
        let isStarted = results.contains { $0.1.errorCode == .none }
        if wait, isStarted {
            try session.awaitReassignments(
                plan.byTopic.map {
                    .init(name: $0.topic, partitionIndexes: $0.entries.map(\.partition))
                })
            if throttle != nil { _ = try session.unthrottle() }
        }
        try Outcome.report(
            results.map { topic, partition in
                let entry = plan.entries.first {
                    $0.topic == topic && $0.partition == partition.partitionIndex
                }
                let brokers = (entry?.replicas ?? []).map(String.init).joined(separator: ", ")
                return Outcome(
                    "partition \(partition.partitionIndex) of \(topic)",
                    wait ? "is on brokers \(brokers)" : "is moving to brokers \(brokers)",
                    partition.errorCode, detail: partition.errorMessage,
                    [
                        ("topic", .string(topic)), ("partition", JSON(partition.partitionIndex)),
                        ("replicas", JSON(entry?.replicas ?? [])),
                    ])
            }, session.console)
        if throttle != nil, !wait {
            session.console.note(
                "once it is done, take the throttle away: slice-broker reassign unthrottle")
        }
    }

    private func plan(_ session: ClientSession) throws -> ReassignmentPlan {
        if let plan = try target.loadPlan() { return plan }
        guard let topic = target.topic, let replicas else { return ReassignmentPlan([]) }
        let partitions = try session.cluster.layout(of: topic).select(target.partition?.indexes)
        return ReassignmentPlan(
            partitions.map {
                .init(topic: topic, partition: $0.index, replicas: replicas.brokers)
            })
    }
}

struct ReassignStatus: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Which replicas are on the move.")

    @OptionGroup var target: ReassignmentTarget

    @Flag(help: "Return once none is any more.")
    var wait = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let partitions = try target.partitions(session)
        if wait { try session.awaitReassignments(partitions) }
        let view = ReassignmentsView(try session.reassignments(partitions))
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

/// `reassign status`.
package struct ReassignmentsView: Sendable {
    private typealias Partition = ListPartitionReassignmentsResponse.OngoingPartitionReassignment
    private let rows: [(topic: String, partition: Partition)]

    package init(_ answer: ListPartitionReassignmentsResponse) {
        rows = answer.topics.flatMap { topic in topic.partitions.map { (topic.name, $0) } }
            .sorted { ($0.0, $0.1.partitionIndex) < ($1.0, $1.1.partitionIndex) }
    }

    package var json: JSON {
        .array(
            rows.map {
                [
                    "topic": .string($0.topic), "partition": JSON($0.partition.partitionIndex),
                    "replicas": JSON($0.partition.replicas),
                    "adding": JSON($0.partition.addingReplicas),
                    "removing": JSON($0.partition.removingReplicas),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        guard !rows.isEmpty else { return "no replicas are being moved\n" }
        var table = Table(["TOPIC", .right("PARTITION"), "REPLICAS", "ADDING", "REMOVING"])
        for row in rows {
            table.rows.append([
                Table.Cell(row.topic), Table.Cell(row.partition.partitionIndex),
                Table.Cell(row.partition.replicas), Table.Cell(row.partition.addingReplicas),
                Table.Cell(row.partition.removingReplicas),
            ])
        }
        return table.text(style: style)
    }
}

struct ReassignCancel: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Leave replicas where they were.")

    @OptionGroup var target: ReassignmentTarget

    @Flag(help: "All that are on the move.")
    var all = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if all == (target.plan != nil || target.topic != nil) {
            throw ValidationError("say what to cancel: --plan, --topic or --all")
        }
    }

    func run(_ session: ClientSession) throws {
        let ongoing = try session.reassignments(try target.partitions(session))
        guard !ongoing.topics.isEmpty else {
            session.console.result([]) { "no replicas are being moved\n" }
            return
        }
        let answer = try session.cluster.call(
            AlterPartitionReassignmentsRequest(
                timeoutMs: ClientSession.timeoutMs,
                topics: ongoing.topics.map { topic in
                    .init(
                        name: topic.name,
                        partitions: topic.partitions.map {
                            .init(partitionIndex: $0.partitionIndex, replicas: nil)
                        })
                }))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the reassignment", answer.errorMessage)
        }
        try Outcome.report(
            answer.responses.flatMap { topic in
                topic.partitions.map { partition in
                    let isOver = partition.errorCode == .noReassignmentInProgress
                    return Outcome(
                        "partition \(partition.partitionIndex) of \(topic.name)",
                        isOver ? "was moved already" : "stays where it was",
                        isOver ? .none : partition.errorCode, detail: partition.errorMessage,
                        [
                            ("topic", .string(topic.name)),
                            ("partition", JSON(partition.partitionIndex)),
                            ("cancelled", .bool(partition.errorCode == .none)),
                        ])
                }
            }, session.console)
    }
}

struct ReassignUnthrottle: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "unthrottle", abstract: "Let replicas be copied at full speed again.")

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let (brokers, topics) = try session.unthrottle()
        session.console.result([
            "brokers": JSON(brokers), "topics": .array(topics.map { .string($0) }),
        ]) {
            if brokers.isEmpty, topics.isEmpty { return "nothing is throttled\n" }
            return "no throttle any more on " + Quantity.count(brokers.count, "broker") + " and "
                + Quantity.count(topics.count, "topic") + "\n"
        }
    }
}
