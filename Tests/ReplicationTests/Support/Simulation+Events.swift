import CommitLog
import KafkaWire
import NIOCore
import Replication
import SimulatedDisk
import Timing

extension Simulation {
    func handle(_ event: Event) throws {
        switch event {
        case .timer(let id, let incarnation):
            guard incarnations[id] == incarnation else { return }
            step(id) { _ in }
        case .metadata(let id, let controller):
            guard nodes[id] != nil, !isolated.contains(id) else { return }
            guard controller.version > known[id] ?? 0 else { return }
            known[id] = controller.version
            step(id) {
                $0.setBrokers(controller.table)
                $0.assign(topic: "t", topicId: topicA, partition: 0, controller.metadata)
            }
        case .fetch(let from, let incarnation, let to, let correlation, let request):
            receive(from, incarnation, to, correlation, request)
        case .fetched(let to, let incarnation, let from, let correlation, let response):
            guard incarnations[to] == incarnation else { return }
            step(to) { $0.fetched(from: from, correlation: correlation, response) }
        case .listOffsets(let from, let incarnation, let to, let correlation, let request):
            let response = nodes[to]?.manager.listOffsets(request, version: 9)
            send(
                to, from,
                .listed(to: from, incarnation, from: to, correlation: correlation, response),
                orElse: .listed(to: from, incarnation, from: to, correlation: correlation, nil))
        case .listed(let to, let incarnation, let from, let correlation, let response):
            guard incarnations[to] == incarnation else { return }
            step(to) { $0.listedOffsets(from: from, correlation: correlation, response) }
        case .alter(let from, let incarnation, let request):
            let version = controller.version
            let response = controller.alter(request)
            send(
                0, from, .altered(to: from, incarnation, response),
                orElse: .altered(to: from, incarnation, nil))
            if controller.version != version { tellAll() }
        case .altered(let to, let incarnation, let response):
            guard incarnations[to] == incarnation else { return }
            step(to) { $0.alterPartitionDone(response) }
        case .flush(let id, let incarnation, let key, let ticket):
            guard incarnations[id] == incarnation, nodes[id] != nil else { return }
            var failure: DiskError?
            do {
                try ticket.perform()
            } catch {
                failure = error
            }
            step(id) { $0.flushed(key, ticket, failure) }
        case .produce:
            produce()
        case .acknowledged(let value, let response):
            guard let part = response.responses.first?.partitionResponses.first else { return }
            if part.errorCode == .none { acknowledged.append((part.baseOffset, value)) }
        case .restart(let id):
            guard nodes[id] == nil else { return }
            try boot(id)
        case .detect(let id, let epoch):
            let isBack = nodes[id] != nil && !isolated.contains(id)
            guard controller.brokers[id]?.epoch == epoch, !isBack else { return }
            controller.fence(id)
            tellAll()
        case .unfence(let id, let epoch):
            guard controller.brokers[id]?.epoch == epoch, nodes[id] != nil else { return }
            guard !isolated.contains(id) else {
                schedule(event, after: 300)
                return
            }
            controller.unfence(id)
            tellAll()
        case .fault:
            if !isQuiet { try fault() }
        case .heal:
            heal()
        }
    }

    private func receive(
        _ from: Int32, _ incarnation: Int, _ to: Int32, _ correlation: UInt64,
        _ request: FetchRequest
    ) {
        guard nodes[to] != nil, !isolated.contains(to) else {
            schedule(
                .fetched(to: from, incarnation, from: to, correlation: correlation, nil),
                after: 100)
            return
        }
        let token = newToken()
        owe(token, from, incarnation, correlation, server: to)
        step(to) { $0.fetch(request, version: 17, token: token) }
    }

    // MARK: Clients

    private func produce() {
        schedule(.produce, after: 5 + random.below(60))
        // Clients may be wrong about who leads.
        let target = random.chance(80) ? controller.leader : Int32(1 + random.below(3))
        guard nodes[target] != nil, !isQuiet || target == controller.leader else { return }
        sent += 1
        let value = "v\(sent)"
        let token = newToken()
        remember(token, value)
        let acks: Int16 = canary == .acknowledgeBeforeHighWatermark ? 1 : -1
        step(target) {
            $0.produce(
                produceRequest(batch([value]), acks: acks, timeoutMs: 2_000), version: 11,
                token: token)
        }
    }

    // MARK: Faults

