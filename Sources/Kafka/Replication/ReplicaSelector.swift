/// A replica that a consumer may read from.
struct SelectableReplica {
    var brokerId: Int32
    var rack: String?
    var logEndOffset: Int64
    /// Nanoseconds since it was last at the leader's log end; 0 for the leader.
    var lag: Int64
}

/// Which replica a consumer is sent to (KIP-392, `replica.selector.class`).
package enum ReplicaSelector: Equatable, Sendable {
    /// Always the leader.
    case leader
    /// A replica in the consumer's own rack (`client.rack`): the leader if it is there, else the
    /// one that is furthest.
    case rackAware

    /// The name by which Kafka's property calls it.
    package init?(className: String) {
        switch className {
        case "", "org.apache.kafka.common.replica.LeaderSelector": self = .leader
        case "org.apache.kafka.common.replica.RackAwareReplicaSelector": self = .rackAware
        default: return nil
        }
    }

    /// Better than what was the best so far, among replicas of one rack?
    static func isBetter(_ a: SelectableReplica, than b: SelectableReplica?) -> Bool {
        guard let b else { return true }
        if a.logEndOffset != b.logEndOffset { return a.logEndOffset > b.logEndOffset }
        if a.lag != b.lag { return a.lag < b.lag }
        return a.brokerId < b.brokerId
    }
}
