/// A broker that replicas may be placed on.
package struct PlaceableBroker: Equatable, Sendable {
    package var id: Int32
    package var rack: String?
    package var fenced: Bool
    /// What it carries already, over all topics.
    package var leaders: Int
    package var replicas: Int

    package init(
        id: Int32, rack: String?, fenced: Bool = false, leaders: Int = 0, replicas: Int = 0
    ) {
        self.id = id
        self.rack = rack
        self.fenced = fenced
        self.leaders = leaders
        self.replicas = replicas
    }
}

package enum PlacementError: Error, Equatable, CustomStringConvertible {
    case nonPositive(Int)
    case tooFewBrokers(wanted: Int, registered: Int, unfenced: Int)
    case allFenced(registered: Int)

    package var description: String {
        switch self {
        case .nonPositive(let factor):
            "Invalid replication factor \(factor): the replication factor must be positive."
        case .tooFewBrokers(let wanted, let registered, let unfenced):
            "The target replication factor of \(wanted) cannot be reached because only"
                + " \(registered) broker(s) are registered, \(unfenced) of them unfenced."
        case .allFenced(let registered):
            "All brokers are currently fenced (\(registered) registered)."
        }
    }
}

/// Rack-aware placement. In order of weight: racks (a rack is a cluster) get replicas of a
/// partition as evenly as can be; live brokers before fenced ones; within the topic every broker
/// gets as many replicas and as many leaders as any other; over all topics those who carry least
/// come first. What is still equal is decided by the seed, anew for each round, so that the
/// partitions that one broker leads do not all have the same follower to fall to.
///
/// The first replica leads and is never on a fenced broker.
package struct ReplicaPlacement {
    private let brokers: [PlaceableBroker]
    /// For each broker the number of its rack. Brokers without a rack share one.
    private let racks: [Int]
    private let rackSizes: [Int]
    private let rackCount: Int
    private let preferredRacks: [Bool]
    private let seed: UInt64

    /// What the topic has on each broker, and in each rack.
    private var replicaCounts: [Int]
    private var leaderCounts: [Int]
    private var rackReplicas: [Int]

    /// - Parameters:
    ///   - existing: the topic's partitions so far.
    ///   - leaderRacks: racks that leaders should be in where there is a choice.
    package init(
        brokers: [PlaceableBroker], existing: [[Int32]] = [], leaderRacks: [String] = [],
        seed: UInt64
    ) {
        self.brokers = brokers.sorted { $0.id < $1.id }
        self.seed = seed
        var names: [String?] = []
        racks = self.brokers.map { broker in
            if let known = names.firstIndex(of: broker.rack) { return known }
            names.append(broker.rack)
            return names.count - 1
        }
        rackCount = names.count
        var sizes = Array(repeating: 0, count: names.count)
        for rack in racks { sizes[rack] += 1 }
        rackSizes = sizes
        preferredRacks = names.map { name in name.map(leaderRacks.contains) ?? false }
        replicaCounts = Array(repeating: 0, count: self.brokers.count)
        leaderCounts = replicaCounts
        rackReplicas = Array(repeating: 0, count: names.count)
        for replicas in existing {
            for (position, id) in replicas.enumerated() {
                guard let index = self.brokers.firstIndex(where: { $0.id == id }) else { continue }
                replicaCounts[index] += 1
                rackReplicas[racks[index]] += 1
                if position == 0 { leaderCounts[index] += 1 }
            }
        }
    }

    /// Replica lists for new partitions.
    package mutating func place(
        partitions: Int, replicationFactor: Int
    ) throws(PlacementError) -> [[Int32]] {
        let unfenced = brokers.count { !$0.fenced }
        guard replicationFactor > 0 else { throw .nonPositive(replicationFactor) }
        guard replicationFactor <= brokers.count else {
            throw .tooFewBrokers(
                wanted: replicationFactor, registered: brokers.count, unfenced: unfenced)
        }
        guard unfenced > 0 else { throw .allFenced(registered: brokers.count) }
        var placed: [[Int]] = []
        placed.reserveCapacity(partitions)
        for partition in 0..<max(partitions, 0) {
            placed.append(placeOne(partition, replicationFactor))
        }
        evenOutLeaders(&placed)
        return placed.map { $0.map { brokers[$0].id } }
    }

    // MARK: - One partition

    private mutating func placeOne(_ partition: Int, _ replicationFactor: Int) -> [Int] {
        // Ties are broken anew whenever every broker has had its turn.
        let round = partition / brokers.count
        var chosen: [Int] = []
        var inRack = Array(repeating: 0, count: rackCount)
        while chosen.count < replicationFactor {
            // One live broker is kept for the leader: when none is chosen yet at the last place.
            let mustBeLive =
                chosen.count == replicationFactor - 1 && chosen.allSatisfy { brokers[$0].fenced }
            var best: Int?
            var bestKey = Key()
            for index in brokers.indices where !chosen.contains(index) {
                if mustBeLive, brokers[index].fenced { continue }
                let key = Key(
                    rack: inRack[racks[index]], fenced: brokers[index].fenced ? 1 : 0,
                    replicas: replicaCounts[index],
                    rackLoad: rackReplicas[racks[index]] * 1_000 / rackSizes[racks[index]],
                    leaders: leaderCounts[index], load: brokers[index].replicas,
                    rank: rank(of: index, round))
                if best == nil || key < bestKey {
                    best = index
                    bestKey = key
                }
            }
            guard let best else { break }
            chosen.append(best)
            inRack[racks[best]] += 1
            replicaCounts[best] += 1
            rackReplicas[racks[best]] += 1
        }
        return leaderFirst(chosen, partition: partition, round: round)
    }

    /// The live one with the fewest leaders leads; the others follow in an order that changes from
    /// partition to partition.
    private mutating func leaderFirst(_ chosen: [Int], partition: Int, round: Int) -> [Int] {
        var best: Int?
        var bestKey = Key()
        for index in chosen where !brokers[index].fenced {
            let key = Key(
                rack: preferredRacks[racks[index]] ? 0 : 1, leaders: leaderCounts[index],
                load: brokers[index].leaders, rank: rank(of: index, round))
            if best == nil || key < bestKey {
                best = index
                bestKey = key
            }
        }
        guard let best else { return chosen }
        leaderCounts[best] += 1
        let rest = chosen.filter { $0 != best }.sorted {
            (rank(of: $0, partition), $0) < (rank(of: $1, partition), $1)
        }
        return [best] + rest
    }

    private func rank(of index: Int, _ round: Int) -> UInt64 {
        let id = UInt64(truncatingIfNeeded: brokers[index].id)
        return SplitMix64.mix(seed &+ SplitMix64.mix(UInt64(round) << 32 ^ id))
    }

    private struct Key: Comparable {
        var rack = 0
        var fenced = 0
        var replicas = 0
        var rackLoad = 0
        var leaders = 0
        var load = 0
        var rank: UInt64 = 0

        static func < (a: Self, b: Self) -> Bool {
            if a.rack != b.rack { return a.rack < b.rack }
            if a.fenced != b.fenced { return a.fenced < b.fenced }
            if a.replicas != b.replicas { return a.replicas < b.replicas }
            if a.rackLoad != b.rackLoad { return a.rackLoad < b.rackLoad }
            if a.leaders != b.leaders { return a.leaders < b.leaders }
            if a.load != b.load { return a.load < b.load }
            return a.rank < b.rank
        }
    }

    // MARK: - Leaders

    /// Taking turns can leave one broker two leaders ahead of another. Then leadership is handed on
    /// along a chain of partitions, each with a replica on the next broker, from one with most to
    /// one with fewest, until no such chain is left.
    private mutating func evenOutLeaders(_ placed: inout [[Int]]) {
        guard !preferredRacks.contains(true) else { return }
        var turns = placed.count
        while turns > 0, let chain = chainToEvenOut(placed) {
            for (partition, next) in chain {
                guard let place = placed[partition].firstIndex(of: next) else { continue }
                leaderCounts[placed[partition][0]] -= 1
                leaderCounts[next] += 1
                placed[partition].swapAt(0, place)
            }
            turns -= 1
        }
    }

    /// Breadth first, from the brokers with the most leaders.
    private func chainToEvenOut(_ placed: [[Int]]) -> [(partition: Int, next: Int)]? {
        guard let most = leaderCounts.max(), most > 1 else { return nil }
        var cameBy: [(partition: Int, from: Int)?] = Array(repeating: nil, count: brokers.count)
        var seen = leaderCounts.map { $0 == most }
        var queue = leaderCounts.indices.filter { leaderCounts[$0] == most }
        var partitionsLedBy: [[Int]] = Array(repeating: [], count: brokers.count)
        for (partition, replicas) in placed.enumerated() {
            guard let leader = replicas.first else { continue }
            partitionsLedBy[leader].append(partition)
        }
        var next = 0
        while next < queue.count {
            let broker = queue[next]
            next += 1
            for partition in partitionsLedBy[broker] {
                for replica in placed[partition].dropFirst()
                where !seen[replica] && !brokers[replica].fenced {
                    seen[replica] = true
                    cameBy[replica] = (partition, broker)
                    queue.append(replica)
                    guard leaderCounts[replica] <= most - 2 else { continue }
                    var chain: [(partition: Int, next: Int)] = []
                    var at = replica
                    while let step = cameBy[at] {
                        chain.append((step.partition, at))
                        at = step.from
                    }
                    return chain
                }
            }
        }
        return nil
    }
}
