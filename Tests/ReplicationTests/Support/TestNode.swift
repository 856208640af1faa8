import CommitLog
import KafkaWire
import NIOCore
import Replication
import SimulatedDisk
import Testing
import Timing

/// The topics that exist, wherever they stand.
final class TestTopics: TopicDirectory {
    var topics: [(name: String, id: KafkaUUID, partitions: Int32)] = []
    var leaders: [TopicIdPartition: (id: Int32, epoch: Int32)] = [:]

    func topicId(named name: String) -> KafkaUUID? { topics.first { $0.name == name }?.id }
    func topicName(of id: KafkaUUID) -> String? { topics.first { $0.id == id }?.name }
    func hasPartition(_ partition: Int32, ofTopic id: KafkaUUID) -> Bool {
        topics.contains { $0.id == id && (0..<$0.partitions).contains(partition) }
    }
    func leader(ofTopic id: KafkaUUID, _ partition: Int32) -> (id: Int32, epoch: Int32)? {
        leaders[TopicIdPartition(id, partition)]
    }
}

/// The logs of one node, on its simulated disk.
final class TestLogs: LogStore {
    let directory: LogDirectory
    var config = LogConfig()
    var deleted: [TopicPartition] = []
    /// What opening a log comes to.
    var failure: LogError?

    init(_ disk: SimulatedDisk) throws {
        directory = try openDirectory(disk)
    }

    func openLog(_ partition: TopicPartition, topicId: KafkaUUID) throws(LogError) -> PartitionLog {
        if let failure { throw failure }
        return try openTestLog(directory, partition, topicId, config)
    }

    func deleteLog(_ log: PartitionLog) { deleted.append(log.topicPartition) }
}

let topicA = KafkaUUID(high: 7, low: 1)
let topicB = KafkaUUID(high: 7, low: 2)

/// One broker, with the world around it in the test's hand.
final class TestNode {
    let id: Int32
    let disk: SimulatedDisk
    let logs: TestLogs
    let topics: TestTopics
    let manager: ReplicaManager
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var wallMs: Int64 = 1_700_000_000_000
    private var lastToken: UInt64 = 0

    init(
        id: Int32 = 1, config: ReplicationConfig = ReplicationConfig(),
        log: LogConfig = LogConfig(), disk: SimulatedDisk = SimulatedDisk(),
        topics: TestTopics = TestTopics(),
        highWatermarks: [TopicPartition: Int64] = [:]
    ) throws {
        self.id = id
        self.disk = disk
        self.topics = topics
        logs = try TestLogs(disk)
        logs.config = log
        if topics.topics.isEmpty {
            topics.topics = [("t", topicA, 4), ("u", topicB, 4)]
        }
        manager = ReplicaManager(
            brokerId: id, config: config, directory: topics, logs: logs, seed: 42,
            highWatermarks: highWatermarks)
        manager.brokerEpoch = Int64(id) * 10
        manager.setBrokers(
            BrokerTable(
                [1, 2, 3].map { BrokerStatus(id: $0, epoch: Int64($0) * 10, rack: "r\($0)") })
        )
    }

    /// One step: time passes, something happens, and what it leads to comes back.
    @discardableResult
    func step(
        after wait: Nanoseconds = .zero, _ body: (ReplicaManager) -> Void = { _ in }
    ) -> [ReplicationEffect] {
        now = now + wait
        wallMs += wait.count / 1_000_000
        manager.begin(at: now, wallMs: wallMs)
        body(manager)
        var effects: [ReplicationEffect] = []
        manager.settle(into: &effects)
        return effects
    }

    func token() -> RequestToken {
        lastToken += 1
        return RequestToken(low: lastToken)
    }

    /// Makes this node lead partition 0 of `t`.
    @discardableResult
    func lead(
        epoch: Int32 = 5, partitionEpoch: Int32 = 1, replicas: [Int32] = [1, 2, 3],
        isr: [Int32] = [1, 2, 3], eligible: [Int32] = [], partition: Int32 = 0
    ) -> [ReplicationEffect] {
        step {
            $0.assign(
                topic: "t", topicId: topicA, partition: partition,
                PartitionMetadata(
                    leader: id, leaderEpoch: epoch, partitionEpoch: partitionEpoch,
                    replicas: replicas, isr: isr, eligibleLeaders: eligible))
        }
    }

    @discardableResult
    func follow(
        _ leader: Int32, epoch: Int32 = 5, partitionEpoch: Int32 = 1,
        replicas: [Int32] = [1, 2, 3], isr: [Int32] = [1, 2, 3], partition: Int32 = 0
    ) -> [ReplicationEffect] {
        step {
            $0.assign(
                topic: "t", topicId: topicA, partition: partition,
                PartitionMetadata(
                    leader: leader, leaderEpoch: epoch, partitionEpoch: partitionEpoch,
                    replicas: replicas, isr: isr))
        }
    }

