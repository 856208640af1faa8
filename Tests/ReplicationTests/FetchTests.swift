import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

@Suite struct FetchTests {
    private func fetch(
        _ node: TestNode, _ request: FetchRequest, version: Int16 = 17
    ) throws -> FetchResponse {
        let token = node.token()
        return try #require(
            fetched(node.step { $0.fetch(request, version: version, token: token) }, token))
    }

    // MARK: Consumers

    @Test func consumersReadUpToTheHighWatermark() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        try node.append(["a", "b"])
        try node.append(["c"])
        var data = try #require(try fetch(node, fetchRequest([want(0)])).only)
        #expect(data.errorCode == .none)
        #expect(data.highWatermark == 0)
        #expect(data.byteCount == 0)
        node.followerFetch(2, at: 2)
        data = try #require(try fetch(node, fetchRequest([want(0)])).only)
        #expect(data.highWatermark == 2)
        #expect(data.lastStableOffset == 2)
        #expect(try values(bytes(data.records)).map(\.value) == ["a", "b"])
        #expect(data.abortedTransactions == nil)
        data = try #require(try fetch(node, fetchRequest([want(0)], isolation: 1)).only)
        #expect(data.abortedTransactions == [])
        // Between the high watermark and the end there is nothing yet, and it is no error.
        data = try #require(try fetch(node, fetchRequest([want(3)])).only)
        #expect(data.errorCode == .none)
        #expect(data.byteCount == 0)
    }

    @Test func errorsOfConsumers() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        node.follow(2, partition: 1)
        node.topics.leaders[TopicIdPartition(topicA, 2)] = (3, 4)
        try node.append(["a", "b"])
        let cases: [(FetchRequest.FetchPartition, ErrorCode)] = [
            (want(-1), .offsetOutOfRange),
            (want(3), .offsetOutOfRange),
            (want(0, epoch: 4), .fencedLeaderEpoch),
            (want(0, epoch: 6), .unknownLeaderEpoch),
            (want(0, partition: 99), .unknownTopicOrPartition),
            (want(0, partition: -5), .unknownTopicOrPartition),
            (want(0, partition: 2), .notLeaderOrFollower),
        ]
        for (asked, error) in cases {
            let data = try #require(try fetch(node, fetchRequest([asked])).only)
            #expect(data.errorCode == error)
            #expect(data.highWatermark == -1)
            #expect(data.logStartOffset == -1)
            #expect(data.partitionIndex == asked.partition)
        }
        let elsewhere = try #require(try fetch(node, fetchRequest([want(0, partition: 2)])).only)
        #expect(elsewhere.currentLeader.leaderId == 3)
        let fenced = try #require(try fetch(node, fetchRequest([want(0, epoch: 4)])).only)
        #expect(fenced.currentLeader.leaderId == 1)
        #expect(fenced.currentLeader.leaderEpoch == 5)
        let unknown = try #require(
            try fetch(node, fetchRequest([want(0)], topic: KafkaUUID(high: 1, low: 1))).only)
        #expect(unknown.errorCode == .unknownTopicId)
    }

    @Test func oldConsumersReadFromTheLeaderOnly() throws {
        let node = try TestNode()
        node.follow(2)
        var request = fetchRequest([want(0)])
        #expect(try fetch(node, request, version: 11).only?.errorCode == ErrorCode.none)
        #expect(try fetch(node, request, version: 10).only?.errorCode == .notLeaderOrFollower)
        request.topics[0].topic = "nowhere"
        #expect(try fetch(node, request, version: 12).only?.errorCode == .unknownTopicOrPartition)
    }

    @Test func followersServeConsumersUpToTheirHighWatermark() throws {
        let node = try TestNode()
        node.follow(2)
        try feed(node, ["a", "b", "c"], highWatermark: 2)
        let data = try #require(try fetch(node, fetchRequest([want(0)])).only)
        #expect(data.highWatermark == 2)
        #expect(try values(bytes(data.records)).isEmpty)
        try feed(node, [], highWatermark: 3)
        let more = try #require(try fetch(node, fetchRequest([want(0, epoch: 5)])).only)
        #expect(try values(bytes(more.records)).map(\.value) == ["a", "b", "c"])
        #expect(try fetch(node, fetchRequest([want(9)])).only?.errorCode == .offsetOutOfRange)
    }

    /// Answers the fetch that a follower of broker 2 has under way.
    private func feed(_ node: TestNode, _ texts: [String], highWatermark: Int64) throws {
        let log = try #require(try node.replica().log)
        var records = ByteBuffer()
        if !texts.isEmpty {
            records = batch(texts)
            records.setInteger(log.logEndOffset, at: 0)
            records.setInteger(Int32(5), at: 12)
        }
        let response = FetchResponse(
            sessionId: 9,
            responses: [
                .init(
                    topicId: topicA,
                    partitions: [
                        .init(
                            partitionIndex: 0, highWatermark: highWatermark, logStartOffset: 0,
                            records: .bytes(records))
                    ])
            ])
        let correlation = UInt64(texts.isEmpty ? 2 : 1)
        node.step { $0.fetched(from: 2, correlation: correlation, response) }
    }

    // MARK: Limits

    @Test func theFirstBatchAlwaysFits() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        node.lead(replicas: [1], isr: [1], partition: 1)
        let text = String(repeating: "x", count: 1_000)
        for _ in 0..<3 { try node.append([text]) }
        try node.append([text], partition: 1)
        var response = try fetch(node, fetchRequest([want(0)], maxBytes: 10))
        #expect(try values(bytes(response.only?.records)).count == 1)
        response = try fetch(node, fetchRequest([want(0, maxBytes: 10)]))
        #expect(try values(bytes(response.only?.records)).count == 1)
        response = try fetch(node, fetchRequest([want(0, maxBytes: 2_500)]))
        #expect(try values(bytes(response.only?.records)).count == 2)
        // Only the first partition that has anything is so favoured.
        response = try fetch(
            node, fetchRequest([want(0, maxBytes: 1_500), want(0, partition: 1, maxBytes: 10)]))
        let parts = response.responses.flatMap(\.partitions)
        #expect(parts.count == 2)
        #expect(parts[0].byteCount > 0)
        #expect(parts[1].byteCount == 0)
        #expect(parts[1].highWatermark == 1)
    }

    // MARK: Waiting

    @Test func aFetchWaitsForDataOrItsTime() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        let token = node.token()
        let request = fetchRequest([want(0)], maxWaitMs: 500)
        #expect(fetched(node.step { $0.fetch(request, version: 17, token: token) }) == nil)
        #expect(fetched(node.step(after: .milliseconds(499))) == nil)
        let timedOut = try #require(fetched(node.step(after: .milliseconds(1)), token))
        #expect(timedOut.only?.byteCount == 0)
        #expect(timedOut.only?.errorCode == ErrorCode.none)

        let next = node.token()
        node.step { $0.fetch(request, version: 17, token: next) }
        let append = node.token()
        let effects = node.step {
            $0.produce(produceRequest(batch(["a"]), acks: 1), version: 11, token: append)
        }
        #expect(produced(effects, append) != nil)
        let woken = try #require(fetched(effects, next))
        #expect(try values(bytes(woken.only?.records)).map(\.value) == ["a"])
        // It is answered once.
        #expect(fetched(node.step(after: .seconds(1))) == nil)
    }

    @Test func consumersWaitForTheHighWatermarkAndFollowersForTheEnd() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        let consumer = node.token()
        let follower = node.token()
        node.step {
            $0.fetch(fetchRequest([want(0)], maxWaitMs: 500), version: 17, token: consumer)
            $0.fetch(
                fetchRequest([want(0, epoch: 5)], replica: 2, brokerEpoch: 20, maxWaitMs: 500),
                version: 17, token: follower)
        }
        let appended = node.step {
            $0.produce(
                produceRequest(batch(["a"]), acks: 1), version: 11, token: node.token())
        }
        #expect(fetched(appended, consumer) == nil)
        #expect(try values(bytes(fetched(appended, follower)?.only?.records)).count == 1)
        let committed = node.followerFetch(2, at: 1)
        #expect(try values(bytes(fetched(committed, consumer)?.only?.records)).count == 1)
    }

    @Test func minBytes() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        let token = node.token()
        let size = Int32(batch(["a"]).readableBytes)
        let request = fetchRequest([want(0)], maxWaitMs: 500, minBytes: 2 * size)
        node.step { $0.fetch(request, version: 17, token: token) }
        let one = node.step {
            $0.produce(
                produceRequest(batch(["a"]), acks: 1), version: 11, token: node.token())
        }
        #expect(fetched(one, token) == nil)
        let two = node.step {
            $0.produce(
                produceRequest(batch(["b"]), acks: 1), version: 11, token: node.token())
        }
        #expect(try values(bytes(fetched(two, token)?.only?.records)).count == 2)
    }

    @Test func severalAppendsOfOneStepTravelTogether() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        node.lead(replicas: [1, 2], isr: [1, 2], partition: 1)
        let follower = node.token()
        node.step {
            $0.fetch(
                fetchRequest(
                    [want(0, epoch: 5), want(0, partition: 1, epoch: 5)], replica: 2,
                    brokerEpoch: 20, maxWaitMs: 500),
                version: 17, token: follower)
        }
        let effects = node.step { manager in
            for partition in [Int32(0), 1, 0] {
                manager.produce(
                    produceRequest(batch(["a"]), acks: 1, partition: partition), version: 11,
                    token: node.token())
            }
        }
        let response = try #require(fetched(effects, follower))
        #expect(response.partitionNumbers.sorted() == [0, 1])
        let sizes = try response.responses.flatMap(\.partitions).map {
            try values(bytes($0.records)).count
        }
        #expect(sizes.sorted() == [1, 2])
    }

    @Test func aChangeOfLeaderWakes() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        let token = node.token()
        let request = fetchRequest([want(0, epoch: 5)], maxWaitMs: 500)
        node.step { $0.fetch(request, version: 17, token: token) }
        let effects = node.follow(2, epoch: 6, partitionEpoch: 2)
        #expect(fetched(effects, token)?.only?.errorCode == .fencedLeaderEpoch)
    }

    @Test func deletionWakes() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        let token = node.token()
        node.step {
            $0.fetch(fetchRequest([want(0)], maxWaitMs: 500), version: 17, token: token)
        }
        let effects = node.step { manager in
            node.topics.topics = []
            manager.unassign(topicId: topicA, partition: 0, deletesLog: true)
        }
        #expect(fetched(effects, token)?.only?.errorCode == .unknownTopicId)
    }

    @Test func aFetchCanBeTakenBack() throws {
        let node = try TestNode()
        node.lead(replicas: [1], isr: [1])
        let token = node.token()
        node.step {
            $0.fetch(fetchRequest([want(0)], maxWaitMs: 500), version: 17, token: token)
        }
        node.step { $0.cancelFetch(token) }
        #expect(fetched(node.step(after: .seconds(1))) == nil)
    }

    @Test func moreThanMayWaitAreAnsweredAtOnce() throws {
        var config = ReplicationConfig()
        config.maxWaitingFetches = 1
        let node = try TestNode(config: config)
        node.lead(replicas: [1], isr: [1])
        let request = fetchRequest([want(0)], maxWaitMs: 500)
        let first = node.token()
        #expect(fetched(node.step { $0.fetch(request, version: 17, token: first) }) == nil)
        #expect(try fetch(node, request).only?.errorCode == ErrorCode.none)
    }

    // MARK: Followers

    @Test func errorsOfFollowers() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        node.follow(2, partition: 1)
        func error(
            _ follower: Int32, epoch: Int32 = 5, brokerEpoch: Int64? = nil, at offset: Int64 = 0,
            lastEpoch: Int32 = -1, partition: Int32 = 0
        ) -> ErrorCode? {
            fetched(
                node.followerFetch(
                    follower, at: offset, epoch: epoch, lastEpoch: lastEpoch,
                    brokerEpoch: brokerEpoch, partition: partition))?.only?.errorCode
        }
        #expect(error(2) == ErrorCode.none)
        #expect(error(2, epoch: 4) == .fencedLeaderEpoch)
        #expect(error(2, epoch: 6) == .unknownLeaderEpoch)
        // Not a replica as far as this leader knows.
        #expect(error(3) == .unknownLeaderEpoch)
        #expect(error(3, epoch: -1) == .notLeaderOrFollower)
        // A process that has ended: its broker is registered under epoch 20 now.
        #expect(error(2, brokerEpoch: 19) == .notLeaderOrFollower)
        #expect(error(2, brokerEpoch: -1) == ErrorCode.none)
        #expect(error(2, partition: 1) == .notLeaderOrFollower)
        #expect(error(2, at: 1) == .offsetOutOfRange)
        // No epoch here is as large as 7.
        #expect(error(2, lastEpoch: 7) == .offsetOutOfRange)
    }

    @Test func divergingEpochs() throws {
        let node = try TestNode()
        node.lead(epoch: 1, replicas: [1, 2], isr: [1, 2])
        try node.append(["a", "b", "c"])
        node.lead(epoch: 4, partitionEpoch: 2, replicas: [1, 2], isr: [1, 2])
        try node.append(["d"])
        func diverging(_ offset: Int64, _ lastEpoch: Int32) -> FetchResponse.EpochEndOffset? {
            let data = fetched(
                node.followerFetch(2, at: offset, epoch: 4, lastEpoch: lastEpoch))?.only
            #expect(data?.errorCode == ErrorCode.none)
            #expect(data?.divergingEpoch.epoch == -1 || data?.byteCount == 0)
            return data?.divergingEpoch
        }
        #expect(diverging(3, 1)?.epoch == -1)
        #expect(diverging(4, 4)?.epoch == -1)
        #expect(diverging(2, 1)?.epoch == -1)
        // It has more of epoch 1 than we.
        #expect(diverging(4, 1) == .init(epoch: 1, endOffset: 3))
        // It has an epoch that we never saw, whether or not it has records that we have not.
        #expect(diverging(4, 3) == .init(epoch: 1, endOffset: 3))
        #expect(diverging(2, 3) == .init(epoch: 1, endOffset: 3))
        // It has more of our own epoch.
        #expect(diverging(9, 4) == .init(epoch: 4, endOffset: 4))
        // Before everything that we know: where our first epoch begins.
        #expect(diverging(1, 0) == .init(epoch: 0, endOffset: 0))
    }

    @Test func aDivergingFetchDoesNotCountAsProgress() throws {
        let node = try TestNode()
        node.lead(epoch: 4, replicas: [1, 2], isr: [1, 2])
        try node.append(["a", "b"])
        node.followerFetch(2, at: 2, epoch: 4, lastEpoch: 3)
        #expect(try node.replica().highWatermark == 0)
        #expect(try node.replica().followers[0].logEndOffset == -1)
    }
}

extension FetchResponse.PartitionData {
    var byteCount: Int { records?.count ?? 0 }
}
