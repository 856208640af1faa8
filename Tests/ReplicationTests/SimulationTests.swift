import Replication
import Testing
import Timing

/// Many runs of three brokers under lost, late and reordered messages, crashes, cuts and changes
/// of leader: nothing that was acknowledged is lost.
@Suite struct SimulationTests {
    private func run(
        seed: UInt64, flushes: Bool, canary: Canary? = nil
    ) throws -> Simulation {
        let simulation = try Simulation(seed: seed, flushes: flushes, canary: canary)
        try simulation.run(for: 20_000)
        simulation.quieten()
        try simulation.run(for: 15_000)
        try simulation.checkEnd()
        return simulation
    }

    @Test(arguments: [false, true])
    func nothingAcknowledgedIsLost(flushes: Bool) throws {
        var acknowledged = 0
        var changes = 0
        for seed in UInt64(1)...100 {
            let simulation = try run(seed: seed, flushes: flushes)
            acknowledged += simulation.acknowledged.count
            changes += simulation.leaderChanges
        }
        // A run in which nothing gets through proves nothing.
        #expect(acknowledged > 100 * 300)
        #expect(changes > 100)
    }

    @Test func theSameSeedIsTheSameRun() throws {
        let one = try run(seed: 7, flushes: true)
        let two = try run(seed: 7, flushes: true)
        #expect(one.trace == two.trace)
        #expect(one.acknowledged.map(\.value) == two.acknowledged.map(\.value))
        #expect(try run(seed: 8, flushes: true).trace != one.trace)
    }

    @Test(arguments: [Canary.acknowledgeBeforeHighWatermark, .skipEpochCheck])
    func canariesAreFound(canary: Canary) throws {
        var found = 0
        for seed in UInt64(1)...20 {
            do {
                _ = try run(seed: seed, flushes: false, canary: canary)
            } catch is Simulation.Failure {
                found += 1
            }
        }
        #expect(found > 0)
    }
}
