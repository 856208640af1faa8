import AdminAPI
import Glibc
import StatusPages
import Testing

@Suite struct StatusPageTests {
    private let page = StatusPage.text(StatusSamples.report, nonce: "abc")

    @Test func metrics() throws {
        #expect(GatewayMetrics.text(StatusSamples.report) == (try golden("metrics")))
    }

    @Test func metricsAreEscaped() {
        var report = StatusSamples.report
        report.daemon.cluster = "a\"b\\c\nd"
        report.slices[0].peers[0].rttMilliseconds = .nan
        report.slices[0].peers[1].rttMilliseconds = .infinity
        let text = GatewayMetrics.text(report)
        #expect(text.contains(#"slice_gateway_uptime_seconds{cluster="a\"b\\c\nd"} 93784"#))
        #expect(text.contains("peer=\"central\"} NaN\n"))
        #expect(text.contains("peer=\"east\"} +Inf\n"))
    }

    /// What the text format asks for: a family stands together, after its two lines.
    @Test func metricsOfSeveralSlicesStandTogether() {
        var report = StatusSamples.report
        report.slices.append(report.slices[0])
        report.slices[1].name = "other"
        var families: [Substring] = []
        for line in GatewayMetrics.text(report).split(separator: "\n") {
            if line.hasPrefix("# HELP") {
                families.append(line.split(separator: " ")[2])
            } else if !line.hasPrefix("#") {
                #expect(line.prefix { $0 != "{" && $0 != " " } == families.last)
            }
        }
        #expect(Set(families).count == families.count)
        #expect(families.allSatisfy { $0.hasPrefix("slice_gateway_") })
    }

    @Test func thePageAsksForNothingElse() {
        let text = page
        #expect(text.hasPrefix("<!DOCTYPE html>\n"))
        for word in ["src=", "@import", "url(", "http://", "https://", "style=\"", " onclick"] {
            // The icon's XML namespace is a name, not a place.
            let rest = text.split(separator: "http://www.w3.org/2000/svg").joined()
            #expect(!rest.contains(word), "\(word)")
        }
        #expect(text.contains("<script nonce=\"abc\">"))
        #expect(text.contains("<style nonce=\"abc\">"))
        #expect(text.contains("prefers-color-scheme:dark"))
        let policy = StatusPage.contentSecurityPolicy(nonce: "abc")
        #expect(policy.hasPrefix("default-src 'none'; script-src 'nonce-abc'; "))
        #expect(!policy.contains("unsafe"))
    }

    @Test func thePageSaysItWithoutScript() {
        let text = page
        for words in [
            "no session with east: 198.51.100.7:51820 does not answer",
            "endpoint kafka/broker-2: process 4711 has ended",
            "east has an older manifest: version 6, here 7", "apps/checkout", "kafka-clients",
            "applications reach brokers", "18,204", "spoofed source", "3 of 5", "20.4 ms",
            "audit log: 214 entries", "answers NXDOMAIN", "strict isolation",
        ] {
            #expect(text.contains(words), "\(words)")
        }
    }

    @Test func theMapHasAllOfThem() {
        let map = page.split(separator: "<svg class=\"map\"")[1].split(separator: "</svg>")[0]
        #expect(count("class=\"link good\"", in: map) == 1)
        #expect(count("class=\"link bad\"", in: map) == 1)
        #expect(count("class=\"node ", in: map) == 3)
        // Five of our own, nine and four that the directory knows.
        #expect(count("class=\"dot ", in: map) == 18)
        #expect(count("class=\"dot bad\"", in: map) == 1)
        #expect(map.contains(">no session</text>"))
        #expect(map.contains(">20.4 ms</text>"))
        #expect(map.contains("aria-label=\"Map of slice payments\""))
    }

    @Test(arguments: [0, 1, 2, 3, 4, 7, 40, 41, 300])
    func aMapOfAnySize(peers: Int) {
        var report = StatusSamples.report
        report.slices[0].peers = (0..<peers).map {
            PeerReport(cluster: "cluster-with-a-rather-long-name-\($0)", publicKey: "K")
        }
        let text = StatusPage.text(report, nonce: "n")
        #expect(count("class=\"link ", in: text[...]) == min(peers, 40))
        #expect(text.contains("and \(peers - 40) more, see below") == (peers > 40))
        #expect(!text.contains("\"nan\"") && !text.contains("\"inf\""))
        #expect(unbalanced(text) == nil)
    }

