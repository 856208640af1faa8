import BrokerCore
import CommitLog
import Metadata
import SimulatedDisk
import SimulatedWorld
import Timing

// What goes wrong while a simulation runs.
extension ClusterSimulation {
    func trouble() {
        guard !isCalm else { return }
        world.schedule(.trouble, after: world.random.delay(plan.troublePause))
        guard world.now >= quietUntil else { return }
        // The one that leads is the one whose absence matters.
        let leader = nodes.firstIndex { $0.quorum?.isLeader ?? false }
        let index =
            world.random.chance(perMille: 250)
            ? leader ?? 0 : world.random.below(nodes.count)
        let node = nodes[index]
        let other = (index + 1 + world.random.below(nodes.count - 1)) % nodes.count
        switch world.random.below(20) {
        case 0, 1, 2:
            fall(index, startsAfter: world.random.delay(.milliseconds(50) ... .seconds(6)))
        case 3: fallTogether()
        case 4, 5: cutOff(index)
        case 6:
            log("link \(node.id) > \(nodes[other].id) is cut")
            network.setCut(true, from: index, to: other)
        case 7:
            guard node.isRunning, !node.isPaused else { return }
            log("node \(node.id) pauses")
            node.isPaused = true
        case 8:
            log("clock of \(node.id) jumps")
            node.clock.jump(
                ahead: world.random.delay(.milliseconds(1) ... .seconds(3)), now: world.now)
            schedule(index)
        case 9: node.wallOffsetMs = Int64(world.random.below(20_000)) - 10_000
        case 10, 11:
            network.clog(
                from: index, to: other,
                until: world.now + world.random.delay(.milliseconds(100) ... .seconds(2)))
        case 12, 13: hurtDisk(index)
        case 14:
            guard node.isRunning, !node.isPaused else { return }
            log("node \(node.id) is told to stop")
            shutDown(index)
        case 15 where plan.brokers > plan.voters: beginReplacement(plan.brokers - 1)
        default: heal()
        }
    }

    private func heal() {
        log("healed")
        network.heal()
        for index in nodes.indices { resume(index) }
    }

    private func fall(_ index: Int, startsAfter pause: Nanoseconds) {
        let node = nodes[index]
        guard node.isRunning else { return }
        let loses = world.random.chance(perMille: 500)
        log("node \(node.id) crashes\(loses ? ", the power fails" : "")")
        crash(index, losesUnsynced: loses)
        world.schedule(.start(index), after: pause)
    }

    /// Several at once, up to all; they start at almost the same time, and stand for election.
    private func fallTogether() {
        let pause = world.random.delay(.milliseconds(50) ... .seconds(2))
        let spread = world.random.pick([Nanoseconds.milliseconds(2), .milliseconds(300)])
        for index in nodes.indices where world.random.chance(perMille: 700) {
            fall(index, startsAfter: pause + world.random.delay(.zero...spread))
        }
    }

    /// From the other nodes; clients still reach it.
    private func cutOff(_ index: Int) {
        log("node \(nodes[index].id) is cut off")
        network.partition([index])
        network.setCut(false, from: plan.clientPlace, to: index)
        network.setCut(false, from: index, to: plan.clientPlace)
    }

    // MARK: Disks

    /// Writes and syncs fail, now and then or always, or there is no more room. The process ends
    /// by itself or goes on without the directory; later it starts with a disk that works.
    private func hurtDisk(_ index: Int) {
        let node = nodes[index]
        guard node.isRunning, !node.isHurt else { return }
        node.isHurt = true
        if world.random.chance(perMille: 300), let space = try? node.disk.space("/") {
            log("the disk of \(node.id) is nearly full")
            let used = Int(space.totalBytes - space.freeBytes)
            node.disk.faults.capacity = used + world.random.below(20_000)
        } else {
            node.disk.faults.errorsPerMille = world.random.pick([3, 30, 1_000])
            log("the disk of \(node.id) fails")
        }
        world.schedule(
            .restart(index, generation: node.generation),
            after: world.random.delay(.milliseconds(200) ... .seconds(8)))
    }

    /// A broker gets a new disk as the runbook has it: while every other replica is in sync, and
    /// nothing else is wrong.
    private func beginReplacement(_ index: Int) {
        log("the disk of \(nodes[index].id) is to be replaced")
        heal()
        quietUntil = world.now + .seconds(16)
        for other in nodes.indices {
            if nodes[other].isHurt { crash(other, losesUnsynced: false) }
            start(other)
        }
        world.schedule(.replaceDisk(index), after: .seconds(8))
    }

    func replaceDisk(_ index: Int) {
        let node = nodes[index]
        guard !isCalm, canMiss(node), node.isRunning else { return }
        log("the disk of \(node.id) is replaced")
        crash(index, losesUnsynced: false)
        node.replaceDisk(seed: world.random.next())
        checks.quorum.forgot(node)
        node.disk.faults.ignoresSync = options.canary == .ignoresSync
        world.schedule(.start(index), after: world.random.delay(.milliseconds(50) ... .seconds(4)))
    }

    /// Whether all that it has is in sync elsewhere, on two other brokers.
    private func canMiss(_ node: SimulatedNode) -> Bool {
        guard let image = nodes.first(where: { $0.quorum?.isLeader ?? false })?.quorum?.image else {
            return false
        }
        return image.topics.allSatisfy { topic in
            topic.partitions.allSatisfy { partition in
                guard let partition, partition.replicas.contains(node.id) else { return true }
                return partition.isr.filter { $0 != node.id }.count >= 2
            }
        }
    }
}
