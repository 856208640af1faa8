import CommitLog
import KafkaWire
import Replication
import Testing
import Timing

/// The scenarios of KIP-101 and KIP-279, between real logs. Every append of one text is a batch.
@Suite struct TruncationTests {
    private func wire(
        _ count: Int32 = 2, log: LogConfig = LogConfig()
    ) throws -> TestWire {
        let topics = TestTopics()
        return TestWire(try (1...count).map { try TestNode(id: $0, log: log, topics: topics) })
    }

    /// A node's process ends; one with the same disk takes its place.
    private func restart(_ wire: TestWire, _ id: Int32) throws {
        let old = try #require(wire.nodes[id])
        wire.nodes[id] = nil
        let checkpoint = old.manager.highWatermarks()
        #expect(checkpoint.allSatisfy { $0.highWatermark >= 0 })
        wire.nodes[id] = try TestNode(
            id: id, log: old.logs.config, disk: old.disk, topics: old.topics)
    }

    @Test func replicationCopies() throws {
        let wire = try wire(3)
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2, 3])
        for text in ["a", "b", "c"] { wire.append(1, [text]) }
        for id in Int32(1)...3 { #expect(wire.values(id) == ["a", "b", "c"]) }
        #expect(wire.highWatermark(1) == 3)
        // Followers learn of the high watermark with the next answer.
        wire.append(1, ["d"])
        #expect(wire.highWatermark(2) == 3)
        wire.step(1, after: .milliseconds(500))
        #expect(wire.highWatermark(2) == 4)
    }

    /// KIP-101, scenario 1: a follower that knows an old high watermark must not throw away what
    /// is committed when it restarts and becomes leader.
    @Test func committedRecordsOutliveARestartWithAnOldHighWatermark() throws {
        let wire = try wire()
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2])
        wire.append(1, ["m1"])
        wire.append(1, ["m2"])
        #expect(wire.highWatermark(1) == 2)
        #expect(wire.highWatermark(2) == 1)
        // 2 restarts with high watermark 0 or 1, and follows: nothing is cut.
        try restart(wire, 2)
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2], tell: [2])
        #expect(wire.values(2) == ["m1", "m2"])
        // 1 dies; 2 leads with both.
        let first = wire.nodes.removeValue(forKey: 1)
        wire.elect(2, epoch: 2, partitionEpoch: 2, isr: [2], replicas: [1, 2])
        #expect(wire.values(2) == ["m1", "m2"])
        #expect(wire.highWatermark(2) == 2)
        wire.nodes[1] = first
        wire.elect(2, epoch: 2, partitionEpoch: 2, isr: [2], replicas: [1, 2], tell: [1])
        #expect(wire.values(1) == ["m1", "m2"])
    }

    /// KIP-101, scenario 2: both restart, the shorter one leads first and writes something else at
    /// the same offset. The logs must not differ for ever.
    @Test func logsThatPartedAreMadeEqual() throws {
        let wire = try wire()
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2])
        wire.append(1, ["m1"])
        wire.cutOff([2])
        wire.append(1, ["m2"])
        #expect(wire.values(2) == ["m1"])
        try restart(wire, 1)
        try restart(wire, 2)
        let first = wire.nodes.removeValue(forKey: 1)
        wire.cutOff([])
        wire.elect(2, epoch: 2, partitionEpoch: 2, isr: [2], replicas: [1, 2])
        wire.append(2, ["m3"])
        wire.nodes[1] = first
        wire.elect(2, epoch: 2, partitionEpoch: 2, isr: [2], replicas: [1, 2], tell: [1])
        #expect(wire.values(1) == ["m1", "m3"])
        #expect(wire.values(2) == ["m1", "m3"])
    }

    /// KIP-279, fast leader fail-over: the follower has an epoch that the leader never saw, and the
    /// leader one that the follower never saw.
    @Test func epochsThatTheOtherNeverSaw() throws {
        let wire = try wire()
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2])
        wire.append(1, ["a"])
        wire.cutOff([1, 2])
        // Each leads alone for a while, turn by turn, and writes what the other never sees.
        wire.elect(1, epoch: 2, partitionEpoch: 2, isr: [1], replicas: [1, 2], tell: [1])
        wire.append(1, ["b1"])
        wire.append(1, ["b2"])
        wire.elect(2, epoch: 3, partitionEpoch: 3, isr: [2], replicas: [1, 2], tell: [2])
        wire.append(2, ["c1"])
        wire.elect(1, epoch: 4, partitionEpoch: 4, isr: [1], replicas: [1, 2], tell: [1])
        wire.append(1, ["d1"])
        wire.elect(2, epoch: 5, partitionEpoch: 5, isr: [2], replicas: [1, 2], tell: [2])
        wire.append(2, ["e1"])
        #expect(wire.values(1) == ["a", "b1", "b2", "d1"])
        #expect(wire.values(2) == ["a", "c1", "e1"])
        wire.cutOff([])
        wire.elect(2, epoch: 6, partitionEpoch: 6, isr: [2], replicas: [1, 2])
        #expect(wire.values(1) == ["a", "c1", "e1"])
        wire.append(2, ["f"])
        #expect(wire.values(1) == wire.values(2))
        #expect(wire.log(1)?.latestEpoch == 6)
    }

    /// A leader that was elected and wrote nothing has an epoch that begins at its end. A shorter
    /// epoch elsewhere must not make it ask the same question for ever.
    @Test func anEpochWithoutRecordsIsForgotten() throws {
        let wire = try wire()
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2])
        wire.append(1, ["a"])
        wire.cutOff([1, 2])
        wire.elect(1, epoch: 3, partitionEpoch: 3, isr: [1], replicas: [1, 2], tell: [1])
        #expect(wire.log(1)?.latestEpoch == 3)
        wire.cutOff([])
        // The new leader never saw epoch 3, and its own is 4.
        wire.elect(2, epoch: 4, partitionEpoch: 4, isr: [2], replicas: [1, 2])
        wire.append(2, ["b"])
        #expect(wire.values(1) == ["a", "b"])
        #expect(wire.values(2) == ["a", "b"])
    }

    /// An unclean election: what was committed elsewhere is gone, which is said aloud.
    @Test func truncationBelowTheHighWatermarkIsSaid() throws {
        let wire = try wire(3)
        let third = wire.nodes.removeValue(forKey: 3)
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2, 3])
        wire.append(1, ["a"])
        wire.append(1, ["b"])
        wire.step(1, after: .milliseconds(500))
        #expect(wire.highWatermark(2) == 2)
        wire.nodes[1] = nil
        wire.nodes[3] = third
        wire.outside = []
        wire.elect(3, epoch: 2, partitionEpoch: 2, isr: [3], replicas: [1, 2, 3])
        wire.append(3, ["x"])
        #expect(wire.values(2) == ["x"])
        #expect(wire.highWatermark(2) ?? 9 <= 1)
        let said = wire.outside.contains { item in
            if case .warning(_, .truncatedBelowHighWatermark(offset: 0, highWatermark: 2)) =
                item.effect
            {
                true
            } else {
                false
            }
        }
        #expect(said)
    }

    /// The leader's log was cut at the front by retention or DeleteRecords beyond the follower's
    /// end: it begins anew there.
    @Test func aFollowerThatFellOffTheFront() throws {
        let wire = try wire()
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1], replicas: [1, 2], tell: [1])
        for index in 0..<5 { wire.append(1, ["r\(index)"]) }
        let token = RequestToken(low: 1)
        wire.step(1) {
            $0.deleteRecords(
                DeleteRecordsRequest(
                    topics: [.init(name: "t", partitions: [.init(partitionIndex: 0, offset: 3)])],
                    timeoutMs: 10_000),
                token: token)
        }
        wire.elect(1, epoch: 1, partitionEpoch: 1, isr: [1], replicas: [1, 2], tell: [2])
        #expect(wire.values(2) == ["r3", "r4"])
        #expect(wire.log(2)?.logStartOffset == 3)
        let deleted = wire.outside.contains { item in
            if case .deletedRecords(token, _) = item.effect { true } else { false }
        }
        #expect(deleted)
    }

    @Test func aDeletedAndRemadeTopicIsAnother() throws {
        let wire = try wire()
        wire.elect(1, epoch: 9, partitionEpoch: 9, isr: [1, 2], replicas: [1, 2])
        wire.append(1, ["old"])
        let id = KafkaUUID(high: 8, low: 8)
        for node in wire.nodes.values { node.topics.topics = [("t", id, 1)] }
        let metadata = PartitionMetadata(
            leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1, 2], isr: [1, 2])
        for node in [Int32(1), 2] {
            // The files of the old one are gone in this simulation once they are deleted.
            wire.step(node) {
                $0.unassign(topicId: topicA, partition: 0, deletesLog: true)
            }
        }
        #expect(wire.nodes[1]?.logs.deleted == [TopicPartition("t", 0)])
        for node in [Int32(1), 2] {
            wire.step(node) { $0.assign(topic: "t", topicId: id, partition: 0, metadata) }
        }
        #expect(wire.nodes[1]?.manager.replica(topicA, 0) == nil)
        #expect(wire.nodes[1]?.manager.replica(id, 0)?.isLeader == true)
    }
}
