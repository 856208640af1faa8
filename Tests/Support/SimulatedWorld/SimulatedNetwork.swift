import Timing

/// What a link does to the messages on it.
package struct LinkConditions: Hashable, Sendable {
    package var delay: ClosedRange<Nanoseconds>
    package var lossPerMille: Int
    package var duplicationPerMille: Int
    /// Messages may overtake each other; else the order is kept, as TCP keeps it.
    package var reorders: Bool

    package init(
        delay: ClosedRange<Nanoseconds>, lossPerMille: Int = 0, duplicationPerMille: Int = 0,
        reorders: Bool = false
    ) {
        self.delay = delay
        self.lossPerMille = lossPerMille
        self.duplicationPerMille = duplicationPerMille
        self.reorders = reorders
    }
}

/// A full mesh of one-way links between nodes 0..<count. It decides when copies of a message
/// arrive; carrying them is the caller's.
package struct SimulatedNetwork: Sendable {
    package let count: Int
    package var conditions: LinkConditions
    private var cut: [Bool]
    private var cloggedUntil: [Instant]
    private var lastArrival: [Instant]

    package init(count: Int, conditions: LinkConditions) {
        self.count = count
        self.conditions = conditions
        cut = Array(repeating: false, count: count * count)
        cloggedUntil = Array(repeating: Instant(nanoseconds: 0), count: count * count)
        lastArrival = cloggedUntil
    }

    private func link(_ from: Int, _ to: Int) -> Int { from * count + to }

    /// To be asked when a message is sent, and again when it arrives.
    package func isCut(from: Int, to: Int) -> Bool { cut[link(from, to)] }

    package mutating func arrivals(
        from: Int, to: Int, now: Instant, random: inout SeededRandom
    ) -> [Instant] {
        if isCut(from: from, to: to) || random.chance(perMille: conditions.lossPerMille) {
            return []
        }
        let copies = random.chance(perMille: conditions.duplicationPerMille) ? 2 : 1
        let link = link(from, to)
        return (0..<copies).map { _ in
            var arrival = max(now, cloggedUntil[link]) + random.delay(conditions.delay)
            if !conditions.reorders { arrival = max(arrival, lastArrival[link]) }
            lastArrival[link] = max(arrival, lastArrival[link])
            return arrival
        }
    }

    package mutating func setCut(_ isCut: Bool, from: Int, to: Int) { cut[link(from, to)] = isCut }

    /// Both ways, between those within and those without.
    package mutating func partition(_ within: [Int]) {
        for a in 0..<count {
            for b in 0..<count where within.contains(a) != within.contains(b) {
                setCut(true, from: a, to: b)
            }
        }
    }

    /// Messages sent before `until` arrive after it.
    package mutating func clog(from: Int, to: Int, until: Instant) {
        cloggedUntil[link(from, to)] = max(cloggedUntil[link(from, to)], until)
    }

    package mutating func heal() {
        for index in cut.indices {
            cut[index] = false
            cloggedUntil[index] = Instant(nanoseconds: 0)
        }
    }
}

/// A node's own monotonic clock: it runs a little fast or slow, and can jump ahead.
package struct SimulatedClock: Sendable {
    private var worldBase: Instant
    private var localBase: Instant
    private let partsPerMillion: Int64

    package init(start: Instant, offset: Nanoseconds, partsPerMillion: Int64) {
        worldBase = start
        localBase = start + offset
        self.partsPerMillion = partsPerMillion
    }

    package func local(at world: Instant) -> Instant {
        let passed = (world - worldBase).count
        return localBase + Nanoseconds(passed + passed / 1_000_000 * partsPerMillion)
    }

    /// The first time of the world at which this clock shows `local` or more.
    package func world(at local: Instant) -> Instant {
        let passed = (local - localBase).count
        var world =
            worldBase + Nanoseconds(passed - passed / 1_000_000 * partsPerMillion)
        while self.local(at: world) < local { world = world + (local - self.local(at: world)) }
        return world
    }

    package mutating func jump(ahead by: Nanoseconds, now: Instant) {
        localBase = local(at: now) + by
        worldBase = now
    }
}
