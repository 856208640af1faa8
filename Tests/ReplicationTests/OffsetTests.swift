import CommitLog
import KafkaWire
import Replication
import Testing
import Timing

@Suite struct OffsetTests {
    private func list(
        _ node: TestNode, _ timestamp: Int64, epoch: Int32 = -1, replica: Int32 = -1,
        isolation: Int8 = 0, partition: Int32 = 0, topic: String = "t", version: Int16 = 9
    ) throws -> ListOffsetsResponse.ListOffsetsPartitionResponse {
        let request = ListOffsetsRequest(
            replicaId: replica, isolationLevel: isolation,
            topics: [
                .init(
                    name: topic,
                    partitions: [
                        .init(
                            partitionIndex: partition, currentLeaderEpoch: epoch,
                            timestamp: timestamp)
                    ])
            ])
        node.step()
        return try #require(
            node.manager.listOffsets(request, version: version).topics.first?.partitions.first)
    }

    private func filled() throws -> TestNode {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        for time in [Int64(100), 200, 150] {
            node.step {
                $0.produce(
                    produceRequest(batch(["a", "b"], timestamp: time), acks: 1), version: 11,
                    token: node.token())
            }
        }
        node.followerFetch(2, at: 4)
        return node
    }

    @Test func endsAndTimes() throws {
        let node = try filled()
        #expect(try list(node, -1).offset == 4)
        #expect(try list(node, -1).leaderEpoch == 5)
        #expect(try list(node, -1).timestamp == -1)
        #expect(try list(node, -1, isolation: 1).offset == 4)
        // Replicas and tools see all of the log.
        #expect(try list(node, -1, replica: 2).offset == 6)
        #expect(try list(node, -1, replica: -2).offset == 6)
        #expect(try list(node, -2).offset == 0)
        #expect(try list(node, -4).offset == 0)
        #expect(try list(node, -5).offset == -1)
        #expect(try list(node, 0).offset == 0)
        #expect(try list(node, 101).offset == 2)
        #expect(try list(node, 101).timestamp == 200)
        #expect(try list(node, 101).leaderEpoch == 5)
        #expect(try list(node, 201).offset == -1)
        #expect(try list(node, 201).errorCode == .none)
        #expect(try list(node, -3).offset == 2)
        #expect(try list(node, -3).timestamp == 200)
    }

    @Test func whatIsNotCommittedIsNotFound() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        node.step {
            $0.produce(
                produceRequest(batch(["a"], timestamp: 500), acks: 1), version: 11,
                token: node.token())
        }
        #expect(try list(node, 400).offset == -1)
        #expect(try list(node, -3).offset == -1)
        #expect(try list(node, 400, replica: 2).offset == 0)
    }

    @Test func errors() throws {
        let node = try filled()
        node.follow(2, partition: 1)
        #expect(try list(node, -1, epoch: 4).errorCode == .fencedLeaderEpoch)
        #expect(try list(node, -1, epoch: 6).errorCode == .unknownLeaderEpoch)
        #expect(try list(node, -1, epoch: 5).errorCode == .none)
        #expect(try list(node, -1, topic: "x").errorCode == .unknownTopicOrPartition)
        #expect(try list(node, -1, partition: 2).errorCode == .notLeaderOrFollower)
        #expect(try list(node, -1, partition: 1).errorCode == .notLeaderOrFollower)
        #expect(try list(node, -1, replica: -2, partition: 1).errorCode == .none)
        for (timestamp, version) in [(Int64(-3), Int16(6)), (-4, 7), (-5, 8), (-6, 9)] {
            #expect(try list(node, timestamp, version: version).errorCode == .unsupportedVersion)
        }
    }

    /// KIP-207: a new leader's high watermark may be behind what its predecessor told.
    @Test func aNewLeaderDoesNotKnowItsEnd() throws {
        let node = try filled()
        node.follow(2, epoch: 6, partitionEpoch: 2, replicas: [1, 2], isr: [1, 2])
        node.lead(epoch: 7, partitionEpoch: 3, replicas: [1, 2], isr: [1, 2])
        #expect(try list(node, -1).errorCode == .offsetNotAvailable)
        #expect(try list(node, -1, version: 4).errorCode == .leaderNotAvailable)
        #expect(try list(node, -1, replica: 2).errorCode == .none)
        #expect(try list(node, -2).errorCode == .none)
        #expect(try list(node, 101).errorCode == .none)
        #expect(try list(node, 10_000).errorCode == .offsetNotAvailable)
        node.followerFetch(2, at: 6, epoch: 7)
        #expect(try list(node, -1).offset == 6)
    }

    @Test func aPartitionNamedTwice() throws {
        let node = try filled()
        let asked = ListOffsetsRequest.ListOffsetsPartition(partitionIndex: 0, timestamp: -1)
        let request = ListOffsetsRequest(
            replicaId: -1, topics: [.init(name: "t", partitions: [asked, asked])])
        let parts = node.manager.listOffsets(request, version: 9).topics[0].partitions
        #expect(parts.map(\.errorCode) == [.invalidRequest, .invalidRequest])
    }

    @Test func offsetForLeaderEpoch() throws {
        let node = try TestNode()
        node.lead(epoch: 1, replicas: [1], isr: [1])
        try node.append(["a", "b"])
        node.lead(epoch: 4, partitionEpoch: 2, replicas: [1], isr: [1])
        try node.append(["c"])
        node.follow(2, partition: 1)
        func ask(_ epoch: Int32, current: Int32 = -1, partition: Int32 = 0, topic: String = "t")
            -> OffsetForLeaderEpochResponse.EpochEndOffset
        {
            node.manager.offsetForLeaderEpoch(
                OffsetForLeaderEpochRequest(topics: [
                    .init(
                        topic: topic,
                        partitions: [
                            .init(
                                partition: partition, currentLeaderEpoch: current,
                                leaderEpoch: epoch)
                        ])
                ])
            ).topics[0].partitions[0]
        }
        #expect(ask(1).endOffset == 2)
        #expect(ask(3).leaderEpoch == 1)
        #expect(ask(3).endOffset == 2)
        #expect(ask(4).endOffset == 3)
        #expect(ask(5).endOffset == -1)
        #expect(ask(5).errorCode == .none)
        #expect(ask(-1).endOffset == -1)
        #expect(ask(1, current: 3).errorCode == .fencedLeaderEpoch)
        #expect(ask(1, current: 5).errorCode == .unknownLeaderEpoch)
        #expect(ask(1, partition: 1).errorCode == .notLeaderOrFollower)
        #expect(ask(1, partition: 9).errorCode == .unknownTopicOrPartition)
        #expect(ask(1, topic: "x").errorCode == .unknownTopicOrPartition)
    }
}
