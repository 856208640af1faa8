import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// KIP-73: reassignments that take their time.
@Suite struct ThrottleTests {
    @Test func whichReplicasAreThrottled() {
        #expect(ThrottledReplicas("") == ThrottledReplicas.none)
        #expect(ThrottledReplicas("*") == .all)
        let some = ThrottledReplicas("0:1, 3:2")
        #expect(some?.contains(partition: 0, broker: 1) == true)
        #expect(some?.contains(partition: 3, broker: 2) == true)
        #expect(some?.contains(partition: 3, broker: 1) == false)
        for text in ["0", "0:", ":1", "0:1:2", "a:b", "0:1,", "-1:2", "0:99999999999", "**"] {
            #expect(ThrottledReplicas(text) == nil)
        }
    }

    @Test func theBucket() {
        var quota = ReplicationQuota(rate: 1_000)
        var now = Instant(nanoseconds: 5_000_000_000)
        var exceeded = quota.isExceeded(now)
        #expect(!exceeded)
        quota.take(1_500, now)
        exceeded = quota.isExceeded(now)
        #expect(exceeded)
        let next = quota.nextAvailable(now)
        #expect(next > now + .milliseconds(499))
        #expect(next < now + .milliseconds(510))
        now = now + .milliseconds(499)
        exceeded = quota.isExceeded(now)
        #expect(exceeded)
        now = next
        exceeded = quota.isExceeded(now)
        #expect(!exceeded)
        // It does not save up for longer than a second.
        now = now + .seconds(100)
        exceeded = quota.isExceeded(now)
        #expect(!exceeded)
        quota.take(1_000, now)
        exceeded = quota.isExceeded(now)
        #expect(exceeded)
        quota.rate = nil
        exceeded = quota.isExceeded(now)
        #expect(!exceeded)
    }

    @Test func nothingAtAll() {
        var quota = ReplicationQuota(rate: 0)
        let now = Instant(nanoseconds: 1)
        let exceeded = quota.isExceeded(now)
        #expect(exceeded)
        #expect(quota.nextAvailable(now) == now + .seconds(1))
    }

    @Test func manySmallStepsAddUp() {
        var quota = ReplicationQuota(rate: 100)
        var now = Instant(nanoseconds: 1)
        quota.take(110, now)
        var steps = 0
        while quota.isExceeded(now), steps < 1_000 {
            now = now + .milliseconds(1)
            steps += 1
        }
        #expect((100...125).contains(steps))
    }

    private func throttled(inSync: Bool) throws -> TestNode {
        var config = ReplicationConfig()
        config.leaderThrottledRate = 2_000
        let node = try TestNode(config: config)
        node.lead(replicas: [1, 2, 3], isr: inSync ? [1, 2] : [1])
        node.step {
            $0.setConfig(
                topicId: topicA, ReplicationTopicConfig(leaderThrottledReplicas: .all))
        }
        for _ in 0..<3 { try node.append([String(repeating: "x", count: 3_000)]) }
        return node
    }

    private func size(_ effects: [ReplicationEffect]) -> Int {
        fetched(effects)?.only?.records?.count ?? 0
    }

    @Test func aReplicaThatMovesHereIsThrottled() throws {
        let node = try throttled(inSync: false)
        node.step {
            $0.setBrokers(
                BrokerTable([BrokerStatus(id: 1, epoch: 10), BrokerStatus(id: 2, epoch: 20)]))
        }
        #expect(size(node.followerFetch(2, at: 0)) > 9_000)
        #expect(size(node.followerFetch(2, at: 0)) == 0)
        #expect(size(node.followerFetch(2, at: 0, after: .seconds(6))) > 9_000)
    }

    @Test func oneInSyncIsNot() throws {
        let node = try throttled(inSync: true)
        for _ in 0..<3 { #expect(size(node.followerFetch(2, at: 0)) > 9_000) }
    }

    @Test func throttledDataIsSentWhenItMay() throws {
        let node = try throttled(inSync: false)
        #expect(size(node.followerFetch(2, at: 0)) > 9_000)
        let token = node.token()
        let request = fetchRequest(
            [want(0, epoch: 5)], replica: 2, brokerEpoch: 20, maxWaitMs: 500)
        #expect(fetched(node.step { $0.fetch(request, version: 17, token: token) }) == nil)
        // Its time ends before the quota allows anything; the fetch after that finds it.
        #expect(fetched(node.step(after: .milliseconds(500)), token)?.only?.records?.count == 0)
        #expect(size(node.followerFetch(2, at: 0, after: .seconds(6))) > 9_000)
    }

    @Test func aFollowerTakesItsTime() throws {
        var config = ReplicationConfig()
        config.followerThrottledRate = 1_000
        let node = try TestNode(config: config)
        func sent(_ effects: [ReplicationEffect]) -> (UInt64, FetchRequest)? {
            for case .fetch(leader: 2, let correlation, let request) in effects {
                return (correlation, request)
            }
            return nil
        }
        let (correlation, _) = try #require(sent(node.follow(2)))
        node.step {
            $0.setConfig(
                topicId: topicA,
                ReplicationTopicConfig(followerThrottledReplicas: ThrottledReplicas("0:1") ?? .none)
            )
        }
        var records = batch([String(repeating: "x", count: 2_000)])
        records.setInteger(Int32(5), at: 12)
        let response = FetchResponse(
            sessionId: 3,
            responses: [
                .init(
                    topicId: topicA,
                    partitions: [
                        .init(
                            partitionIndex: 0, highWatermark: 50, logStartOffset: 0,
                            records: .bytes(records))
                    ])
            ])
        let effects = node.step { $0.fetched(from: 2, correlation: correlation, response) }
        #expect(sent(effects) == nil)
        #expect(sent(node.step(after: .milliseconds(900))) == nil)
        let (_, next) = try #require(sent(node.step(after: .milliseconds(300))))
        #expect(next.topics[0].partitions[0].fetchOffset == 1)
    }
}
