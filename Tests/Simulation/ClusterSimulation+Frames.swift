import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import SimulatedWorld
import Timing

/// One connection of a client to a node.
struct StreamKey: Hashable {
    var client: Int
    var node: Int32
    var connection: Int
}

/// What holds for a connection: its frames come in their order, and to one process only.
struct Stream {
    var generation: Int?
    /// Something was lost: nothing comes after it.
    var isBroken = false
    var lastArrival = Instant(nanoseconds: 0)
}

// How frames travel, and what becomes of answers.
extension ClusterSimulation {
    func place(_ origin: Origin) -> Int {
        switch origin {
        case .node(let index, _, _): index
        case .client: plan.clientPlace
        }
    }

    func send(
        _ request: PeerRequest, from origin: Origin, mayRepeat: Bool = true,
        stream: StreamKey? = nil
    ) {
        let to = Int(request.node) - 1
        guard nodes.indices.contains(to), let part = NodePart(port: request.port) else { return }
        var writer = WireWriter()
        RequestHeader(
            requestApiKey: request.apiKey, requestApiVersion: request.version, correlationId: 1,
            clientId: origin.name
        ).encode(
            to: &writer,
            version: HeaderVersion.request(apiKey: request.apiKey, version: request.version))
        writer.raw(request.body)
        let frame = Frame(
            from: origin, to: to, part: part, lane: request.lane, request: request.id,
            apiKey: request.apiKey, version: request.version,
            bytes: writer.finishInOneBuffer(), stream: stream)
        var arrivals = network.arrivals(
            from: place(origin), to: to, now: world.now, random: &world.random)
        if !mayRepeat { arrivals = Array(arrivals.prefix(1)) }
        if let stream { arrivals = inOrder(arrivals, stream) }
        if case .node(let index, _, _) = origin, request.lane == .replication {
            arrivals = inOrder(arrivals, from: index, to: to)
        }
        for arrival in arrivals { world.schedule(.arrive(frame), at: arrival) }
        // Whatever becomes of it, the sender hears of it by then.
        world.schedule(
            .answer(Answer(to: origin, request: request.id, body: nil)), after: request.timeout)
    }

    private func inOrder(_ arrivals: [Instant], _ key: StreamKey) -> [Instant] {
        var stream = streams[key] ?? Stream()
        defer { streams[key] = stream }
        guard let first = arrivals.first else {
            stream.isBroken = true
            return []
        }
        stream.lastArrival = max(first, stream.lastArrival + Nanoseconds(1))
        return [stream.lastArrival]
    }

    /// Followers keep several fetches under way, which their connection keeps in order.
    private func inOrder(_ arrivals: [Instant], from: Int, to: Int) -> [Instant] {
        let link = from * nodes.count + to
        return arrivals.prefix(1).map { arrival in
            fetchArrivals[link] = max(arrival, fetchArrivals[link] + Nanoseconds(1))
            return fetchArrivals[link]
        }
    }

    /// Whether the frame comes out of its connection.
    private func passes(_ frame: Frame, isCut: Bool) -> Bool {
        guard let key = frame.stream else { return !isCut }
        let node = nodes[frame.to]
        var stream = streams[key] ?? Stream()
        if stream.generation == nil { stream.generation = node.generation }
        if isCut || stream.generation != node.generation { stream.isBroken = true }
        streams[key] = stream
        return !stream.isBroken
    }

    func arrive(_ frame: Frame) {
        let isCut = network.isCut(from: place(frame.from), to: frame.to)
        guard passes(frame, isCut: isCut) else { return }
        let node = nodes[frame.to]
        let isServed = frame.part == .quorum || node.broker != nil
        guard node.isRunning, isServed else {
            // Nobody listens: the sender is told so by the other machine.
            return refuse(frame)
        }
        onNode(frame.to) { [self] node in
            let (token, isNew) = node.token(from: frame.from, frame.part, frame.lane)
            var debt = Owed(
                to: frame.from, request: frame.request, apiKey: frame.apiKey,
                version: frame.version)
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            switch frame.part {
            case .broker:
                if isNew {
                    node.broker?.connectionOpened(
                        ConnectionInfo(
                            id: token.connection, host: "10.0.0.1", listener: "PLAINTEXT"))
                }
                node.owe(debt, frame.part, token)
                node.broker?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
            case .quorum:
                debt.candidate = Candidate(frame)
                node.owe(debt, frame.part, token)
                node.quorum?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
            }
        }
    }

