import KafkaWire

/// Kafka's errors in words, and what to do about them. An error that is not here is told by its
/// name alone.
enum Advice {
    static func meaning(_ code: ErrorCode) -> String? { table[code]?.meaning }

    static func hint(_ code: ErrorCode) -> String? { table[code]?.hint }

    private static let table: [ErrorCode: (meaning: String, hint: String?)] = [
        .unknownServerError: (
            "the broker failed", "its log says why"
        ),
        .offsetOutOfRange: (
            "there is no record with that offset", "`slice-broker offsets TOPIC` shows the range"
        ),
        .corruptMessage: ("the records are damaged", nil),
        .unknownTopicOrPartition: (
            "there is no such topic or partition", "`slice-broker topics list` shows the topics"
        ),
        .unknownTopicId: (
            "there is no such topic any more", "it may have been deleted and created again"
        ),
        .leaderNotAvailable: (
            "the partition has no leader",
            "`slice-broker topics describe TOPIC` shows which brokers it needs; "
                + "`slice-broker cluster` shows which are there"
        ),
        .notLeaderOrFollower: (
            "the leader has changed", "try again"
        ),
        .requestTimedOut: (
            "it was not done in time", "is the quorum well? See `slice-broker quorum describe`"
        ),
        .brokerNotAvailable: (
            "the broker is not there", "`slice-broker cluster` shows which are"
        ),
        .replicaNotAvailable: ("that broker has no such replica", nil),
        .messageTooLarge: (
            "the batch is larger than the topic takes",
            "raise max.message.bytes of the topic, or lower --batch-size"
        ),
        .coordinatorLoadInProgress: (
            "the group's coordinator is still reading its state", "try again in a moment"
        ),
        .coordinatorNotAvailable: (
            "the group has no coordinator",
            "`slice-broker topics describe __consumer_offsets` shows whether its partitions have "
                + "leaders"
        ),
        .notCoordinator: ("the group's coordinator has moved", "try again"),
        .invalidTopicException: (
            "that cannot be a topic's name",
            "a name has at most 249 letters, digits, dots, dashes and underscores"
        ),
        .recordListTooLarge: (
            "the batch is larger than a segment", "lower --batch-size"
        ),
        .notEnoughReplicas: (
            "fewer replicas are in sync than min.insync.replicas wants",
            "`slice-broker topics describe TOPIC` shows who is missing"
        ),
        .notEnoughReplicasAfterAppend: (
            "fewer replicas than min.insync.replicas have it",
            "`slice-broker topics describe TOPIC` shows who is missing"
        ),
        .invalidRequiredAcks: ("acks is 0, 1 or all", nil),
        .unknownMemberId: (
            "the group has members, and only they may commit", "stop its consumers first"
        ),
        .rebalanceInProgress: ("the group is rebalancing", "try again in a moment"),
        .unsupportedVersion: (
            "the broker does not know such a request", "is it older than this program?"
        ),
        .topicAlreadyExists: (
            "there is a topic of that name already", "--if-not-exists takes that for done"
        ),
        .invalidPartitions: (
            "that number of partitions cannot be",
            "a topic has 1 partition or more, and never fewer than before"
        ),
        .invalidReplicationFactor: (
            "so many replicas cannot be placed",
            "a topic has at most as many replicas as there are brokers: see `slice-broker cluster`"
        ),
        .invalidReplicaAssignment: (
            "those brokers cannot have the replicas",
            "each broker once, all of them known: see `slice-broker cluster`"
        ),
        .invalidConfig: (
            "there is no such property, or it does not take that value",
            "`slice-broker configs describe --all` shows the properties"
        ),
        .notController: (
            "no controller leads the quorum", "see `slice-broker quorum describe`"
        ),
        .invalidRequest: ("the broker does not understand the request", nil),
        .policyViolation: ("the cluster's policy forbids it", nil),
        .kafkaStorageError: (
            "the log directory is offline", "see `slice-broker log-dirs` and the broker's log"
        ),
        .reassignmentInProgress: (
            "replicas are being moved already", "see `slice-broker reassign status`"
        ),
        .nonEmptyGroup: ("the group has members", "stop its consumers first"),
        .groupIdNotFound: (
            "there is no such group", "`slice-broker groups list` shows the groups"
        ),
        .topicDeletionDisabled: (
            "topics cannot be deleted here", "delete.topic.enable is false"
        ),
        .unsupportedCompressionType: ("the broker does not know that compression", nil),
        .preferredLeaderNotAvailable: (
            "the preferred replica is not there or not in sync",
            "`slice-broker topics describe TOPIC` shows who is in sync"
        ),
        .eligibleLeadersNotAvailable: (
            "no replica can lead",
            "once one is back it will; `slice-broker leaders elect unclean` takes one that may "
                + "lack records"
        ),
        .electionNotNeeded: ("the right replica leads already", nil),
        .noReassignmentInProgress: ("no replicas are being moved", nil),
        .groupSubscribedToTopic: (
            "the group is subscribed to the topic", "stop its consumers first"
        ),
        .brokerIdNotRegistered: (
            "there is no broker of that number", "`slice-broker cluster` shows the brokers"
        ),
        .invalidUpdateVersion: (
            "the feature cannot have that level", "see `slice-broker features describe`"
        ),
        .featureUpdateFailed: ("the feature was not changed", nil),
        .topicAuthorizationFailed: ("this is not allowed with the topic", nil),
        .groupAuthorizationFailed: ("this is not allowed with the group", nil),
        .clusterAuthorizationFailed: ("this is not allowed with the cluster", nil),
        .duplicateBrokerRegistration: ("the broker is alive", "stop it first"),
    ]
}
