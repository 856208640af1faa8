import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing

/// Several batches of an idempotent producer are under way, and the first is refused for a reason
/// that has gone when the second comes.
@Suite struct RefusedSequencesTests {
    private func node() throws -> TestNode {
        var config = LogConfig()
        config.minInsyncReplicas = 2
        return try TestNode(log: config)
    }

    private func send(
        _ node: TestNode, _ sequence: Int32, epoch: Int16 = 0, producer: Int64 = 7
    ) -> ErrorCode? {
        let token = node.token()
        let records = batch(
            ["\(sequence)"], producerId: producer, producerEpoch: epoch, sequence: sequence)
        let effects = node.step {
            $0.produce(produceRequest(records), version: 11, token: token)
        }
        // One that waits for its replicas has been taken.
        return produced(effects, token)?.errorCode
    }

    /// Leads with two in sync, of which `min.insync.replicas` asks, or alone.
    private func leader(_ node: TestNode, isWhole: Bool, partitionEpoch: Int32) {
        node.lead(partitionEpoch: partitionEpoch, isr: isWhole ? [1, 2] : [1])
    }

    @Test func whatComesBehindARefusedBatchIsRefusedAsThatWas() throws {
        let node = try self.node()
        leader(node, isWhole: true, partitionEpoch: 1)
        #expect(send(node, 0) == nil)
        leader(node, isWhole: false, partitionEpoch: 2)
        #expect(send(node, 1) == .notEnoughReplicas)
        leader(node, isWhole: true, partitionEpoch: 3)
        #expect(send(node, 2) == .notEnoughReplicas)
        #expect(send(node, 3) == .notEnoughReplicas)
        #expect(send(node, 0, producer: 8) == nil)  // another's
        for sequence in 1...4 as ClosedRange<Int32> { #expect(send(node, sequence) == nil) }
        #expect(send(node, 6) == .outOfOrderSequenceNumber)
    }

    /// Nothing is known of the producer: any sequence could begin.
    @Test func theFirstOfAllIsWaitedForToo() throws {
        let node = try self.node()
        leader(node, isWhole: false, partitionEpoch: 1)
        #expect(send(node, 0) == .notEnoughReplicas)
        leader(node, isWhole: true, partitionEpoch: 2)
        #expect(send(node, 1) == .notEnoughReplicas)
        #expect(send(node, 0) == nil)
        #expect(send(node, 1) == nil)
    }

    @Test func aBrokerThatDidNotLeadYet() throws {
        let node = try self.node()
        node.follow(2)
        #expect(send(node, 0) == .notLeaderOrFollower)
        node.lead(epoch: 6, partitionEpoch: 2, isr: [1, 2])
        #expect(send(node, 1) == .notEnoughReplicas)
        #expect(send(node, 0) == nil)
        #expect(send(node, 1) == nil)
    }

    @Test func aNewEpochBeginsAnew() throws {
        let node = try self.node()
        leader(node, isWhole: true, partitionEpoch: 1)
        #expect(send(node, 0) == nil)
        leader(node, isWhole: false, partitionEpoch: 2)
        #expect(send(node, 1) == .notEnoughReplicas)
        leader(node, isWhole: true, partitionEpoch: 3)
        #expect(send(node, 0, epoch: 1) == nil)
        #expect(send(node, 1, epoch: 1) == nil)
    }

    @Test func whatIsInTheLogIsNotWaitedForAgain() throws {
        let node = try self.node()
        leader(node, isWhole: true, partitionEpoch: 1)
        #expect(send(node, 0) == nil)
        leader(node, isWhole: false, partitionEpoch: 2)
        #expect(send(node, 1) == .notEnoughReplicas)
        leader(node, isWhole: true, partitionEpoch: 3)
        #expect(send(node, 1) == nil)
        leader(node, isWhole: false, partitionEpoch: 4)
        #expect(send(node, 2) == .notEnoughReplicas)
        #expect(send(node, 3) == .notEnoughReplicas)
        leader(node, isWhole: true, partitionEpoch: 5)
        #expect(send(node, 2) == nil)
        #expect(send(node, 3) == nil)
    }
}
