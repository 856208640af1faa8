import ArgumentParser
import KafkaClient
import KafkaWire

struct QuorumCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quorum",
        abstract: "The controllers that decide, and how far each of them is.",
        subcommands: [QuorumDescribe.self], defaultSubcommand: QuorumDescribe.self)
}

struct QuorumDescribe: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Leader, voters and observers of the metadata log.")

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let view = QuorumView(try session.quorum(), now: Pause.wallMilliseconds)
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

extension ClientSession {
    func quorum() throws -> DescribeQuorumResponse.PartitionData {
        let answer = try cluster.call(
            DescribeQuorumRequest(
                topics: [
                    .init(topicName: "__cluster_metadata", partitions: [.init(partitionIndex: 0)])
                ]))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the quorum", answer.errorMessage)
        }
        guard let partition = answer.topics.first?.partitions.first else {
            throw Failure(.failed, "malformed", "the quorum: the answer does not mention it")
        }
        guard partition.errorCode == .none else {
            throw Failure.refused(partition.errorCode, "the quorum", partition.errorMessage)
        }
        return partition
    }
}

/// `quorum describe`.
package struct QuorumView: Sendable {
    private typealias Replica = DescribeQuorumResponse.ReplicaState
    private let partition: DescribeQuorumResponse.PartitionData
    private let now: Int64

    package init(_ partition: DescribeQuorumResponse.PartitionData, now: Int64) {
        self.partition = partition
        self.now = now
    }

    private var end: Int64? {
        partition.currentVoters.first { $0.replicaId == partition.leaderId }?.logEndOffset
    }

    private func lag(_ replica: Replica) -> Int64? {
        guard let end, replica.logEndOffset >= 0 else { return nil }
        return max(0, end &- replica.logEndOffset)
    }

    private static func sorted(_ replicas: [Replica]) -> [Replica] {
        replicas.sorted { $0.replicaId < $1.replicaId }
    }

    package var json: JSON {
        func list(_ replicas: [Replica]) -> JSON {
            .array(
                Self.sorted(replicas).map {
                    [
                        "id": JSON($0.replicaId),
                        "directoryId": $0.replicaDirectoryId == .zero
                            ? nil : .string($0.replicaDirectoryId.description),
                        "logEndOffset": JSON($0.logEndOffset), "lag": JSON(lag($0)),
                        "lastFetch": $0.lastFetchTimestamp < 0 ? nil : JSON($0.lastFetchTimestamp),
                        "lastCaughtUp": $0.lastCaughtUpTimestamp < 0
                            ? nil : JSON($0.lastCaughtUpTimestamp),
                    ]
                })
        }
        return [
            "leader": JSON(partition.leaderId), "epoch": JSON(partition.leaderEpoch),
            "highWatermark": JSON(partition.highWatermark),
            "voters": list(partition.currentVoters), "observers": list(partition.observers),
        ]
    }

    package func text(style: Style = .plain) -> String {
        var text =
            partition.leaderId < 0
            ? style.paint("nobody leads the quorum", .bad)
            : "controller \(partition.leaderId) leads the quorum"
        text += " in epoch \(partition.leaderEpoch), committed up to \(partition.highWatermark)\n"
        var table = Table([
            .right("NODE"), "ROLE", .right("LOG END"), .right("LAG"), .right("FETCHED"),
            .right("CAUGHT UP"), "DIRECTORY",
        ])
        let roles: [([Replica], String)] = [
            (partition.currentVoters, "voter"), (partition.observers, "observer"),
        ]
        for (replicas, role) in roles {
            for replica in Self.sorted(replicas) {
                let isLeader = replica.replicaId == partition.leaderId
                let id = replica.replicaDirectoryId
                table.rows.append([
                    Table.Cell(replica.replicaId),
                    isLeader ? Table.Cell("leader", .good) : Table.Cell(role),
                    replica.logEndOffset < 0 ? .none : Table.Cell(replica.logEndOffset),
                    lag(replica).map { Table.Cell($0) } ?? .none,
                    isLeader ? .none : age(replica.lastFetchTimestamp),
                    isLeader ? .none : age(replica.lastCaughtUpTimestamp),
                    Table.Cell(id == .zero ? "" : id.description, .dim),
                ])
            }
        }
        return text + "\n" + table.text(indent: 2, style: style)
    }

    private func age(_ time: Int64) -> Table.Cell {
        guard time >= 0 else { return Table.Cell("never", .warning) }
        let age = max(0, now &- time)
        return Table.Cell(
            "\(Quantity.duration(milliseconds: age)) ago", age > 10_000 ? .warning : .plain)
    }
}
