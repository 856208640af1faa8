import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// A follower's fetcher against a leader that the test plays.
@Suite struct FetcherTests {
    private struct Sent: Equatable {
        var correlation: UInt64
        var request: FetchRequest
    }

    private func sent(_ effects: [ReplicationEffect], to leader: Int32 = 2) -> Sent? {
        for case .fetch(leader, let correlation, let request) in effects {
            return Sent(correlation: correlation, request: request)
        }
        return nil
    }

    private func asked(_ sent: Sent?) -> [[Int64]] {
        (sent?.request.topics ?? []).flatMap(\.partitions).map {
            [Int64($0.partition), $0.fetchOffset, Int64($0.lastFetchedEpoch)]
        }
    }

    private func part(
        _ partition: Int32 = 0, at offset: Int64? = nil, _ texts: [String] = [],
        epoch: Int32 = 5, highWatermark: Int64 = 0, logStart: Int64 = 0,
        error: ErrorCode = .none
    ) -> FetchResponse.PartitionData {
        var records = ByteBuffer()
        if let offset {
            records = batch(texts)
            records.setInteger(offset, at: 0)
            records.setInteger(epoch, at: 12)
        }
        return .init(
            partitionIndex: partition, errorCode: error,
            highWatermark: error == .none ? highWatermark : -1,
            logStartOffset: error == .none ? logStart : -1, records: .bytes(records))
    }

    private func answer(
        _ node: TestNode, _ correlation: UInt64?, _ parts: [FetchResponse.PartitionData],
        session: Int32 = 77, error: ErrorCode = .none, after wait: Nanoseconds = .zero
    ) -> [ReplicationEffect] {
        let response = FetchResponse(
            errorCode: error, sessionId: session,
            responses: parts.isEmpty ? [] : [.init(topicId: topicA, partitions: parts)])
        return node.step(after: wait) {
            $0.fetched(from: 2, correlation: correlation ?? 0, response)
        }
    }

