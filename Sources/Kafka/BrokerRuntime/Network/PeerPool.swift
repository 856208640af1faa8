import BrokerCore
import KafkaWire
import NIOCore
import NIOPosix
import Timing

/// Connections to other nodes, made when needed and kept. One event loop owns it.
///
/// Replies come back in order on each connection, so a fetch that waits would hold up a heartbeat
/// behind it: requests of different lanes take different connections.
final class PeerPool {
    private struct Key: Hashable {
        var node: Int32
        var lane: PeerLane
    }

    private final class Peer {
        enum State {
            case idle
            case connecting
            case connected(PeerConnection)
            case waiting(until: NIODeadline, reason: String)
        }
        var state = State.idle
        var host = ""
        var port: UInt16 = 0
        var queue: [PeerRequest] = []
        var failures = 0
    }

    /// A queue longer than this means that nobody looks at the answers.
    private static let maximumQueued = 1024
    private static let tick = TimeAmount.milliseconds(25)

    private let loop: any EventLoop
    private let clientId: String
    private let maximumFrameBytes: Int
    private let finished: (UInt64, Result<ByteBuffer, PeerFailure>) -> Void
    private var peers: [Key: Peer] = [:]
    private var underWay: [UInt64: (deadline: NIODeadline, key: Key)] = [:]
    private var ticking: RepeatedTask?
    private var isClosed = false

    /// - Parameter finished: told exactly once for every request what became of it.
    init(
        loop: any EventLoop, clientId: String, maximumFrameBytes: Int,
        finished: @escaping (UInt64, Result<ByteBuffer, PeerFailure>) -> Void
    ) {
        self.loop = loop
        self.clientId = clientId
        self.maximumFrameBytes = maximumFrameBytes
        self.finished = finished
    }

    func send(_ request: PeerRequest) {
        guard !isClosed else {
            finished(request.id, .failure(.notConnected("this node is stopping")))
            return
        }
        let key = Key(node: request.node, lane: request.lane)
        let peer = peers[key] ?? Peer()
        peers[key] = peer
        underWay[request.id] = (.now() + .nanoseconds(request.timeout.count), key)
        startTicking()
        if peer.host != request.host || peer.port != request.port { move(peer, to: request, key) }
        switch peer.state {
        case .connected(let connection):
            connection.send(
                request.id, apiKey: request.apiKey, version: request.version, clientId: clientId,
                body: request.body)
        case .connecting:
            enqueue(request, peer)
        case .waiting(let until, let reason):
            guard until <= .now() else {
                finish(request.id, .failure(.notConnected(reason)))
                return
            }
            enqueue(request, peer)
            connect(peer, key)
        case .idle:
            enqueue(request, peer)
            connect(peer, key)
        }
    }

    func flush() {
        for peer in peers.values {
            if case .connected(let connection) = peer.state { connection.flushIfNeeded() }
        }
    }

    func close() {
        isClosed = true
        ticking?.cancel()
        ticking = nil
        for peer in peers.values {
            if case .connected(let connection) = peer.state { connection.close() }
            fail(peer, "this node is stopping")
        }
    }

    // MARK: Inside

    private func enqueue(_ request: PeerRequest, _ peer: Peer) {
        guard peer.queue.count < Self.maximumQueued else {
            finish(request.id, .failure(.notConnected("too many requests wait for it")))
            return
        }
        peer.queue.append(request)
    }

    private func move(_ peer: Peer, to request: PeerRequest, _ key: Key) {
        if case .connected(let connection) = peer.state { connection.close() }
        fail(peer, "it has moved to \(request.host):\(request.port)")
        peer.host = request.host
        peer.port = request.port
        peer.failures = 0
        // An attempt under way goes to the old place: its result is ignored (see connect).
        peer.state = .idle
    }

    private func connect(_ peer: Peer, _ key: Key) {
        peer.state = .connecting
        let host = peer.host
        let port = peer.port
        let bound = NIOLoopBound((self, peer), eventLoop: loop)
        let maximumFrameBytes = maximumFrameBytes
        ClientBootstrap(group: loop)
            .connectTimeout(.milliseconds(1000))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (pool, peer) = bound.value
                    let connection = PeerConnection(
                        finished: { [unowned pool] in pool.finish($0, $1) },
                        lost: { [weak pool, weak peer] reason in
                            guard let peer else { return }
                            pool?.lost(peer, reason)
                        })
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(
                        ByteToMessageHandler(FrameDecoder(maximumBytes: maximumFrameBytes)))
                    try pipeline.addHandler(connection)
                }
            }
            .connect(host: host, port: Int(port))
            .hop(to: loop)
            .whenComplete { result in
                let (pool, peer) = bound.value
                guard peer.host == host, peer.port == port, case .connecting = peer.state,
                    !pool.isClosed
                else {
                    if case .success(let channel) = result { channel.close(promise: nil) }
                    return
                }
                switch result {
                case .failure(let error):
                    pool.connectFailed(peer, SystemFailure.words(error))
                case .success(let channel): pool.connected(peer, channel)
                }
            }
    }

    private func connected(_ peer: Peer, _ channel: any Channel) {
        guard
            let connection = try? channel.pipeline.syncOperations.handler(
                type: PeerConnection.self)
        else {
            connectFailed(peer, "it was closed at once")
            return
        }
        peer.failures = 0
        peer.state = .connected(connection)
        let queue = peer.queue
        peer.queue.removeAll()
        for request in queue where underWay[request.id] != nil {
            connection.send(
                request.id, apiKey: request.apiKey, version: request.version, clientId: clientId,
                body: request.body)
        }
        connection.flushIfNeeded()
    }

    private func connectFailed(_ peer: Peer, _ reason: String) {
        peer.failures += 1
        // 20 ms, 40 ms ... 640 ms: a node that starts again is found within a blink.
        let backoff = Int64(20) << Int64(min(peer.failures - 1, 5))
        peer.state = .waiting(until: .now() + .milliseconds(backoff), reason: reason)
        fail(peer, reason)
    }

    private func lost(_ peer: Peer, _ reason: String) {
        if case .connected = peer.state { peer.state = .idle }
    }

    private func fail(_ peer: Peer, _ reason: String) {
        let queue = peer.queue
        peer.queue.removeAll()
        for request in queue { finish(request.id, .failure(.notConnected(reason))) }
    }

    private func finish(_ id: UInt64, _ result: Result<ByteBuffer, PeerFailure>) {
        // An answer after the deadline was already reported as a failure.
        guard underWay.removeValue(forKey: id) != nil else { return }
        finished(id, result)
    }

    private func startTicking() {
        guard ticking == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        ticking = loop.scheduleRepeatedTask(initialDelay: Self.tick, delay: Self.tick) { _ in
            bound.value.expire()
        }
    }

    /// A connection on which an answer is overdue is given up: answers come in order, and after a
    /// cut a new connection gets through sooner than the old one's next retransmission.
    private func expire() {
        let now = NIODeadline.now()
        let late = underWay.filter { $0.value.deadline <= now }
        for id in late.keys.sorted() { finish(id, .failure(.timedOut)) }
        for key in Set(late.values.map(\.key)) {
            if let peer = peers[key], case .connected(let connection) = peer.state {
                peer.state = .idle
                connection.close()
            }
        }
        if underWay.isEmpty {
            ticking?.cancel()
            ticking = nil
        }
    }
}
