import AdminAPI
import ArgumentParser
import Dispatch
import Glibc
import NIOCore
import Synchronization

struct Ping: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ping through the tunnel, from the gateway.",
        discussion: """
            The target is a cluster, whose gateway answers, or an overlay address. Exit code 0 \
            if there was an answer, 1 if there was none.

            EXAMPLES
              slicectl ping payments east
              slicectl ping payments 10.80.2.7 -c 5 -i 0.2 -s 1300
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: "A cluster's name or an overlay address.") var target: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "How many; until interrupted otherwise, and 4 with --json.", valueName: "n"))
    var count: Int?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("From one to the next.", valueName: "seconds"))
    var interval = 1.0

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Bytes of data in each.", valueName: "bytes"))
    var size = 56

    @Option(
        name: [.customShort("W"), .long],
        help: ArgumentHelp("How long to wait for an answer.", valueName: "seconds"))
    var timeout = 1.0

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func validate() throws {
        guard (count ?? 1) >= 1 else { throw ValidationError("--count takes 1 or more") }
        guard interval >= 0, interval <= 3600 else {
            throw ValidationError("--interval takes 0 to 3600 seconds")
        }
        // 65,535 of IPv4 less its header and the 8 of ICMP.
        guard (0...65_507).contains(size) else {
            throw ValidationError("--size takes 0 to 65507 bytes")
        }
        guard timeout >= 0.01, timeout <= 60 else {
            throw ValidationError("--timeout takes 0.01 to 60 seconds")
        }
    }

    private struct Result: Encodable {
        var slice: String
        var target: String
        var summary: PingStatistics.Summary
        var replies: [PingReply]
    }

    func run() async throws {
        let console = global.console
        let count = self.count ?? (console.isJSON ? 4 : nil)
        let statistics = SharedStatistics(keepsReplies: console.isJSON)
        let interruption = interruption(statistics, console)
        defer { interruption.cancel() }
        // The daemon waits for the answer; the rest is for the way there and back.
        let client = global.client(
            timeout: .milliseconds(Int64(timeout * 1000)) + .seconds(10))
        // Only once the target is known to be one.
        let head =
            "ping \(DisplayText.clean(target)) over slice \(DisplayText.clean(slice)), "
            + "\(size) bytes of data\n"
        var number = 0
        let clock = ContinuousClock()
        while number < count ?? .max {
            let start = clock.now
            let reply = try await client.ping(
                slice: slice,
                PingRequest(
                    target: target, sequence: UInt16(truncatingIfNeeded: number + 1),
                    payloadBytes: size, timeoutMilliseconds: Int(timeout * 1000)))
            statistics.add(reply) {
                if !console.isJSON {
                    if number == 0 { console.out(head) }
                    console.out(
                        PingView.line(reply, payloadBytes: size, style: console.style))
                }
            }
            number += 1
            if number < count ?? .max {
                try await clock.sleep(until: start + .seconds(interval))
            }
        }
        let code = try finish(statistics.current, console)
        if code != .done { throw ExitCode(code.rawValue) }
    }

    private func finish(_ statistics: PingStatistics, _ console: Console) throws -> ExitStatus {
        try console.result(
            Result(
                slice: slice, target: target, summary: statistics.summary,
                replies: statistics.replies)
        ) { "\n" + statistics.text(target: target) }
        return statistics.received > 0 ? .done : .failed
    }

    /// Ctrl-C ends with the summary, as ping(8) does.
    private func interruption(
        _ statistics: SharedStatistics, _ console: Console
    ) -> any DispatchSourceSignal {
        signal(SIGINT, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        source.setEventHandler {
            statistics.end { final in
                let code = (try? finish(final, console)) ?? .failed
                Glibc.exit(code.rawValue)
            }
        }
        source.resume()
        return source
    }
}

/// What the loop and the signal share. Lines are printed under the lock, so that none follows
/// the summary.
private final class SharedStatistics: Sendable {
    private let statistics: Mutex<PingStatistics>

    init(keepsReplies: Bool) {
        statistics = Mutex(PingStatistics(keepsReplies: keepsReplies))
    }

    func add(_ reply: PingReply, _ print: () -> Void) {
        statistics.withLock {
            $0.add(reply)
            print()
        }
    }

    var current: PingStatistics { statistics.withLock { $0 } }

    func end(_ body: (PingStatistics) -> Never) -> Never {
        statistics.withLock { body($0) }
    }
}
