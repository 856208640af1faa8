import Raft
import SimulatedWorld
import Timing

extension QuorumSimulation {
    /// One piece of bad luck, and when the next one comes.
    func makeTrouble() throws {
        guard !isCalm else { return }
        world.schedule(
            .trouble, after: world.random.delay(.milliseconds(20)...(.milliseconds(900))))
        // The leader is the one whose absence matters.
        let leader = members.firstIndex { $0.leads != nil } ?? 0
        let victim =
            world.random.chance(perMille: 400) ? leader : world.random.below(members.count)
        let until = world.now + world.random.delay(.milliseconds(50)...(.seconds(3)))
        switch world.random.below(18) {
        case 0, 1: crash(victim)
        case 2:
            // More than one at a time, up to all of them.
            for index in members.indices where world.random.chance(perMille: 600) { crash(index) }
        case 3:
            network.heal()
            network.partition(members.indices.filter { _ in world.random.chance(perMille: 500) })
        case 4:
            network.heal()
            network.partition([victim])
        case 5:
            // One way only.
            for other in members.indices where other != victim {
                if world.random.chance(perMille: 500) {
                    network.setCut(true, from: victim, to: other)
                }
            }
        case 6: network.clog(from: victim, to: world.random.below(members.count), until: until)
        case 7:
            guard isUp(victim) else { return }
            members[victim].isPaused = true
            world.schedule(.resume(node: victim), at: until)
        case 8:
            members[victim].clock.jump(
                ahead: world.random.delay(.milliseconds(1)...(.seconds(5))), now: world.now)
        case 9: members[victim].log.failsNext = true
        case 10, 11: takeSnapshot(victim)
        case 12: takeSnapshot(leader)
        case 13 where isUp(victim): try step(victim, .shutDown(timeout: .seconds(1)), .trouble)
        case 14:
            guard isUp(leader), let node = members[leader].node else { return }
            try step(leader, .resign(epoch: node.epoch), .trouble)
        default: network.heal()
        }
    }

    private func isUp(_ index: Int) -> Bool {
        members[index].node != nil && !members[index].isPaused
    }

    private func takeSnapshot(_ index: Int) {
        guard let node = members[index].node else { return }
        let log = members[index].log
        let end = node.highWatermark
        guard end > log.startOffset, end <= log.endOffset else { return }
        log.takeSnapshot(at: end, padding: world.random.below(300))
        if world.random.chance(perMille: 700) { log.clean() }
    }

    /// From here on nothing goes wrong any more, but that a minority may stay away for good.
    func calmDown() throws {
        isCalm = true
        network.heal()
        network.conditions.lossPerMille = 0
        network.conditions.duplicationPerMille = 0
        try loseMinority()
        for (index, member) in members.enumerated() where !member.isLost {
            member.log.failsNext = false
            member.log.readLimit = Int.max
            if member.isPaused { world.schedule(.resume(node: index), after: .milliseconds(1)) }
            if member.node == nil { world.schedule(.start(node: index), after: .milliseconds(5)) }
        }
    }

    private func loseMinority() throws {
        guard world.random.chance(perMille: 300) else { return }
        for _ in 0..<(plan.voters - 1) / 2 {
            let index = world.random.below(plan.voters)
            members[index].isLost = true
            if world.random.chance(perMille: 500) { crash(index) }
        }
        network.partition(members.indices.filter { members[$0].isLost })
    }

    private var present: [Member] { members.filter { !$0.isLost } }

    func checkLeader() throws {
        let leaders = present.filter { $0.node?.isLeader == true }
        guard let leader = leaders.first?.node, leaders.count == 1 else {
            throw broken("\(leaders.count) leaders 5 s after the trouble: \(summary)")
        }
        for member in present where member.node?.leaderID != leader.leaderID {
            throw broken("\(member.id) does not know the leader 5 s after the trouble: \(summary)")
        }
    }

    /// Everybody has the same, all of it committed, and every proposal of the calm is in it.
    func checkEqual() throws {
        try checkLeader()
        guard let end = present.first?.log.endOffset, end == rules.committedEnd else {
            throw broken("not everything is committed: \(summary)")
        }
        for member in present {
            guard member.log.endOffset == end, member.node?.highWatermark == end else {
                throw broken("logs differ at the end: \(summary)")
            }
            for offset in member.log.startOffset..<end {
                guard member.log.record(at: offset) == rules.committed[Int(offset)] else {
                    throw broken("\(member.id) differs at \(offset)")
                }
            }
        }
        let last = rules.committed.last?.epoch ?? 0
        for entry in accepted where entry.epoch == last {
            guard entry.offset < end, rules.committed[Int(entry.offset)].value == entry.value else {
                throw broken("the last leader accepted \(entry.value) and lost it")
            }
        }
        guard accepted.contains(where: { $0.epoch == last }) else {
            throw broken("no proposal was accepted in the calm: \(summary)")
        }
    }

    var summary: String {
        members.map { member in
            let node = member.node
            return "\(member.id): \(node?.roleName ?? "down") epoch \(node?.epoch ?? -1)"
                + " leader \(node?.leaderID ?? -1)"
                + " log \(member.log.startOffset)..\(member.log.endOffset)"
                + " hw \(node?.highWatermark ?? -1)"
        }.joined(separator: "; ")
    }
}
