/// What this room refuses to grow beyond. A record beyond them is an error, a request is refused.
package struct MetadataLimits: Equatable, Sendable {
    /// Partitions of one topic: also bounds what a record with a wild partition id can allocate.
    package var partitionsPerTopic = 100_000
    /// All partitions of the cluster.
    package var partitions = 200_000
    package var topics = 100_000
    package var brokers = 1_000
    package var replicasPerPartition = 64
    /// Topics (or resources) of one request.
    package var topicsPerRequest = 10_000
    /// Records that one request may write. They are one batch, all or nothing. (Kafka's figure.)
    package var recordsPerRequest = 10_000
    /// Records of one batch where a change may be split (a broker fenced).
    package var recordsPerBatch = 10_000
    /// Configuration: one value, and all names and values that one request may set.
    package var configValueBytes = 32_768
    package var configBytesPerRequest = 1 << 20
    package var configsPerResource = 256
    /// Listeners, features or directories of one node.
    package var listEntriesPerNode = 128
    package var rackBytes = 255
    /// Records held back until a metadata transaction ends.
    package var recordsPerTransaction = 1_000_000

    package init() {}
}
