import AdminAPI

/// `slicectl status`: a report as text, what is wrong first.
package enum StatusView {
    package static func text(_ report: StatusReport, style: Style = .plain) -> String {
        let daemon = report.daemon
        var text = "gateway of cluster \(style.paint(DisplayText.clean(daemon.cluster), .strong)), "
        text += "version \(DisplayText.clean(daemon.version)), process \(daemon.processID), up "
        text += Units.duration(Double(daemon.uptimeSeconds))
        if let loaded = daemon.configurationLoadedAt {
            text += ", configuration of \(DisplayText.clean(loaded))"
        }
        text += "\n"
        if let problem = daemon.auditProblem {
            text += self.problem("the audit log is not written: \(problem)", style)
        }
        if report.slices.isEmpty {
            text += "\nno slices: name one in gateway.conf, then run `slicectl reload`\n"
        }
        for slice in report.slices { text += "\n" + self.slice(slice, style) }
        return text
    }

    private static func slice(_ slice: SliceStatus, _ style: Style) -> String {
        var text = "slice \(style.paint(DisplayText.clean(slice.name), .strong)): "
        text += style.paint(slice.state.rawValue, tint(slice.state)) + "\n"
        for problem in problems(of: slice) { text += "  " + self.problem(problem, style) }
        // Then nothing else of it is known, and advice would be misleading.
        guard slice.manifestVersion > 0 else { return text + "  no manifest is in force\n" }
        let addresses = slice.addresses.isEmpty ? ["none"] : slice.addresses
        let facts = [
            ("manifest", "version \(slice.manifestVersion), digest \(slice.manifestDigest)"),
            ("isolation", slice.isolation),
            ("address", addresses.joined(separator: ", ")),
            (
                "tunnel",
                "\(slice.interface) in namespace \(slice.routerNamespace), "
                    + "UDP port \(slice.listenPort), MTU \(slice.mtu)"
            ),
            ("public key", slice.publicKey),
        ]
        text += self.facts(facts, style)
        if !slice.peers.isEmpty { text += "\n" + peers(slice.peers, style) }
        text += "\n" + endpoints(slice.endpoints, slice: slice.name, style)
        text += known(of: slice, style)
        if !slice.drops.isEmpty { text += "\n  dropped: " + drops(slice.drops) + "\n" }
        return text
    }

    /// The daemon's own sentences, and what the numbers say where it says nothing of that peer.
    private static func problems(of slice: SliceStatus) -> [String] {
        var problems = slice.allProblems
        for peer in slice.peers {
            guard let problem = PeerView(peer).problem else { continue }
            if !slice.problems.contains(where: { mentions($0, peer.cluster) }) {
                problems.append(problem)
            }
        }
        return problems
    }

    private static func mentions(_ sentence: String, _ name: String) -> Bool {
        sentence.split { !($0.isLetter || $0.isNumber || $0 == "-") }.contains { $0 == name }
    }

    static func problem(_ sentence: String, _ style: Style) -> String {
        style.paint("!", .bad) + " \(DisplayText.clean(sentence))\n"
    }

    static func facts(_ facts: [(String, String)], _ style: Style, indent: Int = 2) -> String {
        let width = facts.map { DisplayText.width($0.0) }.max() ?? 0
        return facts.map { name, value in
            let room = String(repeating: " ", count: width - DisplayText.width(name) + 2)
            return String(repeating: " ", count: indent) + style.paint(name, .dim) + room
                + DisplayText.clean(value) + "\n"
        }.joined()
    }

    private static func peers(_ peers: [PeerReport], _ style: Style) -> String {
        var table = Table([
            .init("PEER"), .init("ENDPOINT"), .init("HANDSHAKE"), .init("RTT", .right),
            .init("RECEIVED (PACKETS)", .right), .init("SENT (PACKETS)", .right),
            .init("WAITING", .right), .init("CIPHER"),
        ])
        for peer in peers {
            let view = PeerView(peer)
            table.rows.append([
                Table.Cell(peer.cluster), view.place, view.handshake, view.roundTrip,
                traffic(peer.traffic.receivedBytes, peer.traffic.receivedPackets),
                traffic(peer.traffic.transmittedBytes, peer.traffic.transmittedPackets),
                peer.stagedPackets > 0 ? Table.Cell("\(peer.stagedPackets)", .warning) : "",
                view.cipher,
            ])
        }
        return table.text(indent: 2, style: style)
    }

    private static func endpoints(
        _ endpoints: [EndpointReport], slice: String, _ style: Style
    ) -> String {
        guard !endpoints.isEmpty else {
            return "  no endpoint is attached: slicectl attach \(DisplayText.clean(slice)) "
                + "NAMESPACE/NAME --netns NETNS\n"
        }
        var table = Table([
            .init("ENDPOINT"), .init("STATE"), .init("ADDRESSES"), .init("WHERE"),
            .init("INTERFACE"), .init("RECEIVED (PACKETS)", .right),
            .init("SENT (PACKETS)", .right),
        ])
        for endpoint in endpoints {
            table.rows.append([
                Table.Cell("\(endpoint.namespace)/\(endpoint.name)"),
                Table.Cell(endpoint.state.rawValue, tint(endpoint.state)),
                Table.Cell(endpoint.addresses.joined(separator: ", ")),
                Table.Cell("\(endpoint.kind.rawValue) \(endpoint.target)"),
                Table.Cell(endpoint.interface),
                traffic(endpoint.traffic.receivedBytes, endpoint.traffic.receivedPackets),
                traffic(endpoint.traffic.transmittedBytes, endpoint.traffic.transmittedPackets),
            ])
        }
        return table.text(indent: 2, style: style)
    }

    private static func traffic(_ bytes: UInt64, _ packets: UInt64) -> Table.Cell {
        if bytes == 0, packets == 0 { return Table.Cell("-", .dim) }
        // Who counts no packets says so with 0 beside bytes.
        if packets == 0 { return Table.Cell(Units.bytes(bytes)) }
        return Table.Cell("\(Units.bytes(bytes)) (\(Units.count(packets)))")
    }

    /// The most frequent first; equals by name.
    private static func drops(_ drops: [String: UInt64]) -> String {
        drops.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Units.count($0.value)) \(words(DisplayText.clean($0.key)))" }
            .joined(separator: ", ")
    }

    /// `spoofedSource` becomes `spoofed source`.
    private static func words(_ name: String) -> String {
        name.reduce(into: "") { text, character in
            text += character.isUppercase ? " \(character.lowercased())" : String(character)
        }
    }

    static func tint(_ state: HealthState) -> Style.Tint {
        switch state {
        case .up: .good
        case .degraded, .starting, .stopping: .warning
        case .down: .bad
        }
    }
}
