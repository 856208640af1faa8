import Addresses
import Timing

/// A wide-area network between sites: one link per ordered pair, a bounded queue of packets in
/// flight, and commands that change it at their time.
///
/// Stepped: packets and the time go in, fates and due packets come out. The shell keeps the
/// bytes and calls `due(at:)` until nil before it offers packets at the same instant; then the
/// same seed, commands and packets give the same trace.
package struct WanModel: Sendable {
    package struct Limits: Hashable, Sendable {
        package static let mostPackets = 1 << 20
        package var packets = 65_536
        package var bytes = 256_000_000

        package init() {}
    }

    /// A packet whose flight has ended: to be written out, or lost to a cut on its way.
    package struct Arrival: Hashable, Sendable {
        package var packet: Int32
        package var load: WireLoad
        package var from: Int
        package var to: Int
        package var arrival: Instant
        package var isDelivered: Bool
    }

    package struct Scheduled: Hashable, Sendable {
        package var time: Instant
        package var command: WanCommand
    }

    package enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        case badSites(String)
        case unknownSite(String)
        case tooManyCommands

        package var description: String {
            switch self {
            case .badSites(let why): why
            case .unknownSite(let name): "there is no site `\(name)`"
            case .tooManyCommands: "at most \(WanScript.mostStatements) commands may be waiting"
            }
        }
    }

    package let sites: [Site]
    package let start: Instant
    package private(set) var seed: UInt64
    /// Row by sending site, column by receiving site; the diagonal is never used.
    package private(set) var links: [WanLink]
    package private(set) var queue: DelayQueue
    package private(set) var strays: [UInt64]
    /// Soonest last, so that taking it moves nothing.
    package private(set) var scheduled: [Scheduled] = []
    private var nextCommand: Instant?
    private let table: SiteTable

    package init(
        sites: [Site], seed: UInt64, limits: Limits = Limits(), start: Instant
    ) throws(Refusal) {
        if let problem = Site.problem(in: sites) { throw .badSites(problem) }
        self.sites = sites
        self.start = start
        self.seed = seed
        table = SiteTable(sites)
        links = (0..<sites.count * sites.count).map { WanLink(seed: Self.seed(seed, ofLink: $0)) }
        queue = DelayQueue(
            packetLimit: min(max(1, limits.packets), Limits.mostPackets), byteLimit: limits.bytes)
        strays = Array(repeating: 0, count: StrayReason.allCases.count)
    }

    private static func seed(_ seed: UInt64, ofLink link: Int) -> UInt64 {
        var random = SplitMix64(seed: seed)
        var own = SplitMix64(seed: random.next() &+ UInt64(link))
        return own.next()
    }

    // MARK: packets

    /// The link a packet belongs on; strays are counted.
    package mutating func route(_ packet: UnsafeRawBufferPointer) -> PacketRoute {
        let route = table.route(packet)
        if case .stray(let reason) = route { countStray(reason) }
        return route
    }

    package mutating func countStray(_ reason: StrayReason) { strays[reason.rawValue] += 1 }

    /// Puts a packet on a link. `packet` is the shell's name for its bytes: as many holders as
    /// copies were decided will come back out of `due(at:)`.
    package mutating func offer(
        packet: Int32, length: Int, from: Int, to: Int, at now: Instant
    ) -> Fate {
        precondition(sites.indices.contains(from) && sites.indices.contains(to) && from != to)
        precondition((0...65_535).contains(length))
        runCommands(until: now)
        let link = from * sites.count + to
        var fate = links[link].admit(length: length, at: now)
        guard let arrival = fate.arrival else { return fate }
        let load = WireLoad.packet(length)
        if let reason = queue.refusal(of: load) {
            links[link].counters.count(reason)
            return .drop(reason)
        }
        let cutNumber = links[link].cutNumber
        queue.push(packet: packet, load: load, link: link, cutNumber: cutNumber, arrival: arrival)
        if case .deliverTwice = fate {
            if queue.refusal(of: load) == nil {
                links[link].counters.duplicated += 1
                queue.push(
                    packet: packet, load: load, link: link, cutNumber: cutNumber,
                    arrival: arrival)
            } else {
                fate = .deliver(at: arrival)
            }
        }
        return fate
    }

    /// Puts a train on a link as a whole and says when its last packet arrives: then it comes
    /// out of `due(at:)` under the shell's name for it. Nil, and nothing has changed: its packets
    /// are to be offered one by one, because they may fare differently.
    package mutating func offer(
        train: Int32, _ load: WireLoad, from: Int, to: Int, at now: Instant
    ) -> Instant? {
        precondition(sites.indices.contains(from) && sites.indices.contains(to) && from != to)
        precondition(load.packets > 0 && load.bytes >= 0)
        runCommands(until: now)
        let link = from * sites.count + to
        guard queue.refusal(of: load) == nil,
            let arrival = links[link].admit(train: load, at: now)
        else { return nil }
        queue.push(
            packet: train, load: load, link: link, cutNumber: links[link].cutNumber,
            arrival: arrival)
        return arrival
    }

    /// The next packet whose flight has ended by now. Commands take effect at their own time
    /// between packets. Nil: nothing more until `nextDeadline`.
    package mutating func due(at now: Instant) -> Arrival? {
        while let commandTime = nextCommand, commandTime <= now {
            // A packet that arrived before the command is not touched by it.
            if let packet = queue.pop(at: commandTime) { return arrival(of: packet) }
            runCommands(until: commandTime)
        }
        return queue.pop(at: now).map { arrival(of: $0) }
    }

    package var nextDeadline: Instant? {
        guard let arrival = queue.nextArrival else { return nextCommand }
        return nextCommand.map { min($0, arrival) } ?? arrival
    }

    private mutating func arrival(of entry: DelayQueue.Entry) -> Arrival {
        let link = Int(entry.link)
        let isDelivered = entry.cutNumber == links[link].cutNumber
        if isDelivered {
            links[link].counters.deliver(entry.load)
        } else {
            links[link].counters.count(.cutInFlight, packets: entry.load.packets)
        }
        return Arrival(
            packet: entry.packet, load: entry.load, from: link / sites.count,
            to: link % sites.count, arrival: entry.arrival, isDelivered: isDelivered)
    }

    // MARK: commands

    /// Throws for a site that does not exist; nothing is changed then.
    package mutating func apply(_ command: WanCommand, at now: Instant) throws(Refusal) {
        try check(command)
        run(command, at: now)
    }

    /// At most as many as a script has statements; one in the past happens at the next step.
    package mutating func schedule(_ command: WanCommand, at time: Instant) throws(Refusal) {
        try check(command)
        guard scheduled.count < WanScript.mostStatements else { throw .tooManyCommands }
        // Behind all that happen no later: commands of one time keep their order.
        let place = scheduled.firstIndex { $0.time <= time } ?? scheduled.endIndex
        scheduled.insert(Scheduled(time: time, command: command), at: place)
        nextCommand = scheduled.last?.time
    }

    package func check(_ command: WanCommand) throws(Refusal) {
        for name in command.selector?.names ?? [] where !sites.contains(where: { $0.name == name })
        {
            throw .unknownSite(name)
        }
    }

    private mutating func runCommands(until now: Instant) {
        while let time = nextCommand, time <= now {
            let next = scheduled.removeLast()
            nextCommand = scheduled.last?.time
            run(next.command, at: time)
        }
    }

    private mutating func run(_ command: WanCommand, at now: Instant) {
        if case .seed(let new) = command {
            seed = new
            for link in links.indices { links[link].reseed(Self.seed(new, ofLink: link)) }
        }
        guard let selector = command.selector else { return }
        for (from, to) in pairs where selector.matches(from: sites[from].name, to: sites[to].name) {
            let link = from * sites.count + to
            switch command {
            case .seed: break
            case .set(_, let changes): links[link].apply(changes, at: now)
            case .clear: links[link].clear(at: now)
            case .cut: links[link].cut()
            case .heal: links[link].heal()
            }
        }
    }

    /// Every ordered pair of different sites, in the order the sites were given.
    package var pairs: [(from: Int, to: Int)] {
        sites.indices.flatMap { from in
            sites.indices.filter { $0 != from }.map { (from, $0) }
        }
    }

    package func link(from: Int, to: Int) -> WanLink { links[from * sites.count + to] }
}

extension Fate {
    package var arrival: Instant? {
        switch self {
        case .drop: nil
        case .deliver(let at), .deliverTwice(let at): at
        }
    }
}
