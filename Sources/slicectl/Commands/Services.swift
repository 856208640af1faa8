import AdminAPI
import ArgumentParser
import SliceModel

struct Services: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List a slice's services, offer them, and choose which are seen here.",
        subcommands: [
            ServicesList.self, ServicesExport.self, ServicesUnexport.self, ServicesImport.self,
            ServicesUnimport.self,
        ], defaultSubcommand: ServicesList.self)
}

struct ServicesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List services and their members in all clusters.",
        discussion: """
            EXAMPLE
              slicectl services payments
            """)

    @Argument(help: "The slice.") var slice: String
    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().services(slice: slice)
        let style = global.console.style
        try global.console.result(reply) { ServicesView.list(reply, style: style) }
    }
}

/// `NAMESPACE/NAME` of a service.
struct ServiceArgument: ExpressibleByArgument {
    var namespace: NamespaceName
    var name: ServiceName

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let namespace = NamespaceName(String(parts[0])),
            let name = ServiceName(String(parts[1]))
        else { return nil }
        self.namespace = namespace
        self.name = name
    }
}

struct ServicesExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Offer a service of this cluster to the slice.",
        discussion: """
            Beside those that the manifest names. Offering it again with other options replaces \
            it. It is found as NAME.NAMESPACE.svc.slice.local.

            EXAMPLES
              slicectl services export payments kafka/brokers --port broker:tcp/9092 --check 9092
              slicectl services export payments apps/web --endpoint 'web-*' --imported-by west
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: ArgumentHelp("The service.", valueName: "namespace/name"))
    var service: ServiceArgument

    @Option(
        name: .customLong("port"),
        help: ArgumentHelp("A port, for SRV records.", valueName: "name:tcp/number"))
    var ports: [String] = []

    @Option(
        name: .customLong("endpoint"),
        help: ArgumentHelp("Which endpoints, `*` for any run.", valueName: "pattern"))
    var endpoints: [String] = []

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp("Which endpoints, by label.", valueName: "name=pattern"))
    var labels: [String] = []

    @Option(
        name: .customLong("imported-by"),
        help: ArgumentHelp("Only these clusters see it.", valueName: "cluster"))
    var importedBy: [String] = []

    @Option(help: ArgumentHelp("A TCP port that must answer.", valueName: "number"))
    var check: UInt16?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        var labels: [String: String] = [:]
        for word in self.labels {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw Failure.usage("`\(word)` is no label: write such as --label role=broker")
            }
            labels[parts[0]] = parts[1]
        }
        let reply = try await global.client().export(
            slice: slice,
            ExportServiceRequest(
                namespace: service.namespace.text, name: service.name.text, ports: ports,
                endpoints: endpoints.isEmpty ? nil : endpoints,
                labels: labels.isEmpty ? nil : labels,
                importedBy: importedBy.isEmpty ? nil : importedBy, checkPort: check))
        try global.console.result(reply) {
            reply.changed ? "offered\n" : "it is offered like this already\n"
        }
    }
}

struct ServicesUnexport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unexport", abstract: "No longer offer a service that `export` offered.",
        discussion: """
            EXAMPLE
              slicectl services unexport payments kafka/brokers
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: ArgumentHelp("The service.", valueName: "namespace/name"))
    var service: ServiceArgument
    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().unexport(
            slice: slice, namespace: service.namespace.text, name: service.name.text)
        try global.console.result(reply) {
            reply.changed ? "no longer offered\n" : "it was not offered by this command\n"
        }
    }
}

struct ServicesImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Let this cluster's endpoints see a service again.",
        discussion: """
            Services are seen unless their manifest or `unimport` says otherwise.

            EXAMPLE
              slicectl services import payments kafka/brokers
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: ArgumentHelp("The service.", valueName: "namespace/name"))
    var service: ServiceArgument
    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        try await ServicesUnimport.set(true, service, slice, global)
    }
}

struct ServicesUnimport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unimport", abstract: "Hide a service from this cluster's endpoints.",
        discussion: """
            Its name is not answered here any more; whether packets pass is for policies.

            EXAMPLE
              slicectl services unimport payments kafka/brokers
            """)

    @Argument(help: "The slice.") var slice: String
    @Argument(help: ArgumentHelp("The service.", valueName: "namespace/name"))
    var service: ServiceArgument
    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        try await Self.set(false, service, slice, global)
    }

    static func set(
        _ isImported: Bool, _ service: ServiceArgument, _ slice: String, _ global: GlobalOptions
    ) async throws {
        let reply = try await global.client().importService(
            slice: slice,
            ImportServiceRequest(
                namespace: service.namespace.text, name: service.name.text,
                isImported: isImported))
        try global.console.result(reply) {
            reply.changed ? (isImported ? "seen again\n" : "hidden\n") : "nothing to change\n"
        }
    }
}

struct DirectoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "directory", abstract: "List the endpoints of all clusters of a slice.",
        discussion: """
            As their gateways tell it. What a gateway has not repeated for a while is stale.

            EXAMPLE
              slicectl directory payments
            """)

    @Argument(help: "The slice.") var slice: String
    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let reply = try await global.client().directory(slice: slice)
        let style = global.console.style
        try global.console.result(reply) { ServicesView.directory(reply, style: style) }
    }
}
