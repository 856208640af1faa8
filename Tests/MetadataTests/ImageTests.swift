import KafkaWire
import Metadata
import Testing

@Suite struct ImageTests {
    private let a = KafkaUUID(high: 1, low: 1)
    private let b = KafkaUUID(high: 1, low: 2)

    private func image(_ records: [MetadataRecord]) throws -> MetadataImage {
        var image = MetadataImage()
        var changes: [MetadataChange] = []
        for record in records { try image.apply(record, into: &changes) }
        return image
    }

    private func error(_ records: [MetadataRecord]) -> MetadataError? {
        do { _ = try image(records) } catch { return error as? MetadataError }
        return nil
    }

    private var base: [MetadataRecord] {
        [
            .featureLevel(.init(name: "metadata.version", featureLevel: 25)),
            .registerBroker(
                .init(
                    brokerId: 1, incarnationId: a, brokerEpoch: 10, rack: "west", fenced: true,
                    logDirs: [b])),
            .topic(.init(name: "t", topicId: a)),
            .partition(
                .init(
                    partitionId: 0, topicId: a, replicas: [1, 2], isr: [1, 2], leader: 1,
                    leaderEpoch: 0, partitionEpoch: 0, directories: [b, b])),
            .config(.init(resourceType: 2, resourceName: "t", name: "retention.ms", value: "5")),
        ]
    }

    @Test func whatRecordsMake() throws {
        let image = try image(base)
        #expect(image.metadataVersion == MetadataVersion(level: 25))
        #expect(image.brokers[1]?.rack == "west")
        #expect(image.brokers[1]?.fenced == true)
        #expect(image.topicId(named: "t") == a)
        #expect(image.partition(a, 0)?.leader == 1)
        #expect(image.partition(a, 1) == nil)
        #expect(image.partition(a, -1) == nil)
        #expect(image.config(.topic("t"), "retention.ms") == "5")
        #expect(image.partitionCount == 1)
    }

    @Test func changesOfAPartition() throws {
        var records = base
        records.append(.partitionChange(.init(partitionId: 0, topicId: a, isr: [1])))
        var partition = try #require(try image(records).partition(a, 0))
        #expect(partition.isr == [1])
        #expect((partition.leaderEpoch, partition.partitionEpoch) == (0, 1))
        // The same leader named again is a new leader epoch.
        records.append(.partitionChange(.init(partitionId: 0, topicId: a, leader: 1)))
        partition = try #require(try image(records).partition(a, 0))
        #expect((partition.leader, partition.leaderEpoch, partition.partitionEpoch) == (1, 1, 2))
        records.append(
            .partitionChange(
                .init(
                    partitionId: 0, topicId: a, leader: -1, leaderRecoveryState: 1,
                    eligibleLeaderReplicas: [2], lastKnownElr: [1])))
        partition = try #require(try image(records).partition(a, 0))
        #expect(partition.leader == -1)
        #expect(partition.recovery == .recovering)
        #expect(partition.eligibleLeaderReplicas == [2])
        #expect(partition.lastKnownLeaderReplicas == [1])
        // Forgotten for one topic, or for all.
        for name in ["t", ""] {
            let cleared = try image(records + [.clearElr(.init(topicName: name))])
            #expect(cleared.partition(a, 0)?.eligibleLeaderReplicas == [])
            #expect(cleared.partition(a, 0)?.partitionEpoch == 4)
        }
    }

