import BrokerConfig
import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import Replication
import SimulatedDisk
import Timing

/// A whole node, broker and controller, on a disk in memory: whatever it is sent by clients, and by
/// nodes that are not what they seem, it answers each request at most once, in the form of that
/// request's version, and goes on.
final class FuzzedNode {
    enum Part: Int, CaseIterable {
        case broker, quorum
    }

    private struct Key: Hashable {
        var part: Part
        var token: ReplyToken
    }

    /// A request that has no answer yet.
    private struct Debt {
        var apiKey: Int16?
        var version: Int16
        var correlation: Int32
        /// The node's own request to itself.
        var inside: (part: Part, id: UInt64)?
    }

    static let directory = "/data"
    /// Nobody has more connections to each listener.
    static let slots = 4
    private static let ownSlot = 4

    let disk: SimulatedDisk
    private let directories: [LogDirectory]
    let quorum: QuorumNode
    let broker: BrokerNode
    private(set) var now: Instant
    private(set) var isReady = false
    /// The node said that it cannot go on.
    private(set) var failure: String?
    private var debts: [Key: Debt] = [:]
    private var connections: [[UInt64]]
    private var sequences: [UInt64: UInt64] = [:]
    private var nextConnection: UInt64 = 1
    /// What the node says to itself, and what it hears back.
    private var letters: [() -> Void] = []
    /// Requests to other nodes, which answer when a script says so.
    private(set) var asked: [(part: Part, request: PeerRequest)] = []
    /// What it answered last to somebody else.
    private(set) var lastReply: ByteBuffer?

    /// - Parameter voters: as in `controller.quorum.voters`.
    /// - Throws: why the node does not start.
    init(on disk: SimulatedDisk, voters: String, at start: Instant) throws {
        self.disk = disk
        now = start
        disk.faults.capacity = 64 << 20
        let config = try BrokerConfig(
            PropertiesFile(
                parsing: """
                    node.id=1
                    process.roles=broker,controller
                    controller.quorum.voters=\(voters)
                    listeners=PLAINTEXT://n1:9092,CONTROLLER://n1:9093
                    offsets.topic.num.partitions=1
                    offsets.topic.replication.factor=1
                    group.initial.rebalance.delay.ms=0
                    log.segment.bytes=1048576
                    max.incremental.fetch.session.cache.slots=4
                    """))
        let identity = NodeIdentity(
            clusterID: "fuzzedCluster", nodeID: 1, directoryID: KafkaUUID(high: 9, low: 1),
            incarnation: KafkaUUID(high: 7, low: start.nanoseconds))
        let nowMs = Self.nowMs(start)
        disk.nowMs = nowMs
        try disk.createDirectory(Self.directory)
        let metadata = try LogDirectory(
            path: Self.directory, disk: disk, keepsCheckpoints: false)
        directories = [metadata, try LogDirectory(path: Self.directory, disk: disk)]
        do {
            let log = try metadata.openLog(
                TopicPartition("__cluster_metadata", 0), topicId: .clusterMetadata,
                config: LogConfig(), nowMs: nowMs, unique: "m")
            quorum = try QuorumNode(
                config: config, identity: identity, disk: disk, metadataLog: log, seed: 1,
                now: start, nowMs: nowMs)
            broker = try BrokerNode(
                config: config, identity: identity, directory: directories[1], seed: 2,
                now: start, nowMs: nowMs)
        } catch {
            for directory in directories { directory.abandon() }
            throw error
        }
        connections = Part.allCases.map { _ in [UInt64](repeating: 0, count: Self.ownSlot + 1) }
        for part in Part.allCases {
            for slot in 0...Self.ownSlot { connect(part, slot) }
        }
        settle()
    }

    deinit {
        for connection in connections[Part.broker.rawValue] {
            broker.connectionClosed(connection, now: now, nowMs: nowMs)
        }
        broker.replicas.abandonSessions()
        for directory in directories { directory.abandon() }
    }

    static func nowMs(_ now: Instant) -> Int64 {
        1_700_000_000_000 + Int64(now.nanoseconds / 1_000_000)
    }

    private var nowMs: Int64 { Self.nowMs(now) }

    private func node<R>(
        _ part: Part, _ body: (any SteppedNode) -> R
    ) -> R {
        switch part {
        case .broker: body(broker)
        case .quorum: body(quorum)
        }
    }

