import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Replication
import SimulatedDisk
import Testing
import Timing

/// No file may be opened, for a while: the broker stays, and does later what it could not do.
@Suite struct ShortageTests {
    private static let tooManyFiles: Int32 = 24

    private static func node() throws -> TestNode {
        let node = try TestNode()
        try node.register()
        node.learnTopic("t", TestNode.topicId)
        // Its epoch is on the disk: nothing is left to be opened for it.
        node.pass(.milliseconds(200))
        return node
    }

    private func produce(_ node: TestNode, to topic: KafkaUUID) throws -> ErrorCode? {
        var builder = RecordBatchBuilder()
        builder.append(key: nil, value: ByteBuffer(string: "v"), timestamp: node.nowMs)
        let request = ProduceRequest(
            acks: 1, timeoutMs: 1000,
            topicData: [
                .init(
                    topicId: topic,
                    partitionData: [.init(index: 0, records: .bytes(try builder.build()))])
            ])
        return try node.ask(request)?.responses.first?.partitionResponses.first?.errorCode
    }

    @Test func aCheckpointIsTriedAgain() throws {
        let node = try Self.node()
        node.disk.faults.failing = (.open, 1, Self.tooManyFiles)
        node.pass(.seconds(6))
        #expect(node.lines.contains { $0.message.contains("EMFILE") })
        node.pass(.seconds(60))
        #expect(node.failure == nil)
        #expect(!node.lines.contains { $0.message.contains("is offline") })
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.none)
        let path = "/data/replication-offset-checkpoint"
        let text = try node.disk.readWhole(path, limit: 4096).map { String(buffer: $0) }
        #expect(text?.contains("t 0 ") == true)
    }

    @Test func aPartitionIsOpenedLater() throws {
        let node = try Self.node()
        node.disk.faults.failing = (.open, 1, Self.tooManyFiles)
        node.learnTopic("later", TestNode.offsetsId)
        #expect(try produce(node, to: TestNode.offsetsId) == ErrorCode.kafkaStorageError)
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.none)
        // And once more in vain.
        node.disk.faults.failing = (.open, 1, Self.tooManyFiles)
        node.pass(.seconds(1))
        #expect(try produce(node, to: TestNode.offsetsId) == ErrorCode.kafkaStorageError)
        node.pass(.seconds(1))
        #expect(try produce(node, to: TestNode.offsetsId) == ErrorCode.none)
        #expect(node.lines.contains { $0.message.contains("later-0 is open again") })
        #expect(node.failure == nil)
    }

    /// One that was open, and has records that are committed.
    @Test func aPartitionThatWasOpenIsOpenedAgain() throws {
        let node = try Self.node()
        for _ in 0..<3 { #expect(try produce(node, to: TestNode.topicId) == ErrorCode.none) }
        let replica = try #require(node.node.replicas.replica(TopicPartition("t", 0)))
        #expect(replica.highWatermark == 3)
        // The next record needs a new segment.
        try #require(replica.log).config.segmentBytes = 200
        node.disk.faults.failing = (.open, 1, Self.tooManyFiles)
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.kafkaStorageError)
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.kafkaStorageError)
        node.pass(.seconds(1))
        #expect(replica.highWatermark == 3)
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.none)
        #expect(replica.highWatermark == 4)
        #expect(node.failure == nil)
    }

    @Test func aNewEpochIsOnTheDiskSoon() throws {
        let node = try Self.node()
        node.pass(.milliseconds(200))
        let path = "/data/t-0/leader-epoch-checkpoint"
        func onDisk() throws -> String? {
            try node.disk.readWhole(path, limit: 4096).map { String(buffer: $0) }
        }
        #expect(try onDisk() == "0\n1\n0 0\n")
        #expect(try produce(node, to: TestNode.topicId) == ErrorCode.none)
        node.learn([
            .partitionChange(.init(partitionId: 0, topicId: TestNode.topicId, leader: 1))
        ])
        node.pass(.milliseconds(200))
        #expect(try onDisk() == "0\n2\n0 0\n1 1\n")
    }
}
