import ArgumentParser
import SliceModel

struct SliceShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a manifest and what follows from it.",
        discussion: """
            With --cluster, the slice as that cluster's gateway sees it: its peers, overlay \
            addresses and tunnel MTU. Needs no daemon.

            EXAMPLE
              slicectl slice show payments.yaml
              slicectl slice show payments.yaml --cluster west --underlay-mtu 9000
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest: String

    @Option(help: ArgumentHelp("As this cluster's gateway sees it.", valueName: "name"))
    var cluster: String?

    @Option(
        name: .customLong("underlay-mtu"),
        help: ArgumentHelp("MTU between the gateways.", valueName: "bytes"))
    var underlayMTU = 1500

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func validate() throws {
        guard (576...65_535).contains(underlayMTU) else {
            throw ValidationError("--underlay-mtu takes 576 to 65535 bytes")
        }
    }

    func run() async throws {
        let parsed = try SliceManifest.parse(text: try Input.manifest(manifest), file: manifest)
        let names: [ClusterName] =
            try cluster.map { [try SliceNew.name($0)] } ?? parsed.clusters.map(\.name)
        let plans = try names.map { name in
            guard parsed.cluster(name) != nil else {
                let known = parsed.clusters.map(\.name.text).joined(separator: ", ")
                throw Failure(
                    .notFound, "notFound", "slice \(parsed.name) has no cluster `\(name)`",
                    hint: "it has: \(known)")
            }
            return try SlicePlan(parsed, local: name)
        }
        let console = global.console
        let view = ManifestView(parsed, plans: plans, underlayMTU: underlayMTU)
        try console.result(view.document) {
            view.text(detailed: cluster != nil, style: console.style)
        }
    }
}
