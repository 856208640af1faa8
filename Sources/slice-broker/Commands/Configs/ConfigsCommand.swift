import ArgumentParser
import KafkaClient
import KafkaWire

struct ConfigsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configs", abstract: "Properties of topics and brokers.",
        discussion: """
            They belong to `topic NAME`, to `broker ID`, or to `broker default`: what all brokers \
            have in common.
            """,
        subcommands: [ConfigsDescribe.self, ConfigsSet.self, ConfigsUnset.self])
}

struct ConfigsDescribe: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "The properties of a topic or broker, and their origin.")

    @Argument(help: "`topic NAME`, `broker ID` or `broker default`.")
    var resource: [String]

    @Flag(help: "Those with the built-in value too.")
    var all = false

    @Option(help: ArgumentHelp("Only this property; may be repeated.", valueName: "property"))
    var name: [String] = []

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let resource = try ConfigResource(words: resource)
        let answer = try session.cluster.call(
            DescribeConfigsRequest(
                resources: [
                    .init(
                        resourceType: resource.kind.rawValue, resourceName: resource.name,
                        configurationKeys: name.isEmpty ? nil : name)
                ], includeSynonyms: false), at: resource.broker)
        guard let result = answer.results.first else {
            throw Failure(.failed, "malformed", "\(resource.words): the broker does not answer")
        }
        guard result.errorCode == .none else {
            throw Failure.refused(result.errorCode, resource.words, result.errorMessage)
        }
        let view = ConfigView(resource, result, withBuiltIn: all || !name.isEmpty)
        session.console.result(view.json) { view.text(style: session.console.style) }
    }
}

/// `configs describe`.
package struct ConfigView: Sendable {
    private let resource: ConfigResource
    private let configs: [DescribeConfigsResponse.DescribeConfigsResourceResult]
    private let hidden: Int

    package init(
        _ resource: ConfigResource, _ result: DescribeConfigsResponse.DescribeConfigsResult,
        withBuiltIn: Bool
    ) {
        self.resource = resource
        configs = result.configs
            .filter { withBuiltIn || $0.configSource != ConfigSource.builtIn.rawValue }
            .sorted { $0.name < $1.name }
        hidden = result.configs.count - configs.count
    }

    package var json: JSON {
        .array(
            configs.map {
                [
                    "name": .string($0.name), "value": JSON($0.value),
                    "source": .string(ConfigSource.words($0.configSource)),
                    "readOnly": .bool($0.readOnly), "sensitive": .bool($0.isSensitive),
                ]
            })
    }

    package func text(style: Style = .plain) -> String {
        var table = Table(["PROPERTY", "VALUE", "FROM", "MAY CHANGE"])
        for config in configs {
            table.rows.append([
                Table.Cell(config.name),
                config.isSensitive
                    ? Table.Cell("(secret)", .dim)
                    : config.value.map { Table.Cell($0) } ?? .none,
                Table.Cell(ConfigSource.words(config.configSource), .dim),
                Table.Cell(config.readOnly ? "at start only" : "yes", .dim),
            ])
        }
        let text = table.text(style: style)
        guard hidden > 0 else {
            return text.isEmpty ? "\(resource.words) has no properties\n" : text
        }
        let rest = hidden == 1 ? "1 has its" : "\(hidden) have their"
        return text + style.paint("\(rest) built-in value: --all shows them", .dim) + "\n"
    }
}

/// What an alteration of properties asks for (KIP-339).
private enum ConfigOperation: Int8 {
    case set = 0
    case delete = 1
}

extension ClientSession {
    /// Sets the values, and takes away those that are nil.
    func alter(
        _ resource: ConfigResource, _ settings: [(name: String, value: String?)],
        validateOnly: Bool = false
    ) throws {
        let answer = try cluster.call(
            IncrementalAlterConfigsRequest(
                resources: [
                    .init(
                        resourceType: resource.kind.rawValue, resourceName: resource.name,
                        configs: settings.map {
                            .init(
                                name: $0.name,
                                configOperation: ($0.value == nil
                                    ? ConfigOperation.delete : .set).rawValue,
                                value: $0.value)
                        })
                ], validateOnly: validateOnly), at: resource.broker)
        for result in answer.responses where result.errorCode != .none {
            throw Failure.refused(result.errorCode, resource.words, result.errorMessage)
        }
    }
}

struct ConfigsSet: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Give properties values, while everything runs.",
        discussion: "slice-broker configs set topic orders retention.ms=86400000")

    @Argument(help: "`topic NAME`, `broker ID` or `broker default`, then name=value ...")
    var words: [String]

    @Flag(help: "Only say whether it could be done.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let resource = try ConfigResource(words: Array(words.prefix(2)))
        var settings: [(String, String?)] = []
        for word in words.dropFirst(2) {
            guard let setting = SettingArgument(argument: word) else {
                throw Failure.usage("\(word) is not name=value")
            }
            settings.append((setting.name, setting.value))
        }
        guard !settings.isEmpty else { throw Failure.usage("name what to set: name=value") }
        try session.alter(resource, settings, validateOnly: dryRun)
        let json = JSON.object(settings.map { ($0.0, JSON($0.1)) })
        session.console.result(["resource": .string(resource.words), "set": json]) {
            let list = settings.map { "\($0.0)=\($0.1 ?? "")" }.joined(separator: " ")
            return "\(resource.words) \(dryRun ? "could have" : "has") \(list)\n"
        }
    }
}

struct ConfigsUnset: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "unset", abstract: "Take values away, so that the default is in force.")

    @Argument(help: "`topic NAME`, `broker ID` or `broker default`, then the properties' names.")
    var words: [String]

    @Flag(help: "Only say whether it could be done.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let resource = try ConfigResource(words: Array(words.prefix(2)))
        let names = Array(words.dropFirst(2))
        guard !names.isEmpty else { throw Failure.usage("name what to unset") }
        if let wrong = names.first(where: { $0.contains("=") }) {
            throw Failure.usage("\(wrong): name the property only")
        }
        try session.alter(resource, names.map { ($0, nil) }, validateOnly: dryRun)
        session.console.result([
            "resource": .string(resource.words), "unset": .array(names.map { .string($0) }),
        ]) {
            let done = dryRun ? "could do without" : "no longer has"
            return "\(resource.words) \(done) a value of its own for "
                + names.joined(separator: ", ") + "\n"
        }
    }
}
