import KafkaClient
import KafkaWire

/// A topic as it is shown, whichever request told of it.
package struct TopicDescription: Equatable, Sendable {
    package struct Partition: Equatable, Sendable {
        package var index: Int32
        /// -1 for none.
        package var leader: Int32
        package var leaderEpoch: Int32
        package var replicas: [Int32]
        package var isr: [Int32]
        package var offline: [Int32]
        package var elr: [Int32] = []
        package var lastKnownElr: [Int32] = []

        package var isUnderReplicated: Bool { isr.count < replicas.count }
    }

    package var name: String
    package var topicId: KafkaUUID
    package var isInternal: Bool
    /// What the topic has of its own, by name.
    package var configs: [(name: String, value: String?)] = []
    /// By number.
    package var partitions: [Partition]

    package init(_ topic: DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic) {
        name = topic.name ?? ""
        topicId = topic.topicId
        isInternal = topic.isInternal
        partitions = topic.partitions.map {
            Partition(
                index: $0.partitionIndex, leader: $0.leaderId, leaderEpoch: $0.leaderEpoch,
                replicas: $0.replicaNodes, isr: $0.isrNodes, offline: $0.offlineReplicas,
                elr: $0.eligibleLeaderReplicas ?? [], lastKnownElr: $0.lastKnownElr ?? [])
        }.sorted { $0.index < $1.index }
    }

    package init(_ topic: MetadataResponse.MetadataResponseTopic) {
        name = topic.name ?? ""
        topicId = topic.topicId
        isInternal = topic.isInternal
        partitions = topic.partitions.map {
            Partition(
                index: $0.partitionIndex, leader: $0.leaderId, leaderEpoch: $0.leaderEpoch,
                replicas: $0.replicaNodes, isr: $0.isrNodes, offline: $0.offlineReplicas)
        }.sorted { $0.index < $1.index }
    }

    /// What the answer says that the topic does not only inherit.
    package mutating func take(_ result: DescribeConfigsResponse.DescribeConfigsResult) {
        configs = result.configs.filter { $0.configSource == ConfigSource.topic.rawValue }
            .map { ($0.name, $0.isSensitive ? nil : $0.value) }.sorted { $0.name < $1.name }
    }

    package static func == (left: Self, right: Self) -> Bool { left.json == right.json }
}

// MARK: - Looking it up

extension ClientSession {
    /// Of the topics that are named, or of all, by name.
    func describeTopics(_ names: [String]) throws -> [TopicDescription] {
        var topics =
            try cluster.any().serves(DescribeTopicPartitionsRequest.self)
            ? try describeByPages(names) : try describeByMetadata(names)
        topics.sort { $0.name < $1.name }
        try fillInConfigs(&topics)
        return topics
    }

    private func describeByMetadata(_ names: [String]) throws -> [TopicDescription] {
        let answer = try cluster.metadata(names.isEmpty ? nil : names)
        try check(answer.topics.map { ($0.name, $0.errorCode) })
        return answer.topics.map { TopicDescription($0) }
    }

    /// An answer holds so many partitions, and says where to go on (KIP-966).
    private func describeByPages(_ names: [String]) throws -> [TopicDescription] {
        var topics: [TopicDescription] = []
        var request = DescribeTopicPartitionsRequest(topics: names.map { .init(name: $0) })
        while true {
            let answer = try cluster.call(request)
            try check(answer.topics.map { ($0.name, $0.errorCode) })
            for topic in answer.topics.map({ TopicDescription($0) }) {
                if topic.name == topics.last?.name {
                    topics[topics.count - 1].partitions += topic.partitions
                } else {
                    topics.append(topic)
                }
            }
            guard let next = answer.nextCursor else { return topics }
            let cursor = DescribeTopicPartitionsRequest.Cursor(
                topicName: next.topicName, partitionIndex: next.partitionIndex)
            guard cursor != request.cursor else { return topics }
            request.cursor = cursor
        }
    }

