import AdminAPI
import ArgumentParser
import SliceModel

struct SliceApply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Hand a signed manifest to the running gateway.",
        discussion: """
            The gateway checks the owner's signature and that it is not older than what is in \
            force, then changes what differs. Applying it twice changes nothing.

            EXAMPLE
              slicectl slice apply payments.yaml --dry-run
              slicectl slice apply payments.yaml
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @Flag(name: [.customLong("dry-run"), .customShort("n")], help: "Say what would change.")
    var isDryRun = false

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let text = try Input.manifest(manifest)
        // Whoever has a file at hand is told lines and columns without asking the daemon.
        let parsed = try SliceManifest.parse(text: text, file: manifest)
        if parsed.signature == nil {
            throw Failure(
                .failed, "unsigned", "\(manifest) is not signed",
                hint: "its owner signs it with: slicectl slice sign FILE --key OWNER.key")
        }
        global.console.note(of: parsed)
        let reply = try await global.client().applyManifest(
            ApplyManifestRequest(manifest: text, dryRun: isDryRun))
        let console = global.console
        try console.result(reply) {
            ChangesView.applied(reply, isDryRun: isDryRun, style: console.style)
        }
    }
}

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have the gateway read its configuration again.",
        discussion: """
            If the file has a problem, nothing changes and the problem is printed. The same as \
            `systemctl reload slice-gateway`, which does not wait for the answer.

            EXAMPLE
              slicectl reload
            """)

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().reload()
        let console = global.console
        try console.result(reply) { ChangesView.reloaded(reply, style: console.style) }
    }
}