    private func fault() throws {
        schedule(.fault, after: 300 + random.below(2_500))
        let id = Int32(1 + random.below(3))
        switch random.below(10) {
        case 0...2:
            // Even all of them: what is acknowledged is on the disk, or in the system's memory,
            // which outlives a process.
            crash(id)
        case 3...5:
            guard isolated.isEmpty else { return }
            isolated = [id]
            if let epoch = controller.brokers[id]?.epoch {
                schedule(.detect(id, epoch: epoch), after: 500 + random.below(1_000))
            }
            schedule(.heal, after: 300 + random.below(4_000))
        default:
            // Another leader, for no reason.
            let candidates = controller.isr.filter {
                $0 != controller.leader && controller.isAlive($0)
            }
            guard !candidates.isEmpty, controller.leader >= 0 else { return }
            controller.elect(candidates[random.below(candidates.count)])
            leaderChanges += 1
            tellAll()
        }
    }

    func crash(_ id: Int32) {
        guard nodes[id] != nil else { return }
        nodes[id] = nil
        incarnations[id, default: 0] += 1
        breakConnections(to: id)
        if let disk = disks[id] {
            disks[id] = disk.afterCrash(losesUnsynced: flushes)
        }
        if let epoch = controller.brokers[id]?.epoch {
            schedule(.detect(id, epoch: epoch), after: 400 + random.below(1_000))
        }
        schedule(.restart(id), after: 100 + random.below(4_000))
    }

    private func heal() {
        let healed = isolated
        isolated = []
        for id in healed.sorted() {
            guard nodes[id] != nil, let broker = controller.brokers[id] else { continue }
            // Fenced while it was away: it is let in again under the same epoch.
            if broker.isFenced { schedule(.unfence(id, epoch: broker.epoch), after: 50) }
        }
        tellAll()
    }

    /// No more faults: everything comes back.
    func quieten() {
        isQuiet = true
        heal()
        for id in Int32(1)...3 where nodes[id] == nil { schedule(.restart(id), after: 1) }
    }

    // MARK: What must always hold

    func check() throws {
        for id in nodes.keys.sorted() {
            guard let replica = nodes[id]?.manager.replica(topicA, 0), let log = replica.log else {
                continue
            }
            let incarnation = incarnations[id] ?? 0
            if let last = highWatermarks[id], last.incarnation == incarnation,
                replica.highWatermark < last.offset
            {
                throw failed("high watermark of \(id) fell to \(replica.highWatermark)")
            }
            highWatermarks[id] = (replica.leaderEpoch, incarnation, replica.highWatermark)
            guard replica.highWatermark <= log.logEndOffset else {
                throw failed("high watermark of \(id) is beyond its log")
            }
            if replica.isLeader, replica.highWatermark > committedEnd {
                try commit(id, log, to: replica.highWatermark)
            }
        }
    }

    /// A leader says that these are committed: no one may ever say otherwise.
    private func commit(_ id: Int32, _ log: PartitionLog, to end: Int64) throws {
        for (offset, value) in try all(log, from: committedEnd) where offset < end {
            if let known = committed[offset], known != value {
                throw failed("\(id) has \(value) at \(offset), committed is \(known)")
            }
            committed[offset] = value
        }
        committedEnd = end
    }

    func all(_ log: PartitionLog, from offset: Int64) throws -> [(offset: Int64, value: String)] {
        guard offset < log.logEndOffset else { return [] }
        let bytes = try log.readBytes(
            from: offset, maxBytes: 1 << 26, before: log.logEndOffset)
        return try values(bytes).filter { $0.offset >= offset }
    }

    /// After the faults have stopped and everything has had time.
    func checkEnd() throws {
        var logs: [[String]] = []
        for id in Int32(1)...3 {
            guard let replica = nodes[id]?.manager.replica(topicA, 0), let log = replica.log else {
                throw failed("\(id) has no log")
            }
            let records = try all(log, from: 0)
            let end = replica.highWatermark
            for (offset, value) in records where offset < min(end, committedEnd) {
                if committed[offset] != value {
                    throw failed("\(id) has \(value) at \(offset), not what is committed")
                }
            }
            logs.append(records.map(\.value))
        }
        let shortest = logs.map(\.count).min() ?? 0
        for log in logs where log.prefix(shortest) != logs[0].prefix(shortest) {
            throw failed("the logs differ")
        }
        guard controller.isr.count == 3 else {
            throw failed("the ISR is \(controller.isr) after all")
        }
        let leaderLog = logs[Int(controller.leader) - 1]
        for (offset, value) in acknowledged {
            guard Int(offset) < leaderLog.count, leaderLog[Int(offset)] == value else {
                throw failed("\(value) was acknowledged at \(offset) and is not there")
            }
        }
        guard leaderLog.count == Set(leaderLog).count else { throw failed("a record is twice") }
    }

    func failed(_ text: String) -> Failure {
        Failure(
            description: "seed \(seed) after \((now - start).count / 1_000_000) ms: \(text)")
    }
}
