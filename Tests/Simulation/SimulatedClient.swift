import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import SimulatedWorld
import Timing

/// What the clients have in common: requests under way, and what they know of the topics.
class SimulatedClient {
    let index: Int
    unowned let cluster: ClusterSimulation
    var random: SeededRandom
    private struct Waiting {
        /// The node, if it was asked on a connection that keeps the order.
        var stream: Int32?
        var then: (ByteBuffer?) -> Void
    }

    private var waiting: [UInt64: Waiting] = [:]
    /// Counts the connections to each node.
    private var connections: [Int32: Int] = [:]
    private var nextRequest: UInt64 = 1
    /// Who leads, as of which epoch.
    private var leaders: [TopicPartition: (node: Int32, epoch: Int32)] = [:]
    private var isAskingMetadata = false
    private var metadataAt = Instant(nanoseconds: 0)

    init(index: Int, seed: UInt64, cluster: ClusterSimulation) {
        self.index = index
        self.cluster = cluster
        random = SeededRandom(seed: seed)
    }

    /// Called every few milliseconds.
    func step() {}
    /// The faults have stopped: nothing new is begun.
    func stop() {}
    /// What is still to be done, in words.
    var unfinished: String? { nil }

    var now: Instant { cluster.world.now }
    var anyBroker: Int32 { Int32(random.below(cluster.plan.brokers)) + 1 }

    // MARK: Requests

    /// - Parameter isStream: requests arrive in their order, and after one that is lost, not at
    ///   all. Else each is on its own.
    func ask<Request: KafkaRequest>(
        _ node: Int32, _ request: Request, version: Int16, lane: PeerLane = .control,
        timeout: Nanoseconds = .seconds(2), mayRepeat: Bool = true, isStream: Bool = false,
        then: @escaping (Request.Response?) -> Void
    ) {
        let id = nextRequest
        nextRequest += 1
        waiting[id] = Waiting(stream: isStream ? node : nil) { body in
            then(body.flatMap { try? Request.Response($0, version: version) })
        }
        let stream = StreamKey(
            client: index, node: node, connection: connections[node] ?? 0)
        cluster.send(
            PeerRequest(
                id: id, node: node, host: "", port: 9092, lane: lane, apiKey: Request.apiKey,
                version: version, body: request.encoded(version: version), timeout: timeout),
            from: .client(index), mayRepeat: mayRepeat, stream: isStream ? stream : nil)
    }

    func answered(_ id: UInt64, _ body: ByteBuffer?) {
        guard let done = waiting.removeValue(forKey: id) else { return }
        guard body == nil, let node = done.stream else { return done.then(body) }
        // The connection is given up, with everything on it.
        connections[node, default: 0] += 1
        let others = waiting.filter { $0.value.stream == node }.keys.sorted()
        done.then(nil)
        for other in others { waiting.removeValue(forKey: other)?.then(nil) }
    }

    /// The process has ended: what it had asked for is nobody's any more.
    func forgetRequests() {
        waiting = [:]
        isAskingMetadata = false
    }

    // MARK: Topics

    func leader(of partition: TopicPartition) -> Int32? {
        leaders[partition].flatMap { $0.node > 0 ? $0.node : nil }
    }

    func forgetLeader(of partition: TopicPartition) { leaders[partition]?.node = -1 }

    func hasLeaders(_ partitions: [TopicPartition]) -> Bool {
        partitions.allSatisfy { leader(of: $0) != nil }
    }

    /// Asks any broker for topics, but not too often.
    func askMetadata(_ topics: [String]) {
        guard !isAskingMetadata, now >= metadataAt else { return }
        isAskingMetadata = true
        metadataAt = now + .milliseconds(100)
        let request = MetadataRequest(
            topics: topics.map { .init(name: $0) }, allowAutoTopicCreation: false)
        ask(anyBroker, request, version: 12) { [self] response in
            isAskingMetadata = false
            guard let response else { return }
            for topic in response.topics { learn(topic) }
        }
    }

    private func learn(_ topic: MetadataResponse.MetadataResponseTopic) {
        guard topic.errorCode == .none, let name = topic.name else { return }
        for partition in topic.partitions {
            let place = TopicPartition(name, partition.partitionIndex)
            // A broker that is cut off tells of a leader of long ago: clients go by the epoch
            // (KIP-320).
            if let known = leaders[place], partition.leaderEpoch < known.epoch { continue }
            leaders[place] = (partition.leaderId, partition.leaderEpoch)
        }
    }
}
