import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// Followers that keep several fetches under way, as they do over a distance.
@Suite struct ReadAheadTests {
    private static let start: Int8 = 1
    private static let goOn: Int8 = 2

    /// Broker 1, which leads `t`-0 with broker 2 in sync, and the session of that follower.
    private final class Leader {
        let node: TestNode
        var session: Int32 = 0
        var epoch: Int32 = 0

        init() throws {
            node = try TestNode()
            node.lead(replicas: [1, 2], isr: [1, 2])
        }

        func named(_ offset: Int64, _ readAhead: Int8, epoch: Int32 = 5)
            -> FetchRequest.FetchPartition
        {
            .init(
                partition: 0, currentLeaderEpoch: epoch, fetchOffset: offset,
                lastFetchedEpoch: offset == 0 ? -1 : 5, logStartOffset: 0,
                partitionMaxBytes: 1 << 20, readAhead: readAhead)
        }

        /// Sends a fetch and tells its token, and the answers that come at once.
        @discardableResult
        func fetch(
            _ parts: [FetchRequest.FetchPartition] = [], wait: Int32 = 500
        ) -> (RequestToken, [RequestToken: FetchResponse]) {
            let token = node.token()
            let request = fetchRequest(
                parts, replica: 2, brokerEpoch: 20, maxWaitMs: wait, session: session,
                epoch: epoch)
            epoch += 1
            let answers = answers(
                node.step { $0.fetch(request, version: 17, token: token) })
            if session == 0, let made = answers[token]?.sessionId { session = made }
            return (token, answers)
        }

        func append(_ text: String) -> [RequestToken: FetchResponse] {
            answers(
                node.step {
                    $0.produce(
                        produceRequest(batch([text]), acks: 1), version: 11, token: node.token())
                })
        }

        func answers(_ effects: [ReplicationEffect]) -> [RequestToken: FetchResponse] {
            var found: [RequestToken: FetchResponse] = [:]
            for case .fetched(let token, let response) in effects { found[token] = response }
            return found
        }

        func texts(_ response: FetchResponse?) throws -> [String] {
            try values(bytes(response?.only?.records)).map(\.value)
        }
    }

