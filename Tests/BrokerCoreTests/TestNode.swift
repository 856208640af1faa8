import BrokerConfig
import BrokerCore
import CommitLog
import KafkaWire
import Metadata
import NIOCore
import SimulatedDisk
import Testing
import Timing

/// A broker whose controller, cluster and clients are played by the test.
final class TestNode {
    static let id: Int32 = 1
    static let directory = KafkaUUID(high: 9, low: 1001)
    static let topicId = KafkaUUID(high: 5, low: 5)
    static let offsetsId = KafkaUUID(high: 6, low: 6)

    var disk: SimulatedDisk
    private(set) var node: BrokerNode
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var sent: [PeerRequest] = []
    private(set) var failure: String?
    private(set) var lines: [NodeLog] = []
    private var replies: [UInt64: ByteBuffer] = [:]
    private var sequence: UInt64 = 0
    private var metadataOffset: Int64 = 0
    private(set) var brokerEpoch: Int64 = -1

    init(
        _ more: String = "", disk: SimulatedDisk? = nil, directory: KafkaUUID = directory
    ) throws {
        self.disk = disk ?? SimulatedDisk(seed: 1)
        if disk == nil { try self.disk.createDirectory("/data") }
        node = try Self.node(on: self.disk, directory, more, now: now)
    }

    private static func node(
        on disk: SimulatedDisk, _ directory: KafkaUUID, _ more: String, now: Instant
    ) throws -> BrokerNode {
        let config = try BrokerConfig(
            PropertiesFile(
                parsing: """
                    node.id=\(id)
                    process.roles=broker
                    controller.quorum.voters=9@controller:9093,8@another:9093
                    listeners=PLAINTEXT://one:9092
                    log.dir=/data
                    offsets.topic.num.partitions=1
                    \(more)
                    """))
        let node = try BrokerNode(
            config: config,
            identity: NodeIdentity(
                clusterID: "cluster", nodeID: id, directoryID: directory,
                incarnation: KafkaUUID(high: 7, low: 7)),
            directory: try LogDirectory(path: "/data", disk: disk), seed: 1, now: now,
            nowMs: wallMs(now))
        node.connectionOpened(ConnectionInfo(id: 1, host: "client", listener: "PLAINTEXT"))
        return node
    }

    static func wallMs(_ now: Instant) -> Int64 {
        1_700_000_000_000 + Int64(now.nanoseconds / 1_000_000)
    }

    var nowMs: Int64 { Self.wallMs(now) }

    // MARK: Steps

    func settle() {
        for _ in 0..<100 {
            node.settle(now: now, nowMs: nowMs)
            let effects = node.takeEffects()
            if effects.isEmpty, node.nextDeadline.map({ $0 > now }) ?? true { return }
            for effect in effects { carryOut(effect) }
        }
        Issue.record("the node does not come to rest")
    }

    private func carryOut(_ effect: BrokerEffect) {
        switch effect {
        case .node(.send(let request)): sent.append(request)
        case .node(.reply(let token, let pieces)):
            var whole = ByteBuffer()
            for case .bytes(var part) in pieces { whole.writeBuffer(&part) }
            replies[token.sequence] = whole
        case .node(.close(_, let reason)): Issue.record("closed: \(reason)")
        case .node(.log(let line)): lines.append(line)
        case .node(.fail(let reason)): failure = reason
        case .node(.stopped), .ready: break
        case .flush(let key, let ticket):
            var failure: DiskError?
            do {
                try ticket.perform()
            } catch {
                failure = error
            }
            node.flushed(key, ticket, failure, now: now, nowMs: nowMs)
        }
    }

    func pass(_ time: Nanoseconds) {
        now = now + time
        settle()
    }

    /// The last request to another node of a kind, and its id.
    func lastSent<Request: KafkaRequest>(
        _ type: Request.Type
    ) throws -> (id: UInt64, request: Request)? {
        guard let found = sent.last(where: { $0.apiKey == Request.apiKey }) else { return nil }
        return (found.id, try Request(found.body, version: found.version))
    }

