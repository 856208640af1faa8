import Timing

/// What the broker's properties say about replication. Every member is named after its property.
package struct ReplicationConfig: Sendable {
    /// `replica.lag.time.max.ms`: a follower that was not at the log's end for longer leaves the
    /// ISR.
    package var replicaLagTimeMax: Nanoseconds = .seconds(30)
    /// `replica.fetch.wait.max.ms`: how long a leader keeps a follower's fetch that finds nothing.
    package var replicaFetchWaitMax: Nanoseconds = .milliseconds(500)
    /// `replica.fetch.min.bytes`
    package var replicaFetchMinBytes: Int32 = 1
    /// `replica.fetch.max.bytes`, for one partition.
    package var replicaFetchMaxBytes: Int32 = 1 << 20
    /// `replica.fetch.response.max.bytes`, for one response.
    package var replicaFetchResponseMaxBytes: Int32 = 10 << 20
    /// `replica.fetch.backoff.ms`: how long a partition rests after an error.
    package var replicaFetchBackoff: Nanoseconds = .seconds(1)
    /// `fetch.max.bytes`: what a response holds at most, whatever the client asked for.
    package var fetchMaxBytes: Int32 = 55 << 20
    /// `max.incremental.fetch.session.cache.slots`
    package var maxFetchSessions = 1_000
    /// `replica.selector.class`
    package var replicaSelector: ReplicaSelector = .leader
    /// How long a follower that waits at the end of the log is left with an old high watermark.
    /// Its consumers wait for it (KIP-392); an answer at once would make every record cost a
    /// second round trip. Nil: until `replica.fetch.wait.max.ms`, as Kafka does.
    package var highWatermarkWait: Nanoseconds? = nil
    /// `leader.replication.throttled.rate` and `follower.replication.throttled.rate`, bytes a
    /// second; nil is no limit.
    package var leaderThrottledRate: Int64? = nil
    package var followerThrottledRate: Int64? = nil

    // Limits of our own.

    /// Fetches that wait at once; one more is answered at once, with what there is.
    package var maxWaitingFetches = 100_000
    /// Produce requests that wait for followers at once; one more is refused (19).
    package var maxWaitingProduces = 100_000
    /// Partitions that one fetch session may name.
    package var maxPartitionsPerSession = 200_000
    /// A session not used for this long gives way to any new one (KIP-227).
    package var fetchSessionEviction: Nanoseconds = .seconds(120)
    /// How long until a change of ISR is proposed again that the controller did not take.
    package var alterPartitionBackoff: Nanoseconds = .milliseconds(100)

    package init() {}
}
