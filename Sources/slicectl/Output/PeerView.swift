import AdminAPI

/// One peer in words.
struct PeerView {
    /// After this many seconds a session is no longer used (REJECT_AFTER_TIME, WireGuard paper
    /// section 6.1).
    private static let sessionLife = 180.0

    private let peer: PeerReport

    init(_ peer: PeerReport) { self.peer = peer }

    /// What is wrong and what to look at, as a sentence that begins with the cluster's name.
    var problem: String? {
        guard let age = peer.handshakeAgeSeconds else {
            guard let endpoint = peer.endpoint else {
                return "\(peer.cluster): no handshake yet, and no address to call it at: it must "
                    + "call this gateway (persistentKeepalive in its part of the manifest)"
            }
            guard let (host, port) = Self.split(endpoint) else {
                return "\(peer.cluster): no handshake yet: is it open at \(endpoint)?"
            }
            return "\(peer.cluster): no handshake yet: is UDP port \(port) open at \(host)?"
        }
        // An idle tunnel lets its session lapse; only waiting packets make that a fault.
        guard age > Self.sessionLife, !peer.hasSession, peer.stagedPackets > 0 else { return nil }
        let place = peer.endpoint.map { " at \($0)" } ?? ""
        let waiting = Units.count(UInt64(clamping: peer.stagedPackets), "packet")
        return "\(peer.cluster): no answer\(place) for \(Units.duration(age)), \(waiting) waiting"
    }

    var handshake: Table.Cell {
        guard let age = peer.handshakeAgeSeconds else { return Table.Cell("never", .bad) }
        if peer.hasSession { return Table.Cell(Units.ago(age), .good) }
        return Table.Cell(
            "\(Units.ago(age)), idle", problem == nil ? .dim : .warning)
    }

    var roundTrip: Table.Cell {
        peer.rttMilliseconds.map { Table.Cell(Units.milliseconds($0)) } ?? Table.Cell("-", .dim)
    }

    var place: Table.Cell {
        peer.endpoint.map { Table.Cell($0) } ?? Table.Cell("not known", .dim)
    }

    /// Empty where it is WireGuard's own, as nearly everywhere.
    var cipher: Table.Cell { Table.Cell(peer.cipher ?? "") }

    /// `[2001:db8::1]:51820` into what a sentence needs.
    private static func split(_ endpoint: String) -> (host: Substring, port: Substring)? {
        guard let colon = endpoint.lastIndex(of: ":") else { return nil }
        var host = endpoint[..<colon]
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        return (host, endpoint[endpoint.index(after: colon)...])
    }
}

/// `slicectl peers`: all there is to know of each.
package enum PeersView {
    package struct Row: Codable, Equatable, Sendable {
        package var slice: String
        package var peer: PeerReport

        package init(slice: String, peer: PeerReport) {
            self.slice = slice
            self.peer = peer
        }
    }

    package static func text(_ rows: [Row], style: Style = .plain) -> String {
        guard !rows.isEmpty else { return "no peers: no slice has another cluster\n" }
        var table = Table([
            .init("SLICE"), .init("PEER"), .init("ENDPOINT"), .init("HANDSHAKE"),
            .init("RTT", .right), .init("RECEIVED", .right), .init("SENT", .right),
            .init("CIPHER"), .init("ALLOWED IPS"), .init("PUBLIC KEY"),
        ])
        for row in rows {
            let view = PeerView(row.peer)
            table.rows.append([
                Table.Cell(row.slice), Table.Cell(row.peer.cluster), view.place, view.handshake,
                view.roundTrip, Table.Cell(Units.bytes(row.peer.traffic.receivedBytes)),
                Table.Cell(Units.bytes(row.peer.traffic.transmittedBytes)),
                view.cipher, Table.Cell(row.peer.allowedIPs.joined(separator: ", ")),
                Table.Cell(row.peer.publicKey, .dim),
            ])
        }
        let problems = rows.compactMap { row in
            PeerView(row.peer).problem.map { StatusView.problem("\(row.slice): \($0)", style) }
        }
        return problems.joined() + (problems.isEmpty ? "" : "\n") + table.text(style: style)
    }
}