    private func refuse(_ frame: Frame) {
        let back = network.arrivals(
            from: frame.to, to: place(frame.from), now: world.now, random: &world.random)
        guard let arrival = back.first else { return }
        world.schedule(
            .answer(Answer(to: frame.from, request: frame.request, body: nil)), at: arrival)
    }

    func answer(_ debt: Owed, from index: Int, body: ByteBuffer?) {
        var arrivals = network.arrivals(
            from: index, to: place(debt.to), now: world.now, random: &world.random)
        if case .node(let to, _, _) = debt.to, debt.apiKey == FetchRequest.apiKey {
            arrivals = inOrder(arrivals, from: index, to: to)
        }
        for arrival in arrivals {
            world.schedule(
                .answer(Answer(to: debt.to, request: debt.request, body: body)), at: arrival)
        }
    }

    func deliver(_ answer: Answer) {
        switch answer.to {
        case .client(let index): clients[index].answered(answer.request, answer.body)
        case .node(let index, let part, let generation):
            guard nodes[index].generation == generation else { return }
            onNode(index) { [self] node in
                guard node.generation == generation else { return }
                let now = node.now(world.now)
                let nowMs = node.nowMs(world.now)
                switch part {
                case .broker:
                    node.broker?.peerReplied(answer.request, answer.body, now: now, nowMs: nowMs)
                case .quorum:
                    node.quorum?.peerReplied(answer.request, answer.body, now: now, nowMs: nowMs)
                }
            }
        }
    }

    // MARK: Connections that end

    /// A node closes one: who waits for answers on it gets none.
    func close(_ connection: UInt64, of index: Int, _ part: NodePart) {
        let node = nodes[index]
        node.forget(connection: connection)
        for debt in node.takeDebts(of: connection) { answer(debt, from: index, body: nil) }
        closed(connection, of: node, part)
    }

    private func closed(_ connection: UInt64, of node: SimulatedNode, _ part: NodePart) {
        let now = node.now(world.now)
        let nowMs = node.nowMs(world.now)
        switch part {
        case .broker: node.broker?.connectionClosed(connection, now: now, nowMs: nowMs)
        case .quorum: node.quorum?.connectionClosed(connection, now: now, nowMs: nowMs)
        }
    }

    /// A process was killed: its machine closes its connections to others.
    func hangUp(_ index: Int, generation: Int) {
        for other in nodes.indices where other != index {
            let arrivals = network.arrivals(
                from: index, to: other, now: world.now, random: &world.random)
            guard let arrival = arrivals.first else { continue }
            world.schedule(.hangUp(other, from: index, generation: generation), at: arrival)
        }
    }

    func hungUp(_ index: Int, from: Int, generation: Int) {
        guard !network.isCut(from: from, to: index) else { return }
        onNode(index) { [self] node in
            for (connection, part) in node.connections(from: from, generation: generation) {
                node.forget(connection: connection)
                _ = node.takeDebts(of: connection)
                closed(connection, of: node, part)
            }
        }
    }

    /// The body of a reply's frame; nil for one that is not sent at all.
    static func body(
        _ pieces: [Piece], _ apiKey: Int16, _ version: Int16
    ) -> ByteBuffer? {
        var whole = ByteBuffer()
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): whole.writeImmutableBuffer(bytes)
            case .file(let region):
                guard let file = region.file as? any DiskFile,
                    let bytes = try? file.read(at: region.offset, count: region.length)
                else { return nil }
                whole.writeImmutableBuffer(bytes)
            }
        }
        guard whole.readInteger(as: Int32.self) != nil else { return nil }
        var reader = WireReader(whole)
        let header = HeaderVersion.response(apiKey: apiKey, version: version)
        guard (try? ResponseHeader(from: &reader, version: header)) != nil else { return nil }
        return reader.buffer
    }
}
