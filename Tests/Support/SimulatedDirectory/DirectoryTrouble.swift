import Addresses
import SimulatedWorld
import SliceDirectory
import SliceModel
import Timing

/// A world with everything that can go wrong, and what must hold in it all the same.
package final class DirectoryTrouble {
    package let simulation: DirectorySimulation
    /// Claims what is not its cluster's.
    let liar: Int
    /// Says anything; nil in worlds without one.
    let babbler: Int?
    let count: Int
    private var nextEndpoint: [Int]
    private var incarnations: [[UInt64]]
    /// When each pair was cut, in steps of the checks.
    private var silentSince: [[Instant?]]
    private var lastFresh: [[Instant]] = []

    package init(seed: UInt64, canary: DirectoryCanary? = nil) {
        var random = SeededRandom(seed: seed &* 31 &+ 7)
        count = 3 + random.below(4)
        var options = DirectorySimulationOptions(seed: seed, gateways: count)
        options.canary = canary
        options.limits.log = 8 + random.below(40)
        options.limits.window = 200 + random.below(4_000)
        options.timing.grace = .seconds(Int64(15 + random.below(30)))
        options.manifestBytes = 100 + random.below(80_000)
        simulation = DirectorySimulation(options)
        liar = count - 1
        simulation.liars = [liar]
        babbler = random.chance(perMille: 500) ? count - 2 : nil
        nextEndpoint = Array(repeating: 0, count: count)
        incarnations = Array(repeating: Array(repeating: 0, count: count), count: count)
        silentSince = Array(repeating: Array(repeating: nil, count: count), count: count)
        if let babbler { addBabbler(babbler) }
    }

    private var honest: [Int] { (0..<count).filter { $0 != babbler } }

    package func run() throws -> UInt64 {
        for place in 0..<count {
            for _ in 0..<simulation.random.below(30) { attach(place) }
            simulation.start(place)
        }
        for _ in 0..<120 {
            try trouble()
            for _ in 0..<4 {
                simulation.run(for: simulation.random.delay(.zero...(.milliseconds(500))))
                try check()
            }
        }
        heal()
        simulation.run(for: .seconds(40))
        try check()
        try checkEnd()
        return simulation.trace
    }

    // MARK: What happens

    private func trouble() throws {
        let place = simulation.random.below(count)
        let other = simulation.random.below(count)
        switch simulation.random.below(24) {
        case 0...9: change(place)
        case 10, 11:
            for _ in 0..<simulation.random.below(60) { mutate(place) }
            simulation.publish(place)
        case 12, 13: if place != other { simulation.breakConnections(place, other) }
        case 14, 15: if place != other { simulation.setCut(true, place, other) }
        case 16, 17: if place != other { simulation.setCut(false, place, other) }
        case 18:
            for other in 0..<count where other != place { simulation.setCut(true, place, other) }
        case 19: heal()
        case 20: if simulation.gateways[place].node != nil { simulation.kill(place) }
        case 21: revive(place)
        case 22: newManifest(place)
        default: try haunt(place)
        }
    }

    private func change(_ place: Int) {
        mutate(place)
        simulation.publish(place)
    }

    private func mutate(_ place: Int) {
        let keys = simulation.gateways[place].records.sortedEndpoints.map(\.key)
        switch simulation.random.below(8) {
        case 0...2: attach(place)
        case 3, 4:
            guard !keys.isEmpty else { return }
            let key = simulation.random.pick(keys)
            simulation.gateways[place].records.endpoints[key] = nil
        case 5:
            guard !keys.isEmpty else { return }
            let key = simulation.random.pick(keys)
            let labels = EndpointLabels(["role": "r\(simulation.random.below(9))"]) ?? .none
            simulation.gateways[place].records.endpoints[key]?.labels = labels
        default: changeService(place, keys)
        }
    }

    private func attach(_ place: Int) {
        let number = nextEndpoint[place]
        nextEndpoint[place] += 1
        let host = 2 + simulation.random.below(200)
        let isMoved = simulation.gateways[place].manifest.moved.contains(place)
        var owner = place
        // Claims of the liar are of everybody's addresses, its own and each other's.
        if place == liar { owner = simulation.random.below(count) }
        let address = SimulatedSlice.address(owner, host, isMoved: isMoved)
        let holders = simulation.gateways[place].records.endpoints.values
        guard place == liar || !holders.contains(where: { $0.addresses == [address] }) else {
            return
        }
        let key = SimulatedSlice.key(number)
        simulation.gateways[place].records.endpoints[key] = EndpointRecord(
            key: key, addresses: [address])
    }

    private func changeService(_ place: Int, _ keys: [AddressBook.Key]) {
        let key = SimulatedSlice.service(simulation.random.below(5))
        if simulation.random.chance(perMille: 200) {
            simulation.gateways[place].records.services[key] = nil
            return
        }
        var record = ServiceRecord(
            key: key,
            ports: [ServicePort(name: "main", transport: .tcp, port: 9092)])
        if simulation.random.chance(perMille: 300) { record.importedBy = Glob("c*").map { [$0] } }
        record.members = keys.filter { _ in simulation.random.chance(perMille: 300) }
            .map(\.endpoint).sorted()
            .map {
                ServiceRecord.Member(
                    endpoint: $0, isHealthy: simulation.random.chance(perMille: 700))
            }
        simulation.gateways[place].records.services[key] = record
    }

    private func heal() {
        for a in 0..<count {
            for b in a + 1..<count { simulation.setCut(false, a, b) }
            revive(a)
        }
    }

    private func revive(_ place: Int) {
        guard simulation.gateways[place].node == nil else { return }
        simulation.start(place)
    }

    /// Given to one gateway; the others hear of it.
    private func newManifest(_ place: Int) {
        guard place != liar, place != babbler, simulation.gateways[place].node != nil,
            simulation.manifests.count < 200, let newest = simulation.manifests.last
        else { return }
        var next = newest
        next.version += 1
        let mover = simulation.random.below(count)
        if next.moved.remove(mover) == nil { next.moved.insert(mover) }
        simulation.manifests.append(next)
        simulation.moved(place, next)
    }

    /// Someone of an earlier life of a cluster's gateway speaks again: it has that number.
    private func haunt(_ place: Int) throws {
        guard simulation.gateways[place].node != nil, simulation.gateways[place].incarnation > 1,
            place != babbler
        else { return }
        let incarnation = simulation.gateways[place].incarnation
        simulation.kill(place)
        simulation.gateways[place].incarnation = incarnation - 2
        simulation.start(place)
        // Watched all the while: what is dropped meanwhile is not gone back to.
        let end = simulation.now + simulation.random.delay(.seconds(1)...(.seconds(6)))
        while simulation.now < end {
            simulation.run(for: .milliseconds(100))
            try check()
        }
        simulation.kill(place)
        simulation.gateways[place].incarnation = incarnation
        simulation.start(place)
    }

    // MARK: What must hold

    private func check() throws {
        for place in honest {
            guard let node = simulation.gateways[place].node else {
                incarnations[place] = Array(repeating: 0, count: count)
                continue
            }
            let manifest = simulation.gateways[place].manifest
            let view = node.view
            var holders: [IPAddress: ClusterName] = [:]
            for status in node.peerStatus {
                guard let number = Int(status.cluster.text.dropFirst()),
                    let cluster = view[status.cluster]
                else { throw failure("\(place) shows no \(status.cluster)") }
                let prefix = SimulatedSlice.prefix(
                    number, isMoved: manifest.moved.contains(number))
                for record in cluster.endpoints.values {
                    for address in record.addresses {
                        guard prefix.contains(address) else {
                            throw failure("\(place) believes \(address) of \(status.cluster)")
                        }
                        guard holders.updateValue(status.cluster, forKey: address) == nil else {
                            throw failure("\(place) has \(address) twice")
                        }
                    }
                }
                try checkState(place, number, status)
            }
        }
    }

    private func checkState(
        _ place: Int, _ number: Int, _ status: DirectoryPeerStatus
    ) throws {
        if status.state == .absent {
            incarnations[place][number] = 0
        } else if status.incarnation < incarnations[place][number], number != babbler {
            throw failure(
                "\(place) goes back from \(incarnations[place][number]) to "
                    + "\(status.incarnation) of \(number)")
        } else {
            incarnations[place][number] = status.incarnation
        }
        let isSilent =
            simulation.isCut(place, number) || simulation.gateways[number].node == nil
        guard isSilent else {
            silentSince[place][number] = nil
            return
        }
        let since = silentSince[place][number] ?? simulation.now
        silentSince[place][number] = since
        // Cut, and still called fresh: silence, a tick, and what was under way.
        if status.state == .fresh, simulation.now - since > .seconds(4) {
            throw failure("\(place) calls \(number) fresh after \(simulation.now - since)")
        }
        if case .stale(let word) = status.state,
            simulation.now - word > simulation.options.timing.grace + .seconds(1)
        {
            throw failure("\(place) keeps what \(number) said long ago")
        }
    }

    /// Everybody agrees with who knows, and has the newest manifest.
    private func checkEnd() throws {
        guard let newest = simulation.manifests.last else { return }
        for place in honest {
            guard let node = simulation.gateways[place].node else { throw failure("dead") }
            guard node.facts.manifestVersion == newest.version else {
                throw failure(
                    "\(place) has manifest \(node.facts.manifestVersion) of \(newest.version)")
            }
            for number in honest where number != place {
                guard let view = node.view[SimulatedSlice.cluster(number)] else { continue }
                guard view.state == .fresh else {
                    throw failure("\(place) has not heard of \(number): \(view.state)")
                }
                let expected = believable(number, newest)
                guard view.endpoints == expected.endpoints else {
                    throw failure(
                        "\(place) has \(view.endpoints.count) endpoints of \(number), not "
                            + "\(expected.endpoints.count)")
                }
                guard view.services == expected.services else {
                    throw failure("\(place) has other services of \(number)")
                }
            }
        }
    }

    /// The slow and obvious way: what a cluster told, one after the other, oldest claim first.
    private func believable(
        _ number: Int, _ manifest: SimulatedManifest
    ) -> (
        endpoints: [AddressBook.Key: EndpointRecord],
        services: [ServiceRecord.Key: ServiceRecord]
    ) {
        guard let node = simulation.gateways[number].node else { return ([:], [:]) }
        let prefix = SimulatedSlice.prefix(number, isMoved: manifest.moved.contains(number))
        var endpoints: [AddressBook.Key: EndpointRecord] = [:]
        var held: [IPAddress] = [prefix.address(at: 0), prefix.address(at: 1)].compactMap { $0 }
        var claims: [(since: UInt64, record: EndpointRecord)] = []
        for case .endpoint(let record, let since) in node.ownItems {
            claims.append((since, record))
        }
        for (_, record) in claims.sorted(by: {
            ($0.since, $0.record.key) < ($1.since, $1.record.key)
        })
        where record.addresses.allSatisfy({ prefix.contains($0) && !held.contains($0) }) {
            endpoints[record.key] = record
            held += record.addresses
        }
        return (endpoints, node.view[SimulatedSlice.cluster(number)]?.services ?? [:])
    }

    private func failure(_ text: String) -> DirectorySimulationFailure {
        DirectorySimulationFailure(description: text)
    }

    /// Frames with turned bits, cut short, doubled, and whole ones that do not belong.
    private func addBabbler(_ babbler: Int) {
        simulation.tamper = { random, place, bytes in
            guard place == babbler, random.chance(perMille: 150) else { return bytes }
            var bytes = bytes
            switch random.below(5) {
            case 0: bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            case 1: bytes.removeLast(random.below(bytes.count))
            case 2: bytes += bytes
            case 3: bytes += (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            default: bytes += Self.nonsense(&random).frame
            }
            return bytes
        }
    }

    private static func nonsense(_ random: inout SeededRandom) -> DirectoryMessage {
        let record = EndpointRecord(
            key: SimulatedSlice.key(random.below(40)),
            addresses: [SimulatedSlice.address(random.below(6), random.below(256))])
        let version = UInt64(random.below(200))
        switch random.below(8) {
        case 0: return .snapshotBegin(version: version)
        case 1: return .snapshotItems([.endpoint(record, since: version)])
        case 2: return .snapshotEnd(version: version)
        case 3:
            return .delta(
                DirectoryMessage.Delta(
                    from: version, to: version + 1, hasMore: random.chance(perMille: 500),
                    changes: [.put(.endpoint(record, since: version))]))
        case 4:
            return .heartbeat(
                version: version,
                DirectoryFacts(manifestVersion: UInt64(random.below(1_000))))
        case 5: return .manifestBegin(version: 999, .none, byteCount: UInt32(random.below(9_000)))
        case 6: return .manifestBytes(Array(repeating: 7, count: 1 + random.below(3_000)))
        default: return .refusal(.olderIncarnation, "no")
        }
    }
}
