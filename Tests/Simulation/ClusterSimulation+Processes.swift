import BrokerCore
import CommitLog
import Metadata
import NIOCore
import Replication
import SimulatedDisk
import SimulatedWorld
import Timing

// Processes: they start, want things done, and end.
extension ClusterSimulation {
    func start(_ index: Int) {
        let node = nodes[index]
        guard !node.isRunning else { return }
        do {
            try node.start(
                seed: world.random.next(), world: world.now, canary: options.canary?.raft)
            if options.canary == .acknowledgesEarly {
                node.broker?.replicas.canary = .acknowledgesEarly
            }
            log("node \(node.id) starts, process \(node.generation)")
            checks.started(node)
            onNode(index) { _ in }
        } catch {
            checks.problem = "node \(node.id) cannot start: \(error)"
        }
    }

    func crash(_ index: Int, losesUnsynced: Bool) {
        let node = nodes[index]
        let debts = node.takeDebts()
        // A process that is killed closes its connections; a power cut says nothing.
        if !losesUnsynced {
            for debt in debts { answer(debt, from: index, body: nil) }
            hangUp(index, generation: node.generation)
        }
        node.crash(losesUnsynced: losesUnsynced)
        node.disk.faults.ignoresSync = options.canary == .ignoresSync
    }

    func resume(_ index: Int) {
        let node = nodes[index]
        guard node.isPaused else { return }
        node.isPaused = false
        let backlog = node.backlog
        node.backlog = []
        for event in backlog { event() }
        onNode(index) { _ in }
    }

    func settle(_ index: Int) {
        let node = nodes[index]
        let generation = node.generation
        for _ in 0..<32 {
            guard let quorum = node.quorum, node.generation == generation else { return }
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            quorum.settle(now: now, nowMs: nowMs)
            let quorumEffects = quorum.takeEffects()
            for effect in quorumEffects { carryOut(effect, index, now, nowMs) }
            guard let broker = node.broker, node.generation == generation else {
                if quorumEffects.isEmpty { break }
                continue
            }
            broker.settle(now: now, nowMs: nowMs)
            let brokerEffects = broker.takeEffects()
            for effect in brokerEffects {
                guard node.broker != nil, node.generation == generation else { break }
                carryOut(effect, index)
            }
            if quorumEffects.isEmpty, brokerEffects.isEmpty { break }
        }
        schedule(index)
    }

    func schedule(_ index: Int) {
        let node = nodes[index]
        guard node.isRunning, let deadline = node.nextDeadline else { return }
        let due = max(node.clock.world(at: deadline), world.now + .microseconds(1))
        if let armed = node.wakesAt, armed <= due, armed > world.now { return }
        node.wakesAt = due
        world.schedule(.wake(index, generation: node.generation), at: due)
    }

    private func carryOut(
        _ effect: QuorumEffect, _ index: Int, _ now: Instant, _ nowMs: Int64
    ) {
        let node = nodes[index]
        switch effect {
        case .node(let effect): carryOut(effect, index, .quorum)
        case .metadata(let update):
            checks.committed(update, on: node)
            node.broker?.metadataChanged(update, now: now, nowMs: nowMs)
        case .leader(let id, _): node.broker?.controllerChanged(id, now: now, nowMs: nowMs)
        case .ready: break
        }
    }

    private func carryOut(_ effect: BrokerEffect, _ index: Int) {
        let node = nodes[index]
        switch effect {
        case .node(let effect): carryOut(effect, index, .broker)
        case .ready: break
        case .flush(let key, let ticket):
            world.schedule(
                .flush(index, generation: node.generation, key, ticket),
                after: world.random.delay(plan.flushTime))
        }
    }

    private func carryOut(_ effect: NodeEffect, _ index: Int, _ part: NodePart) {
        let node = nodes[index]
        switch effect {
        case .reply(let token, let pieces):
            guard let debt = node.settleDebt(part, token) else { return }
            let body = Self.body(pieces, debt.apiKey, debt.version)
            if part == .quorum { checks.answered(debt, body, by: node) }
            answer(debt, from: index, body: body)
        case .close(let connection, let reason):
            log("node \(node.id) closes a connection: \(reason)")
            close(connection, of: index, part)
        case .send(let request):
            send(request, from: .node(index, part, generation: node.generation))
        case .log(let line):
            // Of a compacted partition a leader may have lost the records by which it knew an
            // epoch, as later ones replace them: what is cut off there comes again.
            if line.message.contains("below the high watermark"),
                !line.message.hasPrefix(TopicName.consumerOffsets)
            {
                checks.problem = "node \(node.id): \(line.message)"
            }
            log("node \(node.id): \(line.message)")
        case .fail(let reason):
            log("node \(node.id) gives up: \(reason)")
            guard node.isHurt else {
                checks.problem = "node \(node.id) gives up: \(reason)"
                return
            }
            end(index, restartsAfter: world.random.delay(.milliseconds(50) ... .seconds(3)))
        case .stopped: stopped(index, part)
        }
    }

    /// The process ends by itself.
    private func end(_ index: Int, restartsAfter pause: Nanoseconds) {
        crash(index, losesUnsynced: world.random.chance(perMille: 300))
        world.schedule(.start(index), after: pause)
    }

    // MARK: A clean shutdown

    func shutDown(_ index: Int) {
        onNode(index) { [self] node in
            let now = node.now(world.now)
            let nowMs = node.nowMs(world.now)
            if let broker = node.broker {
                broker.shutDown(now: now, nowMs: nowMs)
            } else {
                node.quorum?.shutDown(now: now, nowMs: nowMs)
            }
        }
    }

    private func stopped(_ index: Int, _ part: NodePart) {
        let node = nodes[index]
        if part == .broker {
            // As the process does it: the broker is out, now its part of the quorum hands over.
            node.closeBroker(nowMs: node.nowMs(world.now))
            node.quorum?.shutDown(now: node.now(world.now), nowMs: node.nowMs(world.now))
        } else {
            log("node \(node.id) has stopped")
            end(index, restartsAfter: world.random.delay(.milliseconds(50) ... .seconds(3)))
        }
    }
}