    /// No answer came in time.
    func giveUp(_ id: UInt64) {
        node.peerFailed(id, "no answer in time", now: now, nowMs: nowMs)
        settle()
    }

    func answer<Response: KafkaResponse>(_ id: UInt64, _ response: Response, version: Int16) {
        node.peerReplied(id, response.encoded(version: version), now: now, nowMs: nowMs)
        settle()
    }

    /// A client's request; its answer, or nil while there is none.
    func ask<Request: KafkaRequest>(
        _ request: Request, version: Int16? = nil
    ) throws -> Request.Response? {
        let sequence = send(request, version: version)
        return try reply(to: sequence, Request.self, version: version)
    }

    func send<Request: KafkaRequest>(_ request: Request, version: Int16? = nil) -> UInt64 {
        let version = version ?? Request.validVersions.upperBound
        var writer = WireWriter()
        RequestHeader(
            requestApiKey: Request.apiKey, requestApiVersion: version, correlationId: 1,
            clientId: "test"
        ).encode(
            to: &writer, version: HeaderVersion.request(apiKey: Request.apiKey, version: version))
        request.encode(to: &writer, version: version)
        var frame = ByteBuffer()
        for case .bytes(var part) in writer.finish() { frame.writeBuffer(&part) }
        sequence += 1
        node.receive(
            frame, token: ReplyToken(connection: 1, sequence: sequence), now: now, nowMs: nowMs)
        settle()
        return sequence
    }

    func reply<Request: KafkaRequest>(
        to sequence: UInt64, _ type: Request.Type, version: Int16? = nil
    ) throws -> Request.Response? {
        guard var reply = replies[sequence] else { return nil }
        let version = version ?? Request.validVersions.upperBound
        reply.moveReaderIndex(forwardBy: 4)
        var reader = WireReader(reply)
        _ = try ResponseHeader(
            from: &reader, version: HeaderVersion.response(apiKey: Request.apiKey, version: version)
        )
        return try Request.Response(from: &reader, version: version)
    }

    // MARK: The cluster

    /// The controller leads and registers the broker.
    func register() throws {
        node.controllerChanged(9, now: now, nowMs: nowMs)
        settle()
        let registration = try #require(try lastSent(BrokerRegistrationRequest.self))
        brokerEpoch = 100 + metadataOffset
        answer(
            registration.id, BrokerRegistrationResponse(brokerEpoch: brokerEpoch),
            version: BrokerRegistrationRequest.validVersions.upperBound)
        let incarnation = registration.request.incarnationId
        let directories = registration.request.logDirs
        learn(
            [1, 2].map { id in
                .registerBroker(
                    .init(
                        brokerId: id, incarnationId: incarnation,
                        brokerEpoch: id == 1 ? brokerEpoch : 7,
                        endPoints: [.init(name: "PLAINTEXT", host: "b\(id)", port: 9092)],
                        fenced: false, logDirs: id == 1 ? directories : [.init(high: 9, low: 1002)])
                )
            })
    }

    func learn(_ records: [MetadataRecord]) {
        metadataOffset += Int64(records.count)
        node.metadataChanged(
            MetadataUpdate(image: nil, records: records, nextOffset: metadataOffset), now: now,
            nowMs: nowMs)
        settle()
    }

    /// A topic that this broker leads.
    func learnTopic(
        _ name: String, _ id: KafkaUUID, partitions: Int32 = 1, replicas: [Int32] = [1],
        directory: KafkaUUID = TestNode.directory, epoch: Int32 = 0
    ) {
        var records: [MetadataRecord] = [.topic(.init(name: name, topicId: id))]
        for index in 0..<partitions {
            records.append(
                .partition(
                    .init(
                        partitionId: index, topicId: id, replicas: replicas, isr: replicas,
                        leader: 1, leaderEpoch: epoch, partitionEpoch: 0,
                        directories: replicas.map {
                            $0 == 1 ? directory : .init(high: 9, low: 1002)
                        })
                ))
        }
        learn(records)
    }
}