    private func check(_ topics: [(name: String?, code: ErrorCode)]) throws {
        let failures = topics.filter { $0.code != .none }
            .map { Failure.refused($0.code, "topic \($0.name ?? "without a name")") }
        if !failures.isEmpty { throw Failure(all: failures) }
    }

    private func fillInConfigs(_ topics: inout [TopicDescription]) throws {
        guard !topics.isEmpty else { return }
        let answer = try cluster.call(
            DescribeConfigsRequest(
                resources: topics.map {
                    .init(
                        resourceType: ConfigResource.Kind.topic.rawValue, resourceName: $0.name,
                        configurationKeys: nil)
                }))
        for result in answer.results where result.errorCode == .none {
            if let index = topics.firstIndex(where: { $0.name == result.resourceName }) {
                topics[index].take(result)
            }
        }
    }
}

// MARK: - Showing it

extension TopicDescription {
    package var json: JSON {
        [
            "name": .string(name), "topicId": .string(topicId.description),
            "internal": .bool(isInternal),
            "configs": .object(configs.map { ($0.name, JSON($0.value)) }),
            "partitions": .array(
                partitions.map { partition in
                    [
                        "partition": JSON(partition.index), "leader": JSON(partition.leader),
                        "leaderEpoch": JSON(partition.leaderEpoch),
                        "replicas": JSON(partition.replicas), "isr": JSON(partition.isr),
                        "offline": JSON(partition.offline), "elr": JSON(partition.elr),
                        "lastKnownElr": JSON(partition.lastKnownElr),
                    ]
                }),
        ]
    }

    package func text(style: Style = .plain) -> String {
        var text = "topic \(style.paint(TerminalText.clean(name), .strong)), "
        text += Quantity.count(partitions.count, "partition") + (isInternal ? ", internal" : "")
        text += "\n"
        for problem in problems { text += "  \(style.paint("!", .bad)) \(problem)\n" }
        text += Table.facts(
            [
                ("id", topicId == .zero ? "" : topicId.description),
                ("configs", configs.map { "\($0.name)=\($0.value ?? "?")" }.joined(separator: " ")),
            ], style: style)
        var table = Table([
            .right("PARTITION"), .right("LEADER"), .right("EPOCH"), "REPLICAS", "IN SYNC",
            "OFFLINE", "ELIGIBLE", "LAST KNOWN",
        ])
        for partition in partitions {
            table.rows.append([
                Table.Cell(partition.index),
                partition.leader < 0 ? Table.Cell("none", .bad) : Table.Cell(partition.leader),
                Table.Cell(partition.leaderEpoch), Table.Cell(partition.replicas),
                Table.Cell(partition.isr, partition.isUnderReplicated ? .warning : .plain),
                Table.Cell(partition.offline, .bad), Table.Cell(partition.elr),
                Table.Cell(partition.lastKnownElr),
            ])
        }
        return text + "\n" + table.text(indent: 2, style: style)
    }

    private var problems: [String] {
        var problems: [String] = []
        let orphans = partitions.filter { $0.leader < 0 }
        if !orphans.isEmpty {
            problems.append(
                "no leader: \(Self.list(orphans)); nobody can produce to it or consume from it")
        }
        let lacking = partitions.filter { $0.leader >= 0 && $0.isUnderReplicated }
        if !lacking.isEmpty {
            let missing = Set(lacking.flatMap { Set($0.replicas).subtracting($0.isr) }).sorted()
            let brokers = missing.map(String.init).joined(separator: ", ")
            problems.append("not in sync: \(Self.list(lacking)), on broker \(brokers)")
        }
        return problems
    }

    private static func list(_ partitions: [Partition]) -> String {
        let numbers = partitions.prefix(10).map { "\($0.index)" }.joined(separator: ", ")
        let more = partitions.count > 10 ? " and \(partitions.count - 10) more" : ""
        return "\(partitions.count == 1 ? "partition" : "partitions") \(numbers)\(more)"
    }
}
