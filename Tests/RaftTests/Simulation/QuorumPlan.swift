import Raft
import SimulatedWorld
import Timing

extension QuorumSimulation {
    struct Plan {
        var voters: Int
        var observers: Int
        var roundTripMilliseconds: Int64
        var faults: Nanoseconds
        var calm: Nanoseconds
        var canary: RaftCanary?
        /// No chance but that of the clocks and timers: the test does what is done.
        var isSteady = false

        /// A seed decides what kind of cluster it is, too.
        init(
            seed: UInt64, faults: Nanoseconds = .seconds(12), calm: Nanoseconds = .seconds(8),
            canary: RaftCanary? = nil
        ) {
            var random = SeededRandom(seed: seed &* 0x9e37_79b9)
            voters = random.pick([1, 3, 3, 3, 3, 5, 5, 5])
            observers = random.pick([0, 0, 1])
            roundTripMilliseconds = random.pick([1, 1, 10, 10, 100])
            self.faults = faults
            self.calm = calm
            self.canary = canary
        }

        static func steady(roundTripMilliseconds: Int64, voters: Int = 3) -> Plan {
            var plan = Plan(seed: 0)
            plan.voters = voters
            plan.observers = 0
            plan.roundTripMilliseconds = roundTripMilliseconds
            plan.isSteady = true
            return plan
        }
    }

    final class Member {
        let id: Int32
        let log = MemoryRaftLog()
        var node: RaftNode?
        var stored: ElectionState?
        var clock: SimulatedClock
        var incarnation = 0
        var generation = 0
        var idleTimers = 0
        var isPaused = false
        /// Down or cut off for good.
        var isLost = false
        var waiting: [Event] = []
        var origins: [UInt64: (from: Int, requestID: UInt64, request: RaftRequest)] = [:]
        var nextToken: UInt64 = 0
        /// What it has told: it must never say less.
        var epoch: Int32 = 0
        var highWatermark: Int64 = 0
        var leads: Int32?

        init(id: Int32, clock: SimulatedClock) {
            self.id = id
            self.clock = clock
        }
    }
}
