import Raft
import SimulatedWorld
import Testing
import Timing

#if DEBUG
    let seedsPerTest: UInt64 = 40
#else
    let seedsPerTest: UInt64 = 400
#endif

@Suite struct SimulationTests {
    struct Outcome {
        var trace: TraceHash
        var failure: String?
        var events = 0
        var elections = 0
        var installs = 0
        var committed: Int64 = 0
    }

    func run(_ seed: UInt64, canary: RaftCanary? = nil) -> Outcome {
        let simulation = QuorumSimulation(
            seed: seed, plan: QuorumSimulation.Plan(seed: seed, canary: canary))
        var failure: String?
        do { try simulation.run() } catch { failure = "\(error)" }
        return Outcome(
            trace: simulation.world.trace, failure: failure,
            events: simulation.world.eventsHandled, elections: simulation.elections,
            installs: simulation.installs, committed: simulation.rules.committedEnd)
    }

    @Test func theQuorumHoldsInEverySeed() {
        let first = replayedSeed ?? 1
        let last = replayedSeed ?? seedCount ?? seedsPerTest
        var total = Outcome(trace: TraceHash())
        for seed in first...max(first, last) {
            let outcome = run(seed)
            if let failure = outcome.failure {
                let replay = "RAFT_SEED=\(seed) swift test --filter SimulationTests"
                Issue.record("seed \(seed): \(failure); replay: \(replay)")
            }
            total.events += outcome.events
            total.elections += outcome.elections
            total.installs += outcome.installs
            total.committed += outcome.committed
        }
        // A world in which nothing happens proves nothing.
        #expect(total.elections > 0 && total.committed > 0)
        print(
            "\(last - first + 1) seeds: \(total.events) events, \(total.elections) elections,"
                + " \(total.committed) records, \(total.installs) snapshots installed")
    }

    @Test func theSameSeedGivesTheSameTrace() {
        for seed in UInt64(1)...10 {
            #expect(run(seed).trace == run(seed).trace)
        }
        #expect(run(1).trace != run(2).trace)
    }

    @Test(arguments: RaftCanary.allCases)
    func everyCanaryIsFound(_ canary: RaftCanary) {
        for seed in UInt64(1)...2_000 {
            if let failure = run(seed, canary: canary).failure {
                print("\(canary) found with seed \(seed): \(failure)")
                return
            }
        }
        Issue.record("\(canary) was not found")
    }
}