    /// Compaction leaves gaps, and a follower that was away may end in one.
    @Test func theFirstRecordMayComeLongBehindTheLogEnd() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(answer(node, first.correlation, [part(at: 0, ["a"], highWatermark: 9)])))
        #expect(asked(next) == [[0, 1, 5]])
        // Something may have got lost between: it is asked for.
        let again = try #require(
            sent(answer(node, next.correlation, [part(at: 7, ["h"], highWatermark: 9)])))
        #expect(asked(again) == [[0, 1, 5]])
        #expect(try node.replica().log?.logEndOffset == 1)
        #expect(try node.replica().lag == 8)
        // And there is nothing.
        let last = try #require(
            sent(answer(node, again.correlation, [part(at: 7, ["h"], highWatermark: 9)])))
        #expect(asked(last) == [[0, 8, 5]])
        #expect(try node.replica().log?.logEndOffset == 8)
        #expect(try node.replica().highWatermark == 8)
        #expect(try node.replica().lag == 1)
        #expect(node.manager.counters.replicationBytesIn > 100)
    }

    @Test func asksInFullAndThenForWhatChanged() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        #expect(first.request.sessionId == 0)
        #expect(first.request.sessionEpoch == 0)
        #expect(first.request.replicaState.replicaId == 1)
        #expect(first.request.replicaState.replicaEpoch == 10)
        #expect(first.request.maxWaitMs == 500)
        #expect(first.request.topics[0].topicId == topicA)
        #expect(first.request.topics[0].partitions[0].currentLeaderEpoch == 5)
        #expect(asked(first) == [[0, 0, -1]])

        // The next leaves at once, with the new place.
        let next = try #require(
            sent(answer(node, first.correlation, [part(at: 0, ["a", "b"], highWatermark: 1)])))
        #expect(next.request.sessionId == 77)
        #expect(next.request.sessionEpoch == 1)
        #expect(asked(next) == [[0, 2, 5]])
        #expect(try node.replica().log?.logEndOffset == 2)
        #expect(try node.replica().highWatermark == 1)

        // Nothing to say: the request names nothing.
        let quiet = try #require(
            sent(answer(node, next.correlation, [part(highWatermark: 2)])))
        #expect(quiet.request.sessionEpoch == 4)
        #expect(quiet.request.topics.isEmpty)
        #expect(try node.replica().highWatermark == 2)
        // Enough requests wait at the leader.
        #expect(sent(node.step(after: .milliseconds(10))) == nil)
    }

    @Test func theHighWatermarkStaysWithinTheLogAndDoesNotFall() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(answer(node, first.correlation, [part(at: 0, ["a"], highWatermark: 9)])))
        #expect(try node.replica().highWatermark == 1)
        // A leader that was elected just now does not know it yet.
        _ = answer(node, next.correlation, [part(highWatermark: 0)])
        #expect(try node.replica().highWatermark == 1)
    }

    @Test func partitionsThatJoinDoNotWait() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        // The first request has no answer, so there is no session yet to go on with.
        #expect(sent(node.follow(2, partition: 1)) == nil)
        let next = try #require(sent(answer(node, first.correlation, [part()])))
        #expect(asked(next) == [[1, 0, -1]])
        // It waits at the leader, and one that names nothing; behind them goes another one.
        let second = try #require(sent(node.follow(2, partition: 2)))
        #expect(second.request.sessionEpoch == 3)
        #expect(asked(second) == [[2, 0, -1]])
        // But not without an end.
        var last: [Int32] = []
        for partition in 3..<20 as Range<Int32> {
            if sent(node.follow(2, partition: partition)) != nil { last.append(partition) }
        }
        #expect(last == [3, 4, 5, 6, 7, 8])
        let late = sent(answer(node, next.correlation, []))
        #expect(asked(late).map(\.first) == (9..<20).map { Int64($0) })
        // An answer to one of them still counts.
        _ = answer(node, second.correlation, [part(2, at: 0, ["x"])])
        #expect(try node.replica(2).log?.logEndOffset == 1)
    }

    @Test func partitionsThatLeaveAreForgotten() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2, partition: 0)))
        node.follow(2, partition: 1)
        let next = sent(answer(node, first.correlation, [part()]))
        let later = sent(answer(node, next?.correlation, [part(1)]))
        // Partition 1 has another leader now.
        let effects = node.follow(3, epoch: 6, partitionEpoch: 2, partition: 1)
        #expect(sent(effects, to: 3).map { asked($0) } == [[1, 0, -1]])
        let without = try #require(sent(answer(node, later?.correlation, [])))
        #expect(without.request.forgottenTopicsData.map(\.partitions) == [[1]])
    }

    @Test func aPartitionThatComesBackIsNotForgotten() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        _ = try #require(sent(answer(node, first.correlation, [part()])))
        // The same leader under a new epoch: the partition leaves and joins at once.
        let next = try #require(sent(node.follow(2, epoch: 6, partitionEpoch: 2)))
        #expect(asked(next) == [[0, 0, -1]])
        #expect(next.request.forgottenTopicsData.isEmpty)
    }

    @Test func aFetcherWithoutPartitionsEnds() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        node.lead(epoch: 6, partitionEpoch: 2)
        let effects = answer(node, first.correlation, [part(at: 0, ["a"])])
        // It leads now: what the old leader answered is not taken.
        #expect(try node.replica().log?.logEndOffset == 0)
        var stopped = false
        for effect in effects + node.step() {
            if case .fetcherStopped(leader: 2) = effect { stopped = true }
        }
        #expect(stopped)
    }

    @Test func answersToAnOlderEpochAreNotTaken() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        node.follow(2, epoch: 6, partitionEpoch: 2)
        let effects = answer(
            node, first.correlation, [part(at: 0, ["a"], highWatermark: 1)])
        #expect(try node.replica().log?.logEndOffset == 0)
        #expect(try node.replica().highWatermark == 0)
        let next = try #require(sent(effects))
        #expect(next.request.topics[0].partitions[0].currentLeaderEpoch == 6)
    }

    @Test func whatWasTakenAlreadyIsNotTakenAgain() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(sent(answer(node, first.correlation, [part(at: 0, ["a"])])))
        _ = answer(node, next.correlation, [part(at: 0, ["a"])])
        #expect(try node.replica().log?.logEndOffset == 1)
        // Nor anything that leaves a gap.
        let last = try #require(sent(node.follow(2, partition: 1)))
        _ = answer(node, last.correlation, [part(at: 5, ["f"])])
        #expect(try node.replica().log?.logEndOffset == 1)
    }

    // MARK: Errors

    @Test(arguments: [
        ErrorCode.unknownLeaderEpoch, .fencedLeaderEpoch, .notLeaderOrFollower,
        .unknownTopicOrPartition, .unknownTopicId, .inconsistentTopicId, .kafkaStorageError,
        .unknownServerError,
    ])
    func aPartitionWithAnErrorRests(error: ErrorCode) throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        node.follow(2, partition: 1)
        let last = try #require(sent(answer(node, first.correlation, [part()])))
        #expect(asked(last) == [[1, 0, -1]])
        // The answer is an error: the partition leaves the session.
        let without = try #require(
            sent(answer(node, last.correlation, [part(1, error: error)])))
        #expect(without.request.forgottenTopicsData.map(\.partitions) == [[1]])
        // Soon it is asked for again, behind the request that waits.
        let deadline = try #require(node.manager.nextDeadline)
        #expect(deadline <= node.now + .milliseconds(20))
        let again = try #require(sent(node.step(after: .milliseconds(20))))
        #expect(asked(again) == [[1, 0, -1]])
    }

    @Test func restsGrowWithErrorsInARow() throws {
        let node = try TestNode()
        var last = try #require(sent(node.follow(2)))
        var waits: [Int64] = []
        for _ in 0..<9 {
            // Alone in its session: without it there is nothing to fetch.
            var next = sent(answer(node, last.correlation, [part(error: .unknownLeaderEpoch)]))
            #expect(next == nil)
            var waited: Int64 = 0
            while next == nil {
                next = sent(node.step(after: .milliseconds(10)))
                waited += 10
                if waited > 5_000 { break }
            }
            waits.append(waited)
            last = try #require(next)
        }
        #expect(waits.first == 20)
        #expect(waits.last == 1_000)
        #expect(waits == waits.sorted())
    }

    @Test func aLostConnectionBeginsAnew() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(sent(answer(node, first.correlation, [part(at: 0, ["a"])])))
        var effects = node.step { $0.fetched(from: 2, correlation: next.correlation, nil) }
        #expect(sent(effects) == nil)
        effects = node.step(after: .milliseconds(20))
        let again = try #require(sent(effects))
        // The session that may still be there is ended by the full request.
        #expect(again.request.sessionId == 77)
        #expect(again.request.sessionEpoch == 0)
        #expect(asked(again) == [[0, 1, 5]])
        // An answer from before comes to nothing.
        _ = answer(node, next.correlation, [part(at: 1, ["b"])])
        #expect(try node.replica().log?.logEndOffset == 1)
    }

    @Test(arguments: [
        (ErrorCode.fetchSessionIdNotFound, Int32(0)), (.invalidFetchSessionEpoch, 77),
        (.fetchSessionTopicIdError, 77),
    ])
    func sessionErrorsBeginANewSession(error: ErrorCode, session: Int32) throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(sent(answer(node, first.correlation, [part()])))
        // The other one under way is answered, too, before a new session begins.
        #expect(sent(answer(node, next.correlation, [], session: 0, error: error)) == nil)
        let again = try #require(
            sent(answer(node, next.correlation + 1, [], session: 0, error: error)))
        #expect(again.request.sessionId == session)
        #expect(again.request.sessionEpoch == 0)
        #expect(asked(again) == [[0, 0, -1]])
    }

    @Test func withoutASessionEveryRequestIsFull() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(sent(answer(node, first.correlation, [part()], session: 0)))
        #expect(next.request.sessionEpoch == 0)
        #expect(asked(next) == [[0, 0, -1]])
    }
}
