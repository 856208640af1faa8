import AdminAPI

/// One slice in tables, each only where there is something to show.
enum StatusTables {
    static func all(_ slice: SliceStatus) -> HTML {
        """
        \(peers(slice))\(endpoints(slice))\(policies(slice))\(directory(slice))\(services(slice))\
        \(drops(slice))\(names(slice))\(facts(slice))
        """
    }

    // MARK: Pieces

    /// `wide` takes the whole width of the page.
    private static func table(
        _ title: String, _ columns: [HTML], _ rows: [HTML], wide: Bool = false
    ) -> HTML {
        guard !rows.isEmpty else { return "" }
        let lines = rows.map { "<tr>\($0)</tr>\n" as HTML }
        let kind: HTML = wide ? " class=\"wide\"" : ""
        return """
            <div\(kind)><h3>\(title)</h3>
            <div class="scroll"><table>
            <thead><tr>\(columns)</tr></thead>
            <tbody>
            \(lines)</tbody></table></div></div>

            """
    }

    private static func head(_ text: String) -> HTML { "<th scope=\"col\">\(text)</th>" }
    private static func figure(_ text: String) -> HTML {
        "<th scope=\"col\" class=\"n\">\(text)</th>"
    }
    private static func name(_ text: String) -> HTML { "<th scope=\"row\">\(text)</th>" }
    private static func cell(_ text: String) -> HTML { "<td>\(text)</td>" }
    private static func cell(_ html: HTML) -> HTML { "<td>\(html)</td>" }
    private static func code(_ text: String) -> HTML { "<td><code>\(text)</code></td>" }
    private static func number(_ text: String) -> HTML { "<td class=\"n\">\(text)</td>" }
    private static func chip(_ text: String, _ tone: Tone) -> HTML {
        "<span class=\"chip \(tone)\">\(text)</span>"
    }

    private static func traffic(_ bytes: UInt64, _ packets: UInt64) -> HTML {
        if bytes == 0, packets == 0 { return "<td class=\"n dim\">–</td>" }
        return
            "<td class=\"n\" title=\"\(Units.count(packets)) packets\">\(Units.bytes(bytes))</td>"
    }

    /// How much of the largest one it is.
    private static func bar(_ value: UInt64, of largest: UInt64, _ tone: Tone) -> HTML {
        guard value > 0, largest > 0 else { return "<td class=\"bar\"></td>" }
        let width = max(1, Double(value) / Double(largest) * 100)
        return """
            <td class="bar"><svg class="\(tone)" viewBox="0 0 100 6" preserveAspectRatio="none" \
            aria-hidden="true"><rect width="\(Units.fixed(width, 1))" height="6"/></svg></td>
            """
    }

    // MARK: Who is there

    private static func peers(_ slice: SliceStatus) -> HTML {
        table(
            "Gateways",
            [
                head("cluster"), head("session"), head("underlay"), figure("handshake"),
                figure("round trip"), figure("received"), figure("sent"), figure("waiting"),
            ],
            slice.peers.map { peer in
                let health = PeerHealth(peer, in: slice)
                let session = peer.hasSession ? "session" : health.label
                return """
                    \(name(peer.cluster))\(cell(chip(session, health.tone)))\
                    \(code(peer.endpoint ?? "not known"))\
                    \(number(peer.handshakeAgeSeconds.map(Units.ago) ?? "never"))\
                    \(number(peer.rttMilliseconds.map(Units.milliseconds) ?? "–"))\
                    \(traffic(peer.traffic.receivedBytes, peer.traffic.receivedPackets))\
                    \(traffic(peer.traffic.transmittedBytes, peer.traffic.transmittedPackets))\
                    \(number(peer.stagedPackets > 0 ? "\(peer.stagedPackets)" : "–"))
                    """
            }, wide: true)
    }

    private static func endpoints(_ slice: SliceStatus) -> HTML {
        table(
            "Endpoints",
            [
                head("endpoint"), head("state"), head("addresses"), head("where"), head("labels"),
                figure("received"), figure("sent"),
            ],
            slice.endpoints.map { endpoint in
                let labels = (endpoint.labels ?? [:]).sorted { $0.key < $1.key }
                    .map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
                let traffic = endpoint.traffic
                let place = "\(endpoint.kind.rawValue) \(endpoint.target)"
                return """
                    \(name("\(endpoint.namespace)/\(endpoint.name)"))\
                    \(cell(chip(endpoint.state.rawValue, Tone(endpoint.state))))\
                    \(code(endpoint.addresses.joined(separator: ", ")))\(cell(place))\
                    \(cell(labels))\
                    \(self.traffic(traffic.receivedBytes, traffic.receivedPackets))\
                    \(self.traffic(traffic.transmittedBytes, traffic.transmittedPackets))
                    """
            }, wide: true)
    }

