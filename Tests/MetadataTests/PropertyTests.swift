import KafkaWire
import Metadata
import Testing
import Timing

/// Random lives of a cluster.
@Suite struct PropertyTests {
    @Test(arguments: 0..<24)
    func randomLives(seed: UInt64) {
        run(seed: seed, events: 250, elr: seed % 2 == 0)
    }

    private func run(seed: UInt64, events: Int, elr: Bool) {
        var random = TestRandom(seed)
        let lab = Lab(elr: elr, seed: seed) { config in
            config.leaderBalanceInterval = .seconds(5)
            config.uncleanElectionInterval = .seconds(7)
        }
        let racks = ["west", "middle", "east"]
        lab.start(1...5) { racks[Int($0) % 3] }
        var beating: Set<Int32> = [1, 2, 3, 4, 5]
        var topics = 0
        var before = lab.image
        for _ in 0..<events {
            lab.commits = Int.random(in: 0..<4, using: &random) != 0
            let names = lab.image.topicNames
            let topic = names.randomElement(using: &random) ?? "none"
            let count = lab.image.topic(named: topic)?.partitionCount ?? 1
            let index = Int32.random(in: 0..<Int32(max(count, 1)), using: &random)
            let broker = Int32.random(in: 1...5, using: &random)
            switch Int.random(in: 0..<16, using: &random) {
            case 0...3:
                lab.now = lab.now + .milliseconds(Int64.random(in: 1...400, using: &random))
                for id in beating.sorted() { _ = lab.send(.brokerHeartbeat(heartbeat(lab, id))) }
                lab.step(.tick)
            case 4: beating.remove(broker)
            case 5:
                if beating.insert(broker).inserted, Bool.random(using: &random) {
                    let previous =
                        Bool.random(using: &random) ? lab.image.brokers[broker]?.epoch ?? -1 : -1
                    _ = lab.send(
                        .brokerRegistration(
                            lab.registration(
                                broker, rack: racks[Int(broker) % 3], previousEpoch: previous)))
                }
            case 6: lab.step(.brokerConnectionLost(broker))
            case 7:
                topics += 1
                _ = lab.send(
                    .createTopics(
                        .init(topics: [
                            .init(
                                name: "t\(topics)",
                                numPartitions: Int32.random(in: 1...6, using: &random),
                                replicationFactor: Int16.random(in: 1...4, using: &random),
                                configs: [
                                    .init(
                                        name: "min.insync.replicas",
                                        value: String(Int.random(in: 1...3, using: &random))),
                                    .init(
                                        name: "unclean.leader.election.enable",
                                        value: String(Int.random(in: 0..<5, using: &random) == 0)),
                                ])
                        ])))
            case 8:
                if names.count > 6 { _ = lab.send(.deleteTopics(.init(topicNames: [topic]))) }
            case 9...11: _ = alterIsr(lab, topic, index, &random)
            case 12:
                let target = Array(
                    [1, 2, 3, 4, 5].shuffled(using: &random).prefix(
                        Int.random(in: 1...3, using: &random)))
                _ = lab.send(
                    .alterPartitionReassignments(
                        .init(topics: [
                            .init(
                                name: topic,
                                partitions: [
                                    .init(
                                        partitionIndex: index,
                                        replicas: Bool.random(using: &random)
                                            ? target.map { Int32($0) } : nil)
                                ])
                        ])))
            case 13:
                _ = lab.send(
                    .electLeaders(
                        .init(
                            electionType: Bool.random(using: &random) ? 0 : 1,
                            topicPartitions: [.init(topic: topic, partitions: [index])])))
            case 14:
                _ = lab.send(
                    .createPartitions(
                        .init(topics: [
                            .init(name: topic, count: Int32(count) + 1, assignments: nil)
                        ])))
            default:
                if Int.random(in: 0..<4, using: &random) == 0 {
                    failOver(lab)
                    before = lab.image
                } else {
                    lab.setConfigLater(
                        .topic(topic), "min.insync.replicas",
                        String(Int.random(in: 1...3, using: &random)))
                }
            }
            #expect(lab.resignations.isEmpty)
            #expect(lab.follower.image == lab.image)
            Lab.check(lab.image, after: before)
            before = lab.image
        }
        // An image from its own snapshot is the same image.
        var copy = MetadataImage(limits: lab.config.limits)
        var changes: [MetadataChange] = []
        lab.image.forEachSnapshotRecord { record in
            #expect(throws: Never.self) { try copy.apply(record, into: &changes) }
        }
        #expect(copy == lab.image)
        // Once everybody is there and answers, everything has a leader from its ISR again.
        lab.commits = true
        lab.step(.highWatermark(lab.end))
        lab.setConfig(.everyBroker, "unclean.leader.election.enable", "true")
        for _ in 0..<8 {
            lab.now = lab.now + .milliseconds(250)
            for id: Int32 in 1...5 { lab.beat(id) }
        }
        for topic in lab.image.topics where topic.partitions.contains(where: { $0?.leader == -1 }) {
            // Only a topic that forbids an unclean election may still wait, for a broker that lost
            // what it had.
            #expect(
                lab.image.config(.topic(topic.name), "unclean.leader.election.enable") == "false")
        }
    }

    private func heartbeat(_ lab: Lab, _ id: Int32) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest(
            brokerId: id, brokerEpoch: lab.image.brokers[id]?.epoch ?? -1,
            currentMetadataOffset: lab.end - 1)
    }

    private func alterIsr(
        _ lab: Lab, _ topic: String, _ index: Int32, _ random: inout TestRandom
    ) -> ControllerToken? {
        let partition = lab.partition(topic, index)
        guard partition.leader >= 0, let id = lab.image.topicId(named: topic) else { return nil }
        let isr =
            [partition.leader]
            + partition.replicas.filter {
                $0 != partition.leader && Int.random(in: 0..<3, using: &random) > 0
            }
        return lab.send(
            .alterPartition(
                .init(
                    brokerId: partition.leader,
                    brokerEpoch: lab.image.brokers[partition.leader]?.epoch ?? -1,
                    topics: [
                        .init(
                            topicId: id,
                            partitions: [
                                .init(
                                    partitionIndex: index, leaderEpoch: partition.leaderEpoch,
                                    newIsrWithEpochs: isr.map {
                                        .init(
                                            brokerId: $0,
                                            brokerEpoch: lab.image.brokers[$0]?.epoch ?? -1)
                                    }, partitionEpoch: partition.partitionEpoch)
                            ])
                    ]), version: 3))
    }

    /// The leader loses what is not committed, and is elected anew.
    private func failOver(_ lab: Lab) {
        let committed = Int(lab.controller.highWatermark)
        lab.step(.resigned)
        #expect(lab.controller.nextOffset == Int64(committed))
        lab.log.removeSubrange(committed...)
        var replay = MetadataReplay(image: MetadataImage(limits: lab.config.limits))
        var changes: [MetadataChange] = []
        for (offset, record) in lab.log.enumerated() {
            #expect(throws: Never.self) {
                try replay.replay(
                    record.map { [$0] } ?? [], nextOffset: Int64(offset) + 1, into: &changes)
            }
        }
        // What was taken back step by step is what the committed log makes of nothing.
        #expect(replay.image == lab.image)
        lab.follower = replay
        lab.elect()
    }
}

extension Lab {
    func setConfigLater(_ resource: ConfigResource, _ name: String, _ value: String) {
        _ = send(
            .incrementalAlterConfigs(
                .init(resources: [
                    .init(
                        resourceType: resource.type, resourceName: resource.name,
                        configs: [.init(name: name, configOperation: 0, value: value)])
                ])))
    }
}
