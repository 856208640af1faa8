import ArgumentParser
import KafkaClient
import KafkaWire

struct OffsetsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "offsets", abstract: "Where the partitions of a topic begin and end.")

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @Option(
        help: ArgumentHelp(
            "The first offset of that time too: 2026-11-23T22:00:00Z, @MILLISECONDS, 15m ago as "
                + "15m.", valueName: "time"))
    var at: PlaceArgument?

    @Flag(help: "The offset of the record with the highest timestamp too.")
    var maxTimestamp = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let layout = try session.cluster.layout(of: topic)
        let partitions = try layout.select(partition?.indexes)
        let wanted = partitions.map(\.index)
        func find(_ point: OffsetPoint) throws -> [Int32: FoundOffset] {
            try session.cluster.offsets(of: topic, partitions: wanted, at: point)
        }
        var view = OffsetsView(
            topic: topic, earliest: try find(.earliest), latest: try find(.latest),
            leaders: Dictionary(
                partitions.map { ($0.index, $0.leader ?? -1) }, uniquingKeysWith: { $1 }))
        if let at {
            guard let point = at.point(now: Pause.wallMilliseconds) else {
                throw Failure.usage("--at takes a time, not an offset")
            }
            view.atTime = try find(point)
        }
        if maxTimestamp { view.maxTimestamp = try find(.maxTimestamp) }
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

/// `offsets`.
package struct OffsetsView: Sendable {
    private let topic: String
    private let earliest: [Int32: FoundOffset]
    private let latest: [Int32: FoundOffset]
    private let leaders: [Int32: Int32]
    package var atTime: [Int32: FoundOffset]?
    package var maxTimestamp: [Int32: FoundOffset]?

    package init(
        topic: String, earliest: [Int32: FoundOffset], latest: [Int32: FoundOffset],
        leaders: [Int32: Int32]
    ) {
        self.topic = topic
        self.earliest = earliest
        self.latest = latest
        self.leaders = leaders
    }

    private var partitions: [Int32] { earliest.keys.sorted() }

    private static func json(_ found: FoundOffset?) -> JSON {
        guard let found, found.offset >= 0 else { return nil }
        return ["offset": JSON(found.offset), "timestamp": JSON(found.timestamp)]
    }

    package var json: JSON {
        .array(
            partitions.map { index in
                var members: [(String, JSON)] = [
                    ("topic", .string(topic)), ("partition", JSON(index)),
                    ("leader", JSON(leaders[index])),
                    ("earliest", JSON(earliest[index]?.offset)),
                    ("latest", JSON(latest[index]?.offset)),
                ]
                if let atTime { members.append(("atTime", Self.json(atTime[index]))) }
                if let maxTimestamp {
                    members.append(("maxTimestamp", Self.json(maxTimestamp[index])))
                }
                return .object(members)
            })
    }

    package func text(style: Style = .plain) -> String {
        var table = Table([
            .right("PARTITION"), .right("LEADER"), .right("EARLIEST"), .right("LATEST"),
            .right("SPAN"), .right("AT TIME"), .right("HIGHEST TIME"), "TIME",
        ])
        var total: Int64 = 0
        for index in partitions {
            let (first, end) = (earliest[index]?.offset ?? 0, latest[index]?.offset ?? 0)
            total += end &- first
            let highest = maxTimestamp?[index]
            table.rows.append([
                Table.Cell(index), leaders[index].map { Table.Cell($0) } ?? .none,
                Table.Cell(first), Table.Cell(end), Table.Cell(end &- first),
                atTime.map { Self.cell($0[index]) } ?? "",
                maxTimestamp == nil ? "" : Self.cell(highest),
                highest.map { Table.Cell(TimeText.text($0.timestamp)) } ?? "",
            ])
        }
        // Compaction and aborted transactions leave gaps.
        return table.text(style: style)
            + style.paint("at most \(Quantity.count(Int(clamping: total), "record"))", .dim) + "\n"
    }

    private static func cell(_ found: FoundOffset?) -> Table.Cell {
        guard let found, found.offset >= 0 else { return .none }
        return Table.Cell(found.offset)
    }
}
