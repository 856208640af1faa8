import CommitLog
import KafkaWire
import NIOCore
import Replication
import Testing
import Timing

/// What a follower does about offsets that do not fit its leader's, and about nonsense.
@Suite struct FetcherOffsetTests {
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

    private func underWay(_ effects: [ReplicationEffect]) -> [UInt64] {
        effects.compactMap {
            guard case .fetch(_, let correlation, _) = $0 else { return nil }
            return correlation
        }
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

    // MARK: Out of range

    @Test func theLeadersLogBeginsLater() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        var refusal = part(error: .offsetOutOfRange)
        refusal.logStartOffset = 40
        let next = try #require(sent(answer(node, first.correlation, [refusal])))
        #expect(asked(next) == [[0, 40, -1]])
        #expect(try node.replica().log?.logStartOffset == 40)
        #expect(try node.replica().highWatermark == 40)
    }

    private func listed(_ effects: [ReplicationEffect]) -> (UInt64, ListOffsetsRequest)? {
        for case .listOffsets(leader: 2, let correlation, let request) in effects {
            return (correlation, request)
        }
        return nil
    }

    private func offsets(
        _ node: TestNode, _ correlation: UInt64, _ offset: Int64, error: ErrorCode = .none
    ) -> [ReplicationEffect] {
        let response = ListOffsetsResponse(topics: [
            .init(
                name: "t",
                partitions: [.init(partitionIndex: 0, errorCode: error, offset: offset)])
        ])
        return node.step { $0.listedOffsets(from: 2, correlation: correlation, response) }
    }

