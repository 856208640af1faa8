import Addresses
import SimulatedWorld
import SliceDirectory
import SliceModel
import Timing

package struct DirectorySimulationOptions: Sendable {
    package var seed: UInt64
    package var gateways: Int
    /// One way.
    package var delay: ClosedRange<Nanoseconds> = .milliseconds(5)...(.milliseconds(50))
    package var limits = DirectoryLimits()
    package var timing = DirectoryTiming()
    package var manifestBytes = 3_000
    package var canary: DirectoryCanary?

    package init(seed: UInt64, gateways: Int) {
        self.seed = seed
        self.gateways = gateways
    }
}

package struct DirectorySimulationFailure: Error, CustomStringConvertible {
    package var description: String
}

/// Gateways of one slice, connected by streams as TCP gives them: in order, none, or broken.
package final class DirectorySimulation {
    enum Event {
        case tick(Int, life: Int)
        case dialled(Int)
        case arrived(Int, toDialler: Bool, [UInt8])
        case closed(Int, toDialler: Bool)
        case judged(Int, life: Int, ReceivedManifest)
    }

    /// One connection.
    struct Connection {
        var dialler: Int
        var acceptor: Int
        /// The lives of both ends: a reborn gateway does not know its old connections.
        var lives: (Int, Int)
        var outgoing: DirectoryStream
        var incoming: DirectoryStream?
        var delay: Nanoseconds
        /// The end of what is under way, for each direction: streams keep their order.
        var lastArrival: (Instant, Instant)
        var isOpen = (true, true)
        /// What a cut network holds back, as TCP would send it again.
        var held: [(toDialler: Bool, bytes: [UInt8]?)] = []
    }

    package struct Gateway {
        package var node: DirectoryNode?
        package var life = 0
        package var incarnation: UInt64 = 0
        package var records = SimulatedRecords()
        package var manifest: SimulatedManifest
        package var stored: [UInt8] = []
        package var sentBytes = 0
        /// By the type of message.
        package var sentByType = [Int](repeating: 0, count: 16)
        package var steps = 0
        package var viewChanges = 0
        package var reports: [DirectoryProblem] = []
        package var connections: [DirectoryStream: Int] = [:]
        var tickAt: Instant?
    }

    package let options: DirectorySimulationOptions
    var world: SimulatedWorld<Event>
    package var gateways: [Gateway]
    var connections: [Connection] = []
    var cut: Set<[Int]> = []
    var delays: [[Nanoseconds]]
    /// Who is reached at a cluster's address: an old gateway that was replaced may still be there.
    package var reached: [Int]
    package var manifests: [SimulatedManifest]
    /// Bytes as an evil gateway would have them.
    package var tamper: ((inout SeededRandom, Int, [UInt8]) -> [UInt8])?
    /// They tell whatever they are given.
    package var liars: Set<Int> = []
    private var nextIncoming: UInt64 = 0

    package init(_ options: DirectorySimulationOptions) {
        self.options = options
        world = SimulatedWorld(seed: options.seed)
        let first = SimulatedManifest(
            version: 1, moved: [], count: options.gateways, size: options.manifestBytes)
        manifests = [first]
        gateways = (0..<options.gateways).map { _ in Gateway(manifest: first) }
        reached = Array(0..<options.gateways)
        delays = []
        for _ in 0..<options.gateways {
            delays.append((0..<options.gateways).map { _ in world.random.delay(options.delay) })
        }
    }

    package var now: Instant { world.now }
    package var random: SeededRandom {
        get { world.random }
        set { world.random = newValue }
    }
    package var trace: UInt64 { world.trace.value }

    // MARK: Gateways

    /// A gateway begins another life.
    package func start(_ place: Int) {
        gateways[place].life += 1
        gateways[place].incarnation += 1
        let manifest = gateways[place].manifest
        gateways[place].node = DirectoryNode(
            manifest.slice(of: place),
            incarnation: gateways[place].incarnation,
            facts: DirectoryFacts(
                manifestVersion: manifest.version, manifestDigest: manifest.digest),
            document: manifest.document, seed: world.random.next(), now: now,
            limits: options.limits, timing: options.timing,
            canary: liars.contains(place) ? .tellsAnything : options.canary)
        gateways[place].connections = [:]
        gateways[place].tickAt = nil
        if let stored = try? DirectoryStore.decode(
            gateways[place].stored, of: SimulatedSlice.name)
        {
            step(place, .restored(stored))
        }
        publish(place)
        // Not all on the same beat.
        schedule(place, at: now + world.random.delay(.zero...options.timing.tick))
    }

    /// The process ends: nothing is said any more, and what arrives is answered by nobody.
    package func kill(_ place: Int) {
        gateways[place].stored = gateways[place].node?.stored ?? []
        gateways[place].node = nil
        gateways[place].life += 1
        gateways[place].connections = [:]
        // Nor is anything sent again: the tunnel went with it.
        for number in connections.indices where !connections[number].held.isEmpty {
            let isDialler = connections[number].dialler == place
            let isAcceptor = connections[number].acceptor == place
            connections[number].held.removeAll { $0.toDialler ? isAcceptor : isDialler }
        }
    }

    package func publish(_ place: Int) {
        let records = gateways[place].records
        step(
            place,
            .own(endpoints: records.sortedEndpoints, services: records.sortedServices))
    }

    package func setManifest(_ place: Int, _ manifest: SimulatedManifest) {
        gateways[place].manifest = manifest
        step(
            place,
            .manifest(
                manifest.slice(of: place), version: manifest.version,
                digest: manifest.digest, document: manifest.document))
    }

    package func step(_ place: Int, _ event: DirectoryEvent) {
        guard let effects = gateways[place].node?.step(event, now: now) else { return }
        gateways[place].steps += 1
        for effect in effects { carryOut(effect, place) }
        if let deadline = gateways[place].node?.nextDeadline, gateways[place].tickAt != deadline {
            schedule(place, at: deadline)
        }
    }

    private func schedule(_ place: Int, at time: Instant) {
        gateways[place].tickAt = time
        world.schedule(.tick(place, life: gateways[place].life), at: time)
    }

    private func carryOut(_ effect: DirectoryEffect, _ place: Int) {
        switch effect {
        case .connect(let stream, _, let cluster): connect(place, stream, cluster)
        case .send(let stream, let bytes):
            guard let number = gateways[place].connections[stream] else { return }
            gateways[place].sentBytes += bytes.count
            if bytes.count > 4 { gateways[place].sentByType[Int(bytes[4] & 15)] += bytes.count }
            let bytes = tamper?(&world.random, place, bytes) ?? bytes
            send(number, toDialler: isIncoming(stream), bytes)
        case .close(let stream):
            guard let number = gateways[place].connections.removeValue(forKey: stream) else {
                return
            }
            send(number, toDialler: isIncoming(stream), nil)
        case .viewChanged: gateways[place].viewChanges += 1
        case .manifestReceived(let manifest):
            world.schedule(
                .judged(place, life: gateways[place].life, manifest), after: .milliseconds(2))
        case .report(let problem):
            if gateways[place].reports.count < 1_000 { gateways[place].reports.append(problem) }
        }
    }

    private func isIncoming(_ stream: DirectoryStream) -> Bool {
        if case .incoming = stream { true } else { false }
    }

    // MARK: The network

    package func setCut(_ isCut: Bool, _ a: Int, _ b: Int) {
        let pair = [min(a, b), max(a, b)]
        if isCut { cut.insert(pair) } else { cut.remove(pair) }
        guard !isCut else { return }
        for number in connections.indices
        where pair == [connections[number].dialler, connections[number].acceptor].sorted() {
            let held = connections[number].held
            connections[number].held = []
            for (toDialler, bytes) in held { send(number, toDialler: toDialler, bytes) }
        }
    }

    package func isCut(_ a: Int, _ b: Int) -> Bool { cut.contains([min(a, b), max(a, b)]) }

    /// Connections between two break, as when something in between forgets them.
    package func breakConnections(_ a: Int, _ b: Int) {
        for number in connections.indices
        where [connections[number].dialler, connections[number].acceptor].sorted()
            == [min(a, b), max(a, b)]
        {
            world.schedule(.closed(number, toDialler: true), after: connections[number].delay)
            world.schedule(.closed(number, toDialler: false), after: connections[number].delay)
        }
    }

    private func connect(_ place: Int, _ stream: DirectoryStream, _ cluster: ClusterName) {
        guard let number = Int(cluster.text.dropFirst()) else { return }
        let acceptor = reached[number]
        gateways[place].connections[stream] = connections.count
        let delay = delays[place % delays.count][acceptor % delays.count]
        connections.append(
            Connection(
                dialler: place, acceptor: acceptor,
                lives: (gateways[place].life, gateways[acceptor].life), outgoing: stream,
                delay: delay, lastArrival: (now, now)))
        world.schedule(.dialled(connections.count - 1), after: delay)
    }

    /// Nil is the end of the stream.
    private func send(_ number: Int, toDialler: Bool, _ bytes: [UInt8]?) {
        let connection = connections[number]
        if isCut(connection.dialler, connection.acceptor) {
            if connection.held.count < 10_000 {
                connections[number].held.append((toDialler, bytes))
            }
            return
        }
        let last = toDialler ? connection.lastArrival.0 : connection.lastArrival.1
        let jitter = Nanoseconds(connection.delay.count / 20)
        let arrival = max(last, now + connection.delay + world.random.delay(.zero...jitter))
        if toDialler {
            connections[number].lastArrival.0 = arrival
        } else {
            connections[number].lastArrival.1 = arrival
        }
        if let bytes {
            world.schedule(.arrived(number, toDialler: toDialler, bytes), at: arrival)
        } else {
            world.schedule(.closed(number, toDialler: toDialler), at: arrival)
        }
    }

    // MARK: Time

    package func run(for time: Nanoseconds) { run(until: now + time) }

    package func run(until limit: Instant) {
        while let event = world.next(before: limit) { handle(event) }
    }

    private func handle(_ event: Event) {
        switch event {
        case .tick(let place, let life):
            guard gateways[place].life == life, gateways[place].tickAt == now else { return }
            step(place, .tick)
        case .dialled(let number): dialled(number)
        case .arrived(let number, let toDialler, let bytes): arrived(number, toDialler, bytes)
        case .closed(let number, let toDialler): closed(number, toDialler)
        case .judged(let place, let life, let received):
            guard gateways[place].life == life else { return }
            judge(place, received)
        }
    }

    private func dialled(_ number: Int) {
        let connection = connections[number]
        let (dialler, acceptor) = (connection.dialler, connection.acceptor)
        guard gateways[dialler].life == connection.lives.0 else { return }
        // A lost SYN is lost: the dialler's patience decides.
        guard !isCut(dialler, acceptor) else { return }
        guard gateways[acceptor].node != nil, gateways[acceptor].life == connection.lives.1 else {
            return refuseConnection(number)
        }
        nextIncoming += 1
        let incoming = DirectoryStream.incoming(nextIncoming)
        connections[number].incoming = incoming
        gateways[acceptor].connections[incoming] = number
        // The dialler knows a moment later, and speaks first.
        step(acceptor, .accepted(incoming, from: address(of: dialler)))
        step(dialler, .connected(connection.outgoing))
    }

    private func refuseConnection(_ number: Int) {
        let connection = connections[number]
        gateways[connection.dialler].connections[connection.outgoing] = nil
        step(connection.dialler, .closed(connection.outgoing, "refused"))
    }

    package var addressOf: ((Int) -> IPAddress)?

    private func address(of place: Int) -> IPAddress {
        addressOf?(place) ?? SimulatedSlice.address(place, 1)
    }

    private func end(_ number: Int, _ toDialler: Bool) -> (Int, DirectoryStream, Int)? {
        let connection = connections[number]
        if toDialler { return (connection.dialler, connection.outgoing, connection.lives.0) }
        return connection.incoming.map { (connection.acceptor, $0, connection.lives.1) }
    }

    private func arrived(_ number: Int, _ toDialler: Bool, _ bytes: [UInt8]) {
        guard let (place, stream, life) = end(number, toDialler) else { return }
        let sender = end(number, !toDialler)
        guard gateways[place].life == life, gateways[place].connections[stream] == number else {
            // Nobody knows it here: the other end hears of that, if the host is up.
            if gateways[place].node != nil { send(number, toDialler: !toDialler, nil) }
            return
        }
        // What has arrived has also left; an own event for it would double them.
        if let (other, stream, life) = sender, gateways[other].life == life {
            step(other, .drained(stream, byteCount: bytes.count))
        }
        step(place, .received(stream, bytes))
    }

    private func closed(_ number: Int, _ toDialler: Bool) {
        guard let (place, stream, life) = end(number, toDialler), gateways[place].life == life,
            gateways[place].connections.removeValue(forKey: stream) != nil
        else { return }
        step(place, .closed(stream, "closed"))
    }

    /// As the shell does: only what the owner has signed, and only what is newer.
    private func judge(_ place: Int, _ received: ReceivedManifest) {
        let genuine = manifests.first { $0.document == received.document }
        let isAccepted = genuine.map { $0.version > gateways[place].manifest.version } ?? false
        if let genuine, isAccepted {
            moved(place, genuine)
            setManifest(place, genuine)
        }
        step(
            place,
            .manifestJudged(from: received.from, received.digest, isAccepted: isAccepted))
    }

    /// A manifest that moves a cluster gives its endpoints other addresses.
    package func moved(_ place: Int, _ manifest: SimulatedManifest) {
        let isMoved = manifest.moved.contains(place)
        for (key, var record) in gateways[place].records.endpoints {
            guard case .v4(let address)? = record.addresses.first else { continue }
            let host = Int(address.value & 0xff)
            record.addresses = [SimulatedSlice.address(place, host, isMoved: isMoved)]
            gateways[place].records.endpoints[key] = record
        }
        gateways[place].manifest = manifest
        setManifest(place, manifest)
        publish(place)
    }
}
