import KafkaWire
import Metadata
import Testing
import Timing

/// AlterPartition, ElectLeaders, reassignments.
@Suite struct LeaderTests {
    private func lab(elr: Bool = true, _ assignments: [[Int32]] = [[1, 2, 3]]) -> Lab {
        let lab = Lab(elr: elr)
        lab.start(1...5)
        lab.create("t", assignments: assignments)
        return lab
    }

    // MARK: - AlterPartition

    @Test func shrinkAndExpand() {
        let lab = lab()
        #expect(lab.alterIsr("t", to: [1, 3]) == .none)
        #expect(lab.partition("t").isr == [1, 3])
        #expect((lab.partition("t").leaderEpoch, lab.partition("t").partitionEpoch) == (0, 1))
        #expect(lab.alterIsr("t", to: [1, 2, 3]) == .none)
        // The same again changes nothing.
        let end = lab.end
        #expect(lab.alterIsr("t", to: [1, 2, 3]) == .none)
        #expect(lab.end == end)
    }

    @Test func answersTellTheState() {
        let lab = lab()
        let request = AlterPartitionRequest(
            brokerId: 1, brokerEpoch: lab.image.brokers[1]?.epoch ?? -1,
            topics: [
                .init(
                    topicId: lab.image.topicId(named: "t") ?? .zero,
                    partitions: [.init(partitionIndex: 0, leaderEpoch: 0, newIsr: [1, 2])])
            ])
        guard case .alterPartition(let response)? = lab.ask(.alterPartition(request, version: 2))
        else {
            Issue.record("no answer")
            return
        }
        let data = response.topics.first?.partitions.first
        #expect((data?.leaderId, data?.isr, data?.partitionEpoch) == (1, [1, 2], 1))
        #expect(data?.errorCode == ErrorCode.none)
    }

