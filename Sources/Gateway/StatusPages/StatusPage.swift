import AdminAPI

/// A report as a page for people: one document that asks for nothing else and can be read without
/// its script, which only keeps it fresh.
package enum StatusPage {
    package static let contentType = "text/html; charset=utf-8"

    /// Fits the one script and the one style of the page (Content Security Policy Level 3): were
    /// there a way to put markup into it, that would not run.
    package static func contentSecurityPolicy(nonce: String) -> String {
        "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; "
            + "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            + "frame-ancestors 'none'"
    }

    /// - Parameter nonce: a new word for each reply, which nobody can guess.
    package static func text(_ report: StatusReport, nonce: String) -> String {
        let worst = report.slices.map { Tone($0.state) }.max { rank($0) < rank($1) } ?? .idle
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title(report, worst))</title>
            <link rel="icon" href="\(icon(worst))">
            <noscript><meta http-equiv="refresh" content="10"></noscript>
            <style nonce="\(nonce)">\(PageAssets.style)</style>
            </head>
            <body>
            <p id="lost" role="alert" hidden>The gateway does not answer. This is what it said
            last.</p>
            <main data-title="\(title(report, worst))" data-icon="\(icon(worst))">
            \(header(report.daemon))\(slices(report))</main>
            <footer>Read only. The same for programs: <a href="v1/status">/v1/status</a>,
            <a href="metrics">/metrics</a></footer>
            <script nonce="\(nonce)">\(PageAssets.script)</script>
            </body>
            </html>

            """
        return page.text
    }

    private static func rank(_ tone: Tone) -> Int {
        switch tone {
        case .idle: 0
        case .good: 1
        case .warn: 2
        case .bad: 3
        }
    }

    private static func title(_ report: StatusReport, _ worst: Tone) -> String {
        let mark =
            switch worst {
            case .good, .idle: ""
            case .warn: "! "
            case .bad: "!! "
            }
        return "\(mark)\(report.daemon.cluster) · slice gateway"
    }

    private static func icon(_ tone: Tone) -> String {
        let colour =
            switch tone {
            case .good: "1f9d61"
            case .warn: "d98a00"
            case .bad: "d6404a"
            case .idle: "7a8494"
            }
        return "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
            + "%3Ccircle cx='8' cy='8' r='6' fill='%23\(colour)'/%3E%3C/svg%3E"
    }

    private static func header(_ daemon: DaemonStatus) -> HTML {
        var facts: [HTML] = [
            "<span>version \(daemon.version)</span>",
            "<span>up \(Units.duration(Double(daemon.uptimeSeconds)))</span>",
        ]
        if let loaded = daemon.configurationLoadedAt {
            facts.append("<span>configuration of \(loaded)</span>")
        }
        if let entries = daemon.auditEntries {
            facts.append("<span>audit log: \(counted(entries, "entry", "entries"))</span>")
        }
        let problem: HTML =
            daemon.auditProblem.map { problem in
                """
                <ul class="problems"><li>The audit log is not written: \(problem)</li></ul>

                """
            } ?? ""
        return """
            <header><h1>\(logo)<span>\(daemon.cluster)</span></h1><p>\(facts)</p></header>
            \(problem)
            """
    }

    private static let logo: HTML = """
        <svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><circle cx="16" cy="16" r="5"/>\
        <circle cx="5" cy="7" r="3"/><circle cx="27" cy="7" r="3"/><circle cx="16" cy="29" r="3"/>\
        <path d="M7.5 9 12 12.8M24.5 9 20 12.8M16 21v5"/></svg>
        """

    private static func slices(_ report: StatusReport) -> HTML {
        guard !report.slices.isEmpty else {
            return """
                <section><p class="none">No slices. Name one in gateway.conf, then run
                <code>slicectl reload</code>.</p></section>

                """
        }
        return "\(report.slices.map { slice($0, cluster: report.daemon.cluster) })"
    }

    private static func slice(_ slice: SliceStatus, cluster: String) -> HTML {
        let problems = slice.allProblems.map { "<li>\($0)</li>\n" as HTML }
        let list: HTML = problems.isEmpty ? "" : "<ul class=\"problems\">\(problems)</ul>\n"
        let state = Tone(slice.state)
        let heading: HTML = """
            <h2>\(slice.name) <span class="chip \(state)">\(slice.state.rawValue)</span></h2>
            """
        guard slice.manifestVersion > 0 else {
            return """
                <section><div class="title">\(heading)</div>
                \(list)<p class="none">No manifest is in force.</p></section>

                """
        }
        return """
            <section><div class="title">\(heading)
            <p><span>manifest version \(slice.manifestVersion)</span><span>\(slice.isolation) \
            isolation</span><span>MTU \(slice.mtu)</span><span>UDP port \
            \(slice.listenPort)</span></p>
            </div>
            \(list)<figure>\(StatusMap.svg(slice, cluster: cluster))</figure>
            <div class="tables">
            \(StatusTables.all(slice))</div></section>

            """
    }

    static func counted(_ count: UInt64, _ one: String, _ many: String) -> String {
        "\(Units.count(count)) \(count == 1 ? one : many)"
    }
}
