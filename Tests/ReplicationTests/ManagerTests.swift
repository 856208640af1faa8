import CommitLog
import KafkaWire
import Replication
import SimulatedDisk
import Testing
import Timing

@Suite struct ManagerTests {
    @Test func checkpointsOfHighWatermarks() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1], partition: 1)
        node.lead(replicas: [1], isr: [1], partition: 0)
        try node.append(["a", "b"], partition: 1)
        let marks = node.manager.highWatermarks()
        #expect(marks.map(\.partition) == [TopicPartition("t", 0), TopicPartition("t", 1)])
        #expect(marks.map(\.highWatermark) == [0, 2])
        let known = Dictionary(
            uniqueKeysWithValues: marks.map { ($0.partition, $0.highWatermark) })
        let next = try TestNode(disk: node.disk, highWatermarks: known)
        next.follow(2, partition: 1)
        #expect(try next.replica(1).highWatermark == 2)
    }

    @Test func aCheckpointBeyondTheLogIsCut() throws {
        let node = try TestNode(highWatermarks: [TopicPartition("t", 0): 500])
        node.follow(2)
        #expect(try node.replica().highWatermark == 0)
    }

    @Test func withoutACheckpointNothingIsCommitted() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        try node.append(["a", "b"])
        let next = try TestNode(disk: node.disk)
        next.follow(2)
        #expect(try next.replica().log?.logEndOffset == 2)
        #expect(try next.replica().highWatermark == 0)
    }

    @Test func figures() throws {
        var log = LogConfig()
        log.minInsyncReplicas = 2
        let node = try TestNode(log: log)
        node.lead(isr: [1, 2])
        let replica = try node.replica()
        #expect(replica.isUnderReplicated)
        #expect(replica.isAtMinISR)
        #expect(!replica.isUnderMinISR)
        node.lead(partitionEpoch: 2, isr: [1])
        #expect(replica.isUnderMinISR)
        node.lead(partitionEpoch: 3, isr: [1, 2, 3])
        #expect(!replica.isUnderReplicated)
        #expect(replica.effectiveMinISR == 2)
    }

    @Test func aSmallerMinISRLetsTheHighWatermarkGoOn() throws {
        var log = LogConfig()
        log.minInsyncReplicas = 2
        let node = try TestNode(log: log)
        node.lead(isr: [1])
        try node.append(["a"])
        #expect(try node.replica().highWatermark == 0)
        log.minInsyncReplicas = 1
        node.step { $0.setLogConfig(topicId: topicA, log) }
        #expect(try node.replica().highWatermark == 1)
    }

    /// Followers whose consumers read from them hear of a new high watermark sooner than with the
    /// next record, but not at once.
    @Test func aLateHighWatermark() throws {
        var config = ReplicationConfig()
        config.highWatermarkWait = .milliseconds(20)
        let node = try TestNode(config: config)
        node.lead(replicas: [1, 2], isr: [1, 2])
        try node.append(["a"])
        func fetch(_ session: Int32, _ epoch: Int32, _ parts: [FetchRequest.FetchPartition])
            -> (RequestToken, [ReplicationEffect])
        {
            let token = node.token()
            return (
                token,
                node.step {
                    $0.fetch(
                        fetchRequest(
                            parts, replica: 2, brokerEpoch: 20, maxWaitMs: 500, session: session,
                            epoch: epoch),
                        version: 17, token: token)
                }
            )
        }
        let session = try #require(fetched(fetch(0, 0, [want(0, epoch: 5)]).1)).sessionId
        let (token, effects) = fetch(session, 1, [want(1, epoch: 5)])
        #expect(fetched(effects) == nil)
        #expect(try node.replica().highWatermark == 1)
        #expect(fetched(node.step(after: .milliseconds(19))) == nil)
        let told = try #require(fetched(node.step(after: .milliseconds(1)), token))
        #expect(told.only?.highWatermark == 1)
        // There is no more to tell: the next waits for its full time.
        let (next, _) = fetch(session, 2, [])
        #expect(fetched(node.step(after: .milliseconds(499))) == nil)
        #expect(fetched(node.step(after: .milliseconds(1)), next)?.responses.isEmpty == true)
    }

    @Test func aLogThatCannotBeOpened() throws {
        let node = try TestNode()
        node.logs.failure = .offline("gone")
        let effects = node.lead()
        #expect(try node.replica().role == .offline)
        var said = false
        for case .storageFailed(TopicPartition("t", 0), _) in effects { said = true }
        #expect(said)
    }

    @Test func anAppendWakesOnlyItsOwnPartition() throws {
        let node = try TestNode()
        for partition in Int32(0)..<3 {
            node.lead(replicas: [1], isr: [1], partition: partition)
        }
        var tokens: [RequestToken] = []
        for partition in Int32(0)..<3 {
            let token = node.token()
            tokens.append(token)
            node.step {
                $0.fetch(
                    fetchRequest([want(0, partition: partition)], maxWaitMs: 500), version: 17,
                    token: token)
            }
        }
        let effects = node.step {
            $0.produce(
                produceRequest(batch(["a"]), acks: 1, partition: 1), version: 11,
                token: node.token())
        }
        #expect(fetched(effects, tokens[0]) == nil)
        #expect(fetched(effects, tokens[1]) != nil)
        #expect(fetched(effects, tokens[2]) == nil)
    }
}
