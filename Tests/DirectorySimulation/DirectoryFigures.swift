import Addresses
import Glibc
import SimulatedDirectory
import SimulatedWorld
import SliceDirectory
import SliceModel
import Timing

/// One run of a large directory, told line by line.
struct DirectoryFigures {
    let count: Int
    let each: Int
    let simulation: DirectorySimulation
    /// Types of messages that only pass the time.
    private static let heartbeat = 7

    init(gateways: Int, endpoints: Int, seed: UInt64) {
        count = gateways
        each = max(1, endpoints / gateways)
        var options = DirectorySimulationOptions(seed: seed, gateways: gateways)
        options.delay = .milliseconds(10)...(.milliseconds(100))
        options.manifestBytes = 40_000
        simulation = DirectorySimulation(options)
    }

    mutating func run() {
        say("gateways", "\(count)", "endpoints \(count * each), one way 10 to 100 ms")
        let before = Self.residentBytes
        startAll()
        let memory = (Self.residentBytes - before) / count
        say("memory", kilobytes(memory), "for each gateway: its whole view, streams to all others")
        quiet()
        changes("endpoint attached") { figures, place in
            let key = SimulatedSlice.key(1_000)
            let address = SimulatedSlice.address(place, 250)
            figures.simulation.gateways[place].records.endpoints[key] = figures.record(
                key, address)
            return { $0.endpoints[key] != nil }
        }
        changes("member unhealthy") { figures, place in
            let key = SimulatedSlice.service(0)
            figures.simulation.gateways[place].records.services[key]?.members[0].isHealthy = false
            return { $0.services[key]?.members.first?.isHealthy == false }
        }
        manifest()
        restart()
    }

    private func record(_ key: AddressBook.Key, _ address: IPAddress) -> EndpointRecord {
        EndpointRecord(
            key: key, addresses: [address],
            labels: EndpointLabels(["app": "kafka", "role": "broker"]) ?? .none)
    }

    // MARK: Scenes

    private mutating func startAll() {
        for place in 0..<count {
            for number in 0..<each {
                let key = SimulatedSlice.key(number)
                simulation.gateways[place].records.endpoints[key] = record(
                    key, SimulatedSlice.address(place, 2 + number))
            }
            let service = SimulatedSlice.service(0)
            simulation.gateways[place].records.services[service] = ServiceRecord(
                key: service, ports: [ServicePort(name: "broker", transport: .tcp, port: 9092)],
                members: (0..<each).filter { $0 % 3 == 0 }.map { SimulatedSlice.key($0).endpoint }
                    .sorted().map { ServiceRecord.Member(endpoint: $0, isHealthy: true) })
        }
        for place in 0..<count { simulation.start(place) }
        let time = until(step: .milliseconds(20)) { $0.isComplete }
        let bytes = sent { $0.sentBytes } / count
        say("start of all", time, "until everybody knows everybody's; \(kilobytes(bytes)) each")
    }

    private var isComplete: Bool {
        simulation.gateways.allSatisfy { gateway in
            gateway.node?.peerStatus.allSatisfy {
                $0.following == .live && $0.endpoints == each
            } ?? false
        }
    }

    private mutating func quiet() {
        let before = sent { $0.sentBytes }
        simulation.run(for: .seconds(2))
        let rate = (sent { $0.sentBytes } - before) / 2 / count
        say("quiet", "\(kilobytes(rate))/s", "sent by each gateway: heartbeats")
    }

    private mutating func changes(
        _ name: String,
        _ change: (DirectoryFigures, Int) -> @Sendable (ClusterView) -> Bool
    ) {
        var times: [Nanoseconds] = []
        var bytes = 0
        let rounds = 8
        for round in 0..<rounds {
            let place = (round * 37 + 1) % count
            let isThere = change(self, place)
            let before = contentBytes
            let begin = simulation.now
            simulation.publish(place)
            let cluster = SimulatedSlice.cluster(place)
            _ = until(step: .milliseconds(1)) { figures in
                figures.simulation.gateways.allSatisfy { gateway in
                    gateway.node?.view(of: cluster).map(isThere) ?? false
                }
            }
            times.append(simulation.now - begin)
            bytes += contentBytes - before
        }
        times.sort()
        say(
            name, "\(milliseconds(times[times.count - 1]))",
            "until the last of all gateways knows, the longest of \(rounds); "
                + "\(bytes / rounds / max(1, count - 1)) bytes to each")
    }

    private mutating func manifest() {
        var next = simulation.manifests[0]
        next.version += 1
        simulation.manifests.append(next)
        let before = contentBytes
        let begin = simulation.now
        simulation.moved(1, next)
        _ = until(step: .milliseconds(5)) { figures in
            figures.simulation.gateways.allSatisfy { $0.node?.facts.manifestVersion == 2 }
        }
        say(
            "newer manifest", milliseconds(simulation.now - begin),
            "from one gateway to all, \(kilobytes(simulation.options.manifestBytes)); "
                + "\(kilobytes((contentBytes - before) / count)) for each")
    }

    private mutating func restart() {
        simulation.kill(0)
        simulation.run(for: .seconds(2))
        let before = contentBytes
        let begin = simulation.now
        simulation.start(0)
        _ = until(step: .milliseconds(10)) { figures in
            figures.simulation.gateways[0].node?.peerStatus.allSatisfy { $0.state == .fresh }
                ?? false
        }
        say(
            "restart of one", milliseconds(simulation.now - begin),
            "until it knows that all it had stored is true; "
                + "\(kilobytes(contentBytes - before)) in all")
    }

    // MARK: Measuring

    private func until(
        step: Nanoseconds, _ condition: (DirectoryFigures) -> Bool
    ) -> String {
        let begin = simulation.now
        while !condition(self) {
            simulation.run(for: step)
            if simulation.now - begin > .seconds(60) {
                print("it does not happen")
                exit(1)
            }
        }
        return milliseconds(simulation.now - begin)
    }

    private func sent(_ value: (DirectorySimulation.Gateway) -> Int) -> Int {
        simulation.gateways.reduce(0) { $0 + value($1) }
    }

    private var contentBytes: Int {
        sent { $0.sentBytes - $0.sentByType[Self.heartbeat] }
    }

    private func say(_ name: String, _ value: String, _ what: String) {
        func pad(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(1, width - text.utf8.count))
        }
        print(pad(name, 20) + pad(value, 12) + what)
        fflush(nil)
    }

    private func milliseconds(_ time: Nanoseconds) -> String { "\(time.count / 1_000_000) ms" }
    private func kilobytes(_ count: Int) -> String {
        count < 10_000 ? "\(count) B" : "\(count / 1_000) kB"
    }

    /// proc(5): the second number of statm, in pages.
    private static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, 128, file) != nil else { return 0 }
        let text = String(decoding: line.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}
