import ArgumentParser
import KafkaClient
import KafkaWire

struct FeaturesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "features",
        abstract: "What all nodes of the cluster have agreed to understand.",
        subcommands: [FeaturesDescribe.self, FeaturesUpdate.self])
}

struct FeaturesDescribe: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "The levels in force and those that could be.")

    @OptionGroup var client: ClientOptions

    func run(_ session: ClientSession) throws {
        let view = FeaturesView(try session.cluster.any().greeting)
        session.console.result(view.json) {
            let text = view.text(style: session.console.style)
            return text.isEmpty ? "no features\n" : text
        }
    }
}

/// `features describe`.
package struct FeaturesView: Sendable {
    private struct Row {
        var name: String
        var supported: (Int16, Int16)?
        var level: Int16?
    }

    private let epoch: Int64
    private let rows: [Row]

    package init(_ greeting: ApiVersionsResponse) {
        epoch = greeting.finalizedFeaturesEpoch
        let names = Set(
            greeting.supportedFeatures.map(\.name) + greeting.finalizedFeatures.map(\.name))
        rows = names.sorted().map { name in
            Row(
                name: name,
                supported: greeting.supportedFeatures.first { $0.name == name }
                    .map { ($0.minVersion, $0.maxVersion) },
                level: greeting.finalizedFeatures.first { $0.name == name }?.maxVersionLevel)
        }
    }

    package var json: JSON {
        .array(
            rows.map {
                [
                    "feature": .string($0.name), "level": JSON($0.level),
                    "minSupported": JSON($0.supported?.0), "maxSupported": JSON($0.supported?.1),
                    "epoch": epoch < 0 ? nil : JSON(epoch),
                ]
            })
    }

    package func text(indent: Int = 0, style: Style = .plain) -> String {
        var table = Table(["FEATURE", .right("LEVEL"), "SUPPORTED"])
        for row in rows {
            table.rows.append([
                Table.Cell(row.name), row.level.map { Table.Cell($0) } ?? .none,
                row.supported.map { Table.Cell("\($0.0) to \($0.1)") } ?? .none,
            ])
        }
        return table.text(indent: indent, style: style)
    }
}

enum DowngradeArgument: String, ExpressibleByArgument, CaseIterable {
    case safe, unsafe
}

struct FeaturesUpdate: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Raise or lower the level of features.",
        discussion: "slice-broker features update metadata.version=25")

    @Argument(help: "Features and their levels: name=level ...; level 0 turns one off.")
    var settings: [SettingArgument]

    @Option(
        help: ArgumentHelp(
            "Lower levels too: safe only where nothing is lost, unsafe in any case.",
            valueName: "safe|unsafe"))
    var downgrade: DowngradeArgument?

    @Flag(help: "Only say whether it could be done.")
    var dryRun = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        for setting in settings where Int16(setting.value).map({ $0 >= 0 }) != true {
            throw ValidationError("\(setting.name)=\(setting.value): a level is a number")
        }
    }

    func run(_ session: ClientSession) throws {
        // 1 is an upgrade, 2 a safe and 3 an unsafe downgrade (KIP-778).
        let type: Int8 = downgrade.map { $0 == .safe ? 2 : 3 } ?? 1
        let answer = try session.cluster.call(
            UpdateFeaturesRequest(
                timeoutMs: ClientSession.timeoutMs,
                featureUpdates: settings.map {
                    .init(
                        feature: $0.name, maxVersionLevel: Int16($0.value) ?? 0,
                        allowDowngrade: downgrade != nil, upgradeType: type)
                }, validateOnly: dryRun))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the features", answer.errorMessage)
        }
        try Outcome.report(
            settings.map { setting in
                let result = answer.results.first { $0.feature == setting.name }
                return Outcome(
                    "feature \(setting.name)",
                    "\(dryRun ? "could have" : "has") level \(setting.value)",
                    result?.errorCode ?? .none, detail: result?.errorMessage,
                    [
                        ("feature", .string(setting.name)),
                        ("level", JSON(Int16(setting.value))),
                    ])
            }, session.console)
    }
}
