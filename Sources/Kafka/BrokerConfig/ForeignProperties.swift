/// Kafka's properties that this broker does not have, and why: whoever brings a file along is told,
/// and need not look for a mistake of theirs.
package enum ForeignProperties {
    /// - Returns: nil for a name that Kafka does not have either.
    package static func reason(against name: String) -> String? {
        if let reason = byName[name] { return reason }
        // `listener.name.internal.ssl.keystore.location`
        let isOfListener = name.hasPrefix("listener.name.")
        return families.first { family in
            name.hasPrefix(family.prefix) || (isOfListener && name.contains("." + family.prefix))
        }?.reason
    }

    private static let transactions = "transactions are not there yet"
    private static let tieredStorage = "tiered storage is not there yet"
    private static let quotas = "quotas are not there yet"
    private static let shareGroups = "share groups are not there yet"
    private static let plugins = "no Java classes are loaded here"
    private static let threads =
        "one thread owns the partitions and does this itself, without waiting for a disk"
    private static let purgatory = "requests that wait are let go of when they end, not in a purge"

    private static let families: [(prefix: String, reason: String)] = [
        ("ssl.", "TLS is not there yet"),
        ("sasl.", "SASL is not there yet"),
        ("transaction", transactions),
        ("remote.", tieredStorage), ("rlmm.config.", tieredStorage), ("rsm.config.", tieredStorage),
        ("log.local.retention.", tieredStorage),
        ("quota.", quotas), ("controller.quota.", quotas), ("client.quota.", quotas),
        ("replication.quota.", "a throttled rate is kept over a second, always"),
        ("group.consumer.", "KIP-848 groups are not there yet"),
        ("group.share.", shareGroups), ("share.", shareGroups),
        ("group.streams.", "streams groups are not there yet"),
        ("delegation.token.", "delegation tokens are not there yet"),
        ("alter.log.dirs.", "there is one log directory, so nothing moves between several"),
        ("password.encoder.", "passwords are not kept in the metadata"),
        ("zookeeper.", "there is no ZooKeeper; give controller.quorum.voters"),
        ("controller.performance.", "there are no such figures of the controller"),
        ("listener.name.", "a listener has no properties of its own"),
        ("internal.", "it is for Kafka's own tests"), ("unstable.", "it is for Kafka's own tests"),
    ]

    private static let byName: [String: String] = [
        // Nodes and quorum.
        "zookeeper.connect": "there is no ZooKeeper; give controller.quorum.voters",
        "broker.id": "it is called node.id",
        "broker.id.generation.enable": "node.id is given, never made up",
        "reserved.broker.max.id": "node.id is given, never made up",
        "controller.quorum.bootstrap.servers":
            "the voters are static; give controller.quorum.voters",
        "controller.quorum.auto.join.enable":
            "the voters are static; give controller.quorum.voters",
        "controller.quorum.append.linger.ms": "changes that come together are written together",
        "controller.quorum.retry.backoff.ms": "it follows from the other times of the quorum",
        "controller.socket.timeout.ms":
            "a broker gives the controller broker.session.timeout.ms at most",
        "controlled.shutdown.max.retries": "the controller is asked until it answers, for 5 s",
        "controlled.shutdown.retry.backoff.ms": "the controller is asked until it answers, for 5 s",
        "server.max.startup.time.ms":
            "see initial.broker.registration.timeout.ms; reading logs again takes as long as it "
            + "takes",
        "eligible.leader.replicas.enable":
            "it is a feature of the cluster: eligible.leader.replicas.version",
        "inter.broker.protocol.version": "it is a feature of the cluster: metadata.version",
        "early.start.listeners": "all listeners are opened when the node starts",
        "auto.include.jmx.reporter": "there is no JMX; see metrics.listener",
        "metric.reporters": "there is no JMX; see metrics.listener",
        "metrics.num.samples": "rates are for who reads the figures to take",
        "metrics.sample.window.ms": "rates are for who reads the figures to take",
        "metrics.recording.level": "all figures are always there",
        "kafka.metrics.reporters": "there is no JMX; see metrics.listener",
        "kafka.metrics.polling.interval.secs": "there is no JMX; see metrics.listener",
        "telemetry.max.bytes": "clients' metrics (KIP-714) are not taken",
        // The metadata log.
        "metadata.log.max.snapshot.interval.ms":
            "snapshots are made by size (metadata.log.max.record.bytes.between.snapshots)",
        "metadata.log.segment.ms": "segments end by size (metadata.log.segment.bytes)",
        "metadata.log.segment.min.bytes": "see metadata.log.segment.bytes",
        "metadata.max.idle.interval.ms":
            "an idle metadata log gets no records to show that it lives",
        "metadata.max.retention.bytes": "what is older than two snapshots goes",
        "metadata.max.retention.ms": "what is older than two snapshots goes",
        // Threads.
        "num.network.threads": "the thread that owns the partitions serves their clients itself",
        "num.io.threads": "one thread owns the partitions and never waits for a disk",
        "background.threads": threads,
        "num.recovery.threads.per.data.dir":
            "logs are opened one after another, by the thread that owns them",
        "num.replica.fetchers": "each leader is fetched from over one connection, with all of its "
            + "partitions",
        "num.replica.alter.log.dirs.threads":
            "there is one log directory, so nothing moves between several",
        "replica.alter.log.dirs.io.max.bytes.per.second":
            "there is one log directory, so nothing moves between several",
        "group.coordinator.threads": threads,
        "group.coordinator.append.linger.ms": "offsets that come together are written together",
        "group.coordinator.rebalance.protocols": "only classic groups are served",
        "group.coordinator.cached.buffer.max.bytes": "no buffers are kept for groups",
        "log.cleaner.enable": "topics that ask for compaction are compacted, always",
        "log.cleaner.threads": threads,
        "log.cleaner.dedupe.buffer.size": "the cleaner takes what it needs for one segment",
        "log.cleaner.io.buffer.size": "the cleaner takes what it needs for one segment",
        "log.cleaner.io.buffer.load.factor": "the cleaner takes what it needs for one segment",
        "log.cleaner.io.max.bytes.per.second":
            "the cleaner works in slices of 256 KiB between which others are served",
        // Logs.
        "log.dir.failure.timeout.ms": "a broker whose only log directory fails ends",
        "log.flush.scheduler.interval.ms": "log.flush.interval.ms is looked at every 100 ms",
        "log.flush.start.offset.checkpoint.interval.ms":
            "it is written with the recovery points (log.flush.offset.checkpoint.interval.ms)",
        "log.initial.task.delay.ms": "retention first runs after log.retention.check.interval.ms",
        "log.roll.jitter.hours": "it is called log.roll.jitter.ms",
        "log.message.format.version": "there is one format of records, as in Kafka since 4.0",
        "log.message.downconversion.enable":
            "there is one format of records, as in Kafka since 4.0",
        "log.message.timestamp.difference.max.ms":
            "it is log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms, as "
            + "in Kafka since 4.0",
        "compression.gzip.level": "batches stay as the producer made them",
        "compression.lz4.level": "batches stay as the producer made them",
        "compression.zstd.level": "batches stay as the producer made them",
        "producer.id.expiration.check.interval.ms":
            "expired producers go with log.retention.check.interval.ms",
        // Replication.
        "replica.socket.receive.buffer.bytes": "see socket.receive.buffer.bytes",
        "unclean.leader.election.interval.ms":
            "a last resort is taken as soon as it is allowed",
        "leader.imbalance.per.broker.percentage":
            "leaderships go back wherever the preferred replica is in sync",
        "leader.replication.throttled.replicas": "it is a property of topics",
        "follower.replication.throttled.replicas": "it is a property of topics",
        "fetch.purgatory.purge.interval.requests": purgatory,
        "producer.purgatory.purge.interval.requests": purgatory,
        "delete.records.purgatory.purge.interval.requests": purgatory,
        // Groups.
        "offsets.topic.compression.codec": "offsets are written as they are, without compression",
        "offsets.load.buffer.size": "a group's offsets are read in slices of a size of their own",
        "offsets.commit.required.acks": "all replicas in sync have an offset before it is told",
        // Network and security.
        "security.inter.broker.protocol":
            "brokers speak PLAINTEXT to each other; name their listener in "
            + "inter.broker.listener.name",
        "security.providers": plugins,
        "authorizer.class.name": "ACLs are not there yet",
        "principal.builder.class": plugins,
        "connections.max.reauth.ms": "SASL is not there yet",
        "connection.failed.authentication.delay.ms": "SASL is not there yet",
        "control.plane.listener.name": "controllers have listeners of their own, "
            + "controller.listener.names",
        "max.connection.creation.rate": "connections are bounded, not how fast they come",
        "max.connections.per.ip.overrides": "max.connections.per.ip is the same for all",
        "max.request.partition.size.limit": "an answer has what fits",
        "queued.max.requests":
            "it is bounded by bytes (queued.max.request.bytes) and by connection "
            + "(max.inflight.requests.per.connection)",
        "alter.config.policy.class.name": plugins,
        "create.topic.policy.class.name": plugins,
    ]
}
