import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// `flush.messages`: nothing is acknowledged that the disk does not have.
@Suite struct FlushTests {
    private func node(messages: Int64 = 1) throws -> TestNode {
        var config = LogConfig()
        config.flushMessages = messages
        return try TestNode(log: config)
    }

    private func flush(
        _ effects: [ReplicationEffect]
    ) -> (key: TopicIdPartition, ticket: FlushTicket)? {
        for case .flush(let key, let ticket) in effects { return (key, ticket) }
        return nil
    }

    private func produce(
        _ node: TestNode, acks: Int16, _ text: String = "a"
    ) -> (RequestToken, [ReplicationEffect]) {
        let token = node.token()
        let effects = node.step {
            $0.produce(produceRequest(batch([text]), acks: acks), version: 11, token: token)
        }
        return (token, effects)
    }

    @Test func acksOneWaitsForTheDisk() throws {
        let node = try node()
        node.lead()
        let (token, effects) = produce(node, acks: 1)
        #expect(produced(effects, token) == nil)
        let (key, ticket) = try #require(flush(effects))
        #expect(key == TopicIdPartition(topicA, 0))
        try ticket.perform()
        let done = node.step { $0.flushed(key, ticket, nil) }
        #expect(produced(done, token)?.errorCode == ErrorCode.none)
    }

    @Test func acksAllWaitsForTheLeadersDiskToo() throws {
        let node = try node()
        node.lead(replicas: [1, 2], isr: [1, 2])
        let (token, effects) = produce(node, acks: -1)
        let (key, ticket) = try #require(flush(effects))
        #expect(produced(node.followerFetch(2, at: 1), token) == nil)
        #expect(try node.replica().highWatermark == 0)
        try ticket.perform()
        let done = node.step { $0.flushed(key, ticket, nil) }
        #expect(produced(done, token)?.errorCode == ErrorCode.none)
        #expect(try node.replica().highWatermark == 1)
    }

    @Test func groupCommit() throws {
        let node = try node()
        node.lead(replicas: [1], isr: [1])
        let (first, effects) = produce(node, acks: -1, "a")
        let (key, ticket) = try #require(flush(effects))
        // While that one is under way, others come: one more flush is for all of them.
        let (second, none) = produce(node, acks: -1, "b")
        #expect(flush(none) == nil)
        let (third, _) = produce(node, acks: 1, "c")
        try ticket.perform()
        let done = node.step { $0.flushed(key, ticket, nil) }
        #expect(produced(done, first) != nil)
        #expect(produced(done, second) == nil)
        let (_, next) = try #require(flush(done))
        try next.perform()
        let rest = node.step { $0.flushed(key, next, nil) }
        #expect(produced(rest, second) != nil)
        #expect(produced(rest, third) != nil)
        #expect(flush(rest) == nil)
    }

    @Test func someRecordsMayBeInDanger() throws {
        let node = try node(messages: 3)
        node.lead(replicas: [1], isr: [1])
        for text in ["a", "b"] {
            let (token, effects) = produce(node, acks: 1, text)
            #expect(produced(effects, token) != nil)
            #expect(flush(effects) == nil)
        }
        let (token, effects) = produce(node, acks: 1, "c")
        #expect(produced(effects, token) == nil)
        #expect(flush(effects) != nil)
    }

    @Test func withoutItNothingIsFlushed() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        let (token, effects) = produce(node, acks: -1)
        #expect(flush(effects) == nil)
        #expect(produced(effects, token) != nil)
    }

    /// What a follower asks for next tells its leader what it has: so it asks when it has it.
    @Test func aFollowerAsksWhenItsDiskHasIt() throws {
        let node = try node()
        let first = node.follow(2)
        func sent(_ effects: [ReplicationEffect]) -> UInt64? {
            for case .fetch(leader: 2, let correlation, _) in effects { return correlation }
            return nil
        }
        let correlation = try #require(sent(first))
        var records = batch(["a"])
        records.setInteger(Int32(5), at: 12)
        let response = FetchResponse(
            sessionId: 3,
            responses: [
                .init(
                    topicId: topicA,
                    partitions: [
                        .init(
                            partitionIndex: 0, highWatermark: 0, logStartOffset: 0,
                            records: .bytes(records))
                    ])
            ])
        let effects = node.step {
            $0.fetched(from: 2, correlation: correlation, response)
        }
        #expect(sent(effects) == nil)
        let (key, ticket) = try #require(flush(effects))
        try ticket.perform()
        #expect(sent(node.step { $0.flushed(key, ticket, nil) }) != nil)
    }

    @Test func aDiskThatFailsTakesThePartitionOffline() throws {
        let node = try node()
        node.lead()
        let (token, effects) = produce(node, acks: -1)
        let (key, ticket) = try #require(flush(effects))
        let failed = node.step {
            $0.flushed(key, ticket, DiskError(.sync, "x", errno: DiskError.inputOutput))
        }
        #expect(produced(failed, token)?.errorCode == .kafkaStorageError)
        #expect(try node.replica().role == .offline)
        var said = false
        for case .storageFailed(TopicPartition("t", 0), _) in failed { said = true }
        #expect(said)
        // From then on that is the answer to everything.
        let (next, refused) = produce(node, acks: 1)
        #expect(produced(refused, next)?.errorCode == .kafkaStorageError)
        let data = fetched(
            node.step { $0.fetch(fetchRequest([want(0)]), version: 17, token: node.token()) })
        #expect(data?.only?.errorCode == .kafkaStorageError)
        // Metadata does not bring it back.
        node.lead(epoch: 9, partitionEpoch: 9)
        #expect(try node.replica().role == .offline)
    }

    @Test func aDirectoryThatFailsTakesAllOfItsPartitions() throws {
        let node = try TestNode()
        node.lead()
        node.follow(2, partition: 1)
        let effects = node.step {
            $0.storageFailed([TopicPartition("t", 0), TopicPartition("t", 1)])
        }
        #expect(try node.replica(0).role == .offline)
        #expect(try node.replica(1).role == .offline)
        var ended: [Int32?] = []
        for case .leadership(_, let epoch) in effects { ended.append(epoch) }
        #expect(ended == [nil])
        #expect(node.manager.highWatermarks().isEmpty)
    }
}
