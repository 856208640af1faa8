import KafkaWire
import Metadata
import Testing
import Timing

/// Where replicas live, what of it is lost, and what a broker that comes back may be believed.
@Suite struct DirectoryTests {
    @Test func aDirectoryIsLost() {
        let lab = Lab()
        lab.start(1...2)
        let second = KafkaUUID(high: 8, low: 8)
        var request = lab.registration(3)
        request.logDirs.append(second)
        lab.register(request)
        lab.beat(3)
        lab.create("t", assignments: [[3, 1], [3, 2]])
        #expect(lab.partition("t", 0).directories == [DirectoryId.unassigned, Lab.directory(1)])
        func assign(_ partition: Int32, _ directory: KafkaUUID, _ broker: Int32 = 3) -> ErrorCode {
            lab.assign("t", [partition], to: directory, of: broker).first ?? .unknownServerError
        }
        #expect(assign(0, Lab.directory(3)) == .none)
        #expect(assign(1, second) == .none)
        #expect(assign(7, second) == .unknownTopicOrPartition)
        #expect(assign(1, Lab.directory(1), 1) == .notLeaderOrFollower)
        #expect(lab.partition("t", 1).directories == [second, Lab.directory(2)])
        let epochs = lab.partition("t", 0).leaderEpoch
        lab.beat(3, offline: [second, KafkaUUID(high: 1, low: 1_234)])
        #expect(lab.image.brokers[3]?.directories == [Lab.directory(3)])
        #expect(lab.partition("t", 1).leader == 2)
        #expect(lab.partition("t", 0).leader == 3)
        #expect(lab.partition("t", 0).leaderEpoch == epochs)
        // The same news again is no news.
        let end = lab.end
        lab.beat(3, offline: [second])
        #expect(lab.end == end)
        // Told to be where nothing is: out of the ISR.
        #expect(assign(0, second) == .none)
        #expect(lab.partition("t", 0).leader == 1)
    }

    @Test func theOnlyDirectoryIsLost() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[3, 1]])
        lab.create("alone", assignments: [[3]])
        lab.notices = []
        let answer = lab.beat(3, offline: [Lab.directory(3)])
        #expect(answer.errorCode == .none)
        #expect(answer.isFenced)
        #expect(lab.image.brokers[3]?.fenced == true)
        #expect(lab.partition("t").leader == 1)
        #expect(lab.partition("alone").leader == LeaderId.none)
        #expect(lab.notices.contains(.directoriesOffline(3, [Lab.directory(3)])))
        // It is not let in as long as it says so, and it is not told again and again.
        lab.notices = []
        let end = lab.end
        #expect(lab.beat(3, offline: [Lab.directory(3)]).isFenced)
        #expect(lab.end == end)
        #expect(lab.notices == [])
        #expect(!lab.beat(3).isFenced)
    }

    /// Disk 3 was replaced while everything was down; the broker that led last was on it.
    @Test func aDirectoryIsReplaced() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[3, 1]])
        lab.create("alone", assignments: [[3]])
        // 1 leaves the ISR, then 3 ends without order: only the last leader is known.
        lab.alterIsr("t", 0, to: [3])
        lab.silence(3, others: 1...2)
        let fresh = KafkaUUID(high: 8, low: 8)
        var request = lab.registration(3)
        request.logDirs = [fresh]
        lab.register(request)
        #expect(lab.partition("t").lastKnownLeaderReplicas == [3])
        lab.beat(3)
        // Let in, and not known to be where the partitions were.
        #expect(lab.image.brokers[3]?.fenced == false)
        #expect(lab.partition("t").leader == LeaderId.none)
        #expect(lab.partition("alone").leader == LeaderId.none)
        lab.assign("t", [0], to: fresh, of: 3)
        lab.assign("alone", [0], to: fresh, of: 3)
        // Nothing would be left of the one that another has, too; of the other nothing is anyway.
        #expect(lab.partition("t").leader == LeaderId.none)
        #expect(lab.partition("t").lastKnownLeaderReplicas == [])
        #expect(lab.partition("alone").leader == 3)
        #expect(lab.partition("alone").directories == [fresh])
        lab.silence(2, others: 1...3)
        lab.beat(2)
        #expect(lab.partition("t").leader == LeaderId.none)
    }

    /// The others led meanwhile: what was on the disk is fetched, and then the broker may lead.
    @Test func aReplacedDirectoryLeadsAgain() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[3, 1, 2]])
        let fresh = KafkaUUID(high: 8, low: 8)
        lab.silence(3, others: 1...2)
        #expect(lab.partition("t").leader == 1)
        var request = lab.registration(3)
        request.logDirs = [fresh]
        lab.register(request)
        lab.beat(3)
        #expect(lab.alterIsr("t", 0, to: [1, 2, 3]) == .none)
        let preferred = ElectLeadersRequest(
            electionType: 0, topicPartitions: [.init(topic: "t", partitions: [0])])
        lab.ask(.electLeaders(preferred))
        #expect(lab.partition("t").leader == 1)
        lab.assign("t", [0], to: fresh, of: 3)
        #expect(lab.partition("t").isr == [1, 2, 3])
        lab.ask(.electLeaders(preferred))
        #expect(lab.partition("t").leader == 3)
    }

    @Test func electionsSayWhatTheyWere() {
        let lab = Lab()
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]])
        lab.alterIsr("t", 0, to: [1])
        lab.silence(1, others: 2...2)
        lab.notices = []
        lab.register(lab.registration(1))
        lab.beat(1)
        #expect(lab.partition("t").leader == 1)
        let election = ControllerNotice.lastKnownLeader(topic: "t", partition: 0, leader: 1)
        #expect(lab.notices.contains(election))
        #expect("\(election)".contains("which it led last"))
        lab.silence(1, others: 2...2)
        lab.notices = []
        lab.ask(.electLeaders(.init(electionType: 1, topicPartitions: nil)))
        #expect(lab.partition("t").leader == 2)
        #expect(lab.notices.contains(.uncleanLeader(topic: "t", partition: 0, leader: 2)))
    }

    // MARK: - Ends that were in order, and others (KIP-966)

    @Test(arguments: [true, false])
    func onlyACleanEndKeepsTheElection(isClean: Bool) {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[1, 2, 3]], configs: ["min.insync.replicas": "2"])
        for id in [1, 2, 3] as [Int32] {
            lab.beat(id, wantShutDown: true)
            for other in [2, 3] as [Int32] where other > id { lab.beat(other) }
            #expect(lab.beat(id, wantShutDown: true).shouldShutDown)
        }
        #expect(lab.partition("t").leader == LeaderId.none)
        #expect(Set(lab.partition("t").eligibleLeaderReplicas) == [2, 3])
        let epoch = lab.image.brokers[2]?.epoch ?? -1
        lab.register(lab.registration(2, previousEpoch: isClean ? epoch : -1))
        #expect(lab.partition("t").eligibleLeaderReplicas.contains(2) == isClean)
        lab.beat(2)
        #expect(lab.partition("t").leader == (isClean ? 2 : LeaderId.none))
    }
}
