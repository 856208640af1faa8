import BrokerCore
import CommitLog
import KafkaWire
import Metadata
import SimulatedDisk
import Testing
import Timing

/// What the controller is told of this broker's disk.
@Suite struct LifecycleTests {
    private func previousEpoch(_ node: TestNode) throws -> Int64 {
        try #require(try node.lastSent(BrokerRegistrationRequest.self)).request.previousBrokerEpoch
    }

    @Test func onlyAnEndInOrderIsTold() throws {
        let first = try TestNode()
        try first.register()
        #expect(try previousEpoch(first) == -1)
        first.node.closeLogs(nowMs: first.nowMs)
        let second = try TestNode(disk: first.disk.afterCrash(losesUnsynced: true))
        try second.register()
        #expect(try previousEpoch(second) == first.brokerEpoch)
        // kill -9
        let third = try TestNode(disk: second.disk.afterCrash(losesUnsynced: false))
        try third.register()
        #expect(try previousEpoch(third) == -1)
    }

    /// A partition was moved to others while this broker was not there.
    @Test func whatWasMovedAwayMeanwhileIsPutAside() throws {
        let first = try TestNode()
        try first.register()
        first.learnTopic("stays", TestNode.topicId)
        first.learnTopic("goes", TestNode.offsetsId)
        first.pass(.milliseconds(200))
        first.node.closeLogs(nowMs: first.nowMs)
        let second = try TestNode(disk: first.disk.afterCrash(losesUnsynced: true))
        second.learnTopic("stays", TestNode.topicId)
        try second.register()
        // Not before it has been let in: until then it may not know all.
        #expect(second.disk.paths.contains { $0.hasPrefix("/data/goes-0/") })
        let heartbeat = try #require(try second.lastSent(BrokerHeartbeatRequest.self))
        second.answer(
            heartbeat.id, BrokerHeartbeatResponse(isCaughtUp: true, isFenced: false), version: 1)
        #expect(second.disk.paths.contains { $0.hasPrefix("/data/stays-0/") })
        #expect(!second.disk.paths.contains { $0.hasPrefix("/data/goes-0/") })
        #expect(
            second.disk.paths.contains {
                $0.hasPrefix("/data/goes-0.") && $0.contains("-stray/")
            })
        second.pass(.seconds(1))
        #expect(second.lines.contains { $0.message.contains("goes-0 was deleted or moved away") })
    }

    @Test func aStartThatCameToNothingChangesNothing() throws {
        let first = try TestNode()
        try first.register()
        first.node.closeLogs(nowMs: first.nowMs)
        let second = try TestNode(disk: first.disk.afterCrash(losesUnsynced: true))
        second.settle()
        second.node.closeLogs(nowMs: second.nowMs)
        let third = try TestNode(disk: second.disk.afterCrash(losesUnsynced: true))
        try third.register()
        #expect(try previousEpoch(third) == first.brokerEpoch)
    }

    // MARK: Heartbeats

    private func heartbeats(_ node: TestNode) -> [PeerRequest] {
        node.sent.filter { $0.apiKey == BrokerHeartbeatRequest.apiKey }
    }

    /// The controller fell silent with a heartbeat under way, and another was elected.
    @Test func aNewControllerHearsAtOnce() throws {
        let node = try TestNode()
        try node.register()
        #expect(heartbeats(node).map(\.node) == [9])
        let unanswered = try #require(heartbeats(node).last).id
        // To a controller that owes an answer no second one is sent.
        node.pass(.milliseconds(600))
        #expect(heartbeats(node).count == 1)
        node.node.controllerChanged(8, now: node.now, nowMs: node.nowMs)
        node.settle()
        #expect(heartbeats(node).map(\.node) == [9, 8])
        // That the old one is given up says nothing of the new one, which owes an answer.
        node.giveUp(unanswered)
        node.pass(.milliseconds(600))
        #expect(heartbeats(node).count == 2)
        node.answer(
            try #require(heartbeats(node).last).id,
            BrokerHeartbeatResponse(isCaughtUp: true, isFenced: false), version: 1)
        node.pass(.milliseconds(250))
        #expect(heartbeats(node).map(\.node) == [9, 8, 8])
    }

    /// It has not heard yet that it is no longer the one: what it says of us is not looked at.
    @Test func anEarlierControllersAnswerIsNoNews() throws {
        let node = try TestNode()
        try node.register()
        let old = try #require(heartbeats(node).last).id
        node.node.controllerChanged(8, now: node.now, nowMs: node.nowMs)
        node.settle()
        node.answer(old, BrokerHeartbeatResponse(errorCode: .staleBrokerEpoch), version: 1)
        node.pass(.milliseconds(100))
        let registrations = node.sent.count { $0.apiKey == BrokerRegistrationRequest.apiKey }
        #expect(registrations == 1 && heartbeats(node).count == 2)
    }

    // MARK: Directories (KIP-858)

    private func assigned(_ node: TestNode) throws -> (id: UInt64, AssignReplicasToDirsRequest)? {
        try node.lastSent(AssignReplicasToDirsRequest.self).map { ($0.id, $0.request) }
    }

    private func assignments(_ node: TestNode) -> Int {
        node.sent.count { $0.apiKey == AssignReplicasToDirsRequest.apiKey }
    }

    @Test func replicasThatAreElsewhereAreToldOf() throws {
        let node = try TestNode()
        try node.register()
        node.learnTopic("here", TestNode.topicId)
        #expect(assignments(node) == 0)
        let old = KafkaUUID(high: 9, low: 77)
        node.learnTopic("moved", TestNode.offsetsId, partitions: 3, directory: old)
        let (id, request) = try #require(try assigned(node))
        #expect(request.brokerEpoch == node.brokerEpoch)
        #expect(request.directories.map(\.id) == [TestNode.directory])
        #expect(request.directories[0].topics.map(\.topicId) == [TestNode.offsetsId])
        #expect(request.directories[0].topics[0].partitions.map(\.partitionIndex) == [0, 1, 2])
        // What the controller refuses for the moment is told again, the rest is not.
        let codes: [ErrorCode] = [.none, .unknownTopicOrPartition, .unknownServerError]
        node.answer(
            id,
            AssignReplicasToDirsResponse(directories: [
                .init(
                    id: TestNode.directory,
                    topics: [
                        .init(
                            topicId: TestNode.offsetsId,
                            partitions: codes.enumerated().map {
                                .init(partitionIndex: Int32($0.offset), errorCode: $0.element)
                            })
                    ])
            ]), version: 0)
        #expect(assignments(node) == 1)
        node.pass(.milliseconds(100))
        let (_, again) = try #require(try assigned(node))
        #expect(again.directories[0].topics[0].partitions.map(\.partitionIndex) == [2])
        #expect(assignments(node) == 2)
    }

    @Test func whatTheMetadataSaysIsNotToldAgain() throws {
        let node = try TestNode()
        try node.register()
        node.learnTopic("moved", TestNode.topicId, directory: DirectoryId.unassigned)
        let (id, _) = try #require(try assigned(node))
        // The answer is lost, the change is not.
        node.node.peerReplied(id, nil, now: node.now, nowMs: node.nowMs)
        node.learn([
            .partitionChange(
                .init(
                    partitionId: 0, topicId: TestNode.topicId, directories: [TestNode.directory]))
        ])
        node.pass(.seconds(60))
        #expect(assignments(node) == 1)
    }

    @Test func theControllerHearsOfALostDirectoryAndTheProcessEnds() throws {
        let node = try TestNode()
        try node.register()
        node.learnTopic("t", TestNode.topicId)
        let first = try #require(try node.lastSent(BrokerHeartbeatRequest.self))
        #expect(first.request.offlineLogDirs == [])
        // One that is under way says nothing of it.
        node.disk.faults.failing = (.rename, 1, 5)
        node.pass(.seconds(6))
        #expect(node.lines.contains { $0.message.contains("the log directory /data is offline") })
        node.answer(first.id, BrokerHeartbeatResponse(isCaughtUp: true), version: 1)
        #expect(node.failure == nil)
        let last = try #require(try node.lastSent(BrokerHeartbeatRequest.self))
        #expect(last.request.offlineLogDirs == [TestNode.directory])
        #expect(node.failure == nil)
        node.answer(last.id, BrokerHeartbeatResponse(isCaughtUp: true, isFenced: true), version: 1)
        #expect(node.failure?.contains("/data") == true)
    }

    @Test func withoutAControllerItEndsAllTheSame() throws {
        let node = try TestNode()
        try node.register()
        node.learnTopic("t", TestNode.topicId)
        node.disk.faults.failing = (.rename, 1, 5)
        node.pass(.seconds(6))
        #expect(node.failure == nil)
        node.pass(.seconds(1))
        #expect(node.failure?.contains("/data") == true)
    }
}
