extension BrokerProperty {
    private static let int32: ClosedRange<Int64> = 0...Int64(Int32.max)
    private static let positive: ClosedRange<Int64> = 1...Int64(Int32.max)
    private static let long: ClosedRange<Int64> = 0...Int64.max
    private static let optionalLong: ClosedRange<Int64> = -1...Int64.max

    /// Every property that is understood. What is not here is refused by name.
    /// Names and meanings: Kafka's documentation, "Broker Configs"; a default that differs from
    /// Kafka's says so.
    package static let all: [BrokerProperty] =
        process + quorum + topics + log + network
        + replication + groups

    private static let process: [BrokerProperty] = [
        .init("node.id", .integer(int32), nil, "The id of this node, unique in the cluster."),
        .init(
            "process.roles", .list, "broker,controller",
            "What this process is: broker, controller, or both. Kafka has no default."),
        .init("broker.rack", .text, "", "The rack of the broker: its cluster, on a slice."),
        .init("log.dirs", .list, "", "Where the data is, one directory. Wins over log.dir."),
        .init("log.dir", .text, "/var/lib/slice-broker", "Where the data is."),
        .init(
            "metadata.log.dir", .text, "",
            "Where the metadata log is; the log directory if empty."),
        .init(
            "metrics.listener", .text, "",
            "host:port for Prometheus to read from; empty for none. Ours, not Kafka's."),
        .init(
            "log.level", .choice(["debug", "info", "notice", "warning", "error"]), "info",
            "How much is logged. Ours, not Kafka's."),
        .init(
            "log.format", .choice(["text", "json"]), "text",
            "Lines for people, or one JSON object a line. Ours, not Kafka's."),
    ]

    private static let quorum: [BrokerProperty] = [
        .init(
            "controller.quorum.voters", .list, nil,
            "The controllers, as id@host:port, separated by commas."),
        .init(
            "controller.quorum.election.timeout.ms", .integer(50...60_000), "400",
            "A round of votes takes at most so long, and up to twice that by chance. Kafka: 1000."),
        .init(
            "controller.quorum.fetch.timeout.ms", .integer(50...60_000), "800",
            "A follower that could not fetch for so long looks for a new leader; a leader that "
                + "a majority did not fetch from for so long resigns. Kafka: 2000."),
        .init(
            "controller.quorum.election.backoff.max.ms", .integer(10...60_000), "400",
            "At most this long between two elections. Kafka: 1000."),
        .init(
            "controller.quorum.request.timeout.ms", .integer(50...60_000), "500",
            "A request between controllers without an answer for so long is given up. Kafka: "
                + "2000."),
        .init(
            "broker.heartbeat.interval.ms", .integer(10...60_000), "250",
            "How often a broker tells the controller that it lives. Kafka: 2000."),
        .init(
            "broker.session.timeout.ms", .integer(50...3_600_000), "1200",
            "A broker not heard of for so long is fenced. Kafka: 9000."),
        .init(
            "initial.broker.registration.timeout.ms", .integer(positive), "60000",
            "A broker that could not register for so long stops with an error."),
        .init(
            "metadata.log.max.record.bytes.between.snapshots", .integer(1...Int64.max),
            "20971520", "A snapshot is made after so many bytes of metadata."),
        .init(
            "metadata.log.segment.bytes", .integer(8_388_608...Int64(Int32.max)), "16777216",
            "A segment file of the metadata log is at most this large; what is older than two "
                + "snapshots goes in whole segments. Kafka: 1073741824."),
        .init(
            "controlled.shutdown.enable", .boolean, "true",
            "Before it stops, a broker hands its leaderships over."),
    ]

    private static let topics: [BrokerProperty] = [
        .init("num.partitions", .integer(positive), "1", "Partitions of a topic made unasked."),
        .init(
            "default.replication.factor", .integer(1...Int64(Int16.max)), "1",
            "Replicas of a topic made unasked."),
        .init(
            "min.insync.replicas", .integer(positive), "1", topic: "min.insync.replicas",
            "With acks=all, so many replicas must have a record before it is acknowledged."),
        .init(
            "auto.create.topics.enable", .boolean, "true",
            "Whether asking for a topic that is not there makes it."),
        .init("delete.topic.enable", .boolean, "true", "Whether topics may be deleted."),
        .init(
            "unclean.leader.election.enable", .boolean, "false",
            topic: "unclean.leader.election.enable",
            "Whether a replica that is not in sync may lead as a last resort, losing records."),
        .init(
            "auto.leader.rebalance.enable", .boolean, "true",
            "Whether leaderships go back to the preferred replicas by themselves."),
        .init(
            "leader.imbalance.check.interval.seconds", .integer(positive), "300",
            "How often that is looked at."),
        .init(
            "compression.type", .choice(["producer"]), "producer", topic: "compression.type",
            "Batches stay as the producer made them."),
    ]