    @Test func everythingFromTheStatusIsEscaped() {
        let evil = #"</title><script>alert("1")</script><b x='&"#
        var slice = StatusSamples.report.slices[0]
        slice.name = evil
        slice.isolation = evil
        slice.manifestDigest = evil
        slice.policyDigest = evil
        slice.interface = evil
        slice.addresses = [evil]
        slice.problems = [evil]
        slice.drops = [evil: 1]
        slice.peers[0].cluster = evil
        slice.peers[0].endpoint = evil
        slice.endpoints[0] = EndpointReport(
            namespace: evil, name: evil, kind: .path, target: evil, addresses: [evil],
            problems: [evil], labels: [evil: evil])
        slice.policies = [PolicyReport(name: evil, description: evil, action: evil, decided: 1)]
        slice.directory = [DirectoryPeerReport(cluster: evil, state: .fresh, problems: [evil])]
        slice.services = [
            ServiceReport(
                namespace: evil, name: evil, ports: [evil],
                members: [
                    ServiceMemberReport(cluster: evil, endpoint: evil, addresses: [evil])
                ])
        ]
        slice.names = NamesReport(queries: [evil: 1], responses: [evil: 1])
        let report = StatusReport(
            daemon: DaemonStatus(
                version: evil, cluster: evil, processID: 1, uptimeSeconds: 1,
                configurationLoadedAt: evil, auditEntries: 1, auditProblem: evil),
            slices: [slice])
        let text = StatusPage.text(report, nonce: "n")
        #expect(count("<script", in: text[...]) == 1)
        #expect(!text.contains("<b x"))
        #expect(!text.contains("alert(\"1\")"))
        #expect(text.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"))
        #expect(unbalanced(text) == nil)
    }

    @Test func namesCannotHideWhatTheyAre() {
        var report = StatusSamples.report
        report.slices[0].peers[0].cluster = "a\u{202e}b\u{0}c\nd"
        let text = StatusPage.text(report, nonce: "n")
        #expect(text.contains("a\u{fffd}b\u{fffd}c d"))
    }

    @Test func aPageOfLittle() {
        var report = StatusSamples.report
        report.slices = []
        #expect(StatusPage.text(report, nonce: "n").contains("slicectl reload"))
        report.slices = [
            SliceStatus(
                name: "s", manifestVersion: 0, manifestDigest: "", interface: "",
                routerNamespace: "", publicKey: "", listenPort: 0, mtu: 0, isolation: "",
                state: .down, problems: ["cannot open s.yaml"])
        ]
        let text = StatusPage.text(report, nonce: "n")
        #expect(text.contains("No manifest is in force."))
        #expect(text.contains("<li>cannot open s.yaml</li>"))
        #expect(!text.contains("<table"))
        #expect(unbalanced(text) == nil)
    }

    @Test func elementsAreBalanced() { #expect(unbalanced(page) == nil) }

    private func count(_ word: String, in text: Substring) -> Int {
        text.split(separator: word, omittingEmptySubsequences: false).count - 1
    }

    /// The first tag that closes what is not open, or what is open at the end.
    private func unbalanced(_ text: String) -> String? {
        var open: [Substring] = []
        // The script is no markup.
        var parts = text.split(separator: "<script nonce=\"")
        if parts.count == 2, let end = parts[1].firstRange(of: "</script>") {
            parts[1] = parts[1][end.upperBound...]
        }
        for piece in parts.joined().split(separator: "<").dropFirst() {
            guard let end = piece.firstIndex(of: ">") else { return "<\(piece)" }
            let tag = piece[..<end]
            let name = tag.prefix { $0.isLetter || $0.isNumber }
            if tag.first == "/" {
                guard open.popLast() == tag.dropFirst() else { return "\(open) <\(tag)>" }
            } else if !["meta", "link"].contains(name), tag.last != "/" {
                open.append(name)
            }
        }
        return open.isEmpty ? nil : "\(open)"
    }
}

/// What a program should read, in a file of its own.
private func golden(_ name: String, source: String = #filePath) throws -> String {
    let tests = source.split(separator: "/").dropLast(2).joined(separator: "/")
    let file = try #require(fopen("/\(tests)/Golden/Gateway/\(name).txt", "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
}
