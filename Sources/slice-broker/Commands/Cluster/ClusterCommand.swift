import ArgumentParser
import KafkaClient
import KafkaWire

struct ClusterCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "The brokers with their racks, the quorum, the features.")

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let answer = try session.cluster.call(
            DescribeClusterRequest(endpointType: 1, includeFencedBrokers: true))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the cluster", answer.errorMessage)
        }
        // Without a leader of the quorum the rest is still worth to be seen.
        let quorum = try? session.quorum()
        let view = ClusterView(
            answer, quorum: quorum, greeting: try session.cluster.any().greeting)
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

/// `cluster`.
package struct ClusterView: Sendable {
    private let answer: DescribeClusterResponse
    private let brokers: [DescribeClusterResponse.DescribeClusterBroker]
    private let quorum: DescribeQuorumResponse.PartitionData?
    private let features: FeaturesView

    package init(
        _ answer: DescribeClusterResponse, quorum: DescribeQuorumResponse.PartitionData?,
        greeting: ApiVersionsResponse
    ) {
        self.answer = answer
        self.quorum = quorum
        brokers = answer.brokers.sorted { $0.brokerId < $1.brokerId }
        features = FeaturesView(greeting)
    }

    private var leader: Int32? { quorum.flatMap { $0.leaderId >= 0 ? $0.leaderId : nil } }

    package var json: JSON {
        [
            "clusterId": .string(answer.clusterId),
            "brokers": .array(
                brokers.map {
                    [
                        "id": JSON($0.brokerId), "host": .string($0.host), "port": JSON($0.port),
                        "rack": JSON($0.rack), "fenced": .bool($0.isFenced),
                    ]
                }),
            "quorumLeader": JSON(leader), "quorumEpoch": JSON(quorum?.leaderEpoch),
            "voters": JSON((quorum?.currentVoters ?? []).map(\.replicaId).sorted()),
            "features": features.json,
        ]
    }

    package func text(style: Style = .plain) -> String {
        var text = "cluster \(style.paint(TerminalText.clean(answer.clusterId), .strong)), "
        text += Quantity.count(brokers.count, "broker") + "\n"
        for broker in brokers where broker.isFenced {
            text +=
                "  \(style.paint("!", .bad)) broker \(broker.brokerId) is fenced: the "
                + "controller does not hear from it\n"
        }
        if let leader {
            let voters = (quorum?.currentVoters ?? []).map(\.replicaId).sorted()
            text +=
                "  quorum: controller \(leader) leads in epoch \(quorum?.leaderEpoch ?? 0), "
                + "voters \(voters.map(String.init).joined(separator: ", "))\n"
        } else {
            text += "  \(style.paint("!", .bad)) no leader of the quorum is known\n"
        }
        var table = Table([.right("BROKER"), "LISTENER", "RACK", "STATE"])
        for broker in brokers {
            let address = ServerAddress(host: broker.host, port: UInt16(clamping: broker.port))
            table.rows.append([
                Table.Cell(broker.brokerId),
                broker.host.isEmpty ? .none : Table.Cell("\(address)"),
                broker.rack.map { Table.Cell($0) } ?? .none,
                broker.isFenced ? Table.Cell("fenced", .bad) : Table.Cell("ok", .good),
            ])
        }
        text += "\n" + table.text(indent: 2, style: style)
        let features = features.text(indent: 2, style: style)
        return text + (features.isEmpty ? "" : "\n" + features)
    }
}

struct BrokersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "brokers", abstract: "Take brokers out of the cluster.",
        subcommands: [BrokersUnregister.self])
}

struct BrokersUnregister: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "unregister", abstract: "Forget a broker that is gone for good.",
        discussion: """
            Stop it before, and move its replicas to others with `slice-broker reassign`. A \
            broker that still runs would only register again.
            """)

    @Argument(help: "The broker's number.")
    var id: Int32

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let answer = try session.cluster.call(UnregisterBrokerRequest(brokerId: id))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "broker \(id)", answer.errorMessage)
        }
        session.console.result(["broker": JSON(id), "unregistered": true]) {
            "broker \(id) is no longer part of the cluster\n"
        }
    }
}
