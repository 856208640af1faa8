import ArgumentParser
import KafkaClient
import KafkaWire

struct LogDirsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-dirs", abstract: "What lies in the brokers' directories.")

    @Option(
        help: ArgumentHelp("Only of these brokers; may be repeated.", valueName: "id"))
    var broker: [Int32] = []

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only of these topics, and partition by partition; may be repeated."))
    var topic: [String] = []

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let metadata = try session.cluster.metadata(topic)
        var topics: [DescribeLogDirsRequest.DescribableLogDirTopic]?
        if !topic.isEmpty {
            topics = try metadata.topics.map {
                guard $0.errorCode == .none else {
                    throw Failure.refused($0.errorCode, "topic \($0.name ?? "?")")
                }
                return .init(topic: $0.name ?? "", partitions: $0.partitions.map(\.partitionIndex))
            }
        }
        var view = LogDirsView(withPartitions: !topic.isEmpty)
        var failures: [Failure] = []
        for id in broker.isEmpty ? session.cluster.brokers.map(\.id) : broker {
            do throws(ClientError) {
                let answer = try session.cluster.call(
                    DescribeLogDirsRequest(topics: topics), at: id)
                guard answer.errorCode == .none else {
                    throw .refused(answer.errorCode, "the directories of broker \(id)")
                }
                view.add(answer, of: id)
            } catch {
                failures.append(Failure(error))
            }
        }
        session.console.result(view.json) { view.text(style: session.console.style) }
        if !failures.isEmpty { throw Failure(all: failures) }
    }
}

/// `log-dirs`.
package struct LogDirsView: Sendable {
    private typealias Result = DescribeLogDirsResponse.DescribeLogDirsResult
    private let withPartitions: Bool
    private var rows: [(broker: Int32, result: Result)] = []

    package init(withPartitions: Bool) { self.withPartitions = withPartitions }

    package mutating func add(_ answer: DescribeLogDirsResponse, of broker: Int32) {
        rows += answer.results.sorted { $0.logDir < $1.logDir }.map { (broker, $0) }
    }

    private static func partitions(
        _ result: Result
    ) -> [(topic: String, partition: DescribeLogDirsResponse.DescribeLogDirsPartition)] {
        result.topics.flatMap { topic in topic.partitions.map { (topic.name, $0) } }
            .sorted { ($0.0, $0.1.partitionIndex) < ($1.0, $1.1.partitionIndex) }
    }

    package var json: JSON {
        .array(
            rows.map { broker, result in
                [
                    "broker": JSON(broker), "directory": .string(result.logDir),
                    "error": result.errorCode == .none
                        ? nil : .string(result.errorCode.description),
                    "totalBytes": result.totalBytes < 0 ? nil : JSON(result.totalBytes),
                    "usableBytes": result.usableBytes < 0 ? nil : JSON(result.usableBytes),
                    "partitions": .array(
                        Self.partitions(result).map { topic, partition in
                            [
                                "topic": .string(topic),
                                "partition": JSON(partition.partitionIndex),
                                "size": JSON(partition.partitionSize),
                                "offsetLag": JSON(partition.offsetLag),
                                "future": .bool(partition.isFutureKey),
                            ]
                        }),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        withPartitions ? partitionsText(style) : directoriesText(style)
    }

    private func directoriesText(_ style: Style) -> String {
        var table = Table([
            .right("BROKER"), "DIRECTORY", "STATE", .right("PARTITIONS"), .right("SIZE"),
            .right("FREE"), .right("OF"),
        ])
        for (broker, result) in rows {
            let partitions = Self.partitions(result)
            let isOnline = result.errorCode == .none
            var size: Int64 = 0
            for (_, partition) in partitions { size &+= partition.partitionSize }
            table.rows.append([
                Table.Cell(broker), Table.Cell(result.logDir),
                isOnline ? Table.Cell("ok", .good) : Table.Cell("\(result.errorCode)", .bad),
                isOnline ? Table.Cell(partitions.count) : .none,
                isOnline ? Table.Cell(Quantity.bytes(size)) : .none,
                Table.Cell(result.usableBytes < 0 ? "" : Quantity.bytes(result.usableBytes)),
                Table.Cell(result.totalBytes < 0 ? "" : Quantity.bytes(result.totalBytes)),
            ])
        }
        return rows.isEmpty ? "no directories\n" : table.text(style: style)
    }

    private func partitionsText(_ style: Style) -> String {
        var table = Table([
            "TOPIC", .right("PARTITION"), .right("BROKER"), .right("SIZE"), .right("BEHIND"),
            "DIRECTORY",
        ])
        let all = rows.flatMap { broker, result in
            Self.partitions(result).map { (broker, result.logDir, $0.topic, $0.partition) }
        }.sorted { ($0.2, $0.3.partitionIndex, $0.0) < ($1.2, $1.3.partitionIndex, $1.0) }
        for (broker, directory, topic, partition) in all {
            table.rows.append([
                Table.Cell(topic), Table.Cell(partition.partitionIndex), Table.Cell(broker),
                Table.Cell(Quantity.bytes(partition.partitionSize)),
                Table.Cell(partition.offsetLag), Table.Cell(directory),
            ])
        }
        return all.isEmpty ? "no partitions\n" : table.text(style: style)
    }
}