    // MARK: What happens to it

    private func connect(_ part: Part, _ slot: Int) {
        connections[part.rawValue][slot] = nextConnection
        let connection = ConnectionInfo(
            id: nextConnection, host: "10.0.0.\(slot)",
            listener: part == .broker ? "PLAINTEXT" : "CONTROLLER")
        nextConnection += 1
        node(part) { $0.connectionOpened(connection) }
    }

    func receive(_ frame: ByteBuffer, at part: Part, slot: Int = 0) {
        receive(frame, at: part, slot: slot, inside: nil)
        settle()
    }

    private func receive(
        _ frame: ByteBuffer, at part: Part, slot: Int, inside: (part: Part, id: UInt64)?
    ) {
        guard failure == nil else { return }
        let connection = connections[part.rawValue][slot]
        let sequence = sequences[connection, default: 0]
        sequences[connection] = sequence + 1
        let token = ReplyToken(connection: connection, sequence: sequence)
        let start = frame.readerIndex
        debts[Key(part: part, token: token)] = Debt(
            apiKey: frame.getInteger(at: start), version: frame.getInteger(at: start + 2) ?? 0,
            correlation: frame.getInteger(at: start + 4) ?? 0, inside: inside)
        node(part) { $0.receive(frame, token: token, now: now, nowMs: nowMs) }
    }

    func close(_ part: Part, slot: Int) {
        close(part, connection: connections[part.rawValue][slot])
        settle()
    }

    private func close(_ part: Part, connection: UInt64) {
        guard let slot = connections[part.rawValue].firstIndex(of: connection) else { return }
        let open = debts.filter { $0.key.part == part && $0.key.token.connection == connection }
        for (key, debt) in open.sorted(by: { $0.key.token.sequence < $1.key.token.sequence }) {
            debts[key] = nil
            if let inside = debt.inside { tell(inside.part, inside.id, nil) }
        }
        connect(part, slot)
        node(part) { $0.connectionClosed(connection, now: now, nowMs: nowMs) }
    }

    /// Another node answers the request it was asked first, or one after it.
    func answer(_ number: Int, _ body: ByteBuffer?) {
        guard !asked.isEmpty, failure == nil else { return }
        let (part, request) = asked.remove(at: number % asked.count)
        node(part) { $0.peerReplied(request.id, body, now: now, nowMs: nowMs) }
        settle()
    }

    func pass(_ time: Nanoseconds) {
        now = now + time
        settle()
    }

    /// Lets time pass until the broker is let in, or for some seconds.
    func becomeReady() {
        for _ in 0..<200 where !isReady { pass(.milliseconds(20)) }
    }

    // MARK: What it does

    private func settle() {
        for _ in 0..<64 {
            guard failure == nil else { return }
            quorum.settle(now: now, nowMs: nowMs)
            let quorumEffects = quorum.takeEffects()
            for effect in quorumEffects { carryOut(effect) }
            broker.settle(now: now, nowMs: nowMs)
            let brokerEffects = broker.takeEffects()
            for effect in brokerEffects { carryOut(effect) }
            let post = letters
            letters.removeAll()
            for letter in post { letter() }
            if quorumEffects.isEmpty, brokerEffects.isEmpty, post.isEmpty { return }
        }
    }

    private func carryOut(_ effect: QuorumEffect) {
        switch effect {
        case .node(let effect): carryOut(effect, .quorum)
        case .metadata(let update): broker.metadataChanged(update, now: now, nowMs: nowMs)
        case .leader(let id, _): broker.controllerChanged(id, now: now, nowMs: nowMs)
        case .ready: break
        }
    }

    private func carryOut(_ effect: BrokerEffect) {
        switch effect {
        case .node(let effect): carryOut(effect, .broker)
        case .ready: isReady = true
        case .flush(let key, let ticket):
            var failure: DiskError?
            do { try ticket.perform() } catch { failure = error }
            broker.flushed(key, ticket, failure, now: now, nowMs: nowMs)
        }
    }

    private func carryOut(_ effect: NodeEffect, _ part: Part) {
        switch effect {
        case .reply(let token, let pieces): replied(Key(part: part, token: token), pieces)
        case .close(let connection, _): close(part, connection: connection)
        case .send(let request): send(request, part)
        case .fail(let reason): failure = reason
        case .log, .stopped: break
        }
    }

