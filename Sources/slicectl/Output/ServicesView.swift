import AdminAPI

/// Services and the directory, for people.
enum ServicesView {
    static func list(_ reply: ServicesReply, style: Style) -> String {
        guard !reply.services.isEmpty else {
            return "The slice has no services: name them in the manifest, or see "
                + "`slicectl services export --help`.\n"
        }
        return reply.services.map { service in
            var text = "\(DisplayText.clean(service.namespace))/\(DisplayText.clean(service.name))"
            text += "  \(DisplayText.clean(service.domainName))"
            if !service.ports.isEmpty {
                text += "  " + service.ports.map(DisplayText.clean).joined(separator: ", ")
            }
            switch service.origin {
            case "command": text += "  (offered by command)"
            case "elsewhere": text += "  (offered by other clusters)"
            default: break
            }
            if !service.isImported { text += style.paint("  not seen here", .warning) }
            text += "\n"
            guard !service.members.isEmpty else { return text + "  no members\n" }
            var table = Table([
                .init("CLUSTER"), .init("ENDPOINT"), .init("ADDRESSES"), .init("HEALTH"),
            ])
            for member in service.members {
                let health: Table.Cell =
                    member.isStale
                    ? .init("stale", .warning)
                    : member.isHealthy ? .init("healthy", .good) : .init("does not answer", .bad)
                table.rows.append([
                    .init(DisplayText.clean(member.cluster)),
                    .init(DisplayText.clean(member.endpoint)),
                    .init(member.addresses.map(DisplayText.clean).joined(separator: ", ")), health,
                ])
            }
            return text + table.text(indent: 2, style: style)
        }.joined(separator: "\n")
    }

    static func directory(_ reply: DirectoryReply, style: Style) -> String {
        guard !reply.endpoints.isEmpty else { return "No endpoint is attached anywhere.\n" }
        var table = Table([
            .init("ENDPOINT"), .init("ADDRESSES"), .init("LABELS"), .init("STATE"),
        ])
        for endpoint in reply.endpoints {
            let name = "\(endpoint.namespace)/\(endpoint.name)@\(endpoint.cluster)"
            let labels = endpoint.labels.sorted { $0.key < $1.key }
                .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
            table.rows.append([
                .init(DisplayText.clean(name)),
                .init(endpoint.addresses.map(DisplayText.clean).joined(separator: ", ")),
                .init(DisplayText.clean(labels)),
                endpoint.isStale ? .init("stale", .warning) : .init("known", .good),
            ])
        }
        return table.text(style: style)
    }
}
