import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import NIOCore
import Replication
import Timing

package enum BrokerEffect {
    case node(NodeEffect)
    /// To be carried out on another thread; then `flushed` with the same ticket.
    case flush(TopicIdPartition, FlushTicket)
    /// The broker is registered, knows the cluster and has been let in: clients can be served.
    case ready
}

/// A broker: its partitions, its groups, and the answers to every request of a client.
///
/// Stepped, and owned by one event loop. What it knows of the cluster comes from the metadata
/// quorum's node in the same process; what it wants of the controller it asks for over the network
/// like any other broker, so that it does not matter where the controller is.
package final class BrokerNode: SteppedNode {
    let config: BrokerConfig
    let identity: NodeIdentity
    let logs: LogKeeper
    package let replicas: ReplicaManager
    let cluster: ClusterState
    let groups: GroupCoordinator
    var lifecycle: BrokerLifecycle
    /// The metadata is current, and acted upon.
    var isActing = false
    /// The checkpoint of high watermarks names no partition that was another one before this start.
    var hasNotedAssignments = false
    var controllerID: Int32?
    var advertisedEndpoints: [Endpoint]

    var now: Instant
    var nowMs: Int64
    var connections: [UInt64: ConnectionInfo] = [:]
    /// Requests that replication owes a reply to.
    var replicaReplies: [RequestToken: ReplyAddress] = [:]
    /// Requests that the group coordinator owes a reply to, by its token.
    var groupReplies: [UInt64: GroupReply] = [:]
    var nextGroupToken: UInt64 = 1
    /// Appends of the coordinator under way, by replication's token.
    var groupAppends: [UInt64: UInt64] = [:]
    var nextAppendToken: UInt64 = 1
    /// Partitions of `__consumer_offsets` whose records are being read.
    var loading: [GroupLoading] = []
    var outstanding: [UInt64: Outstanding] = [:]
    var nextRequest: UInt64 = 1
    var producerIds = ProducerIdBlocks()
    var assignments = DirectoryAssignments()
    var creating: Set<String> = []
    var housekeeping: Housekeeping
    var counters = BrokerCounters()
    package internal(set) var requestKind: RequestKind?
    var reminders = Reminders()
    var replicationEffects: [ReplicationEffect] = []
    var hasFailed = false
    var effects: [BrokerEffect] = []

    package init(
        config: BrokerConfig, identity: NodeIdentity, directory: LogDirectory, seed: UInt64,
        now: Instant, nowMs: Int64
    ) throws(NodeStartError) {
        self.config = config
        self.identity = identity
        self.now = now
        self.nowMs = nowMs
        let places = config.advertised.isEmpty ? config.brokerListeners : config.advertised
        advertisedEndpoints = places.filter { place in
            config.brokerListeners.contains { $0.name == place.name }
        }.map { Endpoint(name: $0.name, host: $0.host, port: $0.port) }
        cluster = ClusterState(config)
        logs = LogKeeper(directory: directory, cluster: cluster, seed: seed &+ 3)
        logs.nowMs = nowMs
        lifecycle = BrokerLifecycle(previousEpoch: logs.lastBrokerEpoch)
        replicas = ReplicaManager(
            brokerId: config.nodeID, config: ReplicationConfig(config), directory: cluster,
            logs: logs, seed: seed, highWatermarks: logs.highWatermarks())
        groups = GroupCoordinator(
            config: GroupCoordinatorConfig(config), random: SplitMix64(seed: seed &+ 7))
        housekeeping = Housekeeping(config: config, now: now)
        lifecycle.nextAttempt = now
        lifecycle.registrationDeadline =
            now + .milliseconds(config.integer("initial.broker.registration.timeout.ms"))
    }

    package var image: MetadataImage { cluster.image }

    // MARK: Events

    package func connectionOpened(_ connection: ConnectionInfo) {
        connections[connection.id] = connection
    }

    package func receive(_ frame: ByteBuffer, token: ReplyToken, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        requestKind = nil
        do {
            try serve(RequestFrame(frame), token)
        } catch {
            emit(.close(connection: token.connection, reason: "malformed request: \(error)"))
        }
    }

    package func connectionClosed(_ connection: UInt64, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        connections[connection] = nil
        // The other tables forget the connection's requests as they are answered; a fetch that
        // waits is let go of at once.
        for token in waitingFetches.removeValue(forKey: connection) ?? [] {
            replicas.cancelFetch(token)
            replicaReplies[token] = nil
        }
    }

    /// Fetches that may be waiting, by connection.
    var waitingFetches: [UInt64: Set<RequestToken>] = [:]

    package func peerReplied(_ id: UInt64, _ body: ByteBuffer?, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        guard let what = outstanding.removeValue(forKey: id) else { return }
        answered(what, body)
    }

    package func flushed(
        _ key: TopicIdPartition, _ ticket: FlushTicket, _ error: DiskError?, now: Instant,
        nowMs: Int64
    ) {
        setTime(now, nowMs)
        replicas.flushed(key, ticket, error)
    }

    package func settle(now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        guard !hasFailed else { return }
        advanceLifecycle()
        if let due = lifecycle.shutdownDeadline, due <= self.now { endShutDown() }
        assignDirectories()
        loadGroups()
        if let due = groups.nextDeadline, due <= self.now { stepGroups(.timer) }
        keepHouse()
        // Replication's effects may step the groups, whose appends step replication.
        for _ in 0..<64 {
            replicas.settle(into: &replicationEffects)
            if replicationEffects.isEmpty { break }
            let batch = replicationEffects
            replicationEffects.removeAll(keepingCapacity: true)
            for effect in batch { carryOut(effect) }
        }
    }

    package var nextDeadline: Instant? {
        guard !hasFailed else { return nil }
        var next = replicas.nextDeadline
        func include(_ other: Instant?) {
            if let other { next = min(next ?? other, other) }
        }
        include(lifecycle.nextAttempt)
        include(lifecycle.registrationDeadline)
        include(lifecycle.shutdownDeadline)
        include(lifecycle.storageDeadline)
        include(nextAssignment)
        include(groups.nextDeadline)
        include(housekeeping.nextDeadline)
        // That more is committed comes with an event.
        if loading.contains(where: { !$0.waitsForCommit }) { include(now) }
        return next
    }

    package func takeEffects() -> [BrokerEffect] {
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package static func common(_ effect: BrokerEffect) -> NodeEffect? {
        if case .node(let effect) = effect { effect } else { nil }
    }

    // MARK: Inside

    func setTime(_ now: Instant, _ nowMs: Int64) {
        self.now = max(self.now, now)
        self.nowMs = nowMs
        logs.nowMs = nowMs
        replicas.begin(at: self.now, wallMs: nowMs)
    }

    func emit(_ effect: NodeEffect) { effects.append(.node(effect)) }

    func say(_ level: NodeLog.Level, _ message: String, about: LogSubject = LogSubject()) {
        emit(.log(NodeLog(level, message, about)))
    }

    func fail(_ message: String) {
        guard !hasFailed else { return }
        hasFailed = true
        emit(.fail(message))
    }

    func reply<Response: KafkaResponse>(_ address: ReplyAddress, _ response: Response) {
        emit(.reply(address.token, address.pieces(response)))
    }

    /// The other end of a request that this node had sent has answered, or has not.
    private func answered(_ what: Outstanding, _ body: ByteBuffer?) {
        switch what {
        case .registration:
            registered(decode(body, BrokerRegistrationRequest.self))
        case .heartbeat(let controller):
            heartbeatAnswered(by: controller, decode(body, BrokerHeartbeatRequest.self))
        case .alterPartition:
            replicas.alterPartitionDone(decode(body, AlterPartitionRequest.self))
        case .directoryAssignment:
            assignments.answered(decode(body, AssignReplicasToDirsRequest.self), now: now)
        case .producerIds:
            producerIdsCame(decode(body, AllocateProducerIdsRequest.self))
        case .forwarded(let address): passOn(body, address)
        case .autoCreation(let names): autoCreated(names, decode(body, CreateTopicsRequest.self))
        case .replicaFetch(let leader, let correlation):
            replicas.fetched(
                from: leader, correlation: correlation, decode(body, FetchRequest.self))
        case .replicaListOffsets(let leader, let correlation):
            replicas.listedOffsets(
                from: leader, correlation: correlation, decode(body, ListOffsetsRequest.self))
        }
    }

    /// Between nodes of this software every request has its newest version.
    private func decode<Request: KafkaRequest>(
        _ body: ByteBuffer?, _ type: Request.Type
    ) -> Request.Response? {
        guard let body else { return nil }
        do {
            return try Request.Response(body, version: Request.validVersions.upperBound)
        } catch {
            let name = "API key \(Request.apiKey)"
            if reminders.isDue(name, now) {
                say(.warning, "an answer to a request of \(name) cannot be read: \(error)")
            }
            return nil
        }
    }
}

extension ReplicationConfig {
    init(_ config: BrokerConfig) {
        self.init()
        func milliseconds(_ name: String) -> Nanoseconds { .milliseconds(config.integer(name)) }
        func rate(_ name: String) -> Int64? {
            config.given[name] == nil ? nil : config.integer(name)
        }
        replicaLagTimeMax = milliseconds("replica.lag.time.max.ms")
        replicaFetchWaitMax = milliseconds("replica.fetch.wait.max.ms")
        replicaFetchMinBytes = Int32(clamping: config.integer("replica.fetch.min.bytes"))
        replicaFetchMaxBytes = Int32(clamping: config.integer("replica.fetch.max.bytes"))
        replicaFetchResponseMaxBytes = Int32(
            clamping: config.integer("replica.fetch.response.max.bytes"))
        replicaFetchBackoff = milliseconds("replica.fetch.backoff.ms")
        fetchMaxBytes = Int32(clamping: config.integer("fetch.max.bytes"))
        maxFetchSessions = Int(config.integer("max.incremental.fetch.session.cache.slots"))
        replicaSelector =
            ReplicaSelector(className: config.text("replica.selector.class")) ?? .leader
        highWatermarkWait = .milliseconds(5)
        leaderThrottledRate = rate("leader.replication.throttled.rate")
        followerThrottledRate = rate("follower.replication.throttled.rate")
    }
}

extension GroupCoordinatorConfig {
    init(_ config: BrokerConfig) {
        self.init()
        func int32(_ name: String) -> Int32 { Int32(clamping: config.integer(name)) }
        let shortest = int32("group.min.session.timeout.ms")
        sessionTimeoutsMs = shortest...max(shortest, int32("group.max.session.timeout.ms"))
        initialRebalanceDelayMs = int32("group.initial.rebalance.delay.ms")
        maxGroupSize = int32("group.max.size")
        maxOffsetMetadata = Int(config.integer("offset.metadata.max.bytes"))
        offsetsRetentionMinutes = int32("offsets.retention.minutes")
        offsetsRetentionCheckIntervalMs = config.integer("offsets.retention.check.interval.ms")
        offsetCommitTimeoutMs = int32("offsets.commit.timeout.ms")
    }
}
