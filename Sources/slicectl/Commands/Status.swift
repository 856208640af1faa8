import AdminAPI
import ArgumentParser

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show slices, peers and endpoints: what is wrong first.",
        discussion: """
            EXAMPLES
              slicectl status
              slicectl status payments --watch
              slicectl status --check >/dev/null || echo "not all is well"
              slicectl status --json | jq '.slices[].peers[] | {cluster, rttMilliseconds}'
            """)

    @Argument(help: "Only this slice.") var slice: String?

    @Flag(
        name: .shortAndLong,
        help: "Show it again and again; with --json one document a line.")
    var watch = false

    @Option(help: ArgumentHelp("Seconds between two looks.", valueName: "seconds"))
    var interval = 2.0

    @Flag(help: "Exit with 1 unless every slice is up.") var check = false

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func validate() throws {
        guard interval >= 0.1, interval <= 86_400 else {
            throw ValidationError("--interval takes 0.1 to 86400 seconds")
        }
        if watch, check { throw ValidationError("--watch and --check exclude one another") }
    }

    func run() async throws {
        let client = global.client()
        let console = global.console
        guard watch else {
            let report = try await client.status().only(slice)
            try console.result(report) { StatusView.text(report, style: console.style) }
            if check, report.slices.contains(where: { $0.state != .up }) {
                throw ExitCode(ExitStatus.failed.rawValue)
            }
            return
        }
        while true {
            let report = try await client.status().only(slice)
            if console.isJSON {
                console.line(try Console.json(report, compact: true))
            } else {
                // Home and clear to the end (ECMA-48): no flicker, and the last look stays.
                let clear = console.outIsTerminal ? "\u{1b}[H\u{1b}[J" : ""
                console.out(clear + StatusView.text(report, style: console.style))
                if !console.outIsTerminal { console.line() }
            }
            try await Task.sleep(for: .seconds(interval))
        }
    }
}

struct Peers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the gateways of the other clusters.",
        discussion: """
            EXAMPLE
              slicectl peers
              slicectl peers payments --json
            """)

    @Argument(help: "Only this slice.") var slice: String?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    private struct Result: Encodable {
        var peers: [PeersView.Row]
    }

    func run() async throws {
        let report = try await global.client().status().only(slice)
        let rows = report.slices.flatMap { slice in
            slice.peers.map { PeersView.Row(slice: slice.name, peer: $0) }
        }
        let console = global.console
        try console.result(Result(peers: rows)) { PeersView.text(rows, style: console.style) }
    }
}

extension StatusReport {
    /// One slice of it, or all.
    func only(_ name: String?) throws(Failure) -> StatusReport {
        guard let name else { return self }
        var report = self
        report.slices.removeAll { $0.name != name }
        guard report.slices.isEmpty else { return report }
        let known = slices.map(\.name).joined(separator: ", ")
        throw Failure(
            .notFound, "notFound", "this gateway has no slice `\(name)`",
            hint: known.isEmpty ? "it has none at all" : "it has: \(known)")
    }
}
