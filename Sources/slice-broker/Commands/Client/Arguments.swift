import ArgumentParser
import KafkaClient

/// A place in a partition: `earliest`, `latest`, an offset, or a time.
package enum PlaceArgument: ExpressibleByArgument, Equatable, Sendable {
    case earliest, latest
    case offset(Int64)
    /// Milliseconds since 1970.
    case time(Int64)
    /// So many milliseconds ago.
    case ago(Int64)

    package static let help =
        "earliest, latest, an offset, a time (2026-11-23T22:00:00Z, @MILLISECONDS) or an age "
        + "(90s, 15m, 2h, 3d)"

    package init?(argument: String) {
        switch argument {
        case "earliest": self = .earliest
        case "latest": self = .latest
        default:
            if let offset = Int64(argument), offset >= 0, !argument.hasPrefix("+") {
                self = .offset(offset)
            } else if argument.hasPrefix("@"), let time = Int64(argument.dropFirst()), time >= 0 {
                self = .time(time)
            } else if let age = Self.age(argument) {
                self = .ago(age)
            } else if let time = TimeText.parse(argument) {
                self = .time(time)
            } else {
                return nil
            }
        }
    }

    private static func age(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
            count >= 0
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    /// Nil for an offset, which need not be looked up.
    func point(now: Int64) -> OffsetPoint? {
        switch self {
        case .earliest: .earliest
        case .latest: .latest
        case .time(let time): .time(time)
        case .ago(let age): .time(max(0, now - age))
        case .offset: nil
        }
    }
}

/// `0`, `0,2`, `0-3,7`.
package struct PartitionsArgument: ExpressibleByArgument, Equatable, Sendable {
    package var indexes: [Int32]

    package init?(argument: String) {
        var indexes: [Int32] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                .map { Int32($0) ?? -1 }
            guard let first = ends.first, let last = ends.last, ends.count <= 2, first >= 0,
                first <= last, last - first < 100_000, indexes.count < 100_000
            else { return nil }
            indexes += first...last
        }
        self.indexes = indexes
    }
}

/// The brokers of one partition, the preferred leader first: `1,2,3`.
package struct ReplicasArgument: ExpressibleByArgument, Equatable, Sendable {
    package var brokers: [Int32]

    package init?(argument: String) { self.init(argument[...], separator: ",") }

    init?(_ text: Substring, separator: Character) {
        brokers = []
        for part in text.split(separator: separator, omittingEmptySubsequences: false) {
            guard let broker = Int32(part), broker >= 0, !brokers.contains(broker) else {
                return nil
            }
            brokers.append(broker)
        }
    }
}

/// The brokers of several partitions: `1:2:3,2:3:1`.
package struct AssignmentArgument: ExpressibleByArgument, Equatable, Sendable {
    package var partitions: [[Int32]]

    package init?(argument: String) {
        partitions = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let replicas = ReplicasArgument(part, separator: ":") else { return nil }
            partitions.append(replicas.brokers)
        }
    }
}

/// `name=value`.
package struct SettingArgument: ExpressibleByArgument, Equatable, Sendable {
    package var name: String
    package var value: String

    package init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex else {
            return nil
        }
        name = String(argument[..<sign])
        value = String(argument[argument.index(after: sign)...])
    }
}
