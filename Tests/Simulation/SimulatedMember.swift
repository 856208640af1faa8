import BrokerCore
import CommitLog
import KafkaWire
import NIOCore
import SimulatedWorld
import Timing

/// A consumer in a group: it joins, reads what it is given, commits, leaves, and crashes.
///
/// It commits what it has read and asks for its offsets only at the coordinator that let it in. A
/// commit whose answer is lost may still arrive later, so it commits again only in another
/// generation. Like this, no committed offset may ever go back.
final class SimulatedMember: SimulatedClient {
    enum State: Equatable {
        case away(until: Instant)
        case joining, syncing, askingOffsets, stable
    }

    let group: ConsumerGroup
    private let instanceId: String?
    private(set) var state: State
    private(set) var memberId = ""
    private(set) var generation: Int32 = -1
    private(set) var assigned: [TopicPartition] = []
    /// Where it reads on.
    private(set) var positions: [TopicPartition: Int64] = [:]
    private var committed: [TopicPartition: Int64] = [:]
    private var coordinator: Int32 = -1
    private var isAsking = false
    private var isHeartbeatUnderWay = false
    private var isCommitting = false
    private var fetching: Set<Int32> = []
    private var nextAt = Instant(nanoseconds: 0)
    private var heartbeatAt = Instant(nanoseconds: 0)
    private var commitAt = Instant(nanoseconds: 0)
    private var lifeEnds = Instant(nanoseconds: 0)
    /// Counts its times in the group: what it asked for in an earlier one means nothing now.
    private(set) var time = 0
    /// Part of what it tells the group: another one makes a rebalance.
    private var attempt: Int32 = 0
    private var isStopping = false

    init(
        index: Int, seed: UInt64, cluster: ClusterSimulation, group: ConsumerGroup, number: Int
    ) {
        self.group = group
        instanceId = group.isStatic ? "\(group.name)-\(number)" : nil
        state = .away(until: cluster.world.now + .seconds(2))
        super.init(index: index, seed: seed, cluster: cluster)
    }

    private var identity: String { instanceId ?? memberId }

    override func stop() { isStopping = true }

    override var unfinished: String? {
        guard state == .stable else { return "member \(index) of \(group.name) is \(state)" }
        let behind = assigned.first { committed[$0] != positions[$0] || positions[$0] == nil }
        return behind.map { "member \(index) has not committed \($0)" }
    }

    override func step() {
        if case .away(let until) = state {
            guard now >= until else { return }
            state = .joining
            lifeEnds = now + random.delay(.seconds(2) ... .seconds(25))
        }
        if !isStopping, now >= lifeEnds { return goAway() }
        guard coordinator > 0 else { return findCoordinator() }
        switch state {
        case .away: break
        case .joining: if !isAsking, now >= nextAt { join() }
        case .syncing, .askingOffsets: break
        case .stable:
            heartbeat()
            if state == .stable { commit() }
            if state == .stable { fetch() }
        }
    }

    // MARK: Life

    /// It leaves, or only ends; a named one comes back as who it was.
    private func goAway() {
        let leaves = instanceId == nil && random.chance(perMille: 500)
        if leaves, !memberId.isEmpty, coordinator > 0 {
            let request = LeaveGroupRequest(
                groupId: group.name, members: [.init(memberId: memberId)])
            ask(coordinator, request, version: 4) { _ in }
        }
        cluster.log("member \(index) of \(group.name) \(leaves ? "leaves" : "ends")")
        drop()
        forgetRequests()
        isAsking = false
        isHeartbeatUnderWay = false
        isCommitting = false
        fetching = []
        memberId = ""
        coordinator = -1
        state = .away(until: now + random.delay(.milliseconds(100) ... .seconds(4)))
    }

    /// Who comes back as it was is given the same generation again, in which a commit that is under
    /// way would be older than what follows it: so it comes back as another.
    private func drop() {
        if isCommitting { attempt += 1 }
        time += 1
        generation = -1
        assigned = []
        positions = [:]
        committed = [:]
    }

