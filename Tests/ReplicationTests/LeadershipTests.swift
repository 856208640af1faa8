import CommitLog
import KafkaWire
import Replication
import Testing
import Timing

@Suite struct LeadershipTests {
    // MARK: Cut off

    /// A leader that reaches neither its followers nor the controller acknowledges nothing.
    @Test func aLeaderCutOffAcknowledgesNothing() throws {
        let node = try TestNode()
        node.lead()
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        node.followerFetch(3, at: 1)
        #expect(try node.replica().highWatermark == 1)
        let token = node.token()
        node.step {
            $0.produce(
                produceRequest(batch(["b"]), timeoutMs: 120_000), version: 11, token: token)
        }
        var proposals = 0
        for _ in 0..<100 {
            let effects = node.step(after: .seconds(1))
            #expect(produced(effects, token) == nil)
            if alterPartition(effects) != nil {
                proposals += 1
                node.step { $0.alterPartitionDone(nil) }
            }
        }
        #expect(proposals > 10)
        #expect(try node.replica().highWatermark == 1)
        let answer = produced(node.step(after: .seconds(20)), token)
        #expect(answer?.errorCode == .requestTimedOut)
        // Healed: there is another leader, and its epoch ends this one.
        node.follow(2, epoch: 6, partitionEpoch: 2, isr: [2, 3])
        #expect(try node.replica().role == .follower)
        #expect(try node.replica().highWatermark == 1)
    }

    // MARK: Leader epochs

    @Test func aNewEpochForgetsWhoHadCaughtUp() throws {
        let node = try TestNode()
        node.lead()
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        node.followerFetch(3, at: 1)
        node.lead(epoch: 7, partitionEpoch: 2)
        try node.append(["b"])
        #expect(try node.replica().highWatermark == 1)
        // The same leader as before: it still knows how far its followers are.
        #expect(try node.replica().followers.map(\.logEndOffset) == [1, 1])
        node.follow(2, epoch: 8, partitionEpoch: 3)
        node.lead(epoch: 9, partitionEpoch: 4)
        #expect(try node.replica().followers.map(\.logEndOffset) == [-1, -1])
        #expect(try node.replica().highWatermark == 1)
    }

    @Test func whoIsNotInTheISROfANewEpochIsNotWaitedFor() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        node.followerFetch(2, at: 0)
        node.lead(epoch: 6, partitionEpoch: 2, replicas: [1, 2], isr: [1])
        try node.append(["a"])
        #expect(try node.replica().highWatermark == 1)
    }

    @Test func oldMetadataIsIgnored() throws {
        let node = try TestNode()
        node.lead(epoch: 5, partitionEpoch: 8)
        node.follow(2, epoch: 4, partitionEpoch: 7)
        #expect(try node.replica().isLeader)
        #expect(try node.replica().leaderEpoch == 5)
    }

    @Test func leadershipIsTold() throws {
        let node = try TestNode()
        func told(_ effects: [ReplicationEffect]) -> [Int32?] {
            effects.compactMap { effect in
                if case .leadership(TopicPartition("t", 0), let epoch) = effect {
                    epoch
                } else {
                    nil as Int32??
                }
            }
        }
        #expect(told(node.lead()) == [5])
        #expect(told(node.lead(partitionEpoch: 2, isr: [1])) == [])
        #expect(told(node.lead(epoch: 6, partitionEpoch: 3)) == [6])
        #expect(told(node.follow(2, epoch: 7, partitionEpoch: 4)) == [nil])
        #expect(told(node.follow(-1, epoch: 8, partitionEpoch: 5)) == [])
    }
}
