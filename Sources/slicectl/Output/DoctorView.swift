import AdminAPI

/// `slicectl doctor`: what fails first, then what may, then what is well.
package enum DoctorView {
    package static func text(
        _ report: DoctorReport, source: String, style: Style = .plain
    ) -> String {
        var text = "\(source)\n\n"
        for verdict in [DoctorReport.Verdict.fail, .warn, .ok] {
            let checks = report.checks.filter { $0.verdict == verdict }
            let width = report.checks.map { DisplayText.width(DisplayText.clean($0.name)) }.max()
            for check in checks { text += line(check, width ?? 0, style) }
        }
        return text + "\n" + summary(report, style) + "\n"
    }

    private static func line(
        _ check: DoctorReport.Check, _ width: Int, _ style: Style
    ) -> String {
        let (mark, tint): (String, Style.Tint) =
            switch check.verdict {
            case .ok: ("ok  ", .good)
            case .warn: ("warn", .warning)
            case .fail: ("FAIL", .bad)
            }
        let name = DisplayText.clean(check.name)
        let room = String(repeating: " ", count: width - DisplayText.width(name))
        var text = "\(style.paint(mark, tint))  \(name)\(room)  \(DisplayText.clean(check.seen))\n"
        if let advice = check.advice {
            text += String(repeating: " ", count: width + 8) + "-> \(DisplayText.clean(advice))\n"
        }
        return text
    }

    private static func summary(_ report: DoctorReport, _ style: Style) -> String {
        let failed = report.checks.count { $0.verdict == .fail }
        let warned = report.checks.count { $0.verdict == .warn }
        if failed == 0, warned == 0 {
            return style.paint("all \(report.checks.count) checks are well", .good)
        }
        var parts: [String] = []
        if failed > 0 { parts.append(style.paint("\(failed) failed", .bad)) }
        if warned > 0 {
            parts.append(style.paint(warned == 1 ? "1 warning" : "\(warned) warnings", .warning))
        }
        parts.append("\(report.checks.count - failed - warned) are well")
        return parts.joined(separator: ", ")
    }
}