    /// Out of the generation: begin again at the join.
    private func rejoin(_ error: ErrorCode? = nil, forcesRebalance: Bool = false) {
        if forcesRebalance { attempt += 1 }
        drop()
        switch error {
        case .none?, .rebalanceInProgress?, .illegalGeneration?, .coordinatorLoadInProgress?: break
        case .unknownMemberId?: memberId = ""
        case .fencedInstanceId?:
            // Someone else has this name: a process of ours that is still heard of.
            memberId = ""
        default: coordinator = -1
        }
        state = .joining
        nextAt = now + .milliseconds(50)
    }

    private func findCoordinator() {
        guard !isAsking, now >= nextAt else { return }
        isAsking = true
        nextAt = now + .milliseconds(100)
        let request = FindCoordinatorRequest(key: group.name)
        ask(anyBroker, request, version: 3) { [self] response in
            isAsking = false
            if let response, response.errorCode == .none { coordinator = response.nodeId }
        }
    }

    // MARK: Joining

    private func join() {
        isAsking = true
        let subscription = ConsumerProtocolSubscription(
            topics: group.topics.map(\.name), userData: ByteBuffer(integer: attempt))
        let timeout = cluster.plan.sessionTimeoutMs
        let request = JoinGroupRequest(
            groupId: group.name, sessionTimeoutMs: timeout, rebalanceTimeoutMs: timeout,
            memberId: memberId, groupInstanceId: instanceId, protocolType: "consumer",
            protocols: [.init(name: "range", metadata: subscription.versionPrefixed(version: 1))])
        let asked = time
        ask(
            coordinator, request, version: 7, lane: .forwarded,
            timeout: .milliseconds(Int64(timeout) + 4_000)
        ) { [self] response in
            isAsking = false
            guard time == asked else { return }
            guard let response else { return rejoin() }
            if response.errorCode == .memberIdRequired {
                memberId = response.memberId
            } else if response.errorCode != .none {
                rejoin(response.errorCode)
            } else {
                memberId = response.memberId
                generation = response.generationId
                sync(response)
            }
        }
    }

    private func sync(_ joined: JoinGroupResponse) {
        state = .syncing
        var request = SyncGroupRequest(
            groupId: group.name, generationId: generation, memberId: memberId,
            groupInstanceId: instanceId)
        if joined.leader == memberId { request.assignments = assign(joined.members) }
        let asked = time
        ask(
            coordinator, request, version: 4, lane: .forwarded,
            timeout: .milliseconds(Int64(cluster.plan.sessionTimeoutMs) + 3_000)
        ) { [self] response in
            guard time == asked else { return }
            guard let response, response.errorCode == .none else {
                return rejoin(response?.errorCode)
            }
            take(response.assignment)
        }
    }

    /// The leader deals the partitions out.
    private func assign(
        _ members: [JoinGroupResponse.JoinGroupResponseMember]
    ) -> [SyncGroupRequest.SyncGroupRequestAssignment] {
        members.enumerated().map { position, member in
            let own = group.places.enumerated().filter { $0.offset % members.count == position }
            let assignment = ConsumerProtocolAssignment(
                assignedPartitions: own.map {
                    .init(topic: $0.element.topic, partitions: [$0.element.partition])
                })
            return .init(
                memberId: member.memberId, assignment: assignment.versionPrefixed(version: 1))
        }
    }

    private func take(_ bytes: ByteBuffer) {
        guard let assignment = try? ConsumerProtocolAssignment(versionPrefixed: bytes) else {
            // A member that came late to a group that knows it has nothing to do.
            return rejoin(.rebalanceInProgress, forcesRebalance: true)
        }
        assigned = assignment.assignedPartitions.flatMap { topic in
            topic.partitions.map { TopicPartition(topic.topic, $0) }
        }
        cluster.checks.groups.owns(identity, group.name, generation, assigned)
        heartbeatAt = now
        askOffsets()
    }