    func replica(_ partition: Int32 = 0) throws -> PartitionReplica {
        try #require(manager.replica(topicA, partition))
    }

    /// Appends without waiting for followers, and expects that it goes well.
    @discardableResult
    func append(_ values: [String], partition: Int32 = 0) throws -> Int64 {
        let token = token()
        let effects = step {
            $0.produce(
                produceRequest(batch(values), acks: 1, partition: partition), version: 11,
                token: token)
        }
        let part = try #require(produced(effects, token))
        #expect(part.errorCode == .none)
        return part.baseOffset
    }

    /// A follower's fetch, outside of any session.
    @discardableResult
    func followerFetch(
        _ follower: Int32, at offset: Int64, epoch: Int32 = 5, lastEpoch: Int32 = -1,
        logStart: Int64 = 0, brokerEpoch: Int64? = nil, maxWaitMs: Int32 = 0,
        partition: Int32 = 0, after wait: Nanoseconds = .zero
    ) -> [ReplicationEffect] {
        let request = fetchRequest(
            [
                .init(
                    partition: partition, currentLeaderEpoch: epoch, fetchOffset: offset,
                    lastFetchedEpoch: lastEpoch, logStartOffset: logStart,
                    partitionMaxBytes: 1 << 20)
            ], replica: follower, brokerEpoch: brokerEpoch ?? Int64(follower) * 10,
            maxWaitMs: maxWaitMs)
        return step(after: wait) { $0.fetch(request, version: 17, token: token()) }
    }
}

func fetchRequest(
    _ partitions: [FetchRequest.FetchPartition], replica: Int32 = -1, brokerEpoch: Int64 = -1,
    maxWaitMs: Int32 = 0, minBytes: Int32 = 1, maxBytes: Int32 = 1 << 20,
    isolation: Int8 = 0, session: Int32 = 0, epoch: Int32 = -1,
    forgotten: [Int32] = [], rack: String = "", topic: KafkaUUID = topicA
) -> FetchRequest {
    FetchRequest(
        replicaId: replica,
        replicaState: .init(replicaId: replica, replicaEpoch: brokerEpoch), maxWaitMs: maxWaitMs,
        minBytes: minBytes, maxBytes: maxBytes, isolationLevel: isolation, sessionId: session,
        sessionEpoch: epoch,
        topics: partitions.isEmpty
            ? [] : [.init(topic: "t", topicId: topic, partitions: partitions)],
        forgottenTopicsData: forgotten.isEmpty
            ? [] : [.init(topic: "t", topicId: topic, partitions: forgotten)],
        rackId: rack)
}

func want(
    _ offset: Int64, partition: Int32 = 0, epoch: Int32 = -1, lastEpoch: Int32 = -1,
    maxBytes: Int32 = 1 << 20
) -> FetchRequest.FetchPartition {
    .init(
        partition: partition, currentLeaderEpoch: epoch, fetchOffset: offset,
        lastFetchedEpoch: lastEpoch, partitionMaxBytes: maxBytes)
}

// MARK: Looking into effects

func produced(
    _ effects: [ReplicationEffect], _ token: RequestToken
) -> ProduceResponse.PartitionProduceResponse? {
    for case .produced(token, let response) in effects {
        return response.responses.first?.partitionResponses.first
    }
    return nil
}

func fetched(_ effects: [ReplicationEffect], _ token: RequestToken? = nil) -> FetchResponse? {
    for case .fetched(let found, let response) in effects where token == nil || found == token {
        return response
    }
    return nil
}

extension FetchResponse {
    /// Of the only partition.
    var only: PartitionData? {
        responses.count == 1 && responses[0].partitions.count == 1
            ? responses[0].partitions[0] : nil
    }

    var partitionNumbers: [Int32] { responses.flatMap { $0.partitions.map(\.partitionIndex) } }
}

func alterPartition(
    _ effects: [ReplicationEffect]
) -> AlterPartitionRequest.PartitionData? {
    for case .alterPartition(let request) in effects {
        return request.topics.first?.partitions.first
    }
    return nil
}

/// What the controller answers for partition 0 of `t`.
func alterAnswer(
    _ error: ErrorCode = .none, leader: Int32 = 1, epoch: Int32 = 5, isr: [Int32] = [],
    partitionEpoch: Int32 = 2
) -> AlterPartitionResponse {
    AlterPartitionResponse(topics: [
        .init(
            topicId: topicA,
            partitions: [
                .init(
                    partitionIndex: 0, errorCode: error, leaderId: leader, leaderEpoch: epoch,
                    isr: isr, partitionEpoch: partitionEpoch)
            ])
    ])
}

/// Records wherever they are, in memory.
func bytes(_ records: Records?) throws -> ByteBuffer {
    switch records {
    case nil: return ByteBuffer()
    case .bytes(let bytes): return bytes
    case .file(let region):
        let file = try #require(region.file as? any DiskFile)
        return try file.read(at: region.offset, count: region.length)
    }
}
