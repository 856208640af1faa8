import SimulatedDisk
import SimulatedWorld
import Timing

// What goes wrong while a simulation runs.
extension ClusterSimulation {
    func trouble() {
        guard !isCalm else { return }
        let index = world.random.below(3)
        let node = nodes[index]
        let others = (0..<3).filter { $0 != index }
        switch world.random.below(10) {
        case 0, 1:
            if node.isRunning {
                let loses = world.random.chance(perMille: 500)
                log("node \(node.id) crashes\(loses ? ", the power fails" : "")")
                crash(index, losesUnsynced: loses)
                world.schedule(
                    .start(index), after: world.random.delay(.milliseconds(50) ... .seconds(6)))
            }
        case 2:
            log("node \(node.id) is cut off")
            network.partition([index])
            network.setCut(false, from: 3, to: index)
            network.setCut(false, from: index, to: 3)
        case 3:
            let other = world.random.pick(others)
            log("link \(node.id) > \(nodes[other].id) is cut")
            network.setCut(true, from: index, to: other)
        case 4:
            if node.isRunning, !node.isPaused {
                log("node \(node.id) pauses")
                node.isPaused = true
            }
        case 5:
            log("clock of \(node.id) jumps")
            node.clock.jump(
                ahead: world.random.delay(.milliseconds(1) ... .seconds(3)), now: world.now)
            schedule(index)
        case 6: node.wallOffsetMs = Int64(world.random.below(20_000)) - 10_000
        case 7:
            let other = world.random.pick(others)
            network.clog(
                from: index, to: other,
                until: world.now + world.random.delay(.milliseconds(100) ... .seconds(2)))
        default:
            log("healed")
            network.heal()
            for other in 0..<3 { resume(other) }
        }
        world.schedule(
            .trouble, after: world.random.delay(.milliseconds(200) ... .seconds(4)))
    }

    func crash(_ index: Int, losesUnsynced: Bool) {
        let node = nodes[index]
        let prefix = "\(index) \(node.generation) "
        for name in owed.keys.filter({ $0.hasPrefix(prefix) }).sorted() {
            guard let debt = owed.removeValue(forKey: name) else { continue }
            // A process that is killed closes its connections; a power cut says nothing.
            if !losesUnsynced { answer(debt, from: index, body: nil) }
        }
        node.crash(losesUnsynced: losesUnsynced)
        node.disk.faults.ignoresSync = options.canary == .ignoresSync
        wakes[index] = nil
        checks.crashed(node)
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
}
