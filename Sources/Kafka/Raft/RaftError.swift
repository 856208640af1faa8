/// What a quorum request may be answered with: Kafka's error codes, of which these are the ones
/// that consensus speaks of.
package enum RaftError: Int16, Hashable, Sendable, CaseIterable {
    case unknownServerError = -1
    case none = 0
    case unknownTopicOrPartition = 3
    case notLeaderOrFollower = 6
    case requestTimedOut = 7
    case brokerNotAvailable = 8
    case clusterAuthorizationFailed = 31
    case invalidRequest = 42
    case kafkaStorageError = 56
    case fencedLeaderEpoch = 74
    case unknownLeaderEpoch = 75
    case inconsistentVoterSet = 94
    case snapshotNotFound = 98
    case positionOutOfRange = 99
    case inconsistentClusterID = 104
    case invalidVoterKey = 125

    /// A code from the wire; one we do not know of is as good as an unknown error.
    package init(code: Int16) { self = Self(rawValue: code) ?? .unknownServerError }
}

extension RaftError: CustomStringConvertible {
    /// Kafka's name.
    package var description: String {
        switch self {
        case .unknownServerError: "UNKNOWN_SERVER_ERROR"
        case .none: "NONE"
        case .unknownTopicOrPartition: "UNKNOWN_TOPIC_OR_PARTITION"
        case .notLeaderOrFollower: "NOT_LEADER_OR_FOLLOWER"
        case .requestTimedOut: "REQUEST_TIMED_OUT"
        case .brokerNotAvailable: "BROKER_NOT_AVAILABLE"
        case .clusterAuthorizationFailed: "CLUSTER_AUTHORIZATION_FAILED"
        case .invalidRequest: "INVALID_REQUEST"
        case .kafkaStorageError: "KAFKA_STORAGE_ERROR"
        case .fencedLeaderEpoch: "FENCED_LEADER_EPOCH"
        case .unknownLeaderEpoch: "UNKNOWN_LEADER_EPOCH"
        case .inconsistentVoterSet: "INCONSISTENT_VOTER_SET"
        case .snapshotNotFound: "SNAPSHOT_NOT_FOUND"
        case .positionOutOfRange: "POSITION_OUT_OF_RANGE"
        case .inconsistentClusterID: "INCONSISTENT_CLUSTER_ID"
        case .invalidVoterKey: "INVALID_VOTER_KEY"
        }
    }
}
