import KafkaClient
import KafkaRecords
import KafkaWire
import NIOCore
import Synchronization
import Testing

/// A topic of some partitions in memory, all led by one broker, which fails as it is told to.
private final class TopicBroker: Sendable {
    struct State {
        var log: [Int32: [RecordBatch]] = [:]
        var ends: [Int32: Int64] = [:]
        var produced: [ProduceRequest] = []
        /// Errors of the next attempts, one each.
        var faults: [ErrorCode] = []
        var loses = 0
        var leader: Int32 = 1
    }

    static let id = KafkaUUID(high: 1, low: 2)
    let state = Mutex(State())
    let port = Mutex<UInt16>(0)
    let count: Int32

    init(partitions: Int32) { count = partitions }

    func handle(_ call: FakeBroker.Call) -> FakeBroker.Reply {
        switch call.apiKey {
        case MetadataRequest.apiKey: return call.answer(metadata)
        case InitProducerIdRequest.apiKey:
            return call.answer(InitProducerIdResponse(producerId: 4711, producerEpoch: 3))
        case ProduceRequest.apiKey:
            guard let request = call.request(ProduceRequest.self) else { return .close }
            return produce(request, call)
        case ListOffsetsRequest.apiKey:
            guard let request = call.request(ListOffsetsRequest.self) else { return .close }
            return call.answer(offsets(request))
        case FetchRequest.apiKey:
            guard let request = call.request(FetchRequest.self) else { return .close }
            return call.answer(fetch(request))
        default: return .close
        }
    }

    private var metadata: MetadataResponse {
        MetadataResponse(
            brokers: [.init(nodeId: 1, host: "127.0.0.1", port: Int32(port.withLock { $0 }))],
            topics: [
                .init(
                    name: "t", topicId: Self.id,
                    partitions: (0..<count).map {
                        .init(
                            partitionIndex: $0, leaderId: state.withLock { $0.leader },
                            leaderEpoch: 5, replicaNodes: [1], isrNodes: [1])
                    })
            ])
    }

    private func produce(_ request: ProduceRequest, _ call: FakeBroker.Call) -> FakeBroker.Reply {
        state.withLock { state in
            state.produced.append(request)
            let fault = state.faults.isEmpty ? ErrorCode.none : state.faults.removeFirst()
            if fault == .none { store(request, &state) }
            if request.acks == 0 { return .nothing }
            if fault == .none, state.loses > 0 {
                // Taken, but the answer is lost on its way.
                state.loses -= 1
                return .close
            }
            return call.answer(
                ProduceResponse(responses: [
                    .init(
                        topicId: Self.id,
                        partitionResponses: request.topicData.flatMap(\.partitionData).map {
                            .init(
                                index: $0.index, errorCode: fault,
                                baseOffset: fault == .none ? 100 : -1)
                        })
                ]))
        }
    }

    private func store(_ request: ProduceRequest, _ state: inout State) {
        for data in request.topicData.flatMap(\.partitionData) {
            guard let bytes = data.records?.bytes,
                let batch = try? RecordBatch(at: bytes.readerIndex, in: bytes)
            else { continue }
            // A repetition is told by its sequence number.
            let isThere =
                batch.header.producerId >= 0
                && state.log[data.index, default: []].contains {
                    $0.header.baseSequence == batch.header.baseSequence
                }
            if !isThere { append(bytes, data.index, &state) }
        }
    }

    func append(_ batch: ByteBuffer, _ index: Int32, _ state: inout State) {
        let base = state.ends[index, default: 0]
        var batch = batch
        RecordBatches.rewrite(
            baseOffset: base, leaderEpoch: 5, at: batch.readerIndex, in: &batch)
        guard let whole = try? RecordBatch(at: batch.readerIndex, in: batch) else { return }
        state.log[index, default: []].append(whole)
        state.ends[index] = whole.header.lastOffset + 1
    }

    private func offsets(_ request: ListOffsetsRequest) -> ListOffsetsResponse {
        state.withLock { state in
            ListOffsetsResponse(topics: [
                .init(
                    name: "t",
                    partitions: request.topics.flatMap(\.partitions).map {
                        .init(
                            partitionIndex: $0.partitionIndex,
                            offset: $0.timestamp == -2
                                ? 0 : state.ends[$0.partitionIndex, default: 0])
                    })
            ])
        }
    }

