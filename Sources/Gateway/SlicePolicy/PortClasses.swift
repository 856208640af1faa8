import SliceModel

/// The ports of one transport, cut at every place where some policy begins or ends: two ports of
/// one class are the same to all of them. So a port is looked up once, however many policies
/// there are.
struct PortClasses: Hashable, Sendable {
    struct Interval: Hashable, Sendable {
        var ports: ClosedRange<UInt16>
        var id: UInt32
    }

    /// In order; what lies between them is nobody's.
    private(set) var intervals: [Interval] = []

    /// Whole ranges (`tcp`) are no cut: they are decided by the transport.
    static let everything: ClosedRange<UInt16> = 0...65535

    init() {}

    /// - Parameter firstID: ids count up from here.
    init(_ ranges: Set<ClosedRange<UInt16>>, firstID: UInt32) {
        // +1 where one begins, -1 behind its end.
        var changes: [Int: Int] = [:]
        for range in ranges where range != Self.everything {
            changes[Int(range.lowerBound), default: 0] += 1
            changes[Int(range.upperBound) + 1, default: 0] -= 1
        }
        var (depth, begin, next) = (0, 0, firstID)
        for (place, change) in changes.sorted(by: { $0.key < $1.key }) {
            if depth > 0 {
                intervals.append(
                    Interval(ports: UInt16(begin)...UInt16(place - 1), id: next))
                next += 1
            }
            depth += change
            begin = place
        }
    }

    /// Every port is in one of these, those that are nobody's under `other`.
    func covering(other: UInt32) -> [Interval] {
        var all: [Interval] = []
        var next = 0
        for interval in intervals {
            let (low, high) = (Int(interval.ports.lowerBound), Int(interval.ports.upperBound))
            if low > next { all.append(Interval(ports: UInt16(next)...UInt16(low - 1), id: other)) }
            all.append(interval)
            next = high + 1
        }
        if next < 65536 { all.append(Interval(ports: UInt16(next)...65535, id: other)) }
        return all
    }

    var nextID: UInt32? { intervals.last.map { $0.id + 1 } }

    /// The classes that make up a range of one of the policies.
    func ids(in range: ClosedRange<UInt16>) -> [UInt32] {
        intervals[firstIndex(range.lowerBound)..<firstIndex(after: range.upperBound)]
            .map(\.id)
    }

    func id(of port: UInt16) -> UInt32? {
        let index = firstIndex(port)
        guard index < intervals.count, intervals[index].ports.contains(port) else { return nil }
        return intervals[index].id
    }

    /// The first that does not end before the port.
    private func firstIndex(_ port: UInt16) -> Int {
        var (low, high) = (0, intervals.count)
        while low < high {
            let middle = (low + high) / 2
            if intervals[middle].ports.upperBound < port { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func firstIndex(after port: UInt16) -> Int {
        var (low, high) = (0, intervals.count)
        while low < high {
            let middle = (low + high) / 2
            let begin = intervals[middle].ports.lowerBound
            if begin <= port { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
