import SliceModel

/// How far away clusters are, for the order of answers: round trips as they are measured go in,
/// and a steady number comes out. One slow echo must not turn the order of every answer around,
/// nor have a zone made anew.
package struct Distances: Sendable {
    private struct Distance: Sendable {
        /// As TCP smooths it (RFC 6298 section 2): an eighth of each new one.
        var smoothed: UInt64
        var told: UInt64
    }

    private var distances: [ClusterName: Distance] = [:]

    package init() {}

    /// What to give to a `NameTable`; nil if it was never measured.
    package func rttMicroseconds(_ cluster: ClusterName) -> UInt64? { distances[cluster]?.told }

    /// Whether the number that is told has changed: by more than a fifth, and more than 0.2 ms.
    package mutating func measured(_ cluster: ClusterName, rttMicroseconds: UInt64) -> Bool {
        // A day is far enough for arithmetic, too.
        let rtt = min(rttMicroseconds, 86_400_000_000)
        guard var distance = distances[cluster] else {
            distances[cluster] = Distance(smoothed: rtt, told: rtt)
            return true
        }
        distance.smoothed = (distance.smoothed * 7 + rtt) / 8
        let (a, b) = (distance.smoothed, distance.told)
        let difference = a > b ? a - b : b - a
        let isNews = difference > 200 && difference * 5 > b
        if isNews { distance.told = distance.smoothed }
        distances[cluster] = distance
        return isNews
    }

    /// Those that are no longer in the slice.
    package mutating func keep(_ clusters: Set<ClusterName>) {
        distances = distances.filter { clusters.contains($0.key) }
    }
}
