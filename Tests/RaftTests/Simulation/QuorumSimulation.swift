import NIOCore
import Raft
import SimulatedWorld
import Timing

/// A quorum in a world of lost messages, cuts, pauses, crashes and clocks that jump. Everything is
/// drawn from one seed.
final class QuorumSimulation {
    enum Event {
        case timer(node: Int, generation: Int)
        case request(from: Int, to: Int, requestID: UInt64, RaftRequest)
        case response(from: Int, to: Int, requestID: UInt64, RaftResponse)
        case sendFailed(node: Int, incarnation: Int, requestID: UInt64)
        case flushed(node: Int, incarnation: Int, target: Int64)
        case start(node: Int)
        case resume(node: Int)
        case load
        case trouble
    }

    let seed: UInt64
    let plan: Plan
    let configuration: RaftConfiguration
    var world: SimulatedWorld<Event>
    var network: SimulatedNetwork
    var rules = QuorumRules()
    var members: [Member] = []
    var troubleEnds: Instant
    var isCalm = false
    private var nextValue: UInt64 = 1
    private(set) var accepted: [(offset: Int64, epoch: Int32, value: UInt64)] = []
    private var proposed: [UInt64: UInt64] = [:]
    private(set) var elections = 0
    /// When, who, in which epoch.
    private(set) var leaderships: [(time: Instant, node: Int32, epoch: Int32)] = []
    private(set) var lastCommit = Instant(nanoseconds: 0)
    private(set) var installs = 0

    init(seed: UInt64, plan: Plan) {
        self.seed = seed
        self.plan = plan
        world = SimulatedWorld(seed: seed)
        let oneWay = Nanoseconds.milliseconds(plan.roundTripMilliseconds)
        let half = Nanoseconds(oneWay.count / 2)
        let jitter = world.random.pick([half, Nanoseconds(half.count * 3)])
        network = SimulatedNetwork(
            count: plan.voters + plan.observers,
            conditions: LinkConditions(
                delay: half...jitter,
                lossPerMille: world.random.pick([0, 0, 5, 50, 150]),
                duplicationPerMille: world.random.pick([0, 0, 20, 100]),
                reorders: world.random.chance(perMille: 400)))
        var timing = RaftTiming()
        if world.random.chance(perMille: 200) { timing.appendLinger = .milliseconds(5) }
        configuration = RaftConfiguration(
            nodeID: 0, directoryID: DirectoryID(high: 0, low: 0), clusterID: "simulated",
            voters: VoterSet(ids: (0..<Int32(plan.voters)).map { $0 }), timing: timing)
        troubleEnds = world.now + plan.faults
        let flushesLater = world.random.chance(perMille: 300)
        // Often so little that records travel one by one, and snapshots in many parts.
        let readLimit = world.random.pick([21, 21, 64, 200, Int.max])
        for index in 0..<network.count {
            let clock = SimulatedClock(
                start: world.now,
                offset: world.random.delay(.zero...(.seconds(1_000))),
                partsPerMillion: Int64(world.random.below(2_001)) - 1_000)
            let member = Member(id: Int32(index), clock: clock)
            member.log.flushesLater = flushesLater
            member.log.readLimit = readLimit
            members.append(member)
            world.schedule(.start(node: index), after: .milliseconds(Int64(index) * 3))
        }
        world.schedule(.load, after: .milliseconds(500))
        world.schedule(.trouble, after: .milliseconds(800))
        guard plan.isSteady else { return }
        isCalm = true
        troubleEnds = world.now + .seconds(1_000_000)
        network.conditions = LinkConditions(delay: half...Nanoseconds(half.count * 11 / 10))
        for member in members {
            member.log.flushesLater = true
            member.log.readLimit = Int.max
        }
    }

    // MARK: Running

    func run() throws {
        let end = troubleEnds + plan.calm
        try advance(to: troubleEnds)
        try calmDown()
        try advance(to: troubleEnds + .seconds(5))
        try checkLeader()
        try advance(to: end)
        try checkEqual()
    }

    func advance(to limit: Instant) throws {
        while let event = world.next(before: limit) { try handle(event) }
    }

