import CommitLog
import KafkaWire
import Replication
import Testing
import Timing

@Suite struct DeleteRecordsTests {
    private func delete(
        _ node: TestNode, before offset: Int64, timeoutMs: Int32 = 1_000, partition: Int32 = 0,
        topic: String = "t"
    ) -> (RequestToken, [ReplicationEffect]) {
        let token = node.token()
        let request = DeleteRecordsRequest(
            topics: [
                .init(name: topic, partitions: [.init(partitionIndex: partition, offset: offset)])
            ],
            timeoutMs: timeoutMs)
        return (token, node.step { $0.deleteRecords(request, token: token) })
    }

    private func answer(
        _ effects: [ReplicationEffect], _ token: RequestToken
    ) -> DeleteRecordsResponse.DeleteRecordsPartitionResult? {
        for case .deletedRecords(token, let response) in effects {
            return response.topics.first?.partitions.first
        }
        return nil
    }

    private func filled(_ log: LogConfig = LogConfig()) throws -> TestNode {
        let node = try TestNode(log: log)
        node.lead(replicas: [1, 2], isr: [1, 2])
        try node.append(["a", "b", "c", "d"])
        node.followerFetch(2, at: 3)
        return node
    }

    @Test func waitsForEveryReplica() throws {
        let node = try filled()
        let (token, effects) = delete(node, before: 2)
        #expect(answer(effects, token) == nil)
        #expect(try node.replica().log?.logStartOffset == 2)
        #expect(answer(node.followerFetch(2, at: 3, logStart: 1), token) == nil)
        let done = answer(node.followerFetch(2, at: 3, logStart: 2), token)
        #expect(done?.errorCode == ErrorCode.none)
        #expect(done?.lowWatermark == 2)
        // Again at once: it holds already.
        let (again, next) = delete(node, before: 1)
        #expect(answer(next, again)?.lowWatermark == 2)
        // What is deleted cannot be read.
        let data = fetched(
            node.step {
                $0.fetch(fetchRequest([want(1)]), version: 17, token: node.token())
            })?.only
        #expect(data?.errorCode == .offsetOutOfRange)
    }

