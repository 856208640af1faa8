import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import Replication
import Timing

// What replication wants done, and what the metadata tells replication.
extension BrokerNode {
    func carryOut(_ effect: ReplicationEffect) {
        switch effect {
        case .produced(let token, let response): answer(token, response)
        case .producedUnacknowledged(let token, let failed):
            guard let address = replicaReplies.removeValue(forKey: token) else { return }
            if failed {
                emit(
                    .close(
                        connection: address.token.connection,
                        reason: "a record that nobody waits for was refused"))
            } else {
                emit(.reply(address.token, []))
            }
        case .fetched(let token, let response):
            waitingFetches[token.high]?.remove(token)
            answer(token, response)
        case .deletedRecords(let token, let response): answer(token, response)
        case .appended(let token, let error, let baseOffset):
            guard let groupToken = groupAppends.removeValue(forKey: token.id) else { return }
            coordinatorAppended(groupToken, error, isInLog: baseOffset >= 0)
        case .alterPartition(let request):
            if !askController(request, .alterPartition) { replicas.alterPartitionDone(nil) }
        case .fetch(let leader, let correlation, let request):
            let wait = Nanoseconds.milliseconds(Int64(request.maxWaitMs))
            askBroker(
                leader, request, .replicaFetch(leader: leader, correlation: correlation),
                wait: wait)
        case .listOffsets(let leader, let correlation, let request):
            askBroker(
                leader, request, .replicaListOffsets(leader: leader, correlation: correlation),
                wait: .zero)
        case .fetcherStopped: break
        case .flush(let key, let ticket): effects.append(.flush(key, ticket))
        case .leadership(let partition, let epoch): leadershipChanged(partition, epoch)
        case .storageFailed(let partition, let error):
            storageFailed(partition, error)
        case .warning(let partition, let warning):
            var subject = LogSubject(partition)
            subject.epoch = replicas.replica(partition).map { Int64($0.leaderEpoch) }
            say(warning.level, "\(partition): \(warning.text)", about: subject)
        }
    }

    private func answer<Response: KafkaResponse>(_ token: RequestToken, _ response: Response) {
        guard let address = replicaReplies.removeValue(forKey: token) else { return }
        reply(address, response)
    }

    /// One log that cannot be used is one partition; a disk that fails is the directory's end.
    private func storageFailed(_ partition: TopicPartition, _ error: LogError) {
        guard !logs.isOffline else { return storageFailed() }
        if error.isShortage { housekeeping.openAgain(partition, now) }
        if reminders.isDue("offline \(partition)", now) {
            say(
                .error, "\(partition) is offline here: \(error)", about: LogSubject(partition))
        }
        replicas.storageFailed([partition])
    }

    /// Every partition of the directory is offline with it. There is no other directory, so the
    /// process ends, as Kafka's does when the last one fails; but first it tells the controller,
    /// for others to lead at once.
    func storageFailed() {
        guard lifecycle.storageDeadline == nil, !hasFailed else { return }
        say(
            .error,
            "the log directory \(logs.path) is offline, and this broker with it; its partitions "
                + "are served by other replicas where there are any")
        replicas.storageFailed(replicas.replicas.map(\.topicPartition))
        let isRegistered = [.registered, .shuttingDown].contains(lifecycle.state)
        lifecycle.storageDeadline = isRegistered ? now + .seconds(1) : now
        lifecycle.nextAttempt = now
    }

    private func askBroker<Request: KafkaRequest>(
        _ broker: Int32, _ request: Request, _ what: Outstanding, wait: Nanoseconds
    ) {
        guard let endpoint = image.brokers[broker]?.endpoint(named: config.interBrokerListener)
        else {
            // Not registered (any more): as if the connection had failed.
            unanswered(what)
            return
        }
        let version = Request.validVersions.upperBound
        send(
            to: broker, host: endpoint.host, port: endpoint.port, lane: .replication,
            apiKey: Request.apiKey, version: version, body: request.encoded(version: version),
            timeout: .milliseconds(config.integer("replica.socket.timeout.ms")) + wait, what)
    }

    private func unanswered(_ what: Outstanding) {
        switch what {
        case .replicaFetch(let leader, let correlation):
            replicas.fetched(from: leader, correlation: correlation, nil)
        case .replicaListOffsets(let leader, let correlation):
            replicas.listedOffsets(from: leader, correlation: correlation, nil)
        default: break
        }
    }

    // MARK: Metadata

    /// What the quorum has committed.
    package func metadataChanged(_ update: MetadataUpdate, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        var changes: [MetadataChange] = []
        let before = update.image == nil ? nil : cluster.image
        if let image = update.image {
            cluster.replay = MetadataReplay(image: image, nextOffset: update.nextOffset)
        } else {
            do {
                try cluster.replay.replay(
                    update.records, nextOffset: update.nextOffset, into: &changes)
            } catch {
                return fail("the metadata cannot be applied: \(error)")
            }
        }
        guard isActing else { return actIfCaughtUp() }
        if let before {
            apply(MetadataDelta(from: before, to: image))
        } else if !changes.isEmpty {
            apply(MetadataDelta(changes, image: image))
        }
    }

    /// What is read after a start is history: a broker that acted on it would lead again what it
    /// led long ago. So it acts once it has read of its own registration, which is as of now, and
    /// then on all that there is.
    func actIfCaughtUp() {
        guard !isActing, lifecycle.epoch >= 0,
            let own = image.brokers[config.nodeID], own.epoch == lifecycle.epoch
        else { return }
        isActing = true
        apply(MetadataDelta(from: MetadataImage(), to: image))
        compareMinimumIsr()
    }