    private func fetch(_ request: FetchRequest) -> FetchResponse {
        state.withLock { state in
            let fault = state.faults.isEmpty ? ErrorCode.none : state.faults.removeFirst()
            return FetchResponse(responses: [
                .init(
                    topicId: Self.id,
                    partitions: request.topics.flatMap(\.partitions).map { wanted in
                        var bytes = ByteBuffer()
                        for batch in state.log[wanted.partition, default: []]
                        where batch.header.lastOffset >= wanted.fetchOffset {
                            bytes.writeImmutableBuffer(batch.bytes)
                        }
                        // A fetch may end within a batch.
                        bytes.writeBytes([0, 0, 0, 0, 0, 0, 0, 99, 0, 0])
                        return .init(
                            partitionIndex: wanted.partition, errorCode: fault,
                            records: fault == .none ? .bytes(bytes) : nil)
                    })
            ])
        }
    }
}

@Suite struct ProducerConsumerTests {
    private func withTopic(
        partitions: Int32 = 3, _ body: (TopicBroker, KafkaCluster) async throws -> Void
    ) async throws {
        let topic = TopicBroker(partitions: partitions)
        try await withBroker {
            topic.handle($0)
        } _: { broker in
            topic.port.withLock { $0 = broker.port }
            try await body(topic, try KafkaCluster(bootstrap: "127.0.0.1:\(broker.port)"))
        }
    }

