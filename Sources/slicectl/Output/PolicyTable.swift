import AdminAPI
import SliceModel
import Timing

/// A manifest's policies, in the order in which they are asked.
enum PolicyTable {
    /// Of a long list people want the beginning; machines take --json.
    static let shown = 20

    static func text(_ manifest: SliceManifest, _ style: Style) -> String {
        var table = Table([
            .init("#", .right), .init("POLICY"), .init("ACTION"), .init("FROM"), .init("TO"),
            .init("PORTS"), .init("REGIONS"), .init("DESCRIPTION"),
        ])
        for (index, policy) in manifest.policies.prefix(shown).enumerated() {
            table.rows.append([
                Table.Cell("\(index + 1)"), Table.Cell(policy.name.text),
                Table.Cell(
                    policy.action.rawValue + (policy.log ? ", logged" : ""),
                    policy.action == .deny ? .warning : .plain),
                Table.Cell(text(policy.from)), Table.Cell(text(policy.to)),
                Table.Cell(few(policy.ports, none: "all")), Table.Cell(few(policy.regions)),
                Table.Cell(policy.description, .dim),
            ])
        }
        return table.text(style: style) + more(manifest.policies.count, "policies")
    }

    static func more(_ count: Int, _ noun: String) -> String {
        count > shown ? "and \(Units.count(UInt64(count - shown))) more \(noun)\n" : ""
    }

    private static func text(_ selector: EndpointSelector) -> String {
        var parts: [String] = []
        if let namespaces = selector.namespaces { parts.append(few(namespaces)) }
        parts += labels(selector.labels)
        if let clusters = selector.clusters { parts.append("in \(few(clusters))") }
        if let regions = selector.regions { parts.append("of \(few(regions))") }
        return parts.isEmpty ? "all" : parts.joined(separator: " ")
    }

    static func labels(_ labels: [EndpointSelector.LabelMatch]) -> [String] {
        guard !labels.isEmpty else { return [] }
        return ["with " + labels.map { "\($0.key)=\($0.value)" }.joined(separator: ",")]
    }

    /// The first of a list.
    static func few(_ items: [some CustomStringConvertible]?, none: String = "") -> String {
        guard let items else { return none }
        let text = items.prefix(4).map(\.description).joined(separator: ",")
        return items.count > 4 ? text + ",+\(items.count - 4)" : text
    }
}

/// A manifest's services.
enum ServiceTable {
    static func text(_ manifest: SliceManifest, _ style: Style) -> String {
        var table = Table([
            .init("SERVICE"), .init("NAMESPACE"), .init("PORTS"), .init("ENDPOINTS"),
            .init("OFFERED BY"), .init("SEEN BY"), .init("CHECK"),
        ])
        for service in manifest.services.prefix(PolicyTable.shown) {
            let names = PolicyTable.few(service.members.names, none: "all")
            table.rows.append([
                Table.Cell(service.name.text), Table.Cell(service.namespace.text),
                Table.Cell(
                    PolicyTable.few(
                        service.ports.map { "\($0.name)=\($0.transport.rawValue)/\($0.port)" })),
                Table.Cell(
                    ([names] + PolicyTable.labels(service.members.labels)).joined(separator: " ")),
                Table.Cell(PolicyTable.few(service.clusters, none: "all")),
                Table.Cell(PolicyTable.few(service.importedBy, none: "all")),
                Table.Cell(service.check.map(text) ?? ""),
            ])
        }
        return table.text(style: style) + PolicyTable.more(manifest.services.count, "services")
    }

    private static func text(_ check: HealthCheck) -> String {
        let whole = check.interval.count % 1_000_000_000 == 0
        let interval =
            whole
            ? Units.duration(check.interval.seconds)
            : Units.milliseconds(check.interval.milliseconds)
        let tries = check.failures == 1 ? "1 failure" : "\(check.failures) failures"
        return "tcp/\(check.port) every \(interval), out after \(tries)"
    }
}