    @Test func whatIsRefused() {
        let lab = lab()
        lab.alterIsr("t", to: [1, 2])
        lab.beat(2, wantFence: true)
        lab.beat(3, wantFence: true)
        lab.beat(3)
        let p = lab.partition("t")
        func ask(
            _ isr: [Int32], leader: Int32 = 1, leaderEpoch: Int32? = nil,
            partitionEpoch: Int32? = nil, recovery: Int8 = 0, epochs: [Int32: Int64] = [:],
            topic: String = "t", index: Int32 = 0
        ) -> ErrorCode {
            lab.alterIsr(
                topic, index, to: isr, leader: leader, leaderEpoch: leaderEpoch ?? p.leaderEpoch,
                partitionEpoch: partitionEpoch ?? p.partitionEpoch, recovery: recovery,
                memberEpochs: epochs)
        }
        let end = lab.end
        #expect(ask([1], topic: "nope") == .unknownTopicId)
        #expect(ask([1], index: 4) == .unknownTopicOrPartition)
        #expect(ask([1], leaderEpoch: p.leaderEpoch + 1) == .notController)
        #expect(ask([1], partitionEpoch: p.partitionEpoch + 1) == .notController)
        #expect(ask([1], leaderEpoch: p.leaderEpoch - 1) == .fencedLeaderEpoch)
        #expect(ask([1], partitionEpoch: p.partitionEpoch - 1) == .invalidUpdateVersion)
        #expect(ask([3], leader: 3) == .invalidRequest)
        #expect(ask([1, 4]) == .invalidRequest)
        #expect(ask([1, 1]) == .invalidRequest)
        #expect(ask([3]) == .invalidRequest)
        #expect(ask([1], recovery: 1) == .invalidRequest)
        #expect(ask([1, 3], recovery: 1) == .invalidRequest)
        #expect(ask([1], recovery: 7) == .invalidRequest)
        // 2 is fenced; 3 has another epoch than the leader thinks.
        #expect(ask([1, 2]) == .ineligibleReplica)
        #expect(ask([1, 3], epochs: [3: 1]) == .ineligibleReplica)
        #expect(ask([1, 3], epochs: [3: -1]) == .none)
        #expect(lab.end == end + 1)
        let stale = AlterPartitionRequest(brokerId: 1, brokerEpoch: 0)
        #expect(
            lab.ask(.alterPartition(stale, version: 3))
                == .alterPartition(.init(errorCode: .staleBrokerEpoch)))
    }

    @Test func recoveryEnds() {
        let lab = lab(elr: false)
        lab.alterIsr("t", to: [1])
        lab.beat(1, wantFence: true)
        lab.setConfig(.topic("t"), "unclean.leader.election.enable", "true")
        #expect(lab.partition("t").recovery == .recovering)
        let p = lab.partition("t")
        #expect(
            lab.alterIsr(
                "t", to: [p.leader, 3], leader: p.leader, leaderEpoch: p.leaderEpoch,
                partitionEpoch: p.partitionEpoch, recovery: 1) == .invalidRequest)
        #expect(lab.alterIsr("t", to: [p.leader]) == .none)
        #expect(lab.partition("t").recovery == .recovered)
    }

    // MARK: - Elections

    private func elect(_ lab: Lab, _ type: Int8, _ partitions: [Int32]?) -> [ErrorCode] {
        let request = ElectLeadersRequest(
            electionType: type,
            topicPartitions: partitions.map { [.init(topic: "t", partitions: $0)] })
        guard case .electLeaders(let response)? = lab.ask(.electLeaders(request)) else { return [] }
        if response.errorCode != .none { return [response.errorCode] }
        return response.replicaElectionResults.flatMap { $0.partitionResult.map(\.errorCode) }
    }

    @Test func preferredLeaders() {
        let lab = lab([[1, 2, 3], [2, 3, 1], [4, 5, 1]])
        lab.beat(1, wantFence: true)
        lab.beat(1)
        #expect(lab.partition("t", 0).leader == 2)
        #expect(
            elect(lab, 0, [0, 1, 9]) == [
                .preferredLeaderNotAvailable, .electionNotNeeded, .unknownTopicOrPartition,
            ])
        lab.alterIsr("t", 0, to: [2, 3, 1])
        #expect(elect(lab, 0, [0, 0]) == [.none, .invalidRequest])
        #expect(lab.partition("t", 0).leader == 1)
        #expect(elect(lab, 0, nil) == [])
        #expect(elect(lab, 5, [0]) == [.invalidRequest])
    }

    @Test func uncleanLeadersWhenAskedFor() {
        let lab = lab(elr: false)
        #expect(elect(lab, 1, [0]) == [.electionNotNeeded])
        lab.alterIsr("t", to: [1])
        for id: Int32 in [1, 2, 3] { lab.beat(id, wantFence: true) }
        #expect(elect(lab, 1, [0]) == [.eligibleLeadersNotAvailable])
        lab.beat(3)
        #expect(lab.partition("t").leader == -1)
        // Asked for, it needs no configuration.
        #expect(elect(lab, 1, nil) == [.none])
        #expect((lab.partition("t").leader, lab.partition("t").recovery) == (3, .recovering))
    }

    @Test func leadershipIsGivenBackInTime() {
        let lab = Lab { $0.leaderBalanceInterval = .seconds(30) }
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]])
        lab.beat(1, wantFence: true)
        lab.beat(1)
        lab.alterIsr("t", to: [2, 1])
        #expect(lab.partition("t").leader == 2)
        for _ in 0..<119 {
            lab.pass(.milliseconds(250))
            lab.beat(1)
            lab.beat(2)
        }
        #expect(lab.partition("t").leader == 2)
        lab.pass(.milliseconds(250))
        #expect(lab.partition("t").leader == 1)
    }

    // MARK: - Brokers that come and go

    @Test func allClustersDieAndComeBack() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[1, 2, 3]], configs: ["min.insync.replicas": "2"])
        for id: Int32 in [1, 2, 3] { lab.beat(id, wantFence: true) }
        #expect(lab.partition("t").leader == -1)
        #expect(lab.partition("t").isr == [])
        #expect(Set(lab.partition("t").eligibleLeaderReplicas) == [2, 3])
        // 1 left first, while enough were in sync to go on without it: it does not lead.
        lab.beat(1)
        #expect(lab.partition("t").leader == -1)
        lab.beat(2)
        #expect((lab.partition("t").leader, lab.partition("t").isr) == (2, [2]))
    }

    @Test func whatIsCounted() {
        let lab = lab([[1, 2, 3], [2, 3, 1], [4, 5, 1]])
        lab.beat(1, wantFence: true)
        lab.beat(4, wantFence: true)
        lab.beat(5, wantFence: true)
        _ = reassign(lab, to: [3, 2], index: 1)
        var expected = MetadataStatistics()
        expected.topics = 1
        expected.partitions = 3
        expected.activeBrokers = 2
        expected.fencedBrokers = 3
        expected.offlinePartitions = 1
        expected.underReplicated = 2
        expected.imbalanced = 3
        #expect(lab.image.statistics == expected)
        #expect(lab.image.liveBrokers(listener: "PLAINTEXT").map(\.id) == [2, 3])
        #expect(lab.image.liveBrokers(listener: "PLAINTEXT").first?.endpoint.host == "broker-2")
        #expect(lab.image.liveBrokers(listener: "OTHER").isEmpty)
    }

    // MARK: - Reassignments

    private func reassign(
        _ lab: Lab, to replicas: [Int32]?, index: Int32 = 0, topic: String = "t",
        mayChangeFactor: Bool = true
    ) -> ErrorCode? {
        let request = AlterPartitionReassignmentsRequest(
            allowReplicationFactorChange: mayChangeFactor,
            topics: [
                .init(
                    name: topic, partitions: [.init(partitionIndex: index, replicas: replicas)])
            ])
        guard
            case .alterPartitionReassignments(let response)? = lab.ask(
                .alterPartitionReassignments(request))
        else { return nil }
        return response.responses.first?.partitions.first?.errorCode ?? response.errorCode
    }

    private func ongoing(_ lab: Lab, _ names: [String]? = nil) -> [String] {
        let request = ListPartitionReassignmentsRequest(
            topics: names.map { $0.map { .init(name: $0, partitionIndexes: [0, 1, 7]) } })
        guard
            case .listPartitionReassignments(let response)? = lab.ask(
                .listPartitionReassignments(request))
        else { return [] }
        return response.topics.flatMap { topic in
            topic.partitions.map {
                "\(topic.name)-\($0.partitionIndex) \($0.replicas) +\($0.addingReplicas)"
                    + " -\($0.removingReplicas)"
            }
        }
    }

    @Test func movedToOthers() {
        let lab = lab([[1, 2, 3], [1, 2, 3]])
        #expect(ongoing(lab) == [])
        #expect(reassign(lab, to: [4, 5, 3]) == ErrorCode.none)
        let expected = ["t-0 [4, 5, 3, 1, 2] +[4, 5] -[1, 2]"]
        #expect(ongoing(lab) == expected)
        #expect(ongoing(lab, ["t", "nope"]) == expected)
        #expect(lab.alterIsr("t", to: [1, 2, 3, 4]) == .none)
        // The last one in completes it; the leader that asked is not a replica any more.
        #expect(lab.alterIsr("t", to: [1, 2, 3, 4, 5]) == .newLeaderElected)
        #expect(lab.partition("t").replicas == [4, 5, 3])
        #expect(lab.partition("t").isr == [3, 4, 5])
        #expect(lab.partition("t").leader == 4)
        #expect(ongoing(lab) == [])
        #expect(lab.partition("t").directories == [4, 5, 3].map(Lab.directory))
    }

    @Test func cancelled() {
        let lab = lab()
        #expect(reassign(lab, to: nil) == .noReassignmentInProgress)
        reassign(lab, to: [4, 5]).map { #expect($0 == ErrorCode.none) }
        lab.alterIsr("t", to: [1, 2, 3, 4])
        #expect(reassign(lab, to: nil) == ErrorCode.none)
        #expect((lab.partition("t").replicas, lab.partition("t").isr) == ([1, 2, 3], [1, 2, 3]))
        #expect(!lab.partition("t").isReassigning)
        #expect(lab.partition("t").leaderEpoch == 1)
    }

    @Test func cancellingMayNotLoseRecords() {
        let lab = lab(elr: false)
        reassign(lab, to: [4, 5]).map { #expect($0 == ErrorCode.none) }
        lab.alterIsr("t", to: [1, 2, 3, 4])
        for id: Int32 in 1...3 { lab.beat(id, wantFence: true) }
        #expect((lab.partition("t").leader, lab.partition("t").isr) == (4, [4]))
        #expect(reassign(lab, to: nil) == .invalidReplicaAssignment)
        lab.setConfig(.topic("t"), "unclean.leader.election.enable", "true")
        lab.beat(2)
        #expect(reassign(lab, to: nil) == ErrorCode.none)
        #expect(lab.partition("t").replicas == [1, 2, 3])
        #expect(lab.partition("t").leader == 2)
    }

    @Test func whatCannotBeMoved() {
        let lab = lab()
        #expect(reassign(lab, to: [4], topic: "nope") == .unknownTopicOrPartition)
        #expect(reassign(lab, to: [4], index: 3) == .unknownTopicOrPartition)
        #expect(reassign(lab, to: []) == .invalidReplicaAssignment)
        #expect(reassign(lab, to: [9]) == .invalidReplicaAssignment)
        #expect(reassign(lab, to: [4, 4]) == .invalidReplicaAssignment)
        #expect(
            reassign(lab, to: [4, 5], mayChangeFactor: false) == .invalidReplicationFactor)
        #expect(reassign(lab, to: [3, 2, 1], mayChangeFactor: false) == ErrorCode.none)
        // A mere change of order is done at once; the leader stays until it is given back.
        #expect(lab.partition("t").replicas == [3, 2, 1])
        #expect(lab.partition("t").leader == 1)
    }
}
