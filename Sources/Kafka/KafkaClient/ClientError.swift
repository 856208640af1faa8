import KafkaWire

/// Why a request has no answer, or not the one that was wanted.
package enum ClientError: Error, Equatable, Sendable {
    case invalidAddress(String, reason: String)
    case unreachable(String, reason: String)
    case lost(String, reason: String)
    case unsupported(String, apiKey: Int16)
    case malformed(String, reason: String)
    /// `what` did not work; `detail` is what the broker says of it, if anything.
    case refused(ErrorCode, what: String, detail: String?)

    package static func refused(_ code: ErrorCode, _ what: String) -> ClientError {
        .refused(code, what: what, detail: nil)
    }

    /// A new attempt, after a while and perhaps at another broker, may do better.
    package var isPassing: Bool {
        switch self {
        case .unreachable, .lost: true
        case .refused(let code, _, _): code.isPassing
        case .invalidAddress, .unsupported, .malformed: false
        }
    }
}

extension ErrorCode {
    /// Of Kafka's retriable errors, those that a change of leader, coordinator or controller
    /// brings about.
    package var isPassing: Bool {
        switch self {
        case .leaderNotAvailable, .notLeaderOrFollower, .requestTimedOut, .replicaNotAvailable,
            .brokerNotAvailable, .networkException, .coordinatorLoadInProgress,
            .coordinatorNotAvailable, .notCoordinator, .notEnoughReplicas,
            .notEnoughReplicasAfterAppend, .notController, .kafkaStorageError,
            .fencedLeaderEpoch, .unknownLeaderEpoch, .offsetNotAvailable,
            .unknownTopicOrPartition, .unknownTopicId, .inconsistentTopicId:
            true
        default: false
        }
    }
}

extension ClientError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidAddress(let text, let reason): "\(text): \(reason)"
        case .unreachable(let place, let reason): "cannot connect to \(place): \(reason)"
        case .lost(let place, let reason): "the connection to \(place) was lost: \(reason)"
        case .unsupported(let place, let key):
            "\(place) does not serve \(ApiKey(rawValue: key)?.name ?? "request \(key)") in a "
                + "version that is known here"
        case .malformed(let place, let reason):
            "\(place) sent an answer that makes no sense: \(reason)"
        case .refused(let code, let what, let detail):
            "\(what): \(code)" + (detail.map { ": \($0)" } ?? "")
        }
    }
}
