import ArgumentParser
import KafkaClient
import KafkaWire

struct GroupsOffsets: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "offsets", abstract: "What a group has committed; or commit something else.",
        discussion: """
              slice-broker groups offsets billing
              slice-broker groups offsets billing --reset-to earliest -t orders
              slice-broker groups offsets billing --reset-to 2h --dry-run

            The group must have no members while its offsets are reset.
            """)

    @Argument(help: "The group's name.")
    var group: String

    @Option(help: ArgumentHelp("Commit this: \(PlaceArgument.help).", valueName: "place"))
    var resetTo: PlaceArgument?

    @Option(name: .shortAndLong, help: "Of this topic; to reset without it, all it has committed.")
    var topic: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @Flag(help: "Only say what would be committed.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if partition != nil, topic == nil {
            throw ValidationError("--partition needs --topic")
        }
        if dryRun, resetTo == nil {
            throw ValidationError("--dry-run goes with --reset-to")
        }
    }

    func run(_ session: ClientSession) throws {
        let coordinator = try session.cluster.coordinator(of: group)
        var committed = try session.committed(group, at: coordinator)
        if let topic { committed.removeAll { $0.topic != topic } }
        if let partition {
            committed.removeAll { !partition.indexes.contains($0.partition) }
        }
        guard let place = resetTo else {
            session.fillInEnds(&committed)
            let view = OffsetsOfGroup(group: group, committed)
            session.console.result(view.json) { view.text(style: session.console.style) }
            return
        }
        let described = try session.group(group, at: coordinator)
        guard described.members.isEmpty else {
            throw Failure.refused(
                .nonEmptyGroup, "group \(group)",
                "it has \(Quantity.count(described.members.count, "member"))")
        }
        let reset = try resets(to: place, committed, session)
        guard !reset.isEmpty else {
            throw Failure.usage("group \(group) has committed nothing: name a topic with --topic")
        }
        let codes = dryRun ? [:] : try commit(reset, session, at: coordinator)
        try Outcome.report(
            reset.map { entry in
                let old = committed.first {
                    $0.topic == entry.topic && $0.partition == entry.partition
                }?.offset
                let was = old.map { "was \($0)" } ?? "had none"
                return Outcome(
                    "partition \(entry.partition) of \(entry.topic)",
                    "\(was), \(dryRun ? "would be" : "is now") \(entry.offset)",
                    codes[entry.topic]?[entry.partition] ?? .none,
                    [
                        ("group", .string(group)), ("topic", .string(entry.topic)),
                        ("partition", JSON(entry.partition)), ("old", JSON(old)),
                        ("new", JSON(entry.offset)),
                    ])
            }, session.console)
    }

    private func resets(
        to place: PlaceArgument, _ committed: [CommittedOffset], _ session: ClientSession
    ) throws -> [CommittedOffset] {
        let topics = topic.map { [$0] } ?? Set(committed.map(\.topic)).sorted()
        var reset: [CommittedOffset] = []
        for topic in topics {
            let indexes =
                self.topic == nil
                ? committed.filter { $0.topic == topic }.map(\.partition) : partition?.indexes
            let places = try session.places(
                of: topic, partitions: indexes, at: place, afterEnd: .latest)
            if case .offset = place { try check(places, topic, session) }
            reset += places.sorted { $0.key < $1.key }.map {
                CommittedOffset(topic: topic, partition: $0.key, offset: $0.value)
            }
        }
        return reset
    }

    /// A consumer that finds its offset out of range goes to one end or the other, which is hardly
    /// what was meant.
    private func check(
        _ places: [Int32: Int64], _ topic: String, _ session: ClientSession
    ) throws {
        let indexes = places.keys.sorted()
        let first = try session.cluster.offsets(of: topic, partitions: indexes, at: .earliest)
        let end = try session.cluster.offsets(of: topic, partitions: indexes, at: .latest)
        for index in indexes {
            let range = (first[index]?.offset ?? 0, end[index]?.offset ?? 0)
            guard let offset = places[index], offset < range.0 || offset > range.1 else { continue }
            throw Failure.refused(
                .offsetOutOfRange, "partition \(index) of \(topic)",
                "offset \(offset) is not one of \(range.0) to \(range.1)")
        }
    }

    /// What a consumer without a group membership may do: no generation, no member (KIP-211).
    private func commit(
        _ reset: [CommittedOffset], _ session: ClientSession, at coordinator: Int32
    ) throws -> [String: [Int32: ErrorCode]] {
        let topics = Set(reset.map(\.topic)).sorted()
        let answer = try session.cluster.call(
            OffsetCommitRequest(
                groupId: group, generationIdOrMemberEpoch: -1, memberId: "",
                topics: topics.map { topic in
                    .init(
                        name: topic,
                        partitions: reset.filter { $0.topic == topic }.map {
                            .init(
                                partitionIndex: $0.partition, committedOffset: $0.offset,
                                committedMetadata: "")
                        })
                }), at: coordinator, atMost: 9)
        var codes: [String: [Int32: ErrorCode]] = [:]
        for topic in answer.topics {
            for partition in topic.partitions {
                codes[topic.name, default: [:]][partition.partitionIndex] = partition.errorCode
            }
        }
        return codes
    }
}

/// `groups offsets`.
package struct OffsetsOfGroup: Sendable {
    private let group: String
    private let offsets: [CommittedOffset]

    package init(group: String, _ offsets: [CommittedOffset]) {
        self.group = group
        self.offsets = offsets
    }

    package var json: JSON {
        .array(
            offsets.map {
                [
                    "group": .string(group), "topic": .string($0.topic),
                    "partition": JSON($0.partition), "committed": JSON($0.offset),
                    "end": JSON($0.end), "lag": JSON($0.lag), "metadata": JSON($0.metadata),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        guard !offsets.isEmpty else { return "group \(TerminalText.clean(group)) has no offsets\n" }
        var table = Table([
            "TOPIC", .right("PARTITION"), .right("COMMITTED"), .right("END"), .right("LAG"),
            "METADATA",
        ])
        for offset in offsets {
            table.rows.append([
                Table.Cell(offset.topic), Table.Cell(offset.partition),
                Table.Cell(offset.offset), offset.end.map { Table.Cell($0) } ?? .none,
                offset.lag.map { Table.Cell("\($0)", $0 > 0 ? .warning : .good) } ?? .none,
                Table.Cell(offset.metadata ?? "", .dim),
            ])
        }
        return table.text(style: style)
    }
}
