import BrokerCore
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import SimulatedDisk
import Synchronization
import Timing

// Scripts of what clients, other nodes and time do to a node.
extension FuzzTarget {
    static let nodes = [
        FuzzTarget(
            "kafka-broker", replays: 3, words: NodeScript.words, seeds: { NodeScript.clientSeeds }
        ) { NodeScript.run($0, mayBeTrusted: false) },
        FuzzTarget(
            "kafka-cluster", replays: 3, words: NodeScript.words,
            seeds: { NodeScript.clientSeeds + NodeScript.peerSeeds }
        ) { NodeScript.run($0, mayBeTrusted: true) },
        FuzzTarget(
            "kafka-quorum", replays: 3, words: NodeScript.words, seeds: { NodeScript.voterSeeds }
        ) { NodeScript.runVoter($0) },
    ]
}

enum NodeScript {
    enum Operation: UInt8, CaseIterable {
        /// A frame as it comes from the wire; the argument is the connection.
        case frame
        /// A request that is served: the argument picks the API, the first byte its version.
        case request
        case close
        /// 8 ms for each of the argument, and one.
        case time
        // From here on only who can reach the controllers' listener, or is a node itself.
        case quorumFrame
        case quorumRequest
        case quorumClose
        /// The body of an answer to a request of the node's; nothing is no answer.
        case answer
    }

    static let words = ["fuzz", "group", "__consumer_offsets", "\u{0}\u{1}\u{0}", "range"]

    /// - Parameter mayBeTrusted: whether some of it comes from other nodes. Clients alone must
    ///   never make a node give up.
    static func run(_ bytes: UnsafeRawBufferPointer, mayBeTrusted: Bool) {
        guard let node = living() else { preconditionFailure("the node does not start") }
        play(bytes, on: node, mayBeTrusted)
        guard !mayBeTrusted else { return }
        precondition(node.failure == nil, "clients made the node give up: \(node.failure ?? "")")
        node.receive(FuzzedRequest.frame(MetadataRequest(topics: nil)), at: .broker)
        guard let body = node.lastReply,
            let metadata = try? MetadataResponse(
                body, version: MetadataRequest.validVersions.upperBound),
            !metadata.brokers.isEmpty
        else { preconditionFailure("the node does not answer any more") }
    }

    /// A voter of three, alone with what it hears of the others.
    static func runVoter(_ bytes: UnsafeRawBufferPointer) {
        let node = try? FuzzedNode(
            on: SimulatedDisk(), voters: "1@n1:9093,2@n2:9093,3@n3:9093",
            at: Instant(nanoseconds: 1_000_000_000))
        guard let node else { preconditionFailure("the node does not start") }
        play(bytes, on: node, true)
        for _ in 0..<8 { node.pass(.milliseconds(500)) }
    }

    private static func play(
        _ bytes: UnsafeRawBufferPointer, on node: FuzzedNode, _ mayBeTrusted: Bool
    ) {
        var script = FuzzScript(bytes)
        let count = UInt8(mayBeTrusted ? Operation.allCases.count : 4)
        while let step = script.next(), node.failure == nil {
            guard let operation = Operation(rawValue: step.operation % count) else { return }
            let slot = Int(step.argument) % FuzzedNode.slots
            let content = ByteBuffer(bytes: step.bytes)
            switch operation {
            case .frame: node.receive(content, at: .broker, slot: slot)
            case .quorumFrame: node.receive(content, at: .quorum, slot: slot)
            case .request: request(.broker, ServedAPIs.broker, step.argument, content, node)
            case .quorumRequest:
                request(.controller, ServedAPIs.controller, step.argument, content, node)
            case .close: node.close(.broker, slot: slot)
            case .quorumClose: node.close(.quorum, slot: slot)
            case .time: node.pass(.milliseconds(8 * Int64(step.argument) + 1))
            case .answer:
                node.answer(
                    Int(step.argument), content.readableBytes == 0 ? nil : content)
            }
        }
    }

    private enum Listener {
        case broker, controller
    }

    private static func request(
        _ listener: Listener, _ served: ServedAPIs, _ argument: UInt8, _ content: ByteBuffer,
        _ node: FuzzedNode
    ) {
        var content = content
        let api = served.entries[Int(argument) % served.entries.count]
        let choice = Int16(content.readInteger(as: UInt8.self) ?? 0)
        let version = api.served.lowerBound + choice % Int16(api.served.count)
        node.receive(
            FuzzedRequest.frame(apiKey: api.apiKey, version: version, content),
            at: listener == .broker ? .broker : .quorum, slot: Int(choice) % FuzzedNode.slots)
    }

    // MARK: A node in the middle of its life

    /// The disk of a node that another broker shares a topic with, and its process gone.
    private static let prepared = Mutex(prepare())
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private static let voters = "1@n1:9093"

    private static func living() -> FuzzedNode? {
        let disk = prepared.withLock { disk in disk?.afterCrash(losesUnsynced: false) }
        guard let disk else { return nil }
        let node = try? FuzzedNode(on: disk, voters: voters, at: start + .seconds(60))
        node?.becomeReady()
        return node?.isReady == true ? node : nil
    }

    private static func prepare() -> SimulatedDisk? {
        guard let node = try? FuzzedNode(on: SimulatedDisk(), voters: voters, at: start) else {
            return nil
        }
        node.becomeReady()
        node.receive(FuzzedRequest.frame(registration), at: .quorum)
        guard let body = node.lastReply,
            let registered = try? BrokerRegistrationResponse(
                body, version: BrokerRegistrationRequest.validVersions.upperBound)
        else { return nil }
        node.receive(
            FuzzedRequest.frame(
                BrokerHeartbeatRequest(
                    brokerId: 2, brokerEpoch: registered.brokerEpoch,
                    currentMetadataOffset: 1 << 40)), at: .quorum)
        node.receive(FuzzedRequest.frame(creation), at: .broker)
        node.receive(
            FuzzedRequest.frame(FindCoordinatorRequest(coordinatorKeys: ["group"])), at: .broker)
        node.pass(.milliseconds(100))
        node.receive(FuzzedRequest.frame(production, version: 9), at: .broker)
        guard node.failure == nil, node.broker.image.topic(named: "pair") != nil,
            node.broker.image.topic(named: "__consumer_offsets") != nil
        else { return nil }
        return node.disk
    }
}
