import AdminAPI

/// One slice as a drawing: this gateway in the middle, the others around it, sessions as lines,
/// endpoints as dots. It says nothing that the tables do not say.
enum StatusMap {
    /// More dots than this would touch one another.
    private static let maximumDots = 32

    static func svg(_ slice: SliceStatus, cluster: String) -> HTML {
        let peers = Array(slice.peers.prefix(MapGeometry.maximumPeers))
        let geometry = MapGeometry(peers: peers.count)
        let lines = zip(peers, geometry.peers).map { link($0, at: $1, geometry, slice) }
        let nodes = zip(peers, geometry.peers).map { node($0, at: $1, slice) }
        let omitted = slice.peers.count - peers.count
        let note: HTML =
            omitted > 0
            ? "<text class=\"note\" x=\"12\" y=\"22\">and \(omitted) more, see below</text>"
            : ""
        return """
            <svg class="map" role="img" aria-label="Map of slice \(slice.name)" \
            viewBox="0 0 \(number(geometry.width)) \(number(geometry.height))">
            \(lines)\(nodes)\(hub(slice, cluster, geometry.centre))\(note)
            </svg>

            """
    }

    private static func link(
        _ peer: PeerReport, at place: MapGeometry.Point, _ geometry: MapGeometry,
        _ slice: SliceStatus
    ) -> HTML {
        let health = PeerHealth(peer, in: slice)
        let from = MapGeometry.step(geometry.centre, place, MapGeometry.hubRadius + 14)
        let to = MapGeometry.step(place, geometry.centre, MapGeometry.nodeRadius + 14)
        let middle = MapGeometry.Point(x: (from.x + to.x) / 2, y: (from.y + to.y) / 2)
        let width = Double(health.label.count) * 7.4 + 24
        return """
            <g class="link \(health.tone)"><title>\(peer.cluster): \(health.sentence)</title>
            <line x1="\(number(from.x))" y1="\(number(from.y))" x2="\(number(to.x))" \
            y2="\(number(to.y))"/>
            <rect x="\(number(middle.x - width / 2))" y="\(number(middle.y - 12))" \
            width="\(number(width))" height="24" rx="12"/>
            <text x="\(number(middle.x))" y="\(number(middle.y + 4.5))">\(health.label)</text></g>

            """
    }

    private static func node(
        _ peer: PeerReport, at place: MapGeometry.Point, _ slice: SliceStatus
    ) -> HTML {
        let known = slice.directory?.first { $0.cluster == peer.cluster }
        let tone: Tone =
            switch known?.state {
            case .fresh: .good
            case .stale: .warn
            case .absent: .bad
            case nil: .idle
            }
        let below =
            switch known?.state {
            case nil: ""
            case .absent: "directory: nothing known"
            case .stale: "directory: stale"
            case .fresh:
                known.map { Units.count(UInt64($0.services), "service") } ?? ""
            }
        let dots = (0..<max(0, known?.endpoints ?? 0)).prefix(maximumDots).map { _ in
            Dot(tone: tone, title: nil)
        }
        return circle(
            Circle(
                centre: place, radius: MapGeometry.nodeRadius, kind: "peer",
                tone: PeerHealth(peer, in: slice).tone,
                count: known?.state == .absent ? nil : known?.endpoints, dots: dots,
                name: peer.cluster, below: below))
    }

    private static func hub(
        _ slice: SliceStatus, _ cluster: String, _ place: MapGeometry.Point
    ) -> HTML {
        let dots = slice.endpoints.prefix(maximumDots).map { endpoint in
            Dot(
                tone: Tone(endpoint.state),
                title: "\(endpoint.namespace)/\(endpoint.name), "
                    + "\(endpoint.addresses.joined(separator: ", ")): \(endpoint.state.rawValue)")
        }
        return circle(
            Circle(
                centre: place, radius: MapGeometry.hubRadius, kind: "hub", tone: Tone(slice.state),
                count: slice.endpoints.count, dots: dots, name: cluster, below: "this gateway"))
    }

    private struct Dot {
        var tone: Tone
        var title: String?
    }

    private struct Circle {
        var centre: MapGeometry.Point
        var radius: Double
        var kind: HTML
        var tone: Tone
        var count: Int?
        var dots: [Dot]
        var name: String
        var below: String
    }

    private static func circle(_ circle: Circle) -> HTML {
        let (centre, radius) = (circle.centre, circle.radius)
        let size = 4.2
        // They begin on top, side by side, and go round both ways.
        let pitch = min(1 / Double(max(1, circle.dots.count)), 0.028 * 54 / radius)
        let first = -0.25 - pitch * Double(circle.dots.count - 1) / 2
        let dots = circle.dots.enumerated().map { index, dot -> HTML in
            let turn = MapGeometry.onCircle(first + pitch * Double(index))
            let title: HTML = dot.title.map { "<title>\($0)</title>" } ?? ""
            return """
                <circle class="dot \(dot.tone)" cx="\(number(centre.x + (radius + 9) * turn.x))" \
                cy="\(number(centre.y + (radius + 9) * turn.y))" \
                r="\(number(size))">\(title)</circle>
                """
        }
        let inside: HTML =
            circle.count.map { count in
                """
                <text class="count" x="\(number(centre.x))" y="\(number(centre.y + 4))">\(count)\
                </text><text class="unit" x="\(number(centre.x))" y="\(number(centre.y + 19))">\
                endpoint\(count == 1 ? "" : "s")</text>
                """
            } ?? """
                <text class="count" x="\(number(centre.x))" y="\(number(centre.y + 8))">?</text>
                """
        let under = centre.y + radius + 32
        return """
            <g class="node \(circle.kind) \(circle.tone)"><title>\(circle.name)</title>
            <circle class="body" cx="\(number(centre.x))" cy="\(number(centre.y))" \
            r="\(number(radius))"/>\(inside)\(dots)
            <text class="name" x="\(number(centre.x))" y="\(number(under))">\
            \(shortened(circle.name))</text>
            <text class="below" x="\(number(centre.x))" y="\(number(under + 17))">\(circle.below)\
            </text></g>

            """
    }

    private static func shortened(_ name: String) -> String {
        name.count <= 20 ? name : name.prefix(19) + "…"
    }

    private static func number(_ value: Double) -> String { Units.fixed(value, 1) }
}