    private static let log: [BrokerProperty] = [
        .init(
            "log.retention.hours", .integer(-1...Int64(Int32.max)), "168",
            "Records are kept so long. log.retention.minutes and log.retention.ms win."),
        .init(
            "log.retention.minutes", .integer(-1...Int64(Int32.max)), "",
            "Wins over log.retention.hours."),
        .init(
            "log.retention.ms", .integer(optionalLong), "", topic: "retention.ms",
            "Wins over log.retention.minutes; -1 keeps for ever."),
        .init(
            "log.retention.bytes", .integer(optionalLong), "-1", topic: "retention.bytes",
            "The oldest segments go when a partition is larger; -1 for no limit."),
        .init(
            "log.retention.check.interval.ms", .integer(1...Int64.max), "300000",
            "How often retention is applied."),
        .init(
            "log.segment.bytes", .integer(1_048_576...Int64(Int32.max)), "1073741824",
            topic: "segment.bytes", "A segment file is at most this large."),
        .init(
            "log.roll.hours", .integer(positive), "168",
            "A segment file is at most this old. log.roll.ms wins."),
        .init(
            "log.roll.ms", .integer(1...Int64.max), "", topic: "segment.ms",
            "Wins over log.roll.hours."),
        .init(
            "log.roll.jitter.ms", .integer(long), "", topic: "segment.jitter.ms",
            "At most this much is taken off log.roll.ms, by chance."),
        .init(
            "log.segment.delete.delay.ms", .integer(long), "60000",
            topic: "file.delete.delay.ms",
            "Files of deleted segments stay for so long."),
        .init(
            "log.cleanup.policy", .list, "delete", topic: "cleanup.policy",
            "delete, compact, or both."),
        .init(
            "log.cleaner.backoff.ms", .integer(long), "15000",
            "How long the cleaner waits when there was nothing to clean."),
        .init(
            "log.cleaner.delete.retention.ms", .integer(long), "86400000",
            topic: "delete.retention.ms", "Tombstones stay for so long after compaction."),
        .init(
            "log.cleaner.min.compaction.lag.ms", .integer(long), "0",
            topic: "min.compaction.lag.ms", "Younger records are not compacted."),
        .init(
            "log.cleaner.max.compaction.lag.ms", .integer(1...Int64.max), "9223372036854775807",
            topic: "max.compaction.lag.ms", "Older records are always compacted."),
        .init(
            "log.cleaner.min.cleanable.ratio", .decimal(0...1), "0.5",
            topic: "min.cleanable.dirty.ratio",
            "A log is compacted when this part of it is new."),
        .init(
            "log.index.interval.bytes", .integer(int32), "4096", topic: "index.interval.bytes",
            "Bytes between two entries of an index."),
        .init(
            "log.index.size.max.bytes", .integer(4...Int64(Int32.max)), "10485760",
            topic: "segment.index.bytes", "An index is at most this large."),
        .init(
            "log.flush.interval.messages", .integer(1...Int64.max), "9223372036854775807",
            topic: "flush.messages",
            "So many records may be unflushed. With 1, an acknowledged record is on disk."),
        .init(
            "log.flush.interval.ms", .integer(long), "", topic: "flush.ms",
            "A record is unflushed for at most this long; empty leaves it to the system."),
        .init(
            "log.flush.offset.checkpoint.interval.ms", .integer(positive), "60000",
            "How often the recovery points are written."),
        .init(
            "replica.high.watermark.checkpoint.interval.ms", .integer(positive), "5000",
            "How often the high watermarks are written."),
        .init(
            "log.message.timestamp.type", .choice(["CreateTime", "LogAppendTime"]), "CreateTime",
            topic: "message.timestamp.type",
            "Whose clock a record's timestamp is from."),
        .init(
            "log.message.timestamp.before.max.ms", .integer(long), "9223372036854775807",
            topic: "message.timestamp.before.max.ms",
            "Records with an older timestamp are refused."),
        .init(
            "log.message.timestamp.after.max.ms", .integer(long), "3600000",
            topic: "message.timestamp.after.max.ms",
            "Records with a timestamp further ahead are refused."),
        .init(
            "log.preallocate", .boolean, "false", topic: "preallocate",
            "Whether a new segment file gets its full size at once. Only false: they grow."),
        .init(
            "message.max.bytes", .integer(int32), "1048588", topic: "max.message.bytes",
            "A record batch is at most this large."),
        .init(
            "producer.id.expiration.ms", .integer(positive), "86400000",
            "A producer not heard of for so long is forgotten."),
    ]

