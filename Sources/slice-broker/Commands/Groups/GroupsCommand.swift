import ArgumentParser
import KafkaClient
import KafkaWire

struct GroupsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups", abstract: "Consumer groups, their members and offsets.",
        subcommands: [
            GroupsList.self, GroupsDescribe.self, GroupsOffsets.self, GroupsDelete.self,
            GroupsDeleteOffsets.self,
        ])
}

struct GroupsList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The groups of the cluster.")

    @Option(
        help: ArgumentHelp(
            "Only those in this state (Empty, Stable, ...); may be repeated.", valueName: "state"))
    var state: [String] = []

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        _ = try session.cluster.metadata([])
        var list = GroupList()
        var failures: [Failure] = []
        for broker in session.cluster.brokers.map(\.id) {
            do throws(ClientError) {
                // A broker that has just become a coordinator reads its groups first.
                let what = "the groups of broker \(broker)"
                let answer = try Attempts.until(
                    milliseconds: 3000, giveUp: .refused(.coordinatorLoadInProgress, what)
                ) { () throws(ClientError) in
                    let answer = try session.cluster.call(
                        ListGroupsRequest(statesFilter: state), at: broker)
                    guard answer.errorCode == .none else {
                        throw .refused(answer.errorCode, what)
                    }
                    return answer
                }
                list.add(answer, of: broker)
            } catch {
                failures.append(Failure(error))
            }
        }
        session.console.result(list.json) { list.text(style: session.console.style) }
        if !failures.isEmpty { throw Failure(all: failures) }
    }
}

/// `groups list`. Every broker tells of the groups that it coordinates.
package struct GroupList: Sendable {
    private var rows: [(group: ListGroupsResponse.ListedGroup, coordinator: Int32)] = []

    package init() {}

    package mutating func add(_ answer: ListGroupsResponse, of broker: Int32) {
        rows += answer.groups.map { ($0, broker) }
        rows.sort { ($0.group.groupId, $0.coordinator) < ($1.group.groupId, $1.coordinator) }
    }

    package var json: JSON {
        .array(
            rows.map {
                [
                    "group": .string($0.group.groupId), "state": .string($0.group.groupState),
                    "type": .string($0.group.groupType),
                    "protocolType": .string($0.group.protocolType),
                    "coordinator": JSON($0.coordinator),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        guard !rows.isEmpty else { return "no groups\n" }
        var table = Table(["GROUP", "STATE", "TYPE", "PROTOCOL", .right("COORDINATOR")])
        for row in rows {
            table.rows.append([
                Table.Cell(row.group.groupId), Table.Cell(row.group.groupState),
                Table.Cell(row.group.groupType), Table.Cell(row.group.protocolType),
                Table.Cell(row.coordinator),
            ])
        }
        return table.text(style: style)
    }
}

struct GroupsDescribe: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "State, members, offsets and lag of a group.")

    @Argument(help: "The group's name.")
    var group: String

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let view = try session.describeGroup(group)
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

struct GroupsDelete: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete groups without members, and their offsets.")

    @Argument(help: "The groups' names.")
    var groups: [String]

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        var outcomes: [Outcome] = []
        for group in groups {
            let answer = try session.cluster.call(
                DeleteGroupsRequest(groupsNames: [group]),
                at: try session.cluster.coordinator(of: group))
            outcomes += answer.results.map {
                Outcome(
                    "group \($0.groupId)", "is deleted", $0.errorCode,
                    [
                        ("group", .string($0.groupId)),
                        ("deleted", .bool($0.errorCode == .none)),
                    ])
            }
        }
        try Outcome.report(outcomes, session.console)
    }
}

struct GroupsDeleteOffsets: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete-offsets", abstract: "Forget what a group has committed for a topic.")

    @Argument(help: "The group's name.")
    var group: String

    @Option(name: .shortAndLong, help: "The topic's name.")
    var topic: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let coordinator = try session.cluster.coordinator(of: group)
        let committed = try session.committed(group, at: coordinator)
        let indexes =
            partition?.indexes ?? committed.filter { $0.topic == topic }.map(\.partition)
        guard !indexes.isEmpty else {
            throw Failure.refused(
                .unknownTopicOrPartition, "group \(group)", "it has no offsets of topic \(topic)")
        }
        let answer = try session.cluster.call(
            OffsetDeleteRequest(
                groupId: group,
                topics: [
                    .init(name: topic, partitions: indexes.map { .init(partitionIndex: $0) })
                ]), at: coordinator)
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "group \(group)")
        }
        try Outcome.report(
            answer.topics.flatMap(\.partitions).map {
                Outcome(
                    "partition \($0.partitionIndex) of \(topic)", "has no offset any more",
                    $0.errorCode,
                    [
                        ("group", .string(group)), ("topic", .string(topic)),
                        ("partition", JSON($0.partitionIndex)),
                    ])
            }, session.console)
    }
}