    /// A leader that does not say where its log begins, as Apache Kafka's do not, is asked.
    @Test func askingForTheLeadersEnds() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(answer(node, first.correlation, [part(at: 0, ["a", "b"])])))
        let more = try #require(sent(answer(node, next.correlation, [part(at: 2, ["c"])])))
        let effects = answer(node, more.correlation, [part(error: .offsetOutOfRange)])
        let (correlation, end) = try #require(listed(effects))
        #expect(end.replicaId == 1)
        #expect(end.topics[0].partitions[0].timestamp == -1)
        #expect(end.topics[0].partitions[0].currentLeaderEpoch == 5)
        // The leader's log is shorter.
        node.step()
        _ = offsets(node, correlation, 2)
        #expect(try node.replica().log?.logEndOffset == 2)
    }

    @Test func theLeadersStartIsAskedForSecond() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let (correlation, _) = try #require(
            listed(answer(node, first.correlation, [part(error: .offsetOutOfRange)])))
        let (next, start) = try #require(listed(offsets(node, correlation, 90)))
        #expect(start.topics[0].partitions[0].timestamp == -2)
        _ = offsets(node, next, 30)
        #expect(try node.replica().log?.logStartOffset == 30)
        #expect(try node.replica().log?.logEndOffset == 30)
    }

    @Test func anErrorInsteadOfAnEnd() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let (correlation, _) = try #require(
            listed(answer(node, first.correlation, [part(error: .offsetOutOfRange)])))
        _ = offsets(node, correlation, -1, error: .notLeaderOrFollower)
        #expect(try #require(node.manager.nextDeadline) <= node.now + .milliseconds(20))
    }

    // MARK: Log start

    @Test func theLogStartFollowsTheLeaders() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(
                answer(
                    node, first.correlation,
                    [part(at: 0, ["a", "b", "c"], highWatermark: 3, logStart: 0)])))
        let told = try #require(
            sent(answer(node, next.correlation, [part(highWatermark: 3, logStart: 2)])))
        #expect(try node.replica().log?.logStartOffset == 2)
        // And is told to the leader, which waits for it (DeleteRecords).
        #expect(told.request.topics[0].partitions[0].logStartOffset == 2)
    }

    /// A follower drops records by retention of its own, perhaps before its leader does. In a
    /// session only news are told, and the leader takes nobody into the ISR whose log begins
    /// before its own.
    @Test func whatRetentionHasDroppedHereIsToldToo() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(
                answer(
                    node, first.correlation,
                    [part(at: 0, ["a", "b", "c"], highWatermark: 3, logStart: 0)])))
        let silent = try #require(
            sent(answer(node, next.correlation, [part(highWatermark: 3, logStart: 0)])))
        #expect(silent.request.topics.isEmpty)
        try #require(try node.replica().log).raiseLogStart(to: 2)
        let moved = node.step { $0.logStartMoved(TopicPartition("t", 0)) }
        let told = try #require(sent(moved) ?? sent(answer(node, silent.correlation, [])))
        #expect(told.request.topics.first?.partitions.first?.logStartOffset == 2)
    }

    /// DeleteRecords has cut the leader's log inside a batch; a new follower begins there.
    @Test func aLogThatBeginsInsideABatch() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        var refusal = part(error: .offsetOutOfRange)
        refusal.logStartOffset = 2
        let next = try #require(sent(answer(node, first.correlation, [refusal])))
        #expect(asked(next) == [[0, 2, -1]])
        _ = answer(
            node, next.correlation,
            [part(at: 0, ["a", "b", "c"], highWatermark: 3, logStart: 2)])
        #expect(try node.replica().log?.logEndOffset == 3)
        #expect(try node.replica().log?.logStartOffset == 2)
        #expect(try node.replica().highWatermark == 3)
    }

    /// The leader has deleted all that we have, and its log begins inside a batch that is not ours:
    /// no epoch tells any more where the two logs part.
    @Test func aLogThatBeginsWhereOursEnds() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        let next = try #require(
            sent(
                answer(
                    node, first.correlation,
                    [part(at: 0, ["a", "b", "c"], highWatermark: 3, logStart: 0)])))
        _ = answer(
            node, next.correlation,
            [part(at: 2, ["x", "y"], highWatermark: 4, logStart: 3)])
        #expect(try node.replica().log?.logEndOffset == 4)
        #expect(try node.replica().log?.logStartOffset == 3)
        #expect(try node.replica().highWatermark == 4)
    }

    /// What cannot be used is asked for again, not waited for.
    @Test func anAnswerThatIsOfNoUse() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        _ = answer(
            node, first.correlation,
            [part(at: 0, ["a", "b", "c"], highWatermark: 3, logStart: 0)])
        let anew = try #require(sent(node.follow(2, epoch: 6, partitionEpoch: 2)))
        #expect(asked(anew) == [[0, 3, 5]])
        _ = answer(
            node, anew.correlation, [part(at: 2, ["x", "y"], highWatermark: 4, logStart: 0)])
        #expect(try node.replica().log?.logEndOffset == 3)
        let again = try #require(sent(node.step(after: .milliseconds(20))))
        #expect(asked(again) == [[0, 3, 5]])
    }

    // MARK: What a leader must not send

    @Test func corruptRecordsAreNotTaken() throws {
        let node = try TestNode()
        let first = try #require(sent(node.follow(2)))
        var records = batch(["hello"])
        records.setInteger(UInt8(0x55), at: records.writerIndex - 2)
        let data = FetchResponse.PartitionData(
            partitionIndex: 0, highWatermark: 1, logStartOffset: 0, records: .bytes(records))
        let effects = answer(node, first.correlation, [data])
        #expect(try node.replica().log?.logEndOffset == 0)
        #expect(try node.replica().highWatermark == 0)
        var warned = false
        for case .warning(_, .refusedRecords) in effects { warned = true }
        #expect(warned)
    }

    @Test func nonsenseInAnswers() throws {
        let numbers: [Int64] = [Int64.min, -1, 0, 3, Int64.max]
        for a in numbers {
            for b in numbers {
                let node = try TestNode()
                var waiting = underWay(node.follow(2))
                func reply(_ data: FetchResponse.PartitionData) throws {
                    let first = try #require(waiting.first)
                    waiting.removeFirst()
                    waiting += underWay(answer(node, first, [data]))
                    if waiting.isEmpty { waiting = underWay(node.step(after: .seconds(1))) }
                }
                try reply(part(at: 0, ["a", "b"]))
                var data = part(highWatermark: a, logStart: b)
                try reply(data)
                data.divergingEpoch = .init(epoch: Int32(clamping: a), endOffset: b)
                try reply(data)
                data.errorCode = .offsetOutOfRange
                try reply(data)
                let log = try #require(try node.replica().log)
                let highWatermark = try node.replica().highWatermark
                #expect(log.logStartOffset <= log.logEndOffset)
                #expect((log.logStartOffset...log.logEndOffset).contains(highWatermark))
            }
        }
    }
}
