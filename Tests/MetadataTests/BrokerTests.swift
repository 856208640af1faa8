import KafkaWire
import Metadata
import Testing
import Timing

@Suite struct BrokerTests {
    // MARK: - Registration

    @Test func theEpochIsTheOffset() {
        let lab = Lab()
        let before = lab.end
        let response = lab.register(lab.registration(7, rack: "west"))
        #expect(response.errorCode == .none)
        #expect(response.brokerEpoch == before)
        #expect(lab.image.brokers[7]?.fenced == true)
        #expect(lab.image.brokers[7]?.rack == "west")
        #expect(lab.notices == [.brokerRegistered(7, epoch: before, rack: "west")])
    }

    @Test func whatIsRefused() {
        let lab = Lab()
        lab.start(1...1)
        func code(_ adjust: (inout BrokerRegistrationRequest) -> Void) -> ErrorCode {
            var request = lab.registration(2)
            adjust(&request)
            return lab.register(request).errorCode
        }
        let directory = KafkaUUID(high: 3, low: 3)
        #expect(code { $0.clusterId = "another" } == .inconsistentClusterId)
        #expect(code { $0.brokerId = 1 } == .duplicateBrokerRegistration)
        #expect(code { $0.isMigratingZkBroker = true } == .brokerIdNotRegistered)
        #expect(code { $0.logDirs = [] } == .invalidRegistration)
        #expect(code { $0.logDirs = [directory, directory] } == .invalidRegistration)
        #expect(code { $0.logDirs = [DirectoryId.lost] } == .invalidRegistration)
        #expect(code { $0.logDirs = [Lab.directory(1)] } == .invalidRegistration)
        #expect(code { $0.brokerId = -1 } == .invalidRegistration)
        #expect(
            code { $0.rack = String(repeating: "r", count: 256) } == .invalidRegistration)
        #expect(
            code { $0.features[1].maxSupportedVersion = 24 } == .unsupportedVersion)
        #expect(code { $0.features = [] } == .unsupportedVersion)
        // The cluster uses a feature that the broker does not mention.
        #expect(code { $0.features.removeFirst() } == .unsupportedVersion)
        #expect(lab.image.brokers.count == 1)
        #expect(code { _ in } == .none)
    }

    @Test func theSameIncarnationMayComeAgain() {
        let lab = Lab()
        let id = KafkaUUID(high: 4, low: 4)
        let first = lab.register(lab.registration(1, incarnation: id))
        lab.beat(1)
        var again = lab.registration(1, incarnation: id)
        again.rack = "moved"
        let second = lab.register(again)
        #expect(second.brokerEpoch == first.brokerEpoch)
        #expect(lab.image.brokers[1]?.rack == "moved")
        #expect(lab.image.brokers[1]?.fenced == false)
    }

    @Test func anotherIncarnationWaitsForTheSessionToEnd() {
        let lab = Lab()
        lab.start(1...2)
        let epoch = lab.image.brokers[1]?.epoch ?? 0
        lab.pass(.milliseconds(1_400))
        #expect(lab.register(lab.registration(1)).errorCode == .duplicateBrokerRegistration)
        lab.beat(2)
        lab.pass(.milliseconds(100))
        #expect(lab.image.brokers[1]?.fenced == true)
        let response = lab.register(lab.registration(1))
        #expect(response.errorCode == .none)
        #expect(response.brokerEpoch > epoch)
    }

    /// After `kill -9` the kernel closes the connections, and what starts again is the same broker.
    @Test func whoseConnectionBrokeNeedNotWait() {
        let lab = Lab()
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]], configs: ["min.insync.replicas": "2"])
        let epoch = lab.image.brokers[1]?.epoch ?? 0
        lab.step(.brokerConnectionLost(1))
        let response = lab.register(lab.registration(1))
        #expect(response.errorCode == .none)
        #expect(response.brokerEpoch > epoch)
        #expect(lab.image.brokers[1]?.fenced == true)
        #expect(lab.notices.contains(.brokerFenced(1, .startedAgain)))
        // Its disk is not relied on, as after any end that was not in order.
        #expect(lab.partition("t").leader == 2)
        #expect(lab.partition("t").isr == [2])
        #expect(lab.partition("t").eligibleLeaderReplicas == [])
        #expect(lab.beat(1).isFenced == false)
    }

    @Test func whomANewControllerHasNotHeardOfNeedNotWait() {
        let lab = Lab()
        lab.start(1...3)
        lab.step(.resigned)
        lab.elect()
        // Nor has it of most others: it may have been all that ended.
        #expect(lab.register(lab.registration(1)).errorCode == .duplicateBrokerRegistration)
        lab.beat(2)
        #expect(lab.register(lab.registration(1)).errorCode == .duplicateBrokerRegistration)
        lab.beat(3)
        #expect(lab.register(lab.registration(1)).errorCode == .none)
        #expect(lab.register(lab.registration(2)).errorCode == .duplicateBrokerRegistration)
    }

    @Test func theOnlyBrokerNeedNotWait() {
        let lab = Lab()
        lab.start(1...1)
        lab.step(.resigned)
        lab.elect()
        #expect(lab.register(lab.registration(1)).errorCode == .none)
    }

    /// All have ended, and one does not come back: whichever it is, the others do not lose their
    /// place in favour of it by coming back soon.
    @Test(arguments: [1, 2, 3] as [Int32]) func whoComesBackFirstGivesWayToNobody(absent: Int32) {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[1, 2, 3]], configs: ["min.insync.replicas": "2"])
        lab.step(.resigned)
        lab.elect()
        for id: Int32 in 1...3 where id != absent {
            #expect(lab.register(lab.registration(id)).errorCode == .duplicateBrokerRegistration)
        }
        #expect(lab.partition("t").isr == [1, 2, 3])
        lab.pass(.milliseconds(800))
        for id: Int32 in 1...3 { #expect(lab.image.brokers[id]?.fenced == true) }
    }

    /// Whoever has another directory or is reached elsewhere is somebody else with that id.
    @Test func anotherBrokerWithTheIdWaits() {
        let lab = Lab()
        lab.start(1...2)
        lab.step(.brokerConnectionLost(1))
        var elsewhere = lab.registration(1)
        elsewhere.listeners[0].host = "twin"
        #expect(lab.register(elsewhere).errorCode == .duplicateBrokerRegistration)
        var other = lab.registration(1)
        other.logDirs = [Lab.directory(9)]
        #expect(lab.register(other).errorCode == .duplicateBrokerRegistration)
        // What is refused for another reason changes nothing either.
        var old = lab.registration(1)
        old.features = []
        #expect(lab.register(old).errorCode == .unsupportedVersion)
        #expect(lab.image.isActive(1))
        // It was but the connection.
        lab.beat(1)
        #expect(lab.register(lab.registration(1)).errorCode == .duplicateBrokerRegistration)
        #expect(lab.image.isActive(1))
    }

    /// A broker that comes back without having shut down in order is no longer relied on.
    @Test(arguments: [true, false])
    func whatANewIncarnationStillHas(clean: Bool) {
        let lab = Lab()
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]], configs: ["min.insync.replicas": "2"])
        let epoch = lab.image.brokers[2]?.epoch ?? -1
        lab.pass(.milliseconds(1_000))
        lab.beat(1)
        lab.pass(.milliseconds(500))
        #expect(lab.partition("t").isr == [1])
        #expect(lab.partition("t").eligibleLeaderReplicas == [2])
        lab.register(lab.registration(2, previousEpoch: clean ? epoch : -1))
        #expect(lab.partition("t").eligibleLeaderReplicas == (clean ? [2] : []))
    }

    // MARK: - Heartbeats

    @Test func unfencedWhenCaughtUp() {
        let lab = Lab()
        let epoch = lab.register(lab.registration(1)).brokerEpoch
        let behind = lab.beat(1, offset: epoch - 1)
        #expect((behind.isCaughtUp, behind.isFenced) == (false, true))
        let waiting = lab.beat(1, offset: epoch, wantFence: true)
        #expect((waiting.isCaughtUp, waiting.isFenced) == (true, true))
        let there = lab.beat(1, offset: epoch)
        #expect((there.isCaughtUp, there.isFenced) == (true, false))
        #expect(lab.image.isActive(1))
        let asked = lab.beat(1, wantFence: true)
        #expect(asked.isFenced)
        #expect(lab.notices.last == .brokerFenced(1, .asked))
    }

    @Test func staleEpochsAreRefused() {
        let lab = Lab()
        lab.register(lab.registration(1))
        let stale = BrokerHeartbeatRequest(brokerId: 1, brokerEpoch: 0, currentMetadataOffset: 99)
        #expect(
            lab.ask(.brokerHeartbeat(stale))
                == .brokerHeartbeat(.init(errorCode: .staleBrokerEpoch)))
        #expect(lab.beat(9).errorCode == .staleBrokerEpoch)
    }

    @Test func silenceEndsTheSession() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[1, 2, 3]])
        for _ in 0..<5 {
            lab.pass(.milliseconds(250))
            lab.beat(2)
            lab.beat(3)
        }
        #expect(lab.partition("t").leader == 1)
        let due = lab.controller.nextDeadline
        lab.pass(.milliseconds(249))
        #expect(lab.image.isActive(1))
        lab.pass(.milliseconds(1))
        #expect(lab.now == due)
        #expect(!lab.image.isActive(1))
        #expect(lab.notices.last == .brokerFenced(1, .silent(milliseconds: 1_500)))
        #expect(lab.partition("t").leader == 2)
        #expect(lab.partition("t").isr == [2, 3])
        // It was only slow: the next heartbeat brings it back, as a follower.
        #expect(lab.beat(1).isFenced == false)
        #expect(lab.partition("t").leader == 2)
    }

    @Test func aLostConnectionIsAHint() {
        let lab = Lab()
        lab.start(1...3)
        lab.step(.brokerConnectionLost(1))
        lab.pass(.milliseconds(300))
        // It was back in time.
        lab.beat(1)
        lab.pass(.milliseconds(500))
        #expect(lab.image.isActive(1))
        for id: Int32 in 1...3 { lab.beat(id) }
        lab.step(.brokerConnectionLost(1))
        lab.step(.brokerConnectionLost(1))
        lab.step(.brokerConnectionLost(9))
        lab.pass(.milliseconds(599))
        #expect(lab.image.isActive(1))
        lab.pass(.milliseconds(1))
        #expect(lab.image.brokers[1]?.fenced == true)
        #expect(lab.notices.last == .brokerFenced(1, .connectionLost(milliseconds: 600)))
        #expect(lab.image.isActive(2) && lab.image.isActive(3))
    }

    /// Where most connections break at once it is the controller that was cut off.
    @Test func manyLostConnectionsSayNothing() {
        let lab = Lab()
        lab.start(1...3)
        lab.step(.brokerConnectionLost(1))
        lab.step(.brokerConnectionLost(2))
        lab.pass(.milliseconds(700))
        #expect(lab.image.isActive(1) && lab.image.isActive(2))
        lab.beat(2)
        // One is left, and counts again.
        #expect(lab.image.brokers[1]?.fenced == true)
    }

    /// A controller that stood still (a paused process) has heartbeats waiting to be read.
    @Test func aStallIsNoSilence() {
        let lab = Lab()
        lab.start(1...2)
        lab.pass(.seconds(10))
        #expect(lab.image.isActive(1) && lab.image.isActive(2))
        #expect(lab.notices.contains(.stalled(milliseconds: 8_500)))
        lab.beat(1)
        lab.pass(.milliseconds(500))
        #expect(lab.image.isActive(1))
        #expect(!lab.image.isActive(2))
    }

    /// Under a new controller a broker that does not even say hello is fenced before a whole
    /// session is over: the node with the old leader died, most likely.
    @Test func afterAnElectionTheFirstHeartbeatIsDueSoon() {
        let lab = Lab()
        lab.start(1...3)
        lab.step(.resigned)
        lab.elect()
        lab.pass(.milliseconds(700))
        lab.beat(2)
        lab.pass(.milliseconds(99))
        #expect(lab.image.isActive(1))
        lab.pass(.milliseconds(1))
        #expect(!lab.image.isActive(1) && !lab.image.isActive(3))
        // One that was heard has a whole session.
        lab.pass(.milliseconds(1_399))
        #expect(lab.image.isActive(2))
        lab.pass(.milliseconds(1))
        #expect(!lab.image.isActive(2))
    }

    @Test func aDeadBrokerIsFoundWithinTwoSeconds() {
        let config = ControllerConfig(nodeId: 1, clusterId: "c", quorumIds: [1])
        // At the worst it dies just after a heartbeat whose way took no time.
        #expect(config.sessionTimeout + .milliseconds(250) < .seconds(2))
        // Half a round trip until it knows, one and a half to connect and agree, one heartbeat.
        #expect(config.connectionLossGrace >= .milliseconds(100) * 3 + config.heartbeatInterval)
        #expect(config.firstHeartbeatGrace >= .milliseconds(100) * 2 + config.heartbeatInterval)
        #expect(config.firstHeartbeatGrace <= config.sessionTimeout)
        #expect(config.sessionTimeout >= config.heartbeatInterval * 4)
    }

    // MARK: - Controlled shutdown

    @Test func leadersMoveBeforeABrokerGoes() {
        let lab = Lab()
        lab.start(1...3)
        lab.create("t", assignments: [[1, 2, 3], [2, 3, 1]])
        let asked = lab.beat(1, wantShutDown: true)
        #expect((asked.shouldShutDown, asked.isFenced) == (false, false))
        #expect(lab.image.brokers[1]?.inControlledShutdown == true)
        #expect(lab.partition("t", 0).leader == 2)
        #expect(lab.partition("t", 1).isr == [2, 3])
        // It may not come back into an ISR meanwhile.
        #expect(lab.alterIsr("t", 0, to: [2, 3, 1]) == .ineligibleReplica)
        // The others do not know of it yet.
        let shutdown = lab.end
        lab.beat(2, offset: shutdown - 3)
        #expect(!lab.beat(1, wantShutDown: true).shouldShutDown)
        lab.beat(2, offset: shutdown)
        lab.beat(3, offset: shutdown)
        let granted = lab.beat(1, wantShutDown: true)
        #expect((granted.shouldShutDown, granted.isFenced) == (true, true))
        #expect(lab.image.brokers[1]?.fenced == true)
        #expect(lab.notices.contains(.shutdownGranted(1)))
    }

    @Test func whoLeadsNothingMayGoAtOnce() {
        let lab = Lab()
        lab.start(1...2)
        #expect(lab.beat(1, wantShutDown: true).shouldShutDown)
        // Fenced already: granted without further ado.
        #expect(lab.beat(1, wantShutDown: true).shouldShutDown)
    }

    @Test func unregistered() {
        let lab = Lab()
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]])
        #expect(
            lab.ask(.unregisterBroker(.init(brokerId: 1)))
                == .unregisterBroker(.init()))
        #expect(lab.image.brokers[1] == nil)
        #expect(lab.partition("t").leader == 2)
        guard case .unregisterBroker(let response)? = lab.ask(.unregisterBroker(.init(brokerId: 1)))
        else {
            Issue.record("no answer")
            return
        }
        #expect(response.errorCode == .brokerIdNotRegistered)
        #expect(lab.beat(1).errorCode == .staleBrokerEpoch)
    }
}
