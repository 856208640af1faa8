import AdminAPI
import SliceAudit

/// What a walk over an audit log has found.
package struct AuditVerifyView {
    package struct Document: Encodable {
        struct Problem: Encodable {
            var reason: String
            var file: String
            var line: Int
            var message: String
        }
        var intact: Bool
        var files: [String]
        var entries: UInt64
        var first: UInt64?
        var firstFile: UInt64?
        var head: String?
        var log: String?
        var repairs: UInt64
        var lost: UInt64
        var omitted: UInt64
        var problem: Problem?
    }

    private let files: [String]
    private let report: AuditReport

    package init(files: [String], report: AuditReport) {
        self.files = files
        self.report = report
    }

    private func name(_ problem: AuditBreak) -> String {
        files.indices.contains(problem.file) ? files[problem.file] : files.last ?? ""
    }

    package var document: Document {
        Document(
            intact: report.problem == nil, files: files, entries: report.entries,
            first: report.first, firstFile: report.firstFile,
            head: report.head.map { "\($0)" }, log: report.id,
            repairs: report.repairs, lost: report.lost, omitted: report.omitted,
            problem: report.problem.map {
                Document.Problem(
                    reason: $0.reason.rawValue, file: name($0), line: $0.line, message: $0.detail)
            })
    }

    package func text(style: Style = .plain) -> String {
        var text = ""
        if let problem = report.problem {
            let place = problem.line > 0 ? "\(name(problem)):\(problem.line)" : name(problem)
            text += "\(style.paint("broken:", .bad)) \(DisplayText.clean("\(place): \(problem)"))\n"
            text += "  \(Units.count(report.entries, "line")) before it in order\n"
        } else {
            text += "\(style.paint("intact:", .good)) \(entries), "
            text += "\(Units.count(UInt64(files.count), "file"))\n"
        }
        if let first = report.first, first > 0 {
            let file = report.firstFile.map { "file \($0) of the log, " } ?? ""
            text += "  begins with \(file)entry \(first): older ones are not kept here\n"
        }
        if report.repairs > 0 {
            text +=
                "  the writer was cut off \(Units.count(report.repairs, "time")), and noted it\n"
        }
        if report.lost > 0 {
            text += "  \(Units.count(report.lost, "event")) the log says are not in it\n"
        }
        if report.omitted > 0 {
            text += "  \(Units.count(report.omitted, "refusal")) the log says it left out\n"
        }
        if let head = report.head, report.problem == nil { text += "  head \(head)\n" }
        return text
    }

    private var entries: String {
        report.entries == 1 ? "1 entry" : "\(Units.count(report.entries)) entries"
    }
}

/// Entries as a table.
package struct AuditShowView {
    package struct Document: Encodable {
        struct Entry: Encodable {
            var sequence: UInt64
            var time: String
            var kind: String
            var slice: String
            var cluster: String
            var subject: String
            var reason: String
            var count: UInt64
        }
        var entries: [Entry]
        var unreadable: UInt64
    }

    private let entries: [AuditEntry]
    private let unreadable: UInt64

    package init(entries: [AuditEntry], unreadable: UInt64) {
        self.entries = entries
        self.unreadable = unreadable
    }

    package var document: Document {
        Document(
            entries: entries.map { entry in
                let event = entry.event
                return Document.Entry(
                    sequence: entry.sequence, time: AuditTime.text(event.time),
                    kind: event.kind.word, slice: event.slice, cluster: event.cluster,
                    subject: event.subject, reason: event.reason, count: event.count)
            }, unreadable: unreadable)
    }

    package func text(style: Style = .plain) -> String {
        var table = Table([
            .init("ENTRY", .right), .init("TIME"), .init("SLICE"), .init("WHAT"),
            .init("TIMES", .right), .init("SUBJECT"), .init("REASON"),
        ])
        table.rows = entries.map { entry in
            let event = entry.event
            return [
                .init("\(entry.sequence)", .dim), .init(AuditTime.text(event.time)),
                .init(event.slice), .init(event.kind.word, tint(event.kind)),
                .init(event.count > 1 ? "\(event.count)" : ""), .init(event.subject),
                .init(event.reason),
            ]
        }
        var text = entries.isEmpty ? "no entries\n" : table.text(style: style)
        if unreadable > 0 {
            text += "\(Units.count(unreadable, "line")) could not be read: "
            text += "run `slicectl audit verify`\n"
        }
        return text
    }

    private func tint(_ kind: AuditEvent.Kind) -> Style.Tint {
        if AuditEvent.Kind.refusals.contains(kind) { return .warning }
        return kind == .lost || kind == .omitted ? .bad : .plain
    }
}