    private func handle(_ event: Event) throws {
        switch event {
        case .timer(let index, let generation):
            guard members[index].generation == generation else { return }
            try step(index, .timer, event)
        case .request(let from, let to, let requestID, let request):
            guard !network.isCut(from: from, to: to) else { return }
            let member = members[to]
            guard member.node != nil else { return refuse(from, requestID, by: to) }
            guard !member.isPaused else { return member.waiting.append(event) }
            member.nextToken += 1
            member.origins[member.nextToken] = (from, requestID, request)
            try step(to, .request(request, token: member.nextToken), event)
        case .response(let from, let to, let requestID, let response):
            guard !network.isCut(from: from, to: to) else { return }
            try step(
                to, .response(response, from: Int32(from), requestID: requestID), event)
        case .sendFailed(let index, let incarnation, let requestID):
            guard members[index].incarnation == incarnation else { return }
            try step(index, .sendFailed(requestID: requestID), event)
        case .flushed(let index, let incarnation, let target):
            guard members[index].incarnation == incarnation else { return }
            guard !members[index].isPaused else { return members[index].waiting.append(event) }
            members[index].log.finishFlush(to: target)
            try step(index, .flushed, event)
        case .start(let index): try start(index)
        case .resume(let index): try resume(index)
        case .load: try load()
        case .trouble: try makeTrouble()
        }
    }

    /// A process that is not there: its machine says so, if it can be reached.
    private func refuse(_ from: Int, _ requestID: UInt64, by to: Int) {
        for arrival in network.arrivals(
            from: to, to: from, now: world.now, random: &world.random)
        {
            world.schedule(
                .sendFailed(
                    node: from, incarnation: members[from].incarnation, requestID: requestID),
                at: arrival)
        }
    }

    func start(_ index: Int) throws {
        let member = members[index]
        guard member.node == nil, !member.isLost else { return }
        var own = configuration
        own.nodeID = member.id
        own.directoryID = DirectoryID(high: 1, low: UInt64(index))
        let node = RaftNode(
            configuration: own, log: member.log, election: member.stored,
            seed: world.random.next(), now: member.clock.local(at: world.now),
            canary: plan.canary)
        member.node = node
        member.highWatermark = node.highWatermark
        guard node.epoch >= member.epoch || plan.canary == .forgetsPersist else {
            throw broken("\(index) forgot epoch \(member.epoch)")
        }
        try step(index, .timer, .start(node: index))
    }

    func resume(_ index: Int) throws {
        let member = members[index]
        guard member.isPaused else { return }
        member.isPaused = false
        let waiting = member.waiting
        member.waiting = []
        for event in waiting { try handle(event) }
    }

    func crash(_ index: Int) {
        if tracesEveryStep { print("\(index) crashes") }
        let member = members[index]
        guard member.node != nil else { return }
        member.node = nil
        member.leads = nil
        member.incarnation += 1
        member.generation += 1
        member.isPaused = false
        member.waiting = []
        // The connections of a dead process are reset.
        for token in member.origins.keys.sorted() {
            if let origin = member.origins[token] {
                refuse(origin.from, origin.requestID, by: index)
            }
        }
        member.origins = [:]
        member.log.crash(random: &world.random)
        let down = world.random.delay(.milliseconds(5)...(.seconds(3)))
        world.schedule(.start(node: index), after: isCalm ? .milliseconds(5) : down)
    }

    func step(_ index: Int, _ event: RaftEvent, _ cause: Event) throws {
        let member = members[index]
        guard let node = member.node else { return }
        guard !member.isPaused else { return member.waiting.append(cause) }
        let local = member.clock.local(at: world.now)
        let before = member.highWatermark
        let effects = node.step(event, now: local)
        if tracesEveryStep { trace(index, event, effects) }
        try check(member, node)
        // The machine may die between any two effects.
        let survives =
            isCalm || !world.random.chance(perMille: 2) ? Int.max : world.random.below(3)
        for (position, effect) in effects.enumerated() {
            guard position < survives else { return crash(index) }
            try carryOut(effect, member, index, committedBefore: before)
            if member.node == nil { return }
        }
        if member.log.flushesLater, let target = member.log.flushTarget,
            target > member.log.flushedOffset
        {
            world.schedule(
                .flushed(node: index, incarnation: member.incarnation, target: target),
                after: world.random.delay(.microseconds(100)...(.milliseconds(8))))
        }
        world.trace.fold(index)
        world.trace.fold(Int(node.epoch))
        world.trace.fold(node.highWatermark)
        world.trace.fold(member.log.endOffset)
        try schedule(index, node, local)
    }

    private func schedule(_ index: Int, _ node: RaftNode, _ local: Instant) throws {
        let member = members[index]
        member.generation += 1
        guard let deadline = node.nextDeadline else { return }
        if deadline <= local {
            member.idleTimers += 1
            guard member.idleTimers < 1_000 else { throw broken("\(index) spins: \(summary)") }
        } else {
            member.idleTimers = 0
        }
        world.schedule(
            .timer(node: index, generation: member.generation),
            at: member.clock.world(at: deadline))
    }

