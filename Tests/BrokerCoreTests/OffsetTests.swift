import BrokerCore
import KafkaWire
import Metadata
import SimulatedDisk
import Testing
import Timing

/// Committed offsets, as far as the broker has a say beside the coordinator.
@Suite struct OffsetTests {
    private static func node() throws -> TestNode {
        let node = try TestNode()
        try node.register()
        node.learnTopic("t", TestNode.topicId, partitions: 2)
        node.learnTopic("__consumer_offsets", TestNode.offsetsId)
        return node
    }

    private func commit(_ topics: [(String, KafkaUUID, [Int32])]) -> OffsetCommitRequest {
        OffsetCommitRequest(
            groupId: "g", generationIdOrMemberEpoch: -1, memberId: "",
            topics: topics.map { name, id, partitions in
                .init(
                    name: name, topicId: id,
                    partitions: partitions.map { .init(partitionIndex: $0, committedOffset: 5) })
            })
    }

    private func codes(_ response: OffsetCommitResponse?) -> [String] {
        (response?.topics ?? []).flatMap { topic in
            topic.partitions.map {
                "\(topic.name.isEmpty ? "\(topic.topicId.low)" : topic.name) "
                    + "\($0.partitionIndex) \($0.errorCode.rawValue)"
            }
        }.sorted()
    }

    @Test(arguments: 2...9 as ClosedRange<Int16>)
    func commitsForWhatIsNotThereAreRefused(version: Int16) throws {
        let node = try Self.node()
        let response = try node.ask(
            commit([("t", .zero, [1, 2, 0, -1]), ("no", .zero, [0])]), version: version)
        #expect(codes(response) == ["no 0 3", "t -1 3", "t 0 0", "t 1 0", "t 2 3"])
        #expect(response?.topics.count == 2)
        // One that names nothing else is not the coordinator's, who would make a group of it.
        let none = try node.ask(commit([("no", .zero, [0])]), version: version)
        #expect(codes(none) == ["no 0 3"])
    }

    @Test func commitsByIdSaySo() throws {
        let node = try Self.node()
        let response = try node.ask(
            commit([("", TestNode.topicId, [1, 2]), ("", KafkaUUID(high: 0, low: 99), [0])]))
        #expect(codes(response) == ["5 1 0", "5 2 3", "99 0 100"])
        #expect(response?.topics.count == 2)
    }

    @Test func fetchesMayAskForAnything() throws {
        let node = try Self.node()
        _ = try node.ask(commit([("t", .zero, [1])]), version: 9)
        let asked = OffsetFetchRequest.OffsetFetchRequestGroup(
            groupId: "g",
            topics: [
                .init(name: "t", partitionIndexes: [1, 7]),
                .init(name: "no", partitionIndexes: [0]),
            ])
        let response = try #require(
            try node.ask(OffsetFetchRequest(groups: [asked]), version: 9))
        let found = response.groups.flatMap(\.topics).flatMap { topic in
            topic.partitions.map {
                "\(topic.name) \($0.partitionIndex) \($0.committedOffset) \($0.errorCode.rawValue)"
            }
        }
        #expect(found == ["t 1 5 0", "t 7 -1 0", "no 0 -1 0"])
    }

    /// Each group is told of what it asked for.
    @Test func fetchesByIdOfTwoGroups() throws {
        let node = try Self.node()
        let stranger = KafkaUUID(high: 0, low: 99)
        let response = try #require(
            try node.ask(
                OffsetFetchRequest(groups: [
                    .init(
                        groupId: "g",
                        topics: [
                            .init(topicId: TestNode.topicId, partitionIndexes: [0]),
                            .init(topicId: stranger, partitionIndexes: [3]),
                        ]),
                    .init(
                        groupId: "h",
                        topics: [.init(topicId: TestNode.topicId, partitionIndexes: [1])]),
                ])))
        let found = response.groups.map { group in
            group.topics.map { topic in
                "\(topic.topicId.low) \(topic.partitions.map(\.partitionIndex)) "
                    + "\(topic.partitions.map(\.errorCode.rawValue))"
            }
        }
        #expect(found == [["5 [0] [0]", "99 [3] [100]"], ["5 [1] [0]"]])
    }

    @Test func deletionsOfWhatIsNotThereAreRefused() throws {
        let node = try Self.node()
        _ = try node.ask(commit([("t", .zero, [1])]), version: 9)
        func delete(_ group: String) throws -> OffsetDeleteResponse? {
            try node.ask(
                OffsetDeleteRequest(
                    groupId: group,
                    topics: [
                        .init(
                            name: "t",
                            partitions: [.init(partitionIndex: 1), .init(partitionIndex: 9)]),
                        .init(name: "no", partitions: [.init(partitionIndex: 0)]),
                    ]))
        }
        let response = try #require(try delete("g"))
        let found = response.topics.flatMap { topic in
            topic.partitions.map { "\(topic.name) \($0.partitionIndex) \($0.errorCode.rawValue)" }
        }.sorted()
        #expect(found == ["no 0 3", "t 1 0", "t 9 3"])
        #expect(try delete("nobody")?.errorCode == .groupIdNotFound)
        #expect(try delete("nobody")?.topics == [])
    }

    // MARK: A new coordinator

    private func fetch(_ node: TestNode) throws -> (ErrorCode, Int64?)? {
        let response = try node.ask(
            OffsetFetchRequest(groups: [
                .init(groupId: "g", topics: [.init(name: "t", partitionIndexes: [1])])
            ]), version: 9)
        return response?.groups.first.map {
            ($0.errorCode, $0.topics.first?.partitions.first?.committedOffset)
        }
    }

    /// A follower fetches up to an offset: what is before it is on its disk.
    private func follow(_ node: TestNode, from offset: Int64) {
        _ = node.send(
            FetchRequest(
                replicaState: .init(replicaId: 2, replicaEpoch: 7), maxWaitMs: 100, minBytes: 1,
                maxBytes: 1 << 20, sessionId: 0, sessionEpoch: -1,
                topics: [
                    .init(
                        topicId: TestNode.offsetsId,
                        partitions: [
                            .init(
                                partition: 0, currentLeaderEpoch: 3, fetchOffset: offset,
                                lastFetchedEpoch: offset > 0 ? 0 : -1, partitionMaxBytes: 1 << 20)
                        ])
                ]))
    }

    /// What it has in its log and knows not to be committed could still be taken back; what was
    /// acknowledged before may be in there.
    @Test func aNewCoordinatorTellsOfNothingThatMayGo() throws {
        let old = try Self.node()
        _ = try old.ask(commit([("t", .zero, [1])]), version: 9)
        #expect(try fetch(old)?.1 == 5)
        let node = try TestNode(disk: old.disk.afterCrash(losesUnsynced: false))
        try node.register()
        node.learnTopic("t", TestNode.topicId, partitions: 2)
        node.learnTopic("__consumer_offsets", TestNode.offsetsId, replicas: [1, 2], epoch: 3)
        let loading = try #require(try fetch(node))
        #expect(loading.0 == .coordinatorLoadInProgress)
        node.pass(.milliseconds(200))
        #expect(try fetch(node)?.0 == .coordinatorLoadInProgress)
        follow(node, from: 0)
        #expect(try fetch(node)?.0 == .coordinatorLoadInProgress)
        follow(node, from: 1)
        let loaded = try #require(try fetch(node))
        #expect(loaded.0 == .none)
        #expect(loaded.1 == 5)
    }
}
