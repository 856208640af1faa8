import AdminAPI

// What a slice decides, and what it knows of the others: each only where there is something.
extension StatusView {
    static func known(of slice: SliceStatus, _ style: Style) -> String {
        [
            policies(slice.policies ?? []), directory(slice.directory ?? []),
            services(slice.services ?? []),
        ]
        .filter { !$0.rows.isEmpty }
        .map { "\n" + $0.text(indent: 2, style: style) }.joined()
            + names(slice.names)
    }

    private static func policies(_ policies: [PolicyReport]) -> Table {
        Table(
            [
                .init("POLICY"), .init("ACTION"), .init("DECIDED", .right),
                .init("DESCRIPTION"),
            ],
            rows: policies.map { policy in
                [
                    Table.Cell(policy.name),
                    Table.Cell(policy.action, policy.action == "deny" ? .warning : .plain),
                    policy.decided > 0
                        ? Table.Cell(Units.count(policy.decided)) : Table.Cell("-", .dim),
                    Table.Cell(policy.description ?? ""),
                ]
            })
    }

    private static func directory(_ peers: [DirectoryPeerReport]) -> Table {
        Table(
            [
                .init("DIRECTORY OF"), .init("STATE"), .init("HEARD"),
                .init("ENDPOINTS", .right), .init("SERVICES", .right), .init("MANIFEST", .right),
            ],
            rows: peers.map { peer in
                let tint: Style.Tint =
                    switch peer.state {
                    case .fresh: .good
                    case .stale: .warning
                    case .absent: .bad
                    }
                return [
                    Table.Cell(peer.cluster), Table.Cell(peer.state.rawValue, tint),
                    peer.ageSeconds.map { Table.Cell(Units.ago($0)) }
                        ?? Table.Cell("never", .dim),
                    Table.Cell("\(peer.endpoints)"), Table.Cell("\(peer.services)"),
                    peer.manifestVersion.map { Table.Cell("version \($0)") }
                        ?? Table.Cell("-", .dim),
                ]
            })
    }

    private static func services(_ services: [ServiceReport]) -> Table {
        Table(
            [.init("SERVICE"), .init("PORTS"), .init("HEALTHY", .right), .init("CLUSTERS")],
            rows: services.map { service in
                let healthy = service.members.count { $0.healthy && !$0.stale }
                return [
                    Table.Cell("\(service.namespace)/\(service.name)"),
                    Table.Cell(service.ports.joined(separator: ", ")),
                    Table.Cell(
                        "\(healthy) of \(service.members.count)",
                        healthy == 0 ? .bad : healthy < service.members.count ? .warning : .plain),
                    Table.Cell(service.clusters.joined(separator: ", ")),
                ]
            })
    }

    private static func names(_ names: NamesReport?) -> String {
        guard let names else { return "" }
        let queries = names.queries.values.reduce(0) { $0 &+ $1 }
        guard queries > 0 || names.dropped > 0 else { return "" }
        let answers = names.responses.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Units.count($0.value)) \(DisplayText.clean($0.key))" }
        var text = "\n  names: " + (queries == 1 ? "1 query" : "\(Units.count(queries)) queries")
        if !answers.isEmpty { text += ", answered " + answers.joined(separator: ", ") }
        if names.forwarded > 0 { text += ", \(Units.count(names.forwarded)) asked elsewhere" }
        if names.dropped > 0 { text += ", \(Units.count(names.dropped)) dropped" }
        return text + "\n"
    }
}
