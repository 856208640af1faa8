import AdminAPI
import Addresses
import ArgumentParser
import Glibc
import SliceModel

/// `NAMESPACE/NAME` on the command line.
struct EndpointArgument: ExpressibleByArgument {
    var namespace: NamespaceName
    var name: EndpointName

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let namespace = NamespaceName(String(parts[0])),
            let name = EndpointName(String(parts[1]))
        else { return nil }
        self.namespace = namespace
        self.name = name
    }
}

struct Attach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Join a network namespace to a slice.",
        discussion: """
            It gets one more interface, an address of the slice, and routes to the slice's \
            prefixes only: nothing else of it changes. The address belongs to NAMESPACE/NAME and \
            comes back with it. Attaching what is attached repairs it.

            EXAMPLES
              slicectl attach payments kafka/broker-0 --netns broker-0
              slicectl attach payments kafka/broker-1 --pid $(pidof -s java)
              slicectl attach payments kafka/broker-2 --path /run/netns/cni-1234
            """)

    @Argument(help: "The slice.") var slice: String

    @Argument(help: ArgumentHelp("The endpoint.", valueName: "namespace/name"))
    var endpoint: EndpointArgument

    @Option(
        help: ArgumentHelp("A name that `ip netns` shows.", valueName: "name"),
        completion: .shellCommand("ip netns list 2>/dev/null | cut -d' ' -f1"))
    var netns: String?

    @Option(
        help: ArgumentHelp("The file of a network namespace.", valueName: "file"),
        completion: .file())
    var path: String?

    @Option(help: ArgumentHelp("A process that lives in it.", valueName: "number"))
    var pid: Int32?

    @Option(help: ArgumentHelp("The interface's name there.", valueName: "name"))
    var interface: String?

    @Option(
        name: .customLong("address"),
        help: ArgumentHelp(
            "An address that it must get; one per family.", valueName: "address"))
    var addresses: [String] = []

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp(
            "What policies and services select it by; may be repeated.", valueName: "name=value"))
    var labels: [String] = []

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let (kind, target) = try place()
        let labels = try Self.labels(self.labels)
        for address in addresses where IPAddress(address) == nil {
            throw Failure.usage("`\(address)` is no address: write such as 10.80.1.7")
        }
        let reply = try await global.client().attach(
            slice: slice,
            AttachRequest(
                namespace: endpoint.namespace.text, name: endpoint.name.text, kind: kind,
                target: target, interface: interface,
                addresses: addresses.isEmpty ? nil : addresses, labels: labels))
        try global.console.result(reply) { ChangesView.attached(reply, slice: slice) }
    }

    /// Nil where none are given: an endpoint that is repaired keeps its own.
    static func labels(_ words: [String]) throws -> [String: String]? {
        if words.isEmpty { return nil }
        var labels: [String: String] = [:]
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, labels[String(parts[0])] == nil else {
                throw Failure.usage(
                    "`\(word)` is no label, or given twice: write such as --label role=broker")
            }
            labels[String(parts[0])] = String(parts[1])
        }
        guard EndpointLabels(labels) != nil else {
            throw Failure.usage(
                "a label \(EndpointLabels.rule); at most \(EndpointLabels.limit) of them")
        }
        return labels
    }

    private func place() throws -> (EndpointKind, String) {
        let given = [netns != nil, path != nil, pid != nil].count { $0 }
        guard given == 1 else {
            throw Failure.usage(
                given == 0
                    ? "which network namespace? Give --netns, --path or --pid"
                    : "--netns, --path and --pid exclude one another",
                hint: "slicectl attach payments kafka/broker-0 --netns broker-0")
        }
        if let netns {
            guard EndpointReference(netns: netns) != nil else {
                throw Failure.usage(
                    "--netns takes a name as `ip netns` shows it",
                    hint: "a file is given with --path")
            }
            return (.netns, netns)
        }
        if let path { return (.path, try Self.absolute(path)) }
        guard let pid, pid > 0 else { throw Failure.usage("--pid takes a process number") }
        return (.pid, "\(pid)")
    }

    /// The daemon has a working directory, and a /proc/self, of its own.
    static func absolute(_ path: String) throws -> String {
        guard !path.hasPrefix("/proc/self/"), !path.hasPrefix("/proc/thread-self/") else {
            throw Failure.usage(
                "\(path) would be the gateway's own when the gateway opens it",
                hint: "name the process: --pid NUMBER")
        }
        var full = path
        if !path.hasPrefix("/"), let here = getcwd(nil, 0) {
            full = String(cString: here) + "/" + path
            free(here)
        }
        guard EndpointReference(path: full) != nil else {
            throw Failure.usage("--path takes the file of a network namespace")
        }
        return full
    }
}

struct Detach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take an endpoint out of a slice.",
        discussion: """
            Its interface and routes go; its address is remembered for when it comes back. \
            Detaching what is not attached is no error.

            EXAMPLE
              slicectl detach payments kafka/broker-0
            """)

    @Argument(help: "The slice.") var slice: String

    @Argument(help: ArgumentHelp("The endpoint.", valueName: "namespace/name"))
    var endpoint: EndpointArgument

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().detach(
            slice: slice,
            DetachRequest(namespace: endpoint.namespace.text, name: endpoint.name.text))
        try global.console.result(reply) {
            "\(endpoint.namespace)/\(endpoint.name) "
                + (reply.changed
                    ? "is detached from \(slice)\n"
                    : "was not attached to \(slice): nothing to do\n")
        }
    }
}
