import BrokerRuntime
import Dispatch
import Glibc
import Logging
import NIOCore
import NIOPosix
import Supervision
import Testing
import Timing

/// A datagram socket in systemd's place.
private final class ServiceManager: Sendable {
    let name = "@supervisor-\(getpid())-\(UInt32.random(in: .min ... .max))"
    private let descriptor: Int32

    init() throws {
        // SOCK_DGRAM, whose Swift type depends on which C module came first.
        descriptor = socket(AF_UNIX, 2, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = [0] + Array(name.utf8.dropFirst())
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(2 + bytes.count))
            }
        }
        try #require(bound == 0)
    }

    deinit { close(descriptor) }

    /// What has come since the last call.
    func said() -> [String] {
        var all: [String] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0x40)  // MSG_DONTWAIT
            guard count > 0 else { return all }
            all += String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
                .map(String.init)
        }
    }

    /// Waits until a line has come; all that came with it is forgotten.
    func hears(_ line: String) async throws {
        for _ in 0..<4000 {
            if said().contains(line) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("\(line) has not come in 20 s")
    }
}

/// Counts what is said of a loop that does not turn.
private struct Complaints: LogHandler {
    let count: LoopCounter
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.error
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        if "\(event.message)".contains("of the metadata quorum has not turned") { count.add() }
    }
}

private final class LoopCounter: @unchecked Sendable {
    private let queue = DispatchQueue(label: "complaints")
    private var value = 0
    func add() { queue.sync { value += 1 } }
    var now: Int { queue.sync { value } }
}

@Suite struct SupervisorTests {
    @Test func signsOfLifeComeOnlyWhileTheLoopsTurn() async throws {
        let manager = try ServiceManager()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops: [(name: String, loop: any EventLoop)] = [
            ("broker", group.next()), ("metadata quorum", group.next()),
        ]
        let complaints = LoopCounter()
        let supervisor = Supervisor(
            ServiceNotifier(socketPath: manager.name, watchdog: .milliseconds(60)), loops,
            logger: Logger(label: "t") { _ in Complaints(count: complaints) })
        supervisor.ready("well")
        #expect(manager.said() == ["READY=1", "STATUS=well"])
        let alive = Task { await supervisor.keepAlive { "still well" } }
        try await manager.hears("WATCHDOG=1")
        try await manager.hears("STATUS=still well")

        let gate = DispatchSemaphore(value: 0)
        loops[1].loop.execute { gate.wait() }
        while complaints.now == 0 { try await Task.sleep(for: .milliseconds(5)) }
        _ = manager.said()
        let before = complaints.now
        while complaints.now < before + 3 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(!manager.said().contains("WATCHDOG=1"))

        gate.signal()
        try await manager.hears("WATCHDOG=1")
        supervisor.stopping("it stops")
        try await manager.hears("STATUS=it stops")
        alive.cancel()
        await alive.value
        try await group.shutdownGracefully()
    }

    @Test func withoutAWatchdogThereIsAStatusOnly() async throws {
        let manager = try ServiceManager()
        let supervisor = Supervisor(
            ServiceNotifier(socketPath: manager.name), [], logger: Logger(label: "t"))
        let alive = Task { await supervisor.keepAlive { "well" } }
        try await manager.hears("STATUS=well")
        alive.cancel()
        await alive.value
        #expect(!manager.said().contains("WATCHDOG=1"))
    }

    @Test func withoutAServiceManagerNothingHappens() async {
        let supervisor = Supervisor(
            ServiceNotifier(socketPath: nil), [], logger: Logger(label: "t"))
        supervisor.ready("well")
        await supervisor.keepAlive { "well" }
    }
}
