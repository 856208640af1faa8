import Addresses
import GatewayRuntime
import Glibc
import LinuxNet
import SliceModel
import Synchronization
import Testing
import Timing

/// Changes as they are told, to be waited for.
private final class Heard: Sendable {
    private let changes = Mutex<[HealthBook.Change]>([])
    private let wake: EventFD

    init() throws { wake = try EventFD() }

    func hear(_ more: [HealthBook.Change]) {
        changes.withLock { $0 += more }
        wake.signal()
    }

    func next(within seconds: Int32 = 20) -> HealthBook.Change? {
        while true {
            let change = changes.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if change != nil { return change }
            var waiting = pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, seconds * 1_000) > 0 else { return nil }
            wake.drain()
        }
    }
}

@Suite(.enabled(if: geteuid() == 0, "needs root: it makes network namespaces"))
struct HealthCheckerTests {
    /// A port of the loopback on which a socket listens, or would.
    private func socket(in namespace: NetworkNamespace, listens: Bool) throws -> (Int32, UInt16) {
        let fd = try namespace.socket(AF_INET, 1)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(fd, $0, size) == 0)
                if listens { #expect(listen(fd, 16) == 0) }
                getsockname(fd, $0, &size)
            }
        }
        return (fd, UInt16(bigEndian: address.sin_port))
    }

    private func target(_ name: String, _ port: UInt16) throws -> HealthTarget {
        let key = ServiceRecord.Key(
            try #require(NamespaceName("n")), try #require(ServiceName("s")))
        return HealthTarget(
            id: HealthTarget.ID(key, try #require(EndpointName(name))),
            // Dual stack, and IPv6 does not answer.
            addresses: ["::1", "127.0.0.1"].compactMap { IPAddress($0) },
            check: HealthCheck(
                port: port, interval: .milliseconds(100), timeout: .seconds(5), failures: 2))
    }

    @Test func whoListensIsHealthyAndWhoStopsIsNot() throws {
        let namespace = try NetworkNamespace.anonymous()
        let heard = try Heard()
        let checker = try HealthChecker(in: namespace, from: []) { heard.hear($0) }
        defer { checker.stop() }
        let (well, wellPort) = try socket(in: namespace, listens: true)
        let (sick, sickPort) = try socket(in: namespace, listens: false)
        defer { close(sick) }
        let (a, b) = (try target("a", wellPort), try target("b", sickPort))
        checker.set([a, b])
        #expect(heard.next() == HealthBook.Change(id: b.id, isHealthy: false))
        #expect(checker.isHealthy(a.id) && !checker.isHealthy(b.id))
        listen(sick, 16)
        #expect(heard.next() == HealthBook.Change(id: b.id, isHealthy: true))
        close(well)
        #expect(heard.next() == HealthBook.Change(id: a.id, isHealthy: false))
        #expect(checker.isSettled)
        // Nobody is checked any more: nobody is ill.
        checker.set([])
        #expect(checker.isHealthy(a.id))
    }

    @Test func manyAtOnce() throws {
        let namespace = try NetworkNamespace.anonymous()
        let heard = try Heard()
        let checker = try HealthChecker(in: namespace, from: []) { heard.hear($0) }
        let (fd, port) = try socket(in: namespace, listens: false)
        defer { close(fd) }
        let targets = try (0..<1_000).map { try target("e\($0)", port) }
        checker.set(targets)
        var ill: Set<HealthTarget.ID> = []
        while ill.count < targets.count, let change = heard.next() { ill.insert(change.id) }
        #expect(ill.count == targets.count)
        checker.stop()
        checker.stop()
    }
}