    private func askOffsets() {
        state = .askingOffsets
        let request = OffsetFetchRequest(
            groupId: group.name,
            topics: group.topics.map { topic in
                .init(
                    name: topic.name,
                    partitionIndexes: assigned.filter { $0.topic == topic.name }.map(\.partition))
            })
        let asked = (time: time, generation: generation)
        let floors = assigned.map {
            cluster.checks.groups.floor(group.name, $0, upTo: asked.generation)
        }
        ask(coordinator, request, version: 5, lane: .forwarded) { [self] response in
            guard time == asked.time else { return }
            guard let response, response.errorCode == .none else {
                return rejoin(response?.errorCode)
            }
            for topic in response.topics {
                for partition in topic.partitions {
                    let place = TopicPartition(topic.name, partition.partitionIndex)
                    guard let number = assigned.firstIndex(of: place) else { continue }
                    cluster.checks.groups.fetched(
                        partition.committedOffset, group.name, place, floor: floors[number],
                        by: identity, generation: asked.generation, from: coordinator)
                    positions[place] = max(0, partition.committedOffset)
                    committed[place] = partition.committedOffset
                }
            }
            guard positions.count == assigned.count else { return rejoin() }
            state = .stable
            commitAt = now + .milliseconds(100)
        }
    }

    // MARK: In the group

    private func heartbeat() {
        guard !isHeartbeatUnderWay, now >= heartbeatAt else { return }
        heartbeatAt = now + .milliseconds(Int64(cluster.plan.sessionTimeoutMs) / 5)
        isHeartbeatUnderWay = true
        let asked = time
        let request = HeartbeatRequest(
            groupId: group.name, generationId: generation, memberId: memberId,
            groupInstanceId: instanceId)
        ask(coordinator, request, version: 4, timeout: .seconds(1)) { [self] response in
            isHeartbeatUnderWay = false
            guard time == asked else { return }
            if response?.errorCode != ErrorCode.none { rejoin(response?.errorCode) }
        }
    }

    private func commit() {
        let due = assigned.filter { positions[$0] != committed[$0] }
        guard !isCommitting, now >= commitAt, !due.isEmpty else { return }
        commitAt = now + .milliseconds(300)
        isCommitting = true
        let asked = (time: time, generation: generation)
        let offsets = due.map { ($0, positions[$0] ?? 0) }
        let request = OffsetCommitRequest(
            groupId: group.name, generationIdOrMemberEpoch: generation, memberId: memberId,
            groupInstanceId: instanceId,
            topics: offsets.map { place, offset in
                .init(
                    name: place.topic,
                    partitions: [
                        .init(partitionIndex: place.partition, committedOffset: offset)
                    ])
            })
        // Sent once: a copy that comes after the next commit would take it back.
        ask(coordinator, request, version: 7, lane: .forwarded, mayRepeat: false) {
            [self] response in
            isCommitting = false
            let errors = response?.topics.flatMap(\.partitions).map(\.errorCode) ?? []
            if errors.count == offsets.count, errors.allSatisfy({ $0 == .none }) {
                for (place, offset) in offsets {
                    cluster.checks.groups.committed(
                        offset, group.name, place, generation: asked.generation)
                    if time == asked.time { committed[place] = offset }
                }
            } else if time == asked.time {
                rejoin(errors.first { $0 != .none }, forcesRebalance: response == nil)
            }
        }
    }

    // MARK: Reading: see the other file

    func isFetching(from leader: Int32) -> Bool { fetching.contains(leader) }
    func beginFetch(from leader: Int32) { fetching.insert(leader) }
    func endFetch(from leader: Int32) { fetching.remove(leader) }
    func advance(_ place: TopicPartition, to position: Int64) { positions[place] = position }
}
