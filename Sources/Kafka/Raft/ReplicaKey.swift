/// The identity of one log directory (KIP-858): it tells a replica whose disk was replaced from
/// the replica that voted before.
package struct DirectoryID: Hashable, Sendable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package var description: String {
        String(high, radix: 16) + "-" + String(low, radix: 16)
    }
}

/// Who a replica is (KIP-853): its node id and, where it is known, its directory. Static voters of
/// a configuration have no directory.
package struct ReplicaKey: Hashable, Sendable, CustomStringConvertible {
    package var id: Int32
    package var directoryID: DirectoryID?

    package init(id: Int32, directoryID: DirectoryID? = nil) {
        self.id = id
        self.directoryID = directoryID
    }

    /// The same replica, as far as both sides say: a missing directory matches any.
    package func matches(_ other: ReplicaKey) -> Bool {
        guard id == other.id else { return false }
        guard let mine = directoryID, let theirs = other.directoryID else { return true }
        return mine == theirs
    }

    package var description: String {
        directoryID.map { "\(id)@\($0)" } ?? "\(id)"
    }
}

/// The voters of the quorum, by ascending id. A set of its own, so that it may come from the log
/// one day (KIP-853) instead of the configuration.
package struct VoterSet: Hashable, Sendable {
    package let voters: [ReplicaKey]

    /// Of two voters with one id the first counts.
    package init(_ keys: [ReplicaKey]) {
        var unique: [ReplicaKey] = []
        for key in keys where !unique.contains(where: { $0.id == key.id }) { unique.append(key) }
        voters = unique.sorted { $0.id < $1.id }
    }

    package init(ids: [Int32]) { self.init(ids.map { ReplicaKey(id: $0) }) }

    package var majority: Int { voters.count / 2 + 1 }

    package func contains(id: Int32) -> Bool { voters.contains { $0.id == id } }

    package func contains(_ key: ReplicaKey) -> Bool { voters.contains { $0.matches(key) } }

    package func index(of key: ReplicaKey) -> Int? { voters.firstIndex { $0.matches(key) } }

    package func key(ofID id: Int32) -> ReplicaKey? { voters.first { $0.id == id } }
}
