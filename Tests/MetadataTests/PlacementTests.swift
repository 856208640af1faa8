import Metadata
import Testing

@Suite struct PlacementTests {
    private func brokers(_ racks: [String?], each: Int) -> [PlaceableBroker] {
        var brokers: [PlaceableBroker] = []
        for number in 0..<each {
            for (index, rack) in racks.enumerated() {
                brokers.append(.init(id: Int32(number * racks.count + index), rack: rack))
            }
        }
        return brokers
    }

    private func counts(_ placed: [[Int32]], leaders: Bool, of brokers: [PlaceableBroker]) -> [Int]
    {
        brokers.map { broker in
            placed.count { leaders ? $0.first == broker.id : $0.contains(broker.id) }
        }
    }

    private func spread(_ counts: [Int]) -> Int { (counts.max() ?? 0) - (counts.min() ?? 0) }

    @Test func oneReplicaInEachOfThreeClusters() throws {
        let all = brokers(["west", "middle", "east"], each: 1)
        var placement = ReplicaPlacement(brokers: all, seed: 3)
        let placed = try placement.place(partitions: 30, replicationFactor: 3)
        for replicas in placed { #expect(Set(replicas) == [0, 1, 2]) }
        #expect(counts(placed, leaders: true, of: all) == [10, 10, 10])
        // When one goes, its leaders fall to both others.
        let second = placed.filter { $0.first == 0 }.map { $0[1] }
        #expect(Set(second) == [1, 2])
    }

    @Test func evenWithinOne() throws {
        var random = TestRandom(11)
        for _ in 0..<300 {
            let rackCount = Int.random(in: 1...4, using: &random)
            let each = Int.random(in: 1...4, using: &random)
            let racks: [String?] = rackCount == 1 ? [nil] : (0..<rackCount).map { "r\($0)" }
            let all = brokers(racks, each: each)
            let factor = Int.random(in: 1...min(all.count, 4), using: &random)
            let partitions = Int.random(in: 1...40, using: &random)
            let seed = UInt64.random(in: 0...UInt64.max, using: &random)
            var placement = ReplicaPlacement(brokers: all, seed: seed)
            let placed = try placement.place(partitions: partitions, replicationFactor: factor)
            #expect(placed.count == partitions)
            let what: Comment = "\(rackCount) racks of \(each), RF \(factor), \(partitions)"
            #expect(spread(counts(placed, leaders: true, of: all)) <= 1, what)
            #expect(spread(counts(placed, leaders: false, of: all)) <= 1, what)
            for replicas in placed {
                #expect(Set(replicas).count == factor)
                let perRack = (0..<rackCount).map { rack in
                    replicas.count { Int($0) % rackCount == rack }
                }
                #expect(spread(perRack) <= 1, what)
            }
            // The same seed, the same placement.
            var again = ReplicaPlacement(brokers: all.reversed(), seed: seed)
            #expect(try again.place(partitions: partitions, replicationFactor: factor) == placed)
        }
    }

    @Test func growingATopicKeepsItEven() throws {
        let all = brokers(["a", "b", "c"], each: 2)
        var first = ReplicaPlacement(brokers: all, seed: 1)
        let placed = try first.place(partitions: 4, replicationFactor: 3)
        var second = ReplicaPlacement(brokers: all, existing: placed, seed: 2)
        let more = try second.place(partitions: 8, replicationFactor: 3)
        #expect(spread(counts(placed + more, leaders: true, of: all)) <= 1)
        #expect(spread(counts(placed + more, leaders: false, of: all)) <= 1)
    }

    /// Many topics of one partition each are spread by what brokers carry already.
    @Test func smallTopicsGoWhereLeastIs() throws {
        var all = brokers(["a", "b", "c"], each: 2)
        for round in 0..<60 {
            var placement = ReplicaPlacement(brokers: all, seed: UInt64(round))
            let placed = try placement.place(partitions: 1, replicationFactor: 3)
            for (position, id) in placed[0].enumerated() {
                all[Int(id)].replicas += 1
                if position == 0 { all[Int(id)].leaders += 1 }
            }
        }
        #expect(spread(all.map(\.replicas)) <= 1)
        #expect(spread(all.map(\.leaders)) <= 3)
    }

    @Test func fencedBrokersFollowAndNeverLead() throws {
        var all = brokers(["a", "b", "c"], each: 1)
        all[0].fenced = true
        var placement = ReplicaPlacement(brokers: all, seed: 9)
        let three = try placement.place(partitions: 12, replicationFactor: 3)
        #expect(three.allSatisfy { $0.count == 3 && $0.first != 0 })
        #expect(spread(counts(three, leaders: true, of: Array(all.dropFirst()))) <= 1)
        // With enough live clusters the dead one is left out.
        placement = ReplicaPlacement(brokers: all, seed: 9)
        let two = try placement.place(partitions: 12, replicationFactor: 2)
        #expect(two.allSatisfy { !$0.contains(0) })
        // A live broker is taken where a fenced one would be due.
        var pair = brokers(["a"], each: 3)
        pair[1].fenced = true
        pair[2].fenced = true
        placement = ReplicaPlacement(brokers: pair, seed: 1)
        #expect(
            try placement.place(partitions: 5, replicationFactor: 2).allSatisfy { $0.first == 0 })
    }

    @Test func leadersWhereTheyAreToldToBe() throws {
        let all = brokers(["west", "middle", "east"], each: 2)
        var placement = ReplicaPlacement(brokers: all, leaderRacks: ["middle"], seed: 4)
        let placed = try placement.place(partitions: 10, replicationFactor: 3)
        #expect(placed.allSatisfy { all[Int($0[0])].rack == "middle" })
        #expect(placed.count { $0[0] == 1 } == 5)
    }

    @Test func whatCannotBePlaced() {
        func error(_ all: [PlaceableBroker], _ factor: Int) -> PlacementError? {
            var placement = ReplicaPlacement(brokers: all, seed: 1)
            do throws(PlacementError) {
                _ = try placement.place(partitions: 1, replicationFactor: factor)
                return nil
            } catch { return error }
        }
        var all = brokers(["a", "b"], each: 1)
        #expect(error(all, 0) == .nonPositive(0))
        #expect(error(all, 3) == .tooFewBrokers(wanted: 3, registered: 2, unfenced: 2))
        all[0].fenced = true
        all[1].fenced = true
        #expect(error(all, 1) == .allFenced(registered: 2))
        #expect(error([], 1) == .tooFewBrokers(wanted: 1, registered: 0, unfenced: 0))
    }
}
