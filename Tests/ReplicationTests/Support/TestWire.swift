import CommitLog
import KafkaWire
import NIOCore
import Replication
import Timing

/// Nodes that reach each other at once and without loss. What each asks of the controller or of
/// nobody in particular is left to the test.
final class TestWire {
    var nodes: [Int32: TestNode] = [:]
    /// Nodes whose messages come to nothing.
    var isCutOff: Set<Int32> = []
    private var owners: [UInt64: (node: Int32, correlation: UInt64)] = [:]
    private var lastToken: UInt64 = 1 << 32
    private var queue: [(node: Int32, effect: ReplicationEffect)] = []
    /// What came to the outside since it was last asked for.
    var outside: [(node: Int32, effect: ReplicationEffect)] = []

    init(_ nodes: [TestNode]) {
        for node in nodes { self.nodes[node.id] = node }
    }

    /// A step of one node, and all that it leads to.
    func step(
        _ id: Int32, after wait: Nanoseconds = .zero, _ body: (ReplicaManager) -> Void = { _ in }
    ) {
        run(id, wait, body)
        while !queue.isEmpty { carry(queue.removeFirst()) }
    }

    private func run(
        _ id: Int32, _ wait: Nanoseconds = .zero, _ body: (ReplicaManager) -> Void
    ) {
        guard let node = nodes[id] else { return }
        for effect in node.step(after: wait, body) { queue.append((id, effect)) }
    }

    private func carry(_ item: (node: Int32, effect: ReplicationEffect)) {
        switch item.effect {
        case .fetch(let leader, let correlation, let request):
            guard reaches(item.node, leader) else {
                run(item.node) { $0.fetched(from: leader, correlation: correlation, nil) }
                return
            }
            lastToken += 1
            owners[lastToken] = (item.node, correlation)
            let token = RequestToken(low: lastToken)
            run(leader) { $0.fetch(request, version: 17, token: token) }
        case .fetched(let token, let response):
            guard let owner = owners.removeValue(forKey: token.low) else {
                outside.append(item)
                return
            }
            let received = reaches(item.node, owner.node) ? inMemory(response) : nil
            run(owner.node) {
                $0.fetched(from: item.node, correlation: owner.correlation, received)
            }
        case .listOffsets(let leader, let correlation, let request):
            guard reaches(item.node, leader), let node = nodes[leader] else {
                run(item.node) { $0.listedOffsets(from: leader, correlation: correlation, nil) }
                return
            }
            let response = node.manager.listOffsets(request, version: 9)
            run(item.node) {
                $0.listedOffsets(from: leader, correlation: correlation, response)
            }
        default:
            outside.append(item)
        }
    }

    private func reaches(_ a: Int32, _ b: Int32) -> Bool {
        nodes[a] != nil && nodes[b] != nil && !isCutOff.contains(a) && !isCutOff.contains(b)
    }

    /// Lets time pass at every node, so that what rests goes on.
    func pass(_ wait: Nanoseconds = .milliseconds(100)) {
        for _ in 0..<3 { for id in nodes.keys.sorted() { step(id, after: wait) } }
    }

    /// Tells every node who leads partition 0 of `t`.
    func elect(
        _ leader: Int32, epoch: Int32, partitionEpoch: Int32, isr: [Int32],
        replicas: [Int32] = [1, 2, 3], tell: [Int32]? = nil
    ) {
        let metadata = PartitionMetadata(
            leader: leader, leaderEpoch: epoch, partitionEpoch: partitionEpoch,
            replicas: replicas, isr: isr)
        for id in tell ?? nodes.keys.sorted() {
            step(id) { $0.assign(topic: "t", topicId: topicA, partition: 0, metadata) }
        }
        pass()
    }

    /// Produces with `acks=1` at a node.
    func append(_ id: Int32, _ texts: [String]) {
        step(id) {
            $0.produce(
                produceRequest(batch(texts), acks: 1), version: 11, token: RequestToken(low: 0))
        }
    }

    func cutOff(_ ids: Set<Int32>) {
        isCutOff = ids
        pass(.milliseconds(200))
    }

    func log(_ id: Int32) -> PartitionLog? { nodes[id]?.manager.replica(topicA, 0)?.log }
    func highWatermark(_ id: Int32) -> Int64? {
        nodes[id]?.manager.replica(topicA, 0)?.highWatermark
    }

    /// All values in a node's log.
    func values(_ id: Int32) -> [String] {
        guard let log = log(id), log.logEndOffset > log.logStartOffset,
            let bytes = try? log.readBytes(
                from: log.logStartOffset, maxBytes: 1 << 24, before: log.logEndOffset),
            let found = try? ReplicationTests.values(bytes)
        else { return [] }
        return found.map(\.value)
    }
}

/// Regions of files become what the wire would carry.
func inMemory(_ response: FetchResponse) -> FetchResponse {
    var response = response
    for topic in response.responses.indices {
        for part in response.responses[topic].partitions.indices {
            if let read = try? bytes(response.responses[topic].partitions[part].records) {
                response.responses[topic].partitions[part].records = .bytes(read)
            }
        }
    }
    return response
}
