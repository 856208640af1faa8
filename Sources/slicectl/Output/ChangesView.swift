import AdminAPI

/// What a request changed, one line each.
package enum ChangesView {
    package static func applied(
        _ reply: ApplyManifestReply, isDryRun: Bool, style: Style = .plain
    ) -> String {
        var text = reply.warnings.map { line("!", $0, .warning, style) }.joined()
        let what = "slice \(DisplayText.clean(reply.slice)), version \(reply.version)"
        if reply.changes.isEmpty, !reply.changed {
            return text + "\(what): in force already, nothing to change\n"
        }
        text += isDryRun ? "\(what) would change:\n" : "\(what) is in force:\n"
        text += reply.changes.map { line("  -", $0, .plain, style) }.joined()
        return text
    }

    package static func reloaded(_ reply: ReloadReply, style: Style = .plain) -> String {
        if reply.changes.isEmpty, reply.needsRestart.isEmpty {
            return "read again: nothing has changed\n"
        }
        var text = reply.needsRestart.map {
            line("! needs a restart:", $0, .warning, style)
        }.joined()
        if !reply.changes.isEmpty { text += "read again:\n" }
        return text + reply.changes.map { line("  -", $0, .plain, style) }.joined()
    }

    package static func attached(_ reply: AttachReply, slice: String) -> String {
        let endpoint = reply.endpoint
        let name = DisplayText.clean("\(endpoint.namespace)/\(endpoint.name)")
        var text =
            reply.changed
            ? "\(name) is attached to \(DisplayText.clean(slice))\n"
            : "\(name) was attached to \(DisplayText.clean(slice)) already\n"
        text += StatusView.facts(
            [
                ("addresses", endpoint.addresses.joined(separator: ", ")),
                ("interface", "\(endpoint.interface), MTU \(reply.mtu)"),
                ("routes", reply.routes.joined(separator: ", ")),
            ].filter { !$0.1.isEmpty }, .plain)
        for problem in endpoint.problems { text += "  ! \(DisplayText.clean(problem))\n" }
        return text
    }

    private static func line(
        _ mark: String, _ text: String, _ tint: Style.Tint, _ style: Style
    ) -> String {
        "\(style.paint(mark, tint)) \(DisplayText.clean(text))\n"
    }
}