    private static let network: [BrokerProperty] = [
        .init(
            "listeners", .list, "PLAINTEXT://:9092",
            "Where the process listens, as NAME://host:port; an empty host is every address."),
        .init(
            "advertised.listeners", .list, "",
            "What others are told to connect to; the listeners if empty."),
        .init(
            "listener.security.protocol.map", .list, "",
            "NAME:PLAINTEXT, separated by commas; only PLAINTEXT so far."),
        .init(
            "inter.broker.listener.name", .text, "PLAINTEXT",
            "The listener that other brokers use."),
        .init(
            "controller.listener.names", .list, "CONTROLLER",
            "The listener that is the controller's."),
        .init(
            "socket.request.max.bytes", .integer(1024...Int64(Int32.max)), "104857600",
            "A request is at most this large."),
        .init(
            "socket.send.buffer.bytes", .integer(-1...Int64(Int32.max)), "-1",
            "SO_SNDBUF; -1 leaves it to the system, which sizes it itself. Kafka: 102400."),
        .init(
            "socket.receive.buffer.bytes", .integer(-1...Int64(Int32.max)), "-1",
            "SO_RCVBUF; -1 leaves it to the system. Kafka: 102400."),
        .init(
            "socket.listen.backlog.size", .integer(positive), "1024",
            "Connections that may wait to be taken. Kafka: 50."),
        .init(
            "max.connections", .integer(positive), "20000",
            "Connections at a time. Kafka has no limit."),
        .init(
            "max.connections.per.ip", .integer(positive), "2147483647",
            "Connections at a time from one address."),
        .init(
            "connections.max.idle.ms", .integer(1...Int64.max), "600000",
            "A connection idle for so long is closed."),
        .init(
            "max.inflight.requests.per.connection", .integer(1...10_000), "64",
            "Requests of one connection that may be under way; the rest waits unread. Ours: "
                + "Kafka serves one at a time."),
        .init(
            "queued.max.request.bytes", .integer(1_048_576...Int64.max), "268435456",
            "Bytes of requests held at a time, all connections together; beyond it sockets are "
                + "not read. Kafka: no limit."),
    ]

    private static let replication: [BrokerProperty] = [
        .init(
            "replica.lag.time.max.ms", .integer(10...Int64(Int32.max)), "2000",
            "A follower that was not caught up for so long leaves the ISR. Kafka: 30000."),
        .init(
            "replica.fetch.min.bytes", .integer(int32), "1",
            "A follower's fetch is answered when there is so much."),
        .init(
            "replica.fetch.max.bytes", .integer(int32), "8388608",
            "Bytes of one partition in one fetch. Kafka: 1048576."),
        .init(
            "replica.fetch.response.max.bytes", .integer(int32), "33554432",
            "Bytes in one fetch. Kafka: 10485760."),
        .init(
            "replica.fetch.wait.max.ms", .integer(1...60_000), "100",
            "A follower's fetch is answered after so long, even with nothing. Kafka: 500; a "
                + "partition that is new to the follower waits for that."),
        .init(
            "replica.fetch.backoff.ms", .integer(int32), "100",
            "After an error a follower waits for so long. Kafka: 1000."),
        .init(
            "replica.socket.timeout.ms", .integer(100...Int64(Int32.max)), "1500",
            "A fetch between brokers without an answer for so long is given up. Kafka: 30000."),
        .init(
            "replica.selector.class",
            .choice([
                "", "org.apache.kafka.common.replica.LeaderSelector",
                "org.apache.kafka.common.replica.RackAwareReplicaSelector",
            ]), "org.apache.kafka.common.replica.RackAwareReplicaSelector",
            "Who serves a consumer: the leader, or the in-sync replica in its rack. Kafka: the "
                + "leader."),
        .init(
            "max.incremental.fetch.session.cache.slots", .integer(int32), "1000",
            "Fetch sessions kept at a time."),
        .init(
            "fetch.max.bytes", .integer(1024...Int64(Int32.max)), "57671680",
            "Bytes in one fetch, whatever the consumer asks for."),
        .init(
            "leader.replication.throttled.rate", .integer(0...Int64.max),
            "9223372036854775807", "Bytes a second to throttled followers."),
        .init(
            "follower.replication.throttled.rate", .integer(0...Int64.max),
            "9223372036854775807", "Bytes a second of throttled replicas."),
    ]

    private static let groups: [BrokerProperty] = [
        .init(
            "offsets.topic.num.partitions", .integer(positive), "50",
            "Partitions of __consumer_offsets."),
        .init(
            "offsets.topic.replication.factor", .integer(1...Int64(Int16.max)), "3",
            "Replicas of __consumer_offsets."),
        .init(
            "offsets.topic.segment.bytes", .integer(1_048_576...Int64(Int32.max)), "104857600",
            "Size of its segment files."),
        .init(
            "offsets.retention.minutes", .integer(positive), "10080",
            "Offsets of a group without members are kept for so long."),
        .init(
            "offsets.retention.check.interval.ms", .integer(1...Int64.max), "600000",
            "How often that is looked at."),
        .init(
            "offset.metadata.max.bytes", .integer(int32), "4096",
            "The text a consumer may store with an offset."),
        .init(
            "offsets.commit.timeout.ms", .integer(1...Int64(Int32.max)), "5000",
            "A commit is refused if the replicas do not have it by then."),
        .init(
            "group.initial.rebalance.delay.ms", .integer(int32), "3000",
            "An empty group waits for so long for more members."),
        .init(
            "group.min.session.timeout.ms", .integer(int32), "6000",
            "The shortest session a consumer may ask for."),
        .init(
            "group.max.session.timeout.ms", .integer(int32), "1800000",
            "The longest session a consumer may ask for."),
        .init("group.max.size", .integer(positive), "2147483647", "Members of one group."),
    ]
}
