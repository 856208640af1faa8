import AdminAPI

/// What policies say, for people.
enum PolicyView {
    static func explained(_ reply: ExplainReply, style: Style) -> String {
        reply.answers.map { answer in
            let isAllowed = answer.verdict == .allow
            let from = DisplayText.clean(answer.from)
            let to = DisplayText.clean(answer.to)
            var text = "\(from) -> \(to) \(DisplayText.clean(answer.port)): "
            text += style.paint(isAllowed ? "allowed" : "denied", isAllowed ? .good : .bad) + "\n"
            text += "  decided by  \(DisplayText.clean(answer.rule))\n"
            for end in answer.ends {
                var line = "  \(end.role)  in \(DisplayText.clean(end.cluster))"
                switch end.agrees {
                case .some(true): line += ", which has the same policies in force"
                case .some(false): line += ", which does not decide the same"
                case nil: break
                }
                if let note = end.note { line += " (\(DisplayText.clean(note)))" }
                text += line + "\n"
            }
            if !answer.passed.isEmpty {
                text += "  before it, these do not match:\n"
                if answer.unnamed > 0 { text += "    (\(answer.unnamed) more)\n" }
                for passed in answer.passed {
                    text +=
                        "    \(DisplayText.clean(passed.policy)): "
                        + "\(DisplayText.clean(passed.reason))\n"
                }
            }
            return text
        }.joined(separator: "\n")
    }

    static func dryRun(_ reply: PolicyDryRunReply, withCuts: Bool, style: Style) -> String {
        var text = ""
        if reply.changes.isEmpty {
            text += "Nothing changes for the endpoints that there are.\n"
        } else {
            var table = Table([
                .init("FROM"), .init("TO"), .init("FROM PORT ON"), .init("BECOMES"), .init("BY"),
            ])
            for change in reply.changes {
                let isAllowed = change.verdict == .allow
                table.rows.append([
                    .init(DisplayText.clean(change.from)), .init(DisplayText.clean(change.to)),
                    .init(DisplayText.clean(change.port)),
                    .init(
                        (isAllowed ? "allowed" : "denied") + (change.isPartial ? " (some)" : ""),
                        isAllowed ? .good : .bad),
                    .init(DisplayText.clean(change.rule)),
                ])
            }
            text += table.text(style: style)
        }
        if withCuts {
            if reply.cuts.isEmpty {
                text += "\nNo connection that is alive would be cut.\n"
            } else {
                text += "\nConnections that are alive and would be cut:\n"
                var table = Table([.init("FROM"), .init("TO"), .init("PORT"), .init("BY")])
                for cut in reply.cuts {
                    table.rows.append([
                        .init(DisplayText.clean(cut.from)), .init(DisplayText.clean(cut.to)),
                        .init(DisplayText.clean(cut.port)), .init(DisplayText.clean(cut.rule)),
                    ])
                }
                text += table.text(indent: 2, style: style)
            }
        }
        if reply.isCutOff { text += "\nThere is more than is shown.\n" }
        for warning in reply.warnings { text += "warning: \(DisplayText.clean(warning))\n" }
        return text
    }
}
