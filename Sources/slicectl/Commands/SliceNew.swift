import Addresses
import ArgumentParser
import ConfigFile
import LinuxNet
import Noise
import SliceModel

struct SliceNew: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a manifest to begin with, full of comments.",
        discussion: """
            A cluster is NAME=REGION and then, in any order: the public key of its gateway, \
            host:port where the other clusters reach it, and prefixes of its own inside the \
            slice's. Without a prefix, it gets an equal part of the slice's; without a key, the \
            file has a place to fill in.

            EXAMPLE
              slicectl slice new --name payments --prefix 10.80.0.0/16 --prefix fd00:80::/48 \\
                  --cluster west=us-west,192.0.2.1:51820,$(slicectl pubkey west.key) \\
                  --cluster east=us-east,10.80.7.0/24,gw.east.example.net:51820 \\
                  --namespace kafka --output payments.yaml
            """)

    @Option(help: "The slice's name.") var name: String

    @Option(
        name: .customLong("prefix"),
        help: ArgumentHelp(
            "Addresses of the slice, IPv4 or IPv6; may be repeated.", valueName: "prefix"))
    var prefixes: [String]

    @Option(
        name: .customLong("cluster"),
        help: ArgumentHelp(
            "A cluster and its gateway; may be repeated.",
            valueName: "name=region[,key][,host:port][,prefix]"))
    var clusters: [String]

    @Option(
        name: .customLong("namespace"),
        help: ArgumentHelp("Who may be attached; may be repeated.", valueName: "name"))
    var namespaces: [String] = []

    @Option(help: "The UDP port of the gateways.") var port: UInt16 = 51820

    @Flag(help: "Let namespaces talk only within themselves and as policies allow.")
    var strict = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write there, not to standard output.", valueName: "file"),
        completion: .file())
    var output: String?

    @Flag(help: "Replace the file if there is one.") var force = false

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    struct Result: Encodable {
        var slice: String
        var file: String?
        var manifest: String?
        /// Clusters whose public key is still to be filled in.
        var missingKeys: [String]
    }

    func run() async throws {
        let template = try template()
        guard let text = template.text() else {
            throw Failure.usage(
                "a prefix is too small to give every cluster a part",
                hint: "use a larger one, such as 10.80.0.0/16 or fd00:80::/48, or give each "
                    + "cluster its own: --cluster west=us-west,10.80.1.0/24")
        }
        try check(template)
        let missing = template.clusters.filter { $0.publicKey == nil }.map(\.name.text)
        let console = global.console
        if let output {
            try TextFile.create(output, text, force: force)
            try console.result(
                Result(slice: template.name.text, file: output, missingKeys: missing)
            ) { "" }
            console.note("manifest written to \(output)")
        } else {
            try console.result(
                Result(slice: template.name.text, manifest: text, missingKeys: missing)
            ) { text }
        }
        if !missing.isEmpty {
            console.note("to fill in: the public key of \(missing.joined(separator: ", "))")
        }
        if let output { console.note("next: slicectl slice sign \(output) --key OWNER.key") }
    }

    private func template() throws -> ManifestTemplate {
        guard port > 0 else { throw Failure.usage("port 0 cannot be listened on") }
        return ManifestTemplate(
            name: try Self.name(name),
            prefixes: try prefixes.map(Self.prefix), port: port,
            clusters: try clusters.map(ClusterOption.parse),
            namespaces: try namespaces.map { try Self.name($0) },
            isolation: strict ? .strict : .open)
    }

    /// What is wrong with it is told now, not when it is signed. Keys that are still missing are
    /// the one thing that may be: others stand in for them here.
    private func check(_ template: ManifestTemplate) throws {
        var filled = template
        for index in filled.clusters.indices where filled.clusters[index].publicKey == nil {
            filled.clusters[index].publicKey = PrivateKey(from: .system).publicKey
        }
        do {
            _ = try SliceManifest.parse(text: filled.text() ?? "", file: output ?? "manifest")
        } catch {
            var failure = Failure(error)
            failure.message = "these options make no valid manifest"
            throw failure
        }
    }

    static func name<Name: SliceModelName>(_ text: String) throws -> Name {
        guard let name = Name(text) else {
            throw Failure.usage(
                "`\(text)` is no \(Name.noun): it "
                    + (Name.self == Region.self ? NameRules.regionRule : NameRules.labelRule))
        }
        return name
    }

    static func prefix(_ text: String) throws -> IPPrefix {
        guard let prefix = IPPrefix(text), text.contains("/") else {
            throw Failure.usage("`\(text)` is no prefix: write such as 10.80.0.0/16")
        }
        guard !IPPrefix.hasHostBits(text) else {
            throw Failure.usage("`\(text)` has bits set beyond its length: write \(prefix)")
        }
        return prefix
    }
}

/// `--cluster west=us-west,KEY,192.0.2.1:51820,10.80.1.0/24`: the parts tell themselves apart.
enum ClusterOption {
    static func parse(_ text: String) throws -> ManifestTemplate.Cluster {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves.count == 2 ? halves[1].split(separator: ",").map(String.init) : []
        guard let region = parts.first else {
            throw Failure.usage(
                "`\(text)` is no cluster: write NAME=REGION, such as west=us-west",
                hint: "slicectl slice new --help has an example")
        }
        var cluster = ManifestTemplate.Cluster(
            name: try SliceNew.name(String(halves[0])), region: try SliceNew.name(region))
        for part in parts.dropFirst() {
            if part.utf8.count == 44, let key = PublicKey(base64: part) {
                guard cluster.publicKey == nil else { throw twice("public key", text) }
                cluster.publicKey = key
            } else if part.contains("/"), IPPrefix(part) != nil {
                cluster.prefixes.append(try SliceNew.prefix(part))
            } else if let endpoint = UnderlayEndpoint(part) {
                guard cluster.endpoint == nil else { throw twice("host:port", text) }
                cluster.endpoint = endpoint
            } else {
                throw Failure.usage(
                    "in --cluster \(halves[0]): a part is neither a public key (44 characters of "
                        + "base64), nor host:port, nor a prefix",
                    hint: "a host needs its port: gw.example.net:51820")
            }
        }
        return cluster
    }

    private static func twice(_ what: String, _ text: String) -> Failure {
        .usage("a cluster takes one \(what): edit the file to give it more gateways or endpoints")
    }
}
