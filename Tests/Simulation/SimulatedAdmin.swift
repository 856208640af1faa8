import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import SimulatedWorld
import Timing

/// Who changes the cluster while it runs: topics come and go, partitions move, records are deleted.
final class SimulatedAdmin: SimulatedClient {
    private enum Presence: Equatable {
        case present, absent
        /// A request was lost on its way, or is still on it.
        case unknown
    }

    private var nextAt: Instant
    private var isCreating = false
    private var isCreated = false
    /// Topics that come and go, as far as is known.
    private var passing: [String: Presence] = [:]
    private var busy: Set<String> = []
    private var nextName = 0
    private var isStopping = false

    override init(index: Int, seed: UInt64, cluster: ClusterSimulation) {
        nextAt = cluster.world.now
        super.init(index: index, seed: seed, cluster: cluster)
    }

    override func stop() { isStopping = true }

    override var unfinished: String? {
        busy.isEmpty ? nil : "the admin still waits for an answer about \(busy.sorted())"
    }

    override func step() {
        guard isCreated else { return create() }
        guard !isStopping, now >= nextAt else { return }
        nextAt = now + random.delay(.milliseconds(100) ... .seconds(2))
        switch random.below(10) {
        case 0, 1: createPassing()
        case 2: deletePassing()
        case 3, 4: fillPassing()
        case 5, 6, 7: move()
        case 8: deleteRecords()
        default: electPreferred()
        }
    }

    private func create() {
        guard !isCreating, now >= nextAt else { return }
        isCreating = true
        nextAt = now + .milliseconds(200)
        let request = CreateTopicsRequest(
            topics: SimulatedTopic.written.map {
                .init(
                    name: $0.name, numPartitions: $0.partitions, replicationFactor: 3,
                    configs: $0.configs)
            }, timeoutMs: 1000)
        ask(anyBroker, request, version: 5) { [self] response in
            isCreating = false
            isCreated =
                response?.topics.allSatisfy {
                    $0.errorCode == .none || $0.errorCode == .topicAlreadyExists
                } ?? false
        }
    }

    // MARK: Topics that come and go

    private func name(_ presence: Presence) -> String? {
        let names = passing.filter { $0.value == presence && !busy.contains($0.key) }.keys.sorted()
        return names.isEmpty ? nil : random.pick(names)
    }

    /// A new name, or one that a topic had that is deleted.
    private func createPassing() {
        guard passing.values.filter({ $0 == .present }).count < 3 else { return }
        let old = random.chance(perMille: 500) ? name(.absent) : nil
        let name = old ?? "passing-\(nextName)"
        if old == nil { nextName += 1 }
        busy.insert(name)
        let request = CreateTopicsRequest(
            topics: [
                .init(
                    name: name, numPartitions: Int32(random.below(2) + 1), replicationFactor: 3)
            ], timeoutMs: 2000)
        // Sent once: a copy that comes late would make a topic that has been deleted.
        ask(anyBroker, request, version: 5, timeout: .seconds(4), mayRepeat: false) {
            [self] response in
            busy.remove(name)
            let error = response?.topics.first?.errorCode
            cluster.log("\(name) is created: \(error, default: "?")")
            passing[name] = error == ErrorCode.none ? .present : .unknown
        }
    }

    private func deletePassing() {
        guard let name = name(.present) else { return }
        busy.insert(name)
        let request = DeleteTopicsRequest(topicNames: [name], timeoutMs: 2000)
        ask(anyBroker, request, version: 5, timeout: .seconds(4), mayRepeat: false) {
            [self] response in
            busy.remove(name)
            let error = response?.responses.first?.errorCode
            cluster.log("\(name) is deleted: \(error, default: "?")")
            passing[name] = error == ErrorCode.none ? .absent : .unknown
        }
    }

    /// Something is written to them, too; nobody minds what becomes of it.
    private func fillPassing() {
        guard let name = name(.present) else { return }
        let place = TopicPartition(name, 0)
        guard let leader = leader(of: place) else { return askMetadata([name]) }
        var builder = RecordBatchBuilder()
        builder.append(key: nil, value: ByteBuffer(repeating: 7, count: 400), timestamp: 1)
        guard let records = try? builder.build() else { return }
        let request = ProduceRequest(
            acks: random.chance(perMille: 500) ? 1 : -1, timeoutMs: 1000,
            topicData: [
                .init(name: name, partitionData: [.init(index: 0, records: .bytes(records))])
            ])
        ask(leader, request, version: 9, lane: .forwarded) { [self] response in
            let answer = response?.responses.first?.partitionResponses.first
            cluster.log("\(place) got a record: \(answer, default: "?")")
            let error = answer?.errorCode
            if error != ErrorCode.none { forgetLeader(of: place) }
        }
    }

    // MARK: Partitions

    private var anyPlace: TopicPartition {
        var places = SimulatedTopic.written.flatMap(\.places)
        places += (0..<2).map { TopicPartition("__consumer_offsets", $0) }
        places += passing.filter { $0.value == .present }.keys.sorted().map {
            TopicPartition($0, 0)
        }
        return random.pick(places)
    }

    /// Two to all brokers, in any order; sometimes a move is given up.
    private func move() {
        let place = anyPlace
        var replicas: [Int32]?
        if random.chance(perMille: 850) {
            var all = (1...Int32(cluster.plan.brokers)).map { $0 }
            all.shuffle(using: &random)
            // Never fewer than can lose one and still acknowledge.
            replicas = Array(all.prefix(3))
        }
        let request = AlterPartitionReassignmentsRequest(
            timeoutMs: 1000,
            topics: [
                .init(
                    name: place.topic,
                    partitions: [.init(partitionIndex: place.partition, replicas: replicas)])
            ])
        cluster.log("\(place) moves to \(replicas.map { "\($0)" } ?? "where it was")")
        ask(anyBroker, request, version: 0) { _ in }
    }

    private func electPreferred() {
        let place = anyPlace
        let request = ElectLeadersRequest(
            topicPartitions: [.init(topic: place.topic, partitions: [place.partition])],
            timeoutMs: 1000)
        ask(anyBroker, request, version: 2) { _ in }
    }

    private func deleteRecords() {
        let place = random.pick(SimulatedTopic.pruned.places)
        guard let leader = leader(of: place) else {
            return askMetadata([SimulatedTopic.pruned.name])
        }
        let known = cluster.history.acknowledged[place]?.map(\.offset).max() ?? 0
        let offset = Int64(random.below(Int(known) + 1))
        let request = DeleteRecordsRequest(
            topics: [
                .init(
                    name: place.topic,
                    partitions: [.init(partitionIndex: place.partition, offset: offset)])
            ], timeoutMs: 1500)
        ask(leader, request, version: 2, lane: .forwarded) { [self] response in
            guard let answer = response?.topics.first?.partitions.first,
                answer.errorCode == .none
            else { return forgetLeader(of: place) }
            cluster.history.deleted(
                before: answer.lowWatermark, place, cluster.nodes.map(\.generation))
        }
    }

    // MARK: The end

    /// What the controller has answered for.
    func check(_ image: MetadataImage) throws {
        for name in passing.keys.sorted() {
            let isThere = image.topic(named: name) != nil
            switch passing[name] {
            case .present? where !isThere:
                throw Violation("topic \(name) was created, and is not there")
            case .absent? where isThere:
                throw Violation("topic \(name) was deleted, and is there")
            default: break
            }
        }
    }
}
