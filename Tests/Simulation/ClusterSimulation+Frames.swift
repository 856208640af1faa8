import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import SimulatedWorld

// How frames travel, and what becomes of answers.
extension ClusterSimulation {
    func key(_ index: Int, _ part: NodePart, _ token: ReplyToken) -> String {
        "\(index) \(nodes[index].generation) \(part.rawValue) \(token.connection) \(token.sequence)"
    }

    func place(_ origin: Origin) -> Int {
        switch origin {
        case .node(let index, _, _): index
        // The clients live in a place of their own, which is never cut off from all.
        case .client: 3
        }
    }

    func send(_ request: PeerRequest, from origin: Origin) {
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
            from: origin, to: to, part: part, lane: "\(request.lane.rawValue)",
            request: request.id, apiKey: request.apiKey, version: request.version,
            bytes: writer.finishInOneBuffer())
        for arrival in network.arrivals(
            from: place(origin), to: to, now: world.now, random: &world.random)
        {
            world.schedule(.arrive(frame), at: arrival)
        }
        // Whatever becomes of it, the sender hears of it by then.
        world.schedule(
            .answer(Answer(to: origin, request: request.id, body: nil)),
            after: request.timeout)
    }

    func arrive(_ frame: Frame) {
        guard !network.isCut(from: place(frame.from), to: frame.to) else { return }
        let node = nodes[frame.to]
        guard node.isRunning else {
            // Nobody listens: the sender is told so by the other machine.
            refuse(frame)
            return
        }
        onNode(frame.to) { [self] node in
            let (token, isNew) = node.token(
                from: frame.from.name + frame.lane, part: frame.part)
            if isNew {
                node.broker.map { broker in
                    if frame.part == .broker {
                        broker.connectionOpened(
                            ConnectionInfo(
                                id: token.connection, host: "10.0.0.1", listener: "PLAINTEXT"))
                    }
                }
            }
            owed[key(frame.to, frame.part, token)] = Owed(
                to: frame.from, request: frame.request, apiKey: frame.apiKey,
                version: frame.version)
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            switch frame.part {
            case .broker: node.broker?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
            case .quorum: node.quorum?.receive(frame.bytes, token: token, now: now, nowMs: nowMs)
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
        for arrival in network.arrivals(
            from: index, to: place(debt.to), now: world.now, random: &world.random)
        {
            world.schedule(
                .answer(Answer(to: debt.to, request: debt.request, body: body)), at: arrival)
        }
    }

    func deliver(_ answer: Answer) {
        switch answer.to {
        case .client(let index):
            clients[index].answered(answer.request, answer.body, now: world.now)
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

    func break_(connection: UInt64, of index: Int, _ part: NodePart) {
        let node = nodes[index]
        node.forget(connection: connection)
        let prefix = "\(index) \(node.generation) \(part.rawValue) \(connection) "
        for name in owed.keys.filter({ $0.hasPrefix(prefix) }).sorted() {
            if let debt = owed.removeValue(forKey: name) {
                answer(debt, from: index, body: nil)
            }
        }
        let now = node.now(world.now)
        let nowMs = node.nowMs(world.now)
        switch part {
        case .broker: node.broker?.connectionClosed(connection, now: now, nowMs: nowMs)
        case .quorum: node.quorum?.connectionClosed(connection, now: now, nowMs: nowMs)
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
