import CommitLog
import KafkaWire

/// What clients have moved to and from the partitions that are led from here: of one topic, or of
/// all. One event loop owns it, and adds to it once for each partition of a request.
package final class TrafficCounters {
    package internal(set) var recordsIn = 0
    package internal(set) var bytesIn = 0
    package internal(set) var bytesOut = 0
    /// Partitions of produce requests, and those of them that were refused.
    package internal(set) var produces = 0
    package internal(set) var failedProduces = 0
    /// Bytes of those that were refused for their size.
    package internal(set) var bytesRejected = 0
    /// Partitions in answers to fetches of clients, and those of them that carry an error.
    package internal(set) var fetches = 0
    package internal(set) var failedFetches = 0

    func noteProduce(_ error: ErrorCode, _ bytes: Int) {
        produces += 1
        guard error.isFailure else { return }
        failedProduces += 1
        if error == .messageTooLarge || error == .recordListTooLarge { bytesRejected += bytes }
    }

    func noteFetch(_ error: ErrorCode, _ bytes: Int) {
        fetches += 1
        bytesOut += bytes
        if error.isFailure { failedFetches += 1 }
    }
}

extension ErrorCode {
    /// As in Kafka's counters, what only sends a client to another broker, or to another place in
    /// the log, is no failure.
    fileprivate var isFailure: Bool {
        switch self {
        case .none, .notLeaderOrFollower, .unknownTopicOrPartition, .unknownTopicId,
            .inconsistentTopicId, .fencedLeaderEpoch, .unknownLeaderEpoch, .offsetOutOfRange:
            false
        default: true
        }
    }
}

/// What replication has counted beside the traffic.
package struct ReplicationCounters: Equatable, Sendable {
    /// Bytes that followers here have taken from their leaders, and that leaders here have given.
    package internal(set) var replicationBytesIn = 0
    package internal(set) var replicationBytesOut = 0
    package internal(set) var isrShrinks = 0
    package internal(set) var isrExpands = 0
    package internal(set) var failedISRUpdates = 0
    /// Requests whose time was up before what they waited for.
    package internal(set) var expiredProduces = 0
    package internal(set) var expiredFollowerFetches = 0
    package internal(set) var expiredConsumerFetches = 0
}

/// Requests that wait, by what they wait for.
package struct WaitingRequests: Equatable, Sendable {
    package var produces: Int
    package var fetches: Int
    package var deletes: Int
}

extension ReplicaManager {
    package var traffic: TrafficCounters { context.traffic }
    package var counters: ReplicationCounters { context.counters }

    /// Of each topic that has a partition here, by name.
    package var topicTraffic: [(topic: String, traffic: TrafficCounters)] {
        topics.map { ($0.name, $0.traffic) }
    }

    package var waiting: WaitingRequests {
        WaitingRequests(
            produces: context.produces.count, fetches: context.fetchWaits.count,
            deletes: context.deleteWaits.count)
    }
}

extension PartitionReplica {
    /// Records that this follower knows to be committed and has not.
    package var lag: Int64 {
        guard role == .follower, let log else { return 0 }
        return max(0, leaderHighWatermark - log.logEndOffset)
    }
}
