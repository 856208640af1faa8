import AdminAPI
import ArgumentParser
import SliceModel

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Say what policies do, and what others would change.",
        subcommands: [PolicyExplain.self, PolicyDryRun.self, PolicyDiff.self])
}

struct PolicyExplain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Name the rule that decides about a conversation, and why.",
        discussion: """
            FROM begins, TO is spoken to: an address, NAMESPACE/ENDPOINT@CLUSTER as `slicectl \
            directory` lists them, or less of it: then the first that fits. PORT is TO's. Both \
            gateways decide, where a packet leaves and where it arrives; it says whether they \
            have the same policies. Exits with 1 if it is denied.

            EXAMPLES
              slicectl policy explain payments apps/web@west kafka@east tcp/9092
              slicectl policy explain payments 10.80.1.2 10.80.3.2 icmp
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: "Who begins.") var from: String
    @Argument(help: "Who is spoken to.") var to: String
    @Argument(help: "tcp/PORT, udp/PORT, sctp/PORT, icmp or other.") var port: String

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().explain(
            slice: slice, ExplainRequest(queries: [.init(from: from, to: to, port: port)]))
        let style = global.console.style
        try global.console.result(reply) { PolicyView.explained(reply, style: style) }
        if reply.answers.contains(where: { $0.verdict == .deny }) {
            throw ExitCode(ExitStatus.failed.rawValue)
        }
    }
}

struct PolicyDryRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dry-run",
        abstract: "Say what a manifest's policies would change here, and whom they would cut.",
        discussion: """
            Compares the manifest with the one in force, with the endpoints that there are now. \
            Connections that are alive and would end are named. The manifest need not be signed; \
            nothing is changed.

            EXAMPLE
              slicectl policy dry-run payments-2.yaml
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await PolicyDryRun.ask(manifest, global)
        let style = global.console.style
        try global.console.result(reply) { PolicyView.dryRun(reply, withCuts: true, style: style) }
    }

    static func ask(_ path: String, _ global: GlobalOptions) async throws -> PolicyDryRunReply {
        let text = try Input.manifest(path)
        let parsed = try SliceManifest.parse(text: text, file: path)
        return try await global.client().dryRun(
            slice: parsed.name.text, PolicyDryRunRequest(manifest: text))
    }
}

struct PolicyDiff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Say between whom a manifest's policies would change what may pass.",
        discussion: """
            Exits with 0 if nothing would change and with 1 if something would.

            EXAMPLE
              slicectl policy diff payments-2.yaml
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        var reply = try await PolicyDryRun.ask(manifest, global)
        reply.cuts = []
        let style = global.console.style
        try global.console.result(reply) { PolicyView.dryRun(reply, withCuts: false, style: style) }
        if !reply.changes.isEmpty { throw ExitCode(ExitStatus.failed.rawValue) }
    }
}
