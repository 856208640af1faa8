import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// KIP-227.
@Suite struct FetchSessionTests {
    private func fetch(
        _ node: TestNode, _ request: FetchRequest, version: Int16 = 17
    ) throws -> FetchResponse {
        let token = node.token()
        return try #require(
            fetched(node.step { $0.fetch(request, version: version, token: token) }, token))
    }

    private func node(
        _ config: ReplicationConfig = ReplicationConfig(), partitions: Int32 = 3
    ) throws -> TestNode {
        let node = try TestNode(config: config)
        for partition in 0..<partitions {
            node.lead(replicas: [1], isr: [1], partition: partition)
        }
        return node
    }

    @Test func anIncrementalAnswerTellsOnlyWhatIsNew() throws {
        let node = try node()
        try node.append(["a"], partition: 1)
        let full = try fetch(
            node,
            fetchRequest([want(0), want(0, partition: 1), want(0, partition: 2)], epoch: 0))
        #expect(full.sessionId != 0)
        #expect(full.partitionNumbers == [0, 1, 2])
        // Nothing was said of partition 1, so it is read from the same place again.
        let again = try fetch(node, fetchRequest([], session: full.sessionId, epoch: 1))
        #expect(again.sessionId == full.sessionId)
        #expect(again.partitionNumbers == [1])
        let moved = try fetch(
            node, fetchRequest([want(1, partition: 1)], session: full.sessionId, epoch: 2))
        #expect(moved.responses.isEmpty)
        try node.append(["b"], partition: 2)
        let news = try fetch(node, fetchRequest([], session: full.sessionId, epoch: 3))
        #expect(news.partitionNumbers == [2])
        #expect(try values(bytes(news.only?.records)).map(\.value) == ["b"])
    }

    @Test func partitionsJoinAndLeave() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        try node.append(["a"], partition: 1)
        var response = try fetch(
            node, fetchRequest([want(0, partition: 1)], session: id, epoch: 1))
        #expect(response.partitionNumbers == [1])
        response = try fetch(
            node, fetchRequest([], session: id, epoch: 2, forgotten: [1]))
        #expect(response.responses.isEmpty)
        try node.append(["b"], partition: 1)
        response = try fetch(node, fetchRequest([], session: id, epoch: 3))
        #expect(response.responses.isEmpty)
        // And joins again, in the place that became free.
        response = try fetch(
            node, fetchRequest([want(1, partition: 1)], session: id, epoch: 4))
        #expect(try values(bytes(response.only?.records)).map(\.value) == ["b"])
    }

    @Test func aHighWatermarkIsNewsToAFollower() throws {
        let node = try TestNode()
        node.lead()
        try node.append(["a"])
        func follower(_ id: Int32, _ session: Int32, _ epoch: Int32, _ at: Int64?) throws
            -> FetchResponse
        {
            try fetch(
                node,
                fetchRequest(
                    at.map { [want($0, epoch: 5)] } ?? [], replica: id, brokerEpoch: Int64(id) * 10,
                    session: session, epoch: epoch))
        }
        let id = try follower(2, 0, 0, 0).sessionId
        #expect(try follower(2, id, 1, 1).responses.isEmpty)
        _ = try follower(3, 0, 0, 1)
        let told = try follower(2, id, 2, nil)
        #expect(told.only?.highWatermark == 1)
        #expect(told.only?.byteCount == 0)
        #expect(try follower(2, id, 3, nil).responses.isEmpty)
    }

    @Test func errorsOfSessions() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        var response = try fetch(node, fetchRequest([], session: id &+ 1, epoch: 1))
        #expect(response.errorCode == .fetchSessionIdNotFound)
        #expect(response.sessionId == 0)
        response = try fetch(node, fetchRequest([], session: id, epoch: 7))
        #expect(response.errorCode == .invalidFetchSessionEpoch)
        // The session was made with topic ids.
        response = try fetch(node, fetchRequest([], session: id, epoch: 1), version: 12)
        #expect(response.errorCode == .fetchSessionTopicIdError)
        // None of this has harmed it.
        response = try fetch(node, fetchRequest([], session: id, epoch: 1))
        #expect(response.errorCode == .none)
        response = try fetch(node, fetchRequest([], session: id, epoch: 1))
        #expect(response.errorCode == .invalidFetchSessionEpoch)
    }

    @Test func namesBeforeVersion13() throws {
        let node = try node()
        try node.append(["a"])
        let first = try fetch(node, fetchRequest([want(0)], epoch: 0), version: 12)
        #expect(first.sessionId != 0)
        #expect(first.responses.first?.topic == "t")
        #expect(first.only?.byteCount ?? 0 > 0)
        let wrong = try fetch(
            node, fetchRequest([], session: first.sessionId, epoch: 1), version: 13)
        #expect(wrong.errorCode == .fetchSessionTopicIdError)
    }

    @Test func theEpochWrapsToOne() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        // Too many to walk through: what follows the largest is part of the interface.
        #expect(try fetch(node, fetchRequest([], session: id, epoch: 1)).errorCode == .none)
        #expect(try fetch(node, fetchRequest([], session: id, epoch: 2)).errorCode == .none)
        #expect(
            try fetch(node, fetchRequest([], session: id, epoch: Int32.max)).errorCode
                == .invalidFetchSessionEpoch)
    }

    @Test func aFullRequestEndsTheSessionItNames() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let next = try fetch(node, fetchRequest([want(0)], session: id, epoch: 0)).sessionId
        #expect(next != 0 && next != id)
        #expect(
            try fetch(node, fetchRequest([], session: id, epoch: 1)).errorCode
                == .fetchSessionIdNotFound)
        // The last epoch ends it for good.
        let last = try fetch(node, fetchRequest([want(0)], session: next, epoch: -1))
        #expect(last.sessionId == 0)
        #expect(last.only?.errorCode == ErrorCode.none)
        #expect(
            try fetch(node, fetchRequest([], session: next, epoch: 1)).errorCode
                == .fetchSessionIdNotFound)
    }

    @Test func anEmptiedSessionEnds() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let response = try fetch(
            node, fetchRequest([], maxWaitMs: 1_000, session: id, epoch: 1, forgotten: [0]))
        #expect(response.sessionId == 0)
        #expect(
            try fetch(node, fetchRequest([], session: id, epoch: 2)).errorCode
                == .fetchSessionIdNotFound)
    }

    @Test func errorsAreToldUntilTheyAreGone() throws {
        let node = try node(partitions: 1)
        let first = try fetch(
            node, fetchRequest([want(0), want(0, partition: 2)], epoch: 0))
        let id = first.sessionId
        #expect(
            first.responses.flatMap(\.partitions).map(\.errorCode)
                == [.none, .notLeaderOrFollower])
        for epoch in Int32(1)...2 {
            let again = try fetch(
                node, fetchRequest([], maxWaitMs: 1_000, session: id, epoch: epoch))
            #expect(again.only?.errorCode == .notLeaderOrFollower)
        }
        node.lead(replicas: [1], isr: [1], partition: 2)
        let well = try fetch(node, fetchRequest([], session: id, epoch: 3))
        #expect(well.only?.errorCode == ErrorCode.none)
        #expect(well.only?.partitionIndex == 2)
        #expect(try fetch(node, fetchRequest([], session: id, epoch: 4)).responses.isEmpty)
    }

    @Test func partitionsTakeTurns() throws {
        let node = try node()
        let text = String(repeating: "x", count: 500)
        for partition in Int32(0)..<3 {
            for _ in 0..<2 { try node.append([text], partition: partition) }
        }
        let wants = (Int32(0)..<3).map { want(0, partition: $0) }
        // Room for one: the first answer names all, with the records of one.
        let full = try fetch(node, fetchRequest(wants, maxBytes: 10, epoch: 0))
        let id = full.sessionId
        var order: [Int32] = [
            try #require(full.responses.flatMap(\.partitions).first { $0.byteCount > 0 })
                .partitionIndex
        ]
        for epoch in Int32(1)...5 {
            let response = try fetch(
                node, fetchRequest([], maxBytes: 10, session: id, epoch: epoch))
            let served = try #require(
                response.responses.flatMap(\.partitions).first { $0.byteCount > 0 })
            order.append(served.partitionIndex)
        }
        #expect(order == [0, 1, 2, 0, 1, 2])
    }

    @Test func aSecondRequestEndsTheWaitOfTheFirst() throws {
        let node = try node()
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let first = node.token()
        let second = node.token()
        node.step {
            $0.fetch(
                fetchRequest([], maxWaitMs: 500, session: id, epoch: 1), version: 17, token: first)
        }
        let effects = node.step {
            $0.fetch(
                fetchRequest([want(0, partition: 1)], maxWaitMs: 500, session: id, epoch: 2),
                version: 17, token: second)
        }
        let ended = try #require(fetched(effects, first))
        #expect(ended.errorCode == .none)
        #expect(ended.sessionId == id)
        #expect(ended.responses.isEmpty)
        // It goes on with both partitions.
        let woken = node.step {
            $0.produce(
                produceRequest(batch(["a"]), acks: 1, partition: 1), version: 11,
                token: node.token())
        }
        #expect(fetched(woken, second)?.partitionNumbers.contains(1) == true)
    }

    /// A follower may learn of a new leader before the leader does, and may wait there for other
    /// partitions: it is answered, so that it can name the new one.
    @Test func aFollowersFetchEndsWhenItsLeaderLeadsMore() throws {
        let node = try TestNode()
        node.lead()
        let token = node.token()
        let other = node.token()
        node.step {
            $0.fetch(
                fetchRequest(
                    [want(0, epoch: 5)], replica: 2, brokerEpoch: 20, maxWaitMs: 500, epoch: 0),
                version: 17, token: token)
            $0.fetch(fetchRequest([want(0)], maxWaitMs: 500), version: 17, token: other)
        }
        let effects = node.lead(partition: 1)
        #expect(fetched(effects, token)?.errorCode == ErrorCode.none)
        #expect(fetched(effects, other) == nil)
        // A new ISR is no reason.
        let next = node.token()
        node.step {
            $0.fetch(
                fetchRequest(
                    [want(0, epoch: 5)], replica: 2, brokerEpoch: 20, maxWaitMs: 500, epoch: 0),
                version: 17, token: next)
        }
        #expect(fetched(node.lead(partitionEpoch: 2, isr: [1, 2], partition: 1), next) == nil)
    }

    // MARK: The cache

    @Test func aFullCacheGivesNoSession() throws {
        var config = ReplicationConfig()
        config.maxFetchSessions = 2
        let node = try node(config)
        for _ in 0..<2 {
            #expect(try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId != 0)
        }
        // Young sessions are left alone, even by larger ones.
        let large = (Int32(0)..<3).map { want(0, partition: $0) }
        #expect(try fetch(node, fetchRequest(large, epoch: 0)).sessionId == 0)
    }

    @Test func followersDisplaceConsumers() throws {
        var config = ReplicationConfig()
        config.maxFetchSessions = 1
        let node = try TestNode(config: config)
        node.lead()
        let consumer = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let follower = try fetch(
            node, fetchRequest([want(0, epoch: 5)], replica: 2, brokerEpoch: 20, epoch: 0)
        ).sessionId
        #expect(follower != 0)
        #expect(
            try fetch(node, fetchRequest([], session: consumer, epoch: 1)).errorCode
                == .fetchSessionIdNotFound)
        // But not the other way round.
        #expect(try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId == 0)
    }

    @Test func oldSessionsGiveWay() throws {
        var config = ReplicationConfig()
        config.maxFetchSessions = 2
        let node = try node(config)
        let two = [want(0), want(0, partition: 1)]
        let small = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let large = try fetch(node, fetchRequest(two, epoch: 0)).sessionId
        node.step(after: .seconds(100))
        #expect(try fetch(node, fetchRequest([], session: small, epoch: 1)).errorCode == .none)
        #expect(try fetch(node, fetchRequest([], session: large, epoch: 1)).errorCode == .none)
        node.step(after: .seconds(30))
        // Both are used, neither is young: the smaller one goes, for a larger one only.
        #expect(try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId == 0)
        let next = try fetch(node, fetchRequest(two, epoch: 0)).sessionId
        #expect(next != 0)
        #expect(
            try fetch(node, fetchRequest([], session: small, epoch: 2)).errorCode
                == .fetchSessionIdNotFound)
        // One that nobody uses goes first, whatever its size.
        node.step(after: .seconds(110))
        #expect(try fetch(node, fetchRequest([], session: next, epoch: 1)).errorCode == .none)
        node.step(after: .seconds(15))
        #expect(try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId != 0)
        #expect(
            try fetch(node, fetchRequest([], session: large, epoch: 2)).errorCode
                == .fetchSessionIdNotFound)
    }

    @Test func aSessionThatGivesWayStillAnswers() throws {
        var config = ReplicationConfig()
        config.maxFetchSessions = 1
        let node = try TestNode(config: config)
        node.lead(replicas: [1, 2], isr: [1, 2])
        let id = try fetch(node, fetchRequest([want(0)], epoch: 0)).sessionId
        let waiting = node.token()
        node.step {
            $0.fetch(
                fetchRequest([], maxWaitMs: 500, session: id, epoch: 1), version: 17,
                token: waiting)
        }
        node.step {
            $0.fetch(
                fetchRequest([want(0, epoch: 5)], replica: 2, brokerEpoch: 20, epoch: 0),
                version: 17, token: node.token())
        }
        let answer = try #require(fetched(node.step(after: .milliseconds(500)), waiting))
        #expect(answer.errorCode == .none)
        #expect(
            try fetch(node, fetchRequest([], session: id, epoch: 2)).errorCode
                == .fetchSessionIdNotFound)
    }

    @Test func aSessionHoldsNoMoreThanItMay() throws {
        var config = ReplicationConfig()
        config.maxPartitionsPerSession = 2
        let node = try node(config)
        let response = try fetch(
            node,
            fetchRequest([want(0), want(0, partition: 1), want(0, partition: 2)], epoch: 0))
        #expect(response.partitionNumbers == [0, 1])
    }
}
