/// Every property that a topic has, as Kafka 4.0 names them, in order of name.
///
/// Facts: Kafka's TopicConfig, LogConfig and ServerTopicConfigSynonyms, and KIP-1030 for the
/// defaults that 4.0 changed.
package enum TopicConfig {
    package static func definition(_ name: String) -> ConfigDefinition? { byName[name] }

    private static let byName: [String: ConfigDefinition] = Dictionary(
        uniqueKeysWithValues: all.map { ($0.name, $0) })

    package static let all: [ConfigDefinition] = (cleanup + messages + segments + unsupported)
        .sorted { $0.name < $1.name }

    private static func make(
        _ name: String, _ type: ConfigType, _ defaultValue: String, _ rule: ConfigRule,
        _ synonyms: [ConfigSynonym], _ documentation: String
    ) -> ConfigDefinition {
        ConfigDefinition(
            name: name, type: type, defaultValue: defaultValue, rule: rule, synonyms: synonyms,
            documentation: documentation)
    }

    private static let cleanup: [ConfigDefinition] = [
        make(
            "cleanup.policy", .list, "delete", .listOf(["compact", "delete"]),
            [.init("log.cleanup.policy")],
            "What happens to old segments: delete drops them by age and size, compact keeps the "
                + "last record of every key. Both may be named."),
        make(
            "retention.ms", .long, "604800000", .atLeast(-1),
            [
                .init("log.retention.ms"), .init("log.retention.minutes", .minutes),
                .init("log.retention.hours", .hours),
            ],
            "How many milliseconds a segment is kept after its newest record, with "
                + "cleanup.policy delete. -1 keeps it for ever."),
        make(
            "retention.bytes", .long, "-1", .any, [.init("log.retention.bytes")],
            "How large a partition may grow before its oldest segments are dropped, with "
                + "cleanup.policy delete. -1 sets no bound."),
        make(
            "delete.retention.ms", .long, "86400000", .atLeast(0),
            [.init("log.cleaner.delete.retention.ms")],
            "How many milliseconds compaction keeps a tombstone, so that a reader that began "
                + "before can still see the deletion."),
        make(
            "min.compaction.lag.ms", .long, "0", .atLeast(0),
            [.init("log.cleaner.min.compaction.lag.ms")],
            "How many milliseconds a record stays out of compaction at least."),
        make(
            "max.compaction.lag.ms", .long, "9223372036854775807", .atLeast(1),
            [.init("log.cleaner.max.compaction.lag.ms")],
            "After how many milliseconds a record is compacted even if the dirty ratio is low."),
        make(
            "min.cleanable.dirty.ratio", .double, "0.5", .between(0, 1),
            [.init("log.cleaner.min.cleanable.ratio")],
            "What share of a log must be uncompacted before compaction begins."),
        make(
            "file.delete.delay.ms", .long, "60000", .atLeast(0),
            [.init("log.segment.delete.delay.ms")],
            "How many milliseconds a dropped file stays on disk under its .deleted name."),
    ]

    private static let messages: [ConfigDefinition] = [
        make(
            "max.message.bytes", .int, "1048588", .atLeast(0), [.init("message.max.bytes")],
            "The largest record batch that is accepted, as it is sent."),
        make(
            "message.timestamp.type", .string, "CreateTime",
            .oneOf(["CreateTime", "LogAppendTime"]), [.init("log.message.timestamp.type")],
            "Whether a record's timestamp is its producer's or that of the append."),
        make(
            "message.timestamp.before.max.ms", .long, "9223372036854775807", .atLeast(0),
            [.init("log.message.timestamp.before.max.ms")],
            "How many milliseconds a producer's timestamp may lie in the past."),
        make(
            "message.timestamp.after.max.ms", .long, "3600000", .atLeast(0),
            [.init("log.message.timestamp.after.max.ms")],
            "How many milliseconds a producer's timestamp may lie in the future."),
        make(
            "compression.type", .string, "producer",
            .only("producer", because: "batches are kept as their producer compressed them"),
            [.init("compression.type")],
            "How batches are compressed on disk: as the producer chose."),
        make(
            "min.insync.replicas", .int, "1", .atLeast(1), [.init("min.insync.replicas")],
            "How many replicas must be in sync for an append with acks=all to be accepted."),
        make(
            "unclean.leader.election.enable", .boolean, "false", .any,
            [.init("unclean.leader.election.enable")],
            "Whether a replica that is not in sync may become leader when no other is left. "
                + "Acknowledged records can be lost then."),
        make(
            "leader.replication.throttled.replicas", .list, "", .replicas, [],
            "Leader replicas whose replication is throttled: partition:broker pairs, or *."),
        make(
            "follower.replication.throttled.replicas", .list, "", .replicas, [],
            "Follower replicas whose replication is throttled: partition:broker pairs, or *."),
    ]

    private static let segments: [ConfigDefinition] = [
        make(
            "segment.bytes", .int, "1073741824", .atLeast(1_048_576), [.init("log.segment.bytes")],
            "The size at which a segment is closed and the next one begun. Retention and "
                + "compaction work on whole segments."),
        make(
            "segment.ms", .long, "604800000", .atLeast(1),
            [.init("log.roll.ms"), .init("log.roll.hours", .hours)],
            "After how many milliseconds a segment is closed even if it is not full."),
        make(
            "segment.jitter.ms", .long, "0", .atLeast(0),
            [.init("log.roll.jitter.ms"), .init("log.roll.jitter.hours", .hours)],
            "By how many milliseconds at most segments are closed early, so that those of many "
                + "partitions do not close at once."),
        make(
            "segment.index.bytes", .int, "10485760", .atLeast(4),
            [.init("log.index.size.max.bytes")],
            "How large an index may grow before its segment is closed."),
        make(
            "index.interval.bytes", .int, "4096", .atLeast(0), [.init("log.index.interval.bytes")],
            "How many bytes of records lie between two entries of the offset index."),
        make(
            "flush.messages", .long, "9223372036854775807", .atLeast(1),
            [.init("log.flush.interval.messages")],
            "After how many records a partition is flushed to the disk. 1 flushes every append."),
        make(
            "flush.ms", .long, "9223372036854775807", .atLeast(0),
            [.init("log.flush.interval.ms"), .init("log.flush.scheduler.interval.ms")],
            "For how many milliseconds records may wait before they are flushed to the disk."),
        make(
            "preallocate", .boolean, "false",
            .only("false", because: "segments grow as they are written"),
            [.init("log.preallocate")],
            "Whether the room of a segment is taken when it is begun."),
    ]

    private static let noTiers = "there is no tiered storage"

    private static let unsupported: [ConfigDefinition] = [
        make(
            "compression.gzip.level", .int, "-1", .any, [.init("compression.gzip.level")],
            "The level of gzip; without effect, as compression.type is always producer."),
        make(
            "compression.lz4.level", .int, "9", .any, [.init("compression.lz4.level")],
            "The level of lz4; without effect, as compression.type is always producer."),
        make(
            "compression.zstd.level", .int, "3", .any, [.init("compression.zstd.level")],
            "The level of zstd; without effect, as compression.type is always producer."),
        make(
            "remote.storage.enable", .boolean, "false", .only("false", because: noTiers), [],
            "Whether old segments move to remote storage."),
        make(
            "remote.log.copy.disable", .boolean, "false", .only("false", because: noTiers), [],
            "Whether copying to remote storage is stopped."),
        make(
            "remote.log.delete.on.disable", .boolean, "false", .only("false", because: noTiers),
            [], "Whether remote segments are deleted when remote storage is switched off."),
        make(
            "local.retention.ms", .long, "-2", .only("-2", because: noTiers),
            [.init("log.local.retention.ms")],
            "How long segments stay on local disks; -2 is retention.ms."),
        make(
            "local.retention.bytes", .long, "-2", .only("-2", because: noTiers),
            [.init("log.local.retention.bytes")],
            "How many bytes of segments stay on local disks; -2 is retention.bytes."),
    ]
}
