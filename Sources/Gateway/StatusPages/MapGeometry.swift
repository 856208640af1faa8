/// Where things stand on the map.
struct MapGeometry {
    struct Point: Equatable {
        var x: Double
        var y: Double
    }

    /// More clusters than this would be a blot.
    static let maximumPeers = 40
    static let hubRadius = 54.0
    static let nodeRadius = 38.0

    let width: Double
    let height: Double
    let centre: Point
    let peers: [Point]

    /// This gateway in the middle, the others on an ellipse around it, the wider the more there
    /// are. They begin on the right, or half a step further where one would stand straight above
    /// this gateway. Two clusters stand side by side.
    init(peers count: Int) {
        // Each name below its circle needs some 170 of the ellipse's way round.
        let across = max(330, Double(count) * 170 / 4.9)
        let down: Double = count <= 2 ? 0 : count <= 4 ? 170 : max(250, across * 0.52)
        width = (across + 150) * 2
        height = count <= 2 ? 300 : (down + 100) * 2
        let middle = Point(x: width / 2 - (count == 1 ? across / 2 : 0), y: height / 2 - 10)
        centre = middle
        let start = count % 4 == 0 && count > 0 ? 0.5 / Double(count) : 0
        peers = (0..<count).map { index in
            let turn = Self.onCircle(start + Double(index) / Double(count))
            return Point(x: middle.x + across * turn.x, y: middle.y + down * turn.y)
        }
    }

    /// `distance` from `from` towards `to`.
    static func step(_ from: Point, _ to: Point, _ distance: Double) -> Point {
        let (dx, dy) = (to.x - from.x, to.y - from.y)
        let length = (dx * dx + dy * dy).squareRoot()
        guard length > 0 else { return from }
        return Point(x: from.x + dx / length * distance, y: from.y + dy / length * distance)
    }

    /// The point of the unit circle after so many turns, clockwise on a screen. The series is
    /// good to a hundredth of a pixel: this room has no mathematics library.
    static func onCircle(_ turns: Double) -> Point {
        Point(x: sine(turns + 0.25), y: sine(turns))
    }

    private static func sine(_ turns: Double) -> Double {
        var part = turns - turns.rounded(.down)
        if part > 0.75 { part -= 1 }
        // The sine of a half turn less is the same.
        if part > 0.25 { part = 0.5 - part }
        let x = part * 2 * Double.pi
        let square = x * x
        return x * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))))
    }
}