    @Test func recordsGoOutWhileEarlierOnesAreOnTheirWay() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        let (first, _) = leader.fetch()
        let (second, _) = leader.fetch()
        let a = leader.append("a")
        #expect(Array(a.keys) == [first])
        #expect(try leader.texts(a[first]) == ["a"])
        let b = leader.append("b")
        #expect(Array(b.keys) == [second])
        #expect(try leader.texts(b[second]) == ["b"])
        // Nothing waits any more; what comes now goes out with the next request.
        #expect(leader.append("c").isEmpty)
        #expect(try leader.node.replica().highWatermark == 0)
        let (third, told) = leader.fetch([leader.named(1, Self.goOn)])
        #expect(try leader.texts(told[third]) == ["c"])
        #expect(try leader.node.replica().highWatermark == 1)
        let (_, nothing) = leader.fetch([leader.named(2, Self.goOn)])
        #expect(nothing.isEmpty)
        #expect(try leader.node.replica().highWatermark == 2)
    }

    @Test func aStartIsForWhatWasSentBefore() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        leader.fetch()
        let (waiting, _) = leader.fetch()
        #expect(leader.append("a").count == 1)
        // The follower could not keep it. What waits is answered, as it asked for another place.
        let (again, answers) = leader.fetch([leader.named(0, Self.start)])
        #expect(answers[waiting]?.responses.isEmpty == true)
        #expect(try leader.texts(answers[again]) == ["a"])
    }

    @Test func anotherEpochIsAStart() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        leader.fetch()
        #expect(leader.append("a").count == 1)
        leader.node.lead(epoch: 6, partitionEpoch: 2, replicas: [1, 2], isr: [1, 2])
        let (again, answers) = leader.fetch([leader.named(0, Self.goOn, epoch: 6)])
        #expect(try leader.texts(answers[again]) == ["a"])
    }

    /// As Apache Kafka's followers ask: what they do not name is where it was.
    @Test func othersAreSentWhatTheyDoNotName() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, 0)], wait: 0)
        leader.fetch()
        #expect(leader.append("a").count == 1)
        let (again, answers) = leader.fetch()
        #expect(try leader.texts(answers[again]) == ["a"])
        // One that waits gives way to the next.
        let (waiting, none) = leader.fetch([leader.named(1, 0)])
        #expect(none.isEmpty)
        let (_, superseded) = leader.fetch([leader.named(1, 0)])
        #expect(superseded[waiting]?.responses.isEmpty == true)
    }

    @Test func whatComesFromAFileIsSentOnce() throws {
        let leader = try Leader()
        // More than is kept in memory.
        let big = String(repeating: "x", count: 900_000)
        for _ in 0..<8 { _ = leader.append(big) }
        let (full, opened) = leader.fetch([leader.named(0, Self.start)])
        #expect(try leader.texts(opened[full]).count == 1)
        let (next, unnamed) = leader.fetch()
        #expect(unnamed.isEmpty)
        // Only the follower knows how much it was.
        let (third, answers) = leader.fetch([leader.named(1, Self.goOn)])
        #expect(try leader.texts(answers[next]).count == 1)
        #expect(answers[third] == nil)
    }

    @Test func requestsThatWaitAreBounded() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        var tokens: [RequestToken] = []
        var answered: [RequestToken] = []
        for _ in 0..<40 {
            let (token, answers) = leader.fetch()
            tokens.append(token)
            answered += answers.keys
        }
        #expect(answered == Array(tokens[0..<24]))
        // And each waits for its own time only.
        let late = leader.answers(leader.node.step(after: .milliseconds(500)))
        #expect(late.count == 16)
    }

    @Test func aLostConnectionTakesAllThatWait() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        let (first, _) = leader.fetch()
        let (second, _) = leader.fetch()
        leader.node.step { $0.cancelFetch(first) }
        leader.node.step { $0.cancelFetch(second) }
        #expect(leader.append("a").isEmpty)
        #expect(leader.node.manager.nextDeadline.map { $0 > leader.node.now } ?? true)
    }

    /// With records every 5 ms and 20 ms to the follower it never has what the leader had at the
    /// fetch before, and is in sync all the same.
    @Test func aFollowerAtADistanceStaysInSync() throws {
        let leader = try Leader()
        leader.fetch([leader.named(0, Self.start)], wait: 0)
        for _ in 0..<8 { leader.fetch() }
        for count in 1...8_000 as ClosedRange<Int64> {
            let effects = leader.node.step(after: .milliseconds(5)) {
                $0.produce(
                    produceRequest(batch(["x"]), acks: 1), version: 11,
                    token: leader.node.token())
            }
            #expect(alterPartition(effects) == nil)
            if count > 4 { leader.fetch([leader.named(count - 4, Self.goOn)]) }
        }
        #expect(try leader.node.replica().highWatermark == 7_996)
        // One that stops is not.
        var isShrunk = false
        for _ in 0..<80 {
            let effects = leader.node.step(after: .milliseconds(500))
            if alterPartition(effects) != nil { isShrunk = true }
        }
        #expect(isShrunk)
    }

    // MARK: The follower

    private func sent(_ effects: [ReplicationEffect]) -> [(UInt64, [Int8])] {
        effects.compactMap {
            guard case .fetch(_, let correlation, let request) = $0 else { return nil }
            return (correlation, request.topics.flatMap(\.partitions).map(\.readAhead))
        }
    }

    private func answer(
        _ node: TestNode, _ correlation: UInt64, at offset: Int64? = nil
    ) -> [ReplicationEffect] {
        var records = ByteBuffer()
        if let offset {
            records = batch(["x"])
            records.setInteger(offset, at: 0)
            records.setInteger(Int32(5), at: 12)
        }
        let part = FetchResponse.PartitionData(
            partitionIndex: 0, highWatermark: 0, logStartOffset: 0, records: .bytes(records))
        return node.step {
            $0.fetched(
                from: 2, correlation: correlation,
                FetchResponse(
                    sessionId: 77, responses: [.init(topicId: topicA, partitions: [part])]))
        }
    }

    @Test func moreAreUnderWayWhileRecordsCome() throws {
        let node = try TestNode()
        var waiting = sent(node.follow(2)).map(\.0)
        #expect(waiting.count == 1)
        var depths: [Int] = []
        for offset in 0..<12 as Range<Int64> {
            let requests = sent(answer(node, waiting.removeFirst(), at: offset))
            // The first says how far we are, at once.
            #expect(requests.first?.1 == [Self.goOn])
            waiting += requests.map(\.0)
            depths.append(waiting.count)
        }
        #expect(depths == [3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8])
        // A high watermark is no record, and does not come without any.
        for _ in 0..<20 {
            waiting += sent(answer(node, waiting.removeFirst())).map(\.0)
        }
        #expect(waiting.count == 8)
        // As many as there are have waited in vain, and again.
        var waits = 0
        while waiting.count > 2 {
            let response = FetchResponse(sessionId: 77)
            let first = waiting.removeFirst()
            waiting += sent(node.step { $0.fetched(from: 2, correlation: first, response) })
                .map(\.0)
            waits += 1
        }
        #expect(waits == 8 + 7 + 6 + 5 + 4 + 3)
    }

    @Test func aGapIsAskedForAnew() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)).first)
        #expect(first.1 == [Self.start])
        let next = sent(answer(node, first.0, at: 0))
        let again = sent(answer(node, try #require(next.first).0, at: 2))
        #expect(again.first?.1 == [Self.start])
        // What is on its way is not for this place; the answer to the new question is.
        _ = answer(node, next[1].0, at: 1)
        #expect(try node.replica().log?.logEndOffset == 1)
        _ = answer(node, try #require(again.first).0, at: 1)
        #expect(try node.replica().log?.logEndOffset == 2)
    }
}