    private func check(_ member: Member, _ node: RaftNode) throws {
        let operations = member.log.operations
        member.log.operations = []
        for operation in operations { try rules.changed(member.id, by: operation, log: member.log) }
        guard node.highWatermark >= member.highWatermark else {
            throw broken("\(member.id) lowers its high watermark")
        }
        guard node.epoch >= member.epoch || plan.canary == .forgetsPersist else {
            throw broken("\(member.id) goes back to epoch \(node.epoch)")
        }
    }

    private func carryOut(
        _ effect: RaftEffect, _ member: Member, _ index: Int, committedBefore: Int64
    ) throws {
        switch effect {
        case .persist(let state):
            member.stored = state
            member.epoch = max(member.epoch, state.epoch)
            if state.votedKey?.id == member.id {
                try rules.voted(member.id, for: member.id, epoch: state.epoch)
            }
        case .send(let request, let to, let requestID):
            for arrival in network.arrivals(
                from: index, to: Int(to), now: world.now, random: &world.random)
            {
                world.schedule(
                    .request(from: index, to: Int(to), requestID: requestID, request), at: arrival)
            }
        case .reply(let response, let token):
            guard let origin = member.origins.removeValue(forKey: token) else {
                throw broken("\(index) answers \(token) twice")
            }
            if case .vote(let vote) = response, vote.voteGranted,
                case .vote(let asked) = origin.request, !asked.preVote
            {
                try rules.voted(member.id, for: Int32(origin.from), epoch: asked.replicaEpoch)
            }
            for arrival in network.arrivals(
                from: index, to: origin.from, now: world.now, random: &world.random)
            {
                world.schedule(
                    .response(
                        from: index, to: origin.from, requestID: origin.requestID, response),
                    at: arrival)
            }
        case .becameLeader(let epoch, _):
            elections += 1
            member.leads = epoch
            leaderships.append((world.now, member.id, epoch))
            try rules.elected(member.id, epoch: epoch, log: member.log)
        case .lostLeadership: member.leads = nil
        case .committed(let end):
            let holders = members.prefix(plan.voters)
            try rules.committed(
                upTo: end, from: committedBefore, by: member.id, in: member.node?.epoch ?? 0,
                log: member.log,
                holders: { offset, record in
                    holders.count { other in
                        offset < other.log.startOffset
                            || offset < other.log.flushedOffset
                                && other.log.record(at: offset) == record
                    }
                }, majority: plan.voters / 2 + 1)
            member.highWatermark = end
            lastCommit = world.now
        case .proposalResult(let token, let result):
            if case .appended(let offset, _, let epoch) = result, let value = proposed[token] {
                accepted.append((offset, epoch, value))
            }
        case .snapshotInstalled(let id):
            installs += 1
            member.highWatermark = max(member.highWatermark, id.offset)
        case .halted: crash(index)
        case .shutDownComplete: crash(index)
        case .leaderChanged, .truncated, .warning: break
        }
    }

    // MARK: Load

    private func load() throws {
        let pause = world.random.delay(.milliseconds(5)...(.milliseconds(120)))
        world.schedule(.load, after: pause)
        guard !isCalm || world.now < troubleEnds + Nanoseconds(plan.calm.count * 3 / 4) else {
            return
        }
        let target =
            members.firstIndex { $0.leads != nil && !$0.isLost }
            ?? world.random.below(members.count)
        guard !members[target].isPaused else { return }
        for _ in 0...world.random.below(4) {
            let value = nextValue
            nextValue += 1
            let token = UInt64(1) << 60 | value
            proposed[token] = value
            try step(target, .propose(MemoryRaftLog.encode([value]), token: token), .load)
        }
    }

    private func trace(_ index: Int, _ event: RaftEvent, _ effects: [RaftEffect]) {
        let time = (world.now.nanoseconds - 1_000_000_000_000) / 1_000_000
        let what =
            switch event {
            case .request(let request, let token): "request \(token) " + RaftText.describe(request)
            case .response(let response, let from, _):
                "answer from \(from) " + RaftText.describe(response)
            case .timer: "timer"
            case .propose: "propose"
            default: "\(event)"
            }
        let log = members[index].log
        print("\(time) ms \(index) [\(log.startOffset)..\(log.endOffset)]: \(what)")
        for effect in effects { print("        " + RaftText.describe(effect)) }
    }

    func broken(_ what: String) -> QuorumRules.Broken { QuorumRules.Broken(description: what) }
}
