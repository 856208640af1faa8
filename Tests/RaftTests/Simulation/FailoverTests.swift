import Raft
import SimulatedWorld
import Testing
import Timing

/// What the default timing is for, in simulated time: another leader soon, and no false alarm.
@Suite struct FailoverTests {
    enum Loss: CaseIterable {
        /// The process dies; its machine refuses connections.
        case killed
        /// The cluster is cut off; nothing comes back.
        case cut
        /// The process is stopped; its machine takes connections.
        case stopped
        /// It shuts down as it should.
        case shutDown
    }

    private func elected(
        _ seed: UInt64, roundTrip: Int64, voters: Int
    ) throws -> (QuorumSimulation, leader: Int) {
        let simulation = QuorumSimulation(
            seed: seed, plan: .steady(roundTripMilliseconds: roundTrip, voters: voters))
        try simulation.advance(to: simulation.world.now + .milliseconds(5_000 + Int64(seed) * 7))
        let leader = try #require(simulation.members.firstIndex { $0.node?.isLeader == true })
        return (simulation, leader)
    }

    /// From the loss to the first commit under the next leader.
    private func outage(_ seed: UInt64, _ loss: Loss, roundTrip: Int64, voters: Int) throws -> Int {
        let (simulation, leader) = try elected(seed, roundTrip: roundTrip, voters: voters)
        let lostAt = simulation.world.now
        let before = simulation.leaderships.count
        switch loss {
        case .killed:
            simulation.members[leader].isLost = true
            simulation.crash(leader)
        case .cut:
            simulation.members[leader].isLost = true
            simulation.network.partition([leader])
        case .stopped:
            simulation.members[leader].isLost = true
            simulation.members[leader].isPaused = true
        case .shutDown:
            try simulation.step(leader, .shutDown(timeout: .seconds(1)), .trouble)
        }
        let limit = lostAt + .seconds(20)
        while simulation.world.now < limit {
            try simulation.advance(to: simulation.world.now + .milliseconds(1))
            if simulation.leaderships.count > before, let last = simulation.leaderships.last,
                simulation.lastCommit > last.time
            {
                break
            }
        }
        return Int((simulation.lastCommit - lostAt).count / 1_000_000)
    }

    @Test(arguments: Loss.allCases, [10, 100])
    func anotherLeaderComesSoon(_ loss: Loss, roundTrip: Int64) throws {
        for voters in [3, 5] {
            var outages: [Int] = []
            for seed in UInt64(1)...(seedsPerTest / 4) {
                outages.append(try outage(seed, loss, roundTrip: roundTrip, voters: voters))
            }
            outages.sort()
            let median = outages[outages.count / 2]
            let late = outages[outages.count * 95 / 100]
            print(
                "\(loss) of \(voters), \(roundTrip) ms round trip: commits again after"
                    + " \(median) ms, 95 %: \(late) ms, worst: \(outages[outages.count - 1]) ms")
            #expect(median < 1_500)
            #expect(outages.last.map { $0 < 2_000 } == true)
        }
    }

    @Test(arguments: [10, 100])
    func aHealthyQuorumKeepsItsLeader(_ roundTrip: Int64) throws {
        for seed in UInt64(1)...3 {
            let (simulation, _) = try elected(seed, roundTrip: roundTrip, voters: 3)
            let elections = simulation.elections
            var random = SeededRandom(seed: seed)
            // Five minutes, in which now and then a segment is lost and comes 300 ms later.
            for _ in 0..<150 {
                try simulation.advance(to: simulation.world.now + .seconds(2))
                let from = random.below(3)
                let to = (from + 1 + random.below(2)) % 3
                simulation.network.clog(
                    from: from, to: to, until: simulation.world.now + .milliseconds(300))
            }
            #expect(simulation.elections == elections)
        }
    }

    @Test(arguments: [10, 100])
    func aFollowerThatComesBackDisturbsNobody(_ roundTrip: Int64) throws {
        for seed in UInt64(1)...20 {
            let (simulation, leader) = try elected(seed, roundTrip: roundTrip, voters: 3)
            let elections = simulation.elections
            let epoch = simulation.members[leader].node?.epoch
            let follower = (leader + 1) % 3
            for away: Int64 in [1_000, 3_000, 10_000] {
                simulation.network.partition([follower])
                try simulation.advance(to: simulation.world.now + .milliseconds(away))
                simulation.network.heal()
                try simulation.advance(to: simulation.world.now + .seconds(3))
                let node = try #require(simulation.members[follower].node)
                #expect(node.roleName == "follower" && node.epoch == epoch)
            }
            #expect(simulation.elections == elections)
        }
    }

    @Test func aLeaderThatIsCutOffStepsDown() throws {
        let (simulation, leader) = try elected(1, roundTrip: 10, voters: 3)
        simulation.network.partition([leader])
        try simulation.advance(to: simulation.world.now + .milliseconds(1_500))
        #expect(simulation.members[leader].node?.isLeader == false)
    }
}