    @Test func brokersChange() throws {
        var records = base
        records.append(.brokerRegistrationChange(.init(brokerId: 1, brokerEpoch: 10, fenced: -1)))
        #expect(try image(records).isActive(1))
        records.append(
            .brokerRegistrationChange(.init(brokerId: 1, brokerEpoch: 10, inControlledShutdown: 1)))
        #expect(try !image(records).isActive(1))
        #expect(try image(records).brokers[1]?.fenced == false)
        #expect(
            try image(records + [.fenceBroker(.init(id: 1, epoch: 10))]).brokers[1]?.fenced == true)
        #expect(
            try image(records + [.unregisterBroker(.init(brokerId: 1, brokerEpoch: 10))])
                .brokers.isEmpty)
    }

    @Test func whatCannotBe() {
        let id = KafkaUUID(high: 5, low: 5)
        let table: [(MetadataRecord, MetadataError)] = [
            (.topic(.init(name: "t", topicId: id)), .duplicateTopic("t")),
            (.topic(.init(name: "u", topicId: a)), .duplicateTopic("u")),
            (.removeTopic(.init(topicId: id)), .unknownTopic(id)),
            (.partition(.init(partitionId: 0, topicId: id)), .unknownTopic(id)),
            (.partition(.init(partitionId: -1, topicId: a)), .badValue("partition -1")),
            (
                .partition(.init(partitionId: .max, topicId: a)),
                .tooMany("partitions of a topic", limit: 100_000)
            ),
            (
                .partition(
                    .init(partitionId: 1, topicId: a, replicas: Array(repeating: 1, count: 65))),
                .tooMany("replicas of a partition", limit: 64)
            ),
            (
                .partition(.init(partitionId: 1, topicId: a, leaderRecoveryState: 9)),
                .badValue("leader recovery state 9")
            ),
            (
                .partition(.init(partitionId: 1, topicId: a, replicas: [1, 2], directories: [b])),
                .badValue("1 directories for 2 replicas")
            ),
            (.partitionChange(.init(partitionId: 7, topicId: a)), .unknownPartition(a, 7)),
            (
                .unregisterBroker(.init(brokerId: 1, brokerEpoch: 9)), .unknownBroker(1, epoch: 9)
            ),
            (.fenceBroker(.init(id: 2, epoch: 9)), .unknownBroker(2, epoch: 9)),
            (
                .brokerRegistrationChange(.init(brokerId: 1, brokerEpoch: 10, fenced: 2)),
                .badValue("change of broker 1: fenced 2, shutdown 0")
            ),
            (
                .registerBroker(.init(isMigratingZkBroker: true)),
                .unsupportedRecord("a broker with ZooKeeper")
            ),
            (
                .zkMigrationState(.init(zkMigrationState: 2)),
                .unsupportedRecord("ZkMigrationStateRecord 2")
            ),
            (.endTransaction(.init()), .transaction("its records have no place in an image")),
            (.clearElr(.init(topicName: "u")), .badValue("topic u does not exist")),
        ]
        for (record, expected) in table { #expect(error(base + [record]) == expected) }
        let ids = MetadataRecord.producerIds(.init(nextProducerId: 1_000))
        #expect(
            error(base + [ids, ids]) == .badValue("next producer id 1000 after 1000"))
    }

    /// Records of one topic may come in any order of partitions (Kafka writes them in that of a
    /// hash table).
    @Test func partitionsInAnyOrder() throws {
        var records: [MetadataRecord] = [.topic(.init(name: "t", topicId: a))]
        for index: Int32 in [3, 0, 2, 1] {
            records.append(
                .partition(
                    .init(partitionId: index, topicId: a, replicas: [index], leader: index)))
        }
        let image = try image(records)
        #expect(image.partitionCount == 4)
        #expect((0..<4).map { image.partition(a, $0)?.leader } == [0, 1, 2, 3])
    }

    @Test func collisions() throws {
        var image = try image([
            .topic(.init(name: "a.b", topicId: a)), .topic(.init(name: "plain", topicId: b)),
        ])
        #expect(image.collision(with: "a_b") == "a.b")
        #expect(image.collision(with: "a.c") == nil)
        #expect(image.collision(with: "plain") == nil)
        var changes: [MetadataChange] = []
        try image.apply(.removeTopic(.init(topicId: a)), into: &changes)
        #expect(image.collision(with: "a_b") == nil)
    }

    @Test func everyRecordCanBeTakenBack() throws {
        let id = RecordTests.id
        let setup: [MetadataRecord] = [
            .topic(.init(name: "orders", topicId: id)),
            .partition(
                .init(
                    partitionId: 0, topicId: id, replicas: [1], leader: 1,
                    eligibleLeaderReplicas: [1])),
            .partition(.init(partitionId: 4, topicId: id, replicas: [1], leader: 1)),
            .config(.init(resourceType: 2, resourceName: "orders", name: "a", value: "x")),
            .registerBroker(.init(brokerId: 3, incarnationId: id, brokerEpoch: 17)),
            .featureLevel(.init(name: "metadata.version", featureLevel: 22)),
            .topic(.init(name: "other", topicId: a)),
        ]
        var image = try image(setup)
        let start = image
        for record in RecordTests.every + [.topic(.init(name: "n", topicId: b))] {
            var changes: [MetadataChange] = []
            do throws(MetadataError) {
                try image.apply(record, into: &changes)
            } catch {
                #expect(changes.isEmpty)
                #expect(image == start)
                continue
            }
            for change in changes.reversed() { image.revert(change) }
            #expect(image == start, "\(record)")
        }
    }

    @Test func snapshotIsTheImage() throws {
        var records = base
        records += RecordTests.every.filter {
            switch $0 {
            case .registerController, .producerIds, .clientQuota, .accessControlEntry,
                .userScramCredential, .delegationToken:
                true
            default: false
            }
        }
        let image = try image(records)
        #expect(image.keptRecords.count == 4)
        #expect(try self.image(image.snapshotRecords()) == image)
        // The level comes first: all that follows is read by it.
        guard case .featureLevel(let level)? = image.snapshotRecords().first else {
            Issue.record("first record")
            return
        }
        #expect(level.name == "metadata.version")
    }

    // MARK: - Transactions

    @Test func transactionsAreAllOrNothing() throws {
        var replay = MetadataReplay()
        var changes: [MetadataChange] = []
        try replay.replay([.beginTransaction(.init())], nextOffset: 1, into: &changes)
        try replay.replay([.topic(.init(name: "t", topicId: a))], nextOffset: 2, into: &changes)
        #expect(replay.image.isEmpty)
        #expect(replay.transactionStart == 0)
        #expect(throws: MetadataError.self) {
            var again = replay
            try again.replay(.beginTransaction(.init()), into: &changes)
        }
        var aborted = replay
        try aborted.replay([.abortTransaction(.init())], nextOffset: 3, into: &changes)
        #expect(aborted.image.isEmpty)
        #expect(aborted.transactionStart == nil)
        try replay.replay([.endTransaction(.init())], nextOffset: 3, into: &changes)
        #expect(replay.image.topicCount == 1)
        #expect(replay.nextOffset == 3)
        for record in [
            MetadataRecord.endTransaction(.init()), .abortTransaction(.init()),
        ] {
            #expect(throws: MetadataError.self) { try replay.replay(record, into: &changes) }
        }
    }

    // MARK: - Deltas

    @Test func deltaTellsABrokerWhatToDo() throws {
        var image = try image(base)
        let before = image
        var changes: [MetadataChange] = []
        let news: [MetadataRecord] = [
            .partitionChange(.init(partitionId: 0, topicId: a, leader: 2)),
            .topic(.init(name: "u", topicId: b)),
            .partition(.init(partitionId: 0, topicId: b, replicas: [2, 3], isr: [2], leader: 2)),
            .partitionChange(.init(partitionId: 0, topicId: a, isr: [2])),
            .config(.init(resourceType: 2, resourceName: "u", name: "retention.ms", value: "1")),
            .brokerRegistrationChange(.init(brokerId: 1, brokerEpoch: 10, fenced: -1)),
        ]
        for record in news { try image.apply(record, into: &changes) }
        for delta in [
            MetadataDelta(changes, image: image), MetadataDelta(from: before, to: image),
        ] {
            #expect(delta.createdTopics == [b])
            #expect(delta.brokers == [1])
            #expect(delta.configs == [.topic("u")])
            #expect(delta.partitions.map(\.key) == [.init(a, 0), .init(b, 0)])
            #expect(delta.partitions.first?.before?.leader == 1)
            #expect(delta.partitions.first?.after?.isr == [2])
            let one = delta.localChanges(of: 1)
            #expect(one.following.map(\.topic) == ["t"])
            #expect(one.leading.isEmpty)
            let two = delta.localChanges(of: 2)
            #expect(two.leading.map(\.topic) == ["t", "u"])
            #expect(delta.localChanges(of: 3).following.map(\.topic) == ["u"])
        }
        // Gone: the topic, and a replica.
        let held = image
        changes = []
        try image.apply(.removeTopic(.init(topicId: a)), into: &changes)
        try image.apply(
            .partitionChange(.init(partitionId: 0, topicId: b, replicas: [2])), into: &changes)
        // Came and went: nobody need hear of it.
        let c = KafkaUUID(high: 1, low: 3)
        try image.apply(.topic(.init(name: "brief", topicId: c)), into: &changes)
        try image.apply(
            .partition(.init(partitionId: 0, topicId: c, replicas: [2], leader: 2)), into: &changes)
        try image.apply(.removeTopic(.init(topicId: c)), into: &changes)
        for delta in [MetadataDelta(changes, image: image), MetadataDelta(from: held, to: image)] {
            #expect(delta.removedTopics.map(\.name) == ["t"])
            #expect(delta.createdTopics.isEmpty)
            #expect(delta.localChanges(of: 1).removed.map(\.topic) == ["t"])
            #expect(delta.localChanges(of: 3).removed.map(\.after?.replicas) == [[2]])
            #expect(delta.localChanges(of: 2).leading.map(\.topic) == ["u"])
        }
        #expect(MetadataDelta(from: image, to: image).isEmpty)
    }
}