    private func send(_ request: PeerRequest, _ part: Part) {
        guard request.node == 1 else {
            asked.append((part, request))
            if asked.count > 32 {
                let (part, request) = asked.removeFirst()
                tell(part, request.id, nil)
            }
            return
        }
        let frame = FuzzedRequest.frame(
            apiKey: request.apiKey, version: request.version, request.body)
        letters.append { [unowned self] in
            receive(
                frame, at: request.port == 9093 ? .quorum : .broker, slot: Self.ownSlot,
                inside: (part, request.id))
        }
    }

    private func tell(_ part: Part, _ id: UInt64, _ body: ByteBuffer?) {
        letters.append { [unowned self] in
            node(part) { $0.peerReplied(id, body, now: now, nowMs: nowMs) }
        }
    }

    private func replied(_ key: Key, _ pieces: [Piece]) {
        guard connections[key.part.rawValue].contains(key.token.connection) else { return }
        guard let debt = debts.removeValue(forKey: key) else {
            preconditionFailure("a request is answered twice, or one that never was: \(key)")
        }
        let body = FuzzedRequest.body(
            of: pieces, apiKey: debt.apiKey ?? -1, version: debt.version,
            correlation: debt.correlation)
        if let inside = debt.inside {
            tell(inside.part, inside.id, body)
        } else {
            lastReply = body
        }
    }
}

/// Requests and their answers in bytes.
enum FuzzedRequest {
    private static let types: [Int16: any KafkaRequest.Type] = {
        let types = KafkaMessages.all.compactMap { $0 as? any KafkaRequest.Type }
        return Dictionary(types.map { ($0.apiKey, $0) }, uniquingKeysWith: { first, _ in first })
    }()

    static func frame(apiKey: Int16, version: Int16, _ body: ByteBuffer) -> ByteBuffer {
        var writer = WireWriter()
        RequestHeader(
            requestApiKey: apiKey, requestApiVersion: version, correlationId: 5, clientId: "f"
        ).encode(to: &writer, version: HeaderVersion.request(apiKey: apiKey, version: version))
        writer.raw(body)
        return writer.finishInOneBuffer()
    }

    static func frame<Request: KafkaRequest>(
        _ request: Request, version: Int16 = Request.validVersions.upperBound
    ) -> ByteBuffer {
        frame(apiKey: Request.apiKey, version: version, request.encoded(version: version))
    }

    /// The body of an answer; nil if there is none, as for `acks=0`. Traps if the frame is not
    /// whole, does not belong to the request or cannot be read.
    static func body(
        of pieces: [Piece], apiKey: Int16, version: Int16, correlation: Int32
    ) -> ByteBuffer? {
        guard !pieces.isEmpty else {
            precondition(apiKey == ProduceRequest.apiKey, "\(apiKey) is never answered")
            return nil
        }
        var whole = ByteBuffer()
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): whole.writeImmutableBuffer(bytes)
            case .file(let region):
                guard let file = region.file as? any DiskFile,
                    let bytes = try? file.read(at: region.offset, count: region.length),
                    bytes.readableBytes == region.length
                else { preconditionFailure("bytes that are not in the file") }
                whole.writeImmutableBuffer(bytes)
            }
        }
        precondition(
            whole.readInteger(as: Int32.self) == Int32(whole.readableBytes), "no whole frame")
        var reader = WireReader(whole)
        let header = try? ResponseHeader(
            from: &reader, version: HeaderVersion.response(apiKey: apiKey, version: version))
        precondition(header?.correlationId == correlation, "the answer to another request")
        guard let type = types[apiKey] else { preconditionFailure("\(apiKey) is served") }
        let isRead =
            reads(type, version, reader)
            || apiKey == ApiVersionsRequest.apiKey && reads(type, 0, reader)
        precondition(isRead, "an answer to \(type) \(version) that cannot be read")
        return reader.buffer
    }

    private static func reads<Request: KafkaRequest>(
        _ type: Request.Type, _ version: Int16, _ reader: WireReader
    ) -> Bool {
        var reader = reader
        return (try? Request.Response(from: &reader, version: version)) != nil
            && reader.remaining == 0
    }
}