    // MARK: What is decided

    private static func policies(_ slice: SliceStatus) -> HTML {
        let policies = slice.policies ?? []
        let largest = policies.map(\.decided).max() ?? 0
        return table(
            "Policies, the first that matches decides",
            [head("policy"), head("action"), figure("decided"), head("")],
            policies.map { policy in
                let tone: Tone = policy.action == "deny" ? .warn : .good
                let about: HTML = policy.description.map { "<small>\($0)</small>" } ?? ""
                return """
                    <th scope="row">\(policy.name)\(about)</th>\(cell(chip(policy.action, tone)))\
                    \(number(policy.decided > 0 ? Units.count(policy.decided) : "–"))\
                    \(bar(policy.decided, of: largest, tone))
                    """
            })
    }

    private static func drops(_ slice: SliceStatus) -> HTML {
        let drops = slice.drops.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return table(
            "Dropped packets", [head("reason"), figure("packets"), head("")],
            drops.map { reason, count in
                """
                \(name(words(reason)))\(number(Units.count(count)))\
                \(bar(count, of: drops[0].value, .warn))
                """
            })
    }

    /// `spoofedSource` becomes `spoofed source`.
    private static func words(_ name: String) -> String {
        name.reduce(into: "") { text, character in
            text += character.isUppercase ? " \(character.lowercased())" : String(character)
        }
    }

    // MARK: What is known

    private static func directory(_ slice: SliceStatus) -> HTML {
        table(
            "Directory of the other clusters",
            [
                head("cluster"), head("state"), figure("heard"), figure("endpoints"),
                figure("services"), figure("manifest"),
            ],
            (slice.directory ?? []).map { peer in
                let tone: Tone =
                    switch peer.state {
                    case .fresh: .good
                    case .stale: .warn
                    case .absent: .bad
                    }
                return """
                    \(name(peer.cluster))\(cell(chip(peer.state.rawValue, tone)))\
                    \(number(peer.ageSeconds.map(Units.ago) ?? "never"))\
                    \(number("\(peer.endpoints)"))\(number("\(peer.services)"))\
                    \(number(peer.manifestVersion.map { "version \($0)" } ?? "–"))
                    """
            })
    }

    private static func services(_ slice: SliceStatus) -> HTML {
        table(
            "Services",
            [
                head("service"), head("ports"), head("offered by"), figure("healthy"),
                head("members"),
            ],
            (slice.services ?? []).map { service in
                let members = service.members.map { member -> HTML in
                    let tone: Tone = !member.healthy ? .bad : member.stale ? .warn : .good
                    let state = !member.healthy ? "unhealthy" : member.stale ? "stale" : "healthy"
                    let addresses = member.addresses.joined(separator: ", ")
                    return """
                        <span class="member \(tone)" title="\(addresses): \(state)">\
                        \(member.endpoint)<small>\(member.cluster)</small></span>
                        """
                }
                let healthy = service.members.count { $0.healthy && !$0.stale }
                return """
                    \(name("\(service.namespace)/\(service.name)"))\
                    \(cell(service.ports.joined(separator: ", ")))\
                    \(cell(service.clusters.joined(separator: ", ")))\
                    \(number("\(healthy) of \(service.members.count)"))\
                    <td class="members">\(members)</td>
                    """
            }, wide: true)
    }

    private static func names(_ slice: SliceStatus) -> HTML {
        guard let names = slice.names else { return "" }
        var rows: [(String, UInt64)] = []
        rows += names.queries.sorted { $0.key < $1.key }.map { ("queries for \($0.key)", $0.value) }
        rows += names.responses.sorted { $0.key < $1.key }.map { ("answers \($0.key)", $0.value) }
        rows.append(("asked elsewhere", names.forwarded))
        rows.append(("dropped", names.dropped))
        return table(
            "Names", [head("what"), figure("count")],
            rows.filter { $0.1 > 0 }.map { "\(name($0.0))\(number(Units.count($0.1)))" })
    }

    private static func facts(_ slice: SliceStatus) -> HTML {
        let facts = [
            ("addresses", slice.addresses.joined(separator: ", ")),
            ("tunnel", "\(slice.interface) in namespace \(slice.routerNamespace)"),
            ("public key", slice.publicKey),
            ("manifest", slice.manifestDigest),
            ("policies", slice.policyDigest ?? ""),
        ]
        return table(
            "This gateway", [head("what"), head("value")],
            facts.filter { !$0.1.isEmpty }
                .map { "\(name($0.0))<td class=\"long\"><code>\($0.1)</code></td>" },
            wide: true)
    }
}
