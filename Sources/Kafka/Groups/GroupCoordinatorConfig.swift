import Timing

/// The coordinator's settings, under Kafka's property names and with Kafka's defaults.
package struct GroupCoordinatorConfig: Sendable {
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`
    package var sessionTimeoutsMs: ClosedRange<Int32> = 6_000...1_800_000
    /// `group.initial.rebalance.delay.ms`
    package var initialRebalanceDelayMs: Int32 = 3_000
    /// `group.max.size`
    package var maxGroupSize: Int32 = .max
    /// `offset.metadata.max.bytes`; Kafka counts UTF-16 units.
    package var maxOffsetMetadata: Int = 4_096
    /// `offsets.retention.minutes`
    package var offsetsRetentionMinutes: Int32 = 7 * 24 * 60
    /// `offsets.retention.check.interval.ms`
    package var offsetsRetentionCheckIntervalMs: Int64 = 600_000
    /// `offsets.commit.timeout.ms`
    package var offsetCommitTimeoutMs: Int32 = 5_000

    // Not properties of Kafka: its constants, and limits that it does not have.

    /// How long a JoinGroup of a member that has never been in a generation may wait. Kafka's
    /// constant: a client that gave up and asks again would else leave a ghost at every try.
    package var newMemberJoinTimeoutMs: Int32 = 300_000
    /// Member ids of one group that were handed out and not yet used.
    package var maxPendingMembers = 10_000
    package var maxGroups = 200_000
    /// Deletions are written in batches of about this many bytes.
    package var tombstoneBatchBytes = 128 * 1_024
    /// The search for expired offsets looks at about this many in one step.
    package var expirationSlice = 20_000

    package init() {}

    var offsetsRetentionMs: Int64 { Int64(offsetsRetentionMinutes) * 60_000 }
}