    /// The file decided when the cluster was made; since then the metadata does, for all brokers.
    private func compareMinimumIsr() {
        let name = "min.insync.replicas"
        guard image.electsEligibleReplicas, let file = config.given[name],
            let all = image.configs[.everyBroker]?[name], file != all
        else { return }
        say(
            .warning,
            "\(name)=\(file) in the file has no effect: it is \(all) for all brokers since the "
                + "cluster was made; `slice-broker configs set broker default \(name)=\(file)` "
                + "changes it")
    }

    private func apply(_ delta: MetadataDelta) {
        if !delta.brokers.isEmpty { brokersChanged() }
        let configured = delta.configs.contains { $0.type == ConfigResource.brokerType }
        if configured { brokerConfigsChanged() }
        let local = delta.localChanges(of: config.nodeID)
        for partition in local.removed {
            assignments.forget(partition.key)
            replicas.unassign(
                topicId: partition.key.topicId, partition: partition.key.partition,
                deletesLog: true)
        }
        for partition in local.leading + local.following {
            guard let after = partition.after else { continue }
            replicas.assign(
                topic: partition.topic, topicId: partition.key.topicId,
                partition: partition.key.partition, PartitionMetadata(after))
            checkDirectory(of: partition.key, after)
        }
        // A partition that comes again under the name of one that is gone must not be taken to be
        // committed as far as that one was.
        if !local.removed.isEmpty || !hasNotedAssignments {
            hasNotedAssignments = true
            writeHighWatermarks()
        }
        for id in delta.createdTopics {
            guard let topic = image.topic(id) else { continue }
            configure(topic)
        }
        // A replica that has come to a topic that was here already has its configuration to get.
        for resource in delta.configs where resource.type == ConfigResource.topicType {
            if let topic = image.topic(named: resource.name) { configure(topic) }
        }
        if configured { for topic in image.topics { configure(topic) } }
        let removed = delta.removedTopics.map(\.name).filter { image.topic(named: $0) == nil }
        if !removed.isEmpty { stepGroups(.topicsDeleted(removed.sorted())) }
        groups.partitionCount = image.topic(named: TopicName.consumerOffsets)
            .map { Int32($0.partitionCount) }
        becomeReadyIfWhole()
    }

    private func brokersChanged() {
        let table = BrokerTable(
            image.brokerIds.compactMap { id in
                image.brokers[id].map {
                    BrokerStatus(
                        id: id, epoch: $0.epoch, rack: $0.rack, isFenced: $0.fenced,
                        isInControlledShutdown: $0.inControlledShutdown)
                }
            })
        replicas.setBrokers(table)
    }

    func registeredUnder(epoch: Int64) { replicas.brokerEpoch = epoch }

    // MARK: Configuration

    private func configure(_ topic: TopicImage) {
        replicas.setConfig(
            topicId: topic.id, cluster.replicationConfig(ofTopic: topic.name))
        let (config, unknown) = cluster.logConfig(ofTopic: topic.name)
        replicas.setLogConfig(topicId: topic.id, config)
        for problem in unknown {
            say(
                .error, "topic \(topic.name) goes by the default of one property: \(problem)",
                about: LogSubject(topic: topic.name))
        }
    }

    private func brokerConfigsChanged() {
        var changed = replicas.config
        func rate(_ name: String) -> Int64? {
            let value =
                image.configs[.broker(config.nodeID)]?[name] ?? image.configs[.everyBroker]?[name]
                ?? config.given[name]
            return value.flatMap { Int64($0) }
        }
        changed.leaderThrottledRate = rate("leader.replication.throttled.rate")
        changed.followerThrottledRate = rate("follower.replication.throttled.rate")
        replicas.config = changed
    }
}

extension PartitionMetadata {
    init(_ registration: PartitionRegistration) {
        self.init(
            leader: registration.leader, leaderEpoch: registration.leaderEpoch,
            partitionEpoch: registration.partitionEpoch, replicas: registration.replicas,
            isr: registration.isr, eligibleLeaders: registration.eligibleLeaderReplicas,
            addingReplicas: registration.addingReplicas,
            removingReplicas: registration.removingReplicas,
            isRecovering: registration.recovery == .recovering)
    }
}

extension ReplicationWarning {
    fileprivate var level: NodeLog.Level {
        switch self {
        case .isrExpanded: .info
        case .isrShrunk(_, let isUnder): isUnder ? .warning : .notice
        case .alterPartitionRefused, .fetchError: .debug
        case .truncatedBelowHighWatermark, .resetToLeaderStart, .refusedRecords: .error
        }
    }

    fileprivate var text: String {
        switch self {
        case .truncatedBelowHighWatermark(let offset, let highWatermark):
            "truncated to \(offset), below the high watermark \(highWatermark): records that were "
                + "acknowledged are gone, as after an unclean election"
        case .resetToLeaderStart(let offset):
            "begun anew at \(offset), where the leader's log starts"
        case .isrShrunk(let isr, let isUnder):
            "in sync are only \(isr)" + (isUnder ? ", fewer than min.insync.replicas" : "")
        case .isrExpanded(let isr): "in sync are \(isr)"
        case .alterPartitionRefused(let error): "the controller refused an ISR: \(error)"
        case .refusedRecords(let error): "records of the leader do not fit: \(error)"
        case .fetchError(let error): "the leader answers \(error)"
        }
    }
}
