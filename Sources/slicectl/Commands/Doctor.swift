import AdminAPI
import ArgumentParser
import NIOCore

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what on this host stops a gateway, or would.",
        discussion: """
            Asks the running gateway. If there is none, looks itself: kernel features, \
            capabilities, clock, MTU. With --config it also goes through a gateway.conf: keys, \
            manifests and signatures, ports, and whether the peers' names and routes are found. \
            It changes nothing. Exit code 1 if something fails; warnings do not count.

            EXAMPLES
              sudo slicectl doctor
              sudo slicectl doctor --config /etc/slice-gateway/gateway.conf
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Check this gateway.conf, too.", valueName: "file"),
        completion: .file())
    var config: String?

    @Flag(help: "Look at the host even if a gateway is running.") var local = false

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    private struct Result: Encodable {
        var source: String
        var verdict: DoctorReport.Verdict
        var checks: [DoctorReport.Check]
    }

    func run() async throws {
        let console = global.console
        let (isRunning, fromDaemon) = try await askDaemon()
        var report = fromDaemon ?? DoctorReport(checks: HostChecks.all(isRunning: isRunning))
        if let config {
            report.checks += ConfigChecks(isRunning: isRunning).all(file: config)
        }
        let source =
            fromDaemon != nil
            ? "as the running gateway sees this host"
            : isRunning
                ? "as slicectl sees this host" : "as slicectl sees this host; no gateway is running"
        let name = fromDaemon != nil ? "daemon" : "slicectl"
        try console.result(
            Result(source: name, verdict: report.verdict, checks: report.checks)
        ) { DoctorView.text(report, source: source, style: console.style) }
        if report.verdict == .fail { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    private func askDaemon() async throws -> (isRunning: Bool, report: DoctorReport?) {
        do {
            let client = global.client()
            if local {
                _ = try await client.version()
                return (true, nil)
            }
            return (true, try await client.doctor())
        } catch let error as AdminClientError {
            switch error.reason {
            case .notRunning, .notListening, .notAllowed: return (false, nil)
            case .timeout, .brokenReply, .cannotConnect:
                // A daemon that is there and does not speak is a finding of its own.
                var checks = [
                    DoctorReport.Check(
                        "daemon", .fail, seen: error.message, advice: error.hint)
                ]
                checks += HostChecks.all(isRunning: true)
                return (true, DoctorReport(checks: checks))
            }
        }
    }
}