    @Test func retentionIsToldToFollowers() throws {
        let node = try filled()
        let token = node.token()
        let session = try #require(
            fetched(
                node.step {
                    $0.fetch(
                        fetchRequest([want(4, epoch: 5)], replica: 2, brokerEpoch: 20, epoch: 0),
                        version: 17, token: node.token())
                })
        ).sessionId
        node.step {
            $0.fetch(
                fetchRequest(
                    [], replica: 2, brokerEpoch: 20, maxWaitMs: 500, session: session, epoch: 1),
                version: 17, token: token)
        }
        try #require(try node.replica().log).raiseLogStart(to: 1)
        let effects = node.step { $0.logStartMoved(TopicPartition("t", 0)) }
        #expect(fetched(effects, token)?.only?.logStartOffset == 1)
    }

    @Test func theHighWatermarkAsOffset() throws {
        let node = try filled()
        let (_, _) = delete(node, before: -1)
        #expect(try node.replica().log?.logStartOffset == 3)
    }

    @Test func followersLearnOfItAtOnce() throws {
        let node = try filled()
        let session = try #require(
            fetched(
                node.step {
                    $0.fetch(
                        fetchRequest([want(4, epoch: 5)], replica: 2, brokerEpoch: 20, epoch: 0),
                        version: 17, token: node.token())
                })
        ).sessionId
        let waiting = node.token()
        node.step {
            $0.fetch(
                fetchRequest(
                    [], replica: 2, brokerEpoch: 20, maxWaitMs: 500, session: session, epoch: 1),
                version: 17, token: waiting)
        }
        let (_, effects) = delete(node, before: 2)
        #expect(fetched(effects, waiting)?.only?.logStartOffset == 2)
    }

    private func fenceSecond(_ node: TestNode) -> [ReplicationEffect] {
        node.step {
            $0.setBrokers(
                BrokerTable([
                    BrokerStatus(id: 1, epoch: 10), BrokerStatus(id: 2, epoch: 20, isFenced: true),
                ]))
        }
    }

    @Test func theDeadAreNotWaitedFor() throws {
        let node = try filled()
        let (token, effects) = delete(node, before: 2)
        #expect(answer(effects, token) == nil)
        // As long as it is in sync it may lead.
        #expect(answer(fenceSecond(node), token) == nil)
        let alone = node.lead(partitionEpoch: 2, replicas: [1, 2], isr: [1])
        #expect(answer(alone, token)?.lowWatermark == 2)
    }

    /// One that is fenced while too few are in sync may be elected all the same (KIP-966), and
    /// would bring back what was deleted.
    @Test func thoseEligibleToLeadAreWaitedFor() throws {
        let node = try filled()
        let (token, effects) = delete(node, before: 2)
        #expect(answer(effects, token) == nil)
        #expect(answer(fenceSecond(node), token) == nil)
        let shrunk = node.lead(partitionEpoch: 2, replicas: [1, 2], isr: [1], eligible: [2])
        #expect(answer(shrunk, token) == nil)
        let done = answer(node.followerFetch(2, at: 4, logStart: 2), token)
        #expect(done?.errorCode == ErrorCode.none)
        #expect(done?.lowWatermark == 2)
    }

    /// The answer to AlterPartition does not tell who is eligible: those that left are, until the
    /// metadata of the same epoch tells.
    @Test func thoseThatThisLeaderRemovedAreWaitedForUntilTheMetadataTells() throws {
        let node = try filled()
        node.step(after: .seconds(60))
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1])) }
        #expect(try node.replica().isr == [1])
        _ = fenceSecond(node)
        let (token, effects) = delete(node, before: 2, timeoutMs: 100_000)
        #expect(answer(effects, token) == nil)
        let told = node.lead(partitionEpoch: 2, replicas: [1, 2], isr: [1])
        #expect(answer(told, token)?.lowWatermark == 2)
    }

    /// Whoever is in sync may lead, so nobody is taken in who has not deleted yet.
    @Test func joiningTheISRTakesTheLogStart() throws {
        let node = try filled()
        _ = delete(node, before: 2)
        node.lead(partitionEpoch: 2, replicas: [1, 2], isr: [1])
        node.followerFetch(2, at: 4, logStart: 1)
        #expect(try !node.replica().followers[0].isInMaximalISR)
        node.followerFetch(2, at: 4, logStart: 2)
        #expect(try node.replica().followers[0].isInMaximalISR)
    }

    @Test func errors() throws {
        let node = try filled()
        node.follow(2, partition: 1)
        func error(_ offset: Int64, partition: Int32 = 0, topic: String = "t") -> ErrorCode? {
            let (token, effects) = delete(node, before: offset, partition: partition, topic: topic)
            return answer(effects, token)?.errorCode
        }
        // Beyond the high watermark, though the log goes further.
        #expect(error(4) == .offsetOutOfRange)
        #expect(error(-2) == .offsetOutOfRange)
        #expect(error(0, partition: 1) == .notLeaderOrFollower)
        #expect(error(0, partition: 2) == .notLeaderOrFollower)
        #expect(error(0, topic: "x") == .unknownTopicOrPartition)
        #expect(error(0, topic: "__consumer_offsets") == .invalidTopicException)
        var compacted = LogConfig()
        compacted.isDeleted = false
        compacted.isCompacted = true
        let other = try TestNode(log: compacted)
        other.lead(replicas: [1], isr: [1])
        let (token, effects) = delete(other, before: 0)
        #expect(answer(effects, token)?.errorCode == .policyViolation)
    }

    @Test func timeout() throws {
        let node = try filled()
        let (token, effects) = delete(node, before: 2, timeoutMs: 300)
        #expect(answer(effects, token) == nil)
        let late = answer(node.step(after: .milliseconds(300)), token)
        #expect(late?.errorCode == .requestTimedOut)
        // Not answered twice.
        #expect(answer(node.followerFetch(2, at: 3, logStart: 2), token) == nil)
        // And its place is free for the next.
        let (next, _) = delete(node, before: 3)
        #expect(answer(node.followerFetch(2, at: 3, logStart: 3), next)?.lowWatermark == 3)
    }

    @Test func leadershipLost() throws {
        let node = try filled()
        let (token, _) = delete(node, before: 2)
        let effects = node.follow(
            2, epoch: 6, partitionEpoch: 2, replicas: [1, 2], isr: [1, 2])
        #expect(answer(effects, token)?.errorCode == .notLeaderOrFollower)
    }
}