    private func add(_ producer: Producer, key: String?, _ value: String) throws {
        try producer.add(
            key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: value),
            headers: [], timestamp: 1000)
    }

    private func consume(
        _ cluster: KafkaCluster, partitions: [Int32]? = nil, from start: Consumer.Start
    ) throws -> [Consumer.Received] {
        let consumer = try Consumer(
            cluster, topic: "t", partitions: partitions, from: start, follows: false,
            waitMilliseconds: 1)
        var received: [Consumer.Received] = []
        while !consumer.isAtEnd { received += try consumer.poll() }
        return received
    }

    private func values(_ received: [Consumer.Received]) -> [String] {
        received.map { $0.record.value.map { String(buffer: $0) } ?? "null" }
    }

    @Test func keysDecideWhereRecordsGo() async throws {
        try await withTopic { topic, cluster in
            let producer = try Producer(cluster, topic: "t", Producer.Settings())
            for number in 0..<60 { try add(producer, key: "k\(number % 10)", "\(number)") }
            try producer.flush()
            #expect(producer.summary.records == 60)
            let received = try consume(cluster, from: .point(.earliest))
            #expect(received.count == 60)
            for entry in received {
                let key = try #require(entry.record.key)
                #expect(entry.partition == Partitioner.partition(ofKey: key, count: 3))
            }
            // In each partition in the order in which they were added.
            for partition: Int32 in 0..<3 {
                let numbers = values(received.filter { $0.partition == partition })
                    .compactMap { Int($0) }
                #expect(numbers == numbers.sorted())
            }
            let request = try #require(topic.state.withLock { $0.produced.first })
            #expect(request.acks == -1 && request.topicData.first?.topicId == TopicBroker.id)
        }
    }

    @Test func recordsWithoutAKeyStayTogetherForAWhile() async throws {
        try await withTopic { topic, cluster in
            let producer = try Producer(cluster, topic: "t", Producer.Settings())
            for number in 0..<100 { try add(producer, key: nil, "\(number)") }
            try producer.flush()
            #expect(producer.summary.partitions.count == 1)
            #expect(producer.summary.batches == 1)
        }
    }

    @Test func whatIsSentAgainIsTheSameBatch() async throws {
        try await withTopic(partitions: 1) { topic, cluster in
            topic.state.withLock {
                $0.faults = [.notLeaderOrFollower, .notEnoughReplicas, .none]
                $0.loses = 1
            }
            let producer = try Producer(cluster, topic: "t", Producer.Settings())
            try add(producer, key: "a", "1")
            try add(producer, key: "a", "2")
            try producer.flush()
            try add(producer, key: "a", "3")
            try producer.flush()
            #expect(producer.summary.records == 3 && producer.summary.retries == 3)
            let requests = topic.state.withLock { $0.produced }
            let sent = requests.map { $0.topicData.flatMap(\.partitionData).map(\.records) }
            #expect(sent.count == 5)
            #expect(sent[0] == sent[1] && sent[1] == sent[2] && sent[2] == sent[3])
            let headers = topic.state.withLock { $0.log[0, default: []].map(\.header) }
            #expect(headers.map(\.producerId) == [4711, 4711])
            #expect(headers.map(\.producerEpoch) == [3, 3])
            #expect(headers.map(\.baseSequence) == [0, 2])
            #expect(values(try consume(cluster, from: .point(.earliest))) == ["1", "2", "3"])
        }
    }

    @Test func whatItWaitsForIsTold() async throws {
        try await withTopic(partitions: 1) { topic, cluster in
            topic.state.withLock { $0.faults = [.notEnoughReplicas, .notEnoughReplicas, .none] }
            let producer = try Producer(cluster, topic: "t", Producer.Settings())
            var told: [(ClientError, Duration)] = []
            producer.waits = { told.append(($0, $1)) }
            try add(producer, key: nil, "1")
            try producer.flush()
            #expect(
                told.map(\.0)
                    == Array(
                        repeating: .refused(
                            .notEnoughReplicas, what: "partition 0 of t", detail: nil), count: 2))
            #expect(told[0].1 < told[1].1)
            // What does not pass is thrown, and not waited for.
            topic.state.withLock { $0.faults = [.messageTooLarge] }
            try add(producer, key: nil, "2")
            #expect(throws: ClientError.self) { try producer.flush() }
            #expect(told.count == 2)
        }
    }

    @Test func whatDoesNotPassIsTold() async throws {
        try await withTopic(partitions: 1) { topic, cluster in
            topic.state.withLock { $0.faults = [.messageTooLarge] }
            let producer = try Producer(cluster, topic: "t", Producer.Settings())
            try add(producer, key: nil, "1")
            #expect(
                throws: ClientError.refused(
                    .messageTooLarge, what: "partition 0 of t", detail: nil)
            ) { try producer.flush() }
            #expect(producer.summary.records == 0)
        }
    }

    @Test func withoutAcksNothingIsAwaited() async throws {
        try await withTopic(partitions: 1) { topic, cluster in
            var settings = Producer.Settings()
            settings.acks = 0
            settings.partition = 0
            settings.compression = .gzip
            let producer = try Producer(cluster, topic: "t", settings)
            try add(producer, key: nil, "1")
            try producer.flush()
            #expect(producer.summary.records == 1)
            #expect(producer.summary.partitions[0]?.firstOffset == nil)
            // The connection is of use still, and in step.
            settings.acks = 1
            let second = try Producer(cluster, topic: "t", settings)
            try add(second, key: nil, "2")
            try second.flush()
            #expect(values(try consume(cluster, from: .point(.earliest))) == ["1", "2"])
            let headers = topic.state.withLock { $0.log[0, default: []].map(\.header) }
            #expect(headers.map(\.producerId) == [-1, -1])
            #expect(headers.map(\.compression) == [.gzip, .gzip])
            settings.partition = 1
            #expect(throws: ClientError.self) {
                try Producer(cluster, topic: "t", settings)
            }
        }
    }

    @Test func readingBeginsAndEndsWhereItShould() async throws {
        try await withTopic(partitions: 2) { topic, cluster in
            topic.state.withLock { state in
                for batch in 0..<3 {
                    var builder = RecordBatchBuilder()
                    for record in 0..<4 {
                        builder.append(
                            key: nil, value: ByteBuffer(string: "\(batch * 4 + record)"),
                            timestamp: 1)
                    }
                    if let bytes = try? builder.build(compression: .lz4) {
                        topic.append(bytes, 1, &state)
                    }
                }
            }
            let all = (0..<12).map(String.init)
            #expect(values(try consume(cluster, from: .point(.earliest))) == all)
            #expect(values(try consume(cluster, from: .last(3))) == ["9", "10", "11"])
            #expect(values(try consume(cluster, from: .last(100))) == all)
            // In the middle of a batch.
            let six = try consume(cluster, partitions: [1], from: .offset(6))
            #expect(values(six) == (6..<12).map(String.init))
            #expect(six.map(\.record.offset) == Array(6..<12))
            #expect(try consume(cluster, from: .point(.latest)).isEmpty)
            #expect(throws: ClientError.self) {
                try consume(cluster, partitions: [1], from: .offset(13))
            }
            #expect(throws: ClientError.self) {
                try consume(cluster, partitions: [2], from: .last(1))
            }
            // A change of the leader passes; damage does not.
            topic.state.withLock { $0.faults = [.notLeaderOrFollower, .fencedLeaderEpoch] }
            #expect(values(try consume(cluster, from: .point(.earliest))) == all)
            topic.state.withLock { $0.faults = [.topicAuthorizationFailed] }
            #expect(throws: ClientError.self) {
                try consume(cluster, from: .point(.earliest))
            }
        }
    }

    @Test func damagedRecordsAreRefused() async throws {
        try await withTopic(partitions: 1) { topic, cluster in
            topic.state.withLock { state in
                var builder = RecordBatchBuilder()
                builder.append(key: nil, value: ByteBuffer(string: "value"), timestamp: 1)
                guard var bytes = try? builder.build() else { return }
                bytes.setInteger(UInt8(ascii: "V"), at: bytes.writerIndex - 3)
                topic.append(bytes, 0, &state)
            }
            do throws(any Error) {
                _ = try consume(cluster, from: .point(.earliest))
                Issue.record("the damage was not seen")
            } catch let error as ClientError {
                guard case .refused(.corruptMessage, "partition 0 of t", _) = error else {
                    Issue.record("\(error)")
                    return
                }
            }
        }
    }
}
