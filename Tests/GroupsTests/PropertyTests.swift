import Groups
import KafkaWire
import NIOCore
import Testing

/// Random clients, a log that is slow and refuses, leaders that come and go; after every event what
/// must always hold.
@Suite struct PropertyTests {
    @Test(arguments: 0..<60 as Range<UInt64>)
    func randomLife(seed: UInt64) throws {
        let world = World(seed: seed)
        for _ in 0..<400 { try world.act() }
        try world.end()
    }
}

private final class World {
    struct Client {
        var memberId = ""
        var generation: Int32 = -1
        var isLeader = false
        var members: [String] = []
        var instanceId: String?
    }

    static let groups = ["a", "b", "c", "d", "e"]
    let broker: TestBroker
    var random: SplitMix64
    /// By group and client.
    var clients: [String: Client] = [:]
    var asked: [UInt64: String] = [:]
    var answered: Set<UInt64> = []
    var sent: UInt64 = 0
    /// Groups whose last write was refused: memory has gone on without the log.
    var unwritten: Set<String> = []
    var generations: [String: Int32] = [:]
    var problems: [String] = []

    init(seed: UInt64) {
        random = SplitMix64(state: seed &* 7_919 &+ 1)
        let delay: Int32 = [0, 3_000].randomElement(using: &random) ?? 0
        let config = GroupCoordinatorConfig.with {
            $0.initialRebalanceDelayMs = delay
            $0.maxGroupSize = 4
            $0.tombstoneBatchBytes = 200
            $0.expirationSlice = 3
            $0.offsetsRetentionMinutes = 1
            $0.offsetsRetentionCheckIntervalMs = 30_000
        }
        broker = TestBroker(config: config, partitions: 3, seed: seed)
        broker.holds = true
        broker.onReply = { [unowned self] token, response in replied(token, response) }
        broker.leadAll()
    }

    func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    // MARK: What happens

    func act() throws {
        let group = Self.groups[number(0..<Self.groups.count)]
        let name = "c\(number(0..<5))"
        let key = "\(group)/\(name)"
        var client = clients[key, default: Client()]
        if client.instanceId == nil, number(0..<8) == 0 { client.instanceId = "i-\(name)" }
        clients[key] = client
        switch number(0..<100) {
        case 0..<22: join(group, key, client)
        case 22..<38: sync(group, key, client)
        case 38..<44: beat(group, key, client)
        case 44..<48: leave(group, key, client)
        case 48..<60: commit(group, key, client)
        case 60..<64: fetch(group, key)
        case 64..<66: offsetDelete(group, key)
        case 66..<68:
            send(.deleteGroups(.init(groupsNames: [group, Self.groups[number(0..<5)]])), 2, key)
        case 68..<69: broker.step(.topicsDeleted(["t\(number(0..<3))", "none"]))
        case 69..<70: broker.step(.expireOffsets)
        case 70..<72: send(.listGroups(.init()), 5, key)
        case 72..<74: send(.describeGroups(.init(groups: Self.groups)), 5, key)
        case 74..<88: commitSome()
        case 88..<91: refuse()
        case 91..<92: changeLeader()
        case 92..<94: clients[key]?.memberId = ""
        default: broker.wait(milliseconds: Int64([1, 100, 3_000, 9_000, 70_000][number(0..<5)]))
        }
        broker.wait(milliseconds: 0)
        try check()
    }

    private func send(_ request: GroupRequest, _ version: Int16, _ key: String) {
        sent += 1
        asked[sent] = key
        let token = broker.send(
            request, GroupClient(version: version, clientId: key, host: "/h"))
        if token != sent { problems.append("token") }
        broker.wait(milliseconds: 0)
    }

    private func join(_ group: String, _ key: String, _ client: Client) {
        let protocols = [["x"], ["x", "y"], ["y", "x"], ["z"]][
            number(0..<20) == 0 ? 3 : number(0..<3)]
        let topics = (0..<number(0..<3)).map { "t\($0)" }
        let request = JoinGroupRequest(
            groupId: group, sessionTimeoutMs: 10_000,
            rebalanceTimeoutMs: Int32(number(1..<4)) * 5_000, memberId: client.memberId,
            groupInstanceId: client.instanceId,
            protocolType: number(0..<30) == 0 ? "other" : "consumer",
            protocols: protocols.map { .init(name: $0, metadata: subscription(topics)) })
        send(.joinGroup(request), Int16([3, 5, 9][number(0..<3)]), key)
    }

    private func sync(_ group: String, _ key: String, _ client: Client) {
        let assignments =
            client.isLeader
            ? client.members.map {
                SyncGroupRequest.SyncGroupRequestAssignment(
                    memberId: $0, assignment: ByteBuffer(string: "\($0) \(client.generation)"))
            } : []
        let request = SyncGroupRequest(
            groupId: group, generationId: client.generation, memberId: client.memberId,
            groupInstanceId: client.instanceId, assignments: assignments)
        send(.syncGroup(request), 5, key)
    }

    private func beat(_ group: String, _ key: String, _ client: Client) {
        let request = HeartbeatRequest(
            groupId: group, generationId: client.generation, memberId: client.memberId,
            groupInstanceId: client.instanceId)
        send(.heartbeat(request), 4, key)
    }

    private func leave(_ group: String, _ key: String, _ client: Client) {
        let member = LeaveGroupRequest.MemberIdentity(
            memberId: number(0..<4) == 0 ? "" : client.memberId,
            groupInstanceId: client.instanceId)
        send(.leaveGroup(.init(groupId: group, members: [member])), 5, key)
    }

    private func commit(_ group: String, _ key: String, _ client: Client) {
        let isMember = number(0..<2) == 0
        var request = OffsetCommitRequest(
            groupId: group, generationIdOrMemberEpoch: isMember ? client.generation : -1,
            memberId: isMember ? client.memberId : "",
            groupInstanceId: isMember ? client.instanceId : nil)
        if number(0..<6) == 0 { request.retentionTimeMs = Int64(number(0..<200_000)) }
        for _ in 0...number(0..<2) {
            request.topics.append(
                .init(
                    name: "t\(number(0..<3))",
                    partitions: [
                        .init(
                            partitionIndex: Int32(number(0..<4)),
                            committedOffset: Int64(number(0..<1_000)),
                            committedMetadata: [nil, "", "m"][number(0..<3)])
                    ]))
        }
        send(.offsetCommit(request), Int16([4, 8, 9][number(0..<3)]), key)
    }

    private func fetch(_ group: String, _ key: String) {
        let isStable = number(0..<2) == 0
        let request = OffsetFetchRequest(
            groups: [.init(groupId: group, topics: nil), .init(groupId: "a", topics: nil)],
            requireStable: isStable)
        send(.offsetFetch(request), 9, key)
    }

    private func offsetDelete(_ group: String, _ key: String) {
        let partitions = (0..<4).map {
            OffsetDeleteRequest.OffsetDeleteRequestPartition(partitionIndex: $0)
        }
        let topics = (0..<3).map {
            OffsetDeleteRequest.OffsetDeleteRequestTopic(name: "t\($0)", partitions: partitions)
        }
        send(.offsetDelete(.init(groupId: group, topics: topics)), 0, key)
    }

    // MARK: The log

    /// The oldest in flight of a random partition.
    private func oldest() -> Int? {
        let partitions = Set(broker.inFlight.map(\.partition)).sorted()
        guard let partition = partitions.randomElement(using: &random) else { return nil }
        return broker.inFlight.firstIndex { $0.partition == partition }
    }

    private func commitSome() {
        for _ in 0...number(0..<4) {
            guard let index = oldest() else { return }
            written(broker.inFlight[index].batch)
            broker.commit(index)
        }
        broker.wait(milliseconds: 0)
    }

    private func written(_ batch: ByteBuffer) {
        _ = GroupRecordReader.forEach(in: batch) { record in
            if case .group(let key, _) = record { unwritten.remove(key.group) }
        }
    }

    private func refuse() {
        guard let index = oldest() else { return }
        let groups = groupsWithMetadata(in: broker.inFlight[index].batch)
        broker.refuse(
            [.notEnoughReplicas, .messageTooLarge, .kafkaStorageError][number(0..<3)], index)
        unwritten.formUnion(groups)
        broker.wait(milliseconds: 0)
    }

    private func groupsWithMetadata(in batch: ByteBuffer) -> [String] {
        var groups: [String] = []
        _ = GroupRecordReader.forEach(in: batch) { record in
            if case .group(let key, _) = record { groups.append(key.group) }
        }
        return groups
    }

    /// Of what is in flight the next leader has the first few batches.
    private func changeLeader() {
        let partition = Int32(number(0..<3))
        for batch in broker.inFlight.filter({ $0.partition == partition }).prefix(number(0..<3)) {
            broker.logs[partition, default: []].append(batch.batch)
        }
        broker.lose(partition)
        broker.lead(partition)
        unwritten.subtract(
            Self.groups.filter { GroupCoordinator.partition(forGroup: $0, count: 3) == partition })
        for group in Self.groups
        where GroupCoordinator.partition(forGroup: group, count: 3) == partition {
            generations[group] = nil
        }
    }

    // MARK: What is heard

    private func replied(_ token: UInt64, _ response: GroupResponse) {
        if !answered.insert(token).inserted { problems.append("request \(token) answered twice") }
        guard let key = asked[token] ?? (token == sent ? asked[sent] : nil) else {
            problems.append("an answer to \(token), which was not asked")
            return
        }
        let group = String(key.prefix(1))
        switch response {
        case .joinGroup(let joined):
            clients[key, default: Client()].memberId = joined.memberId
            guard joined.errorCode == .none else { return }
            clients[key]?.generation = joined.generationId
            clients[key]?.isLeader = !joined.members.isEmpty
            clients[key]?.members = joined.members.map(\.memberId)
            if joined.generationId < generations[group, default: 0] {
                problems.append("\(group) fell back to generation \(joined.generationId)")
            }
            generations[group] = joined.generationId
            if joined.members.isEmpty == (joined.leader == joined.memberId) {
                problems.append("\(joined.memberId) does not know whether it leads")
            }
        case .syncGroup(let synced):
            guard synced.errorCode == .none else { return }
            // Nobody gets what was assigned to another, or in another generation. Static members
            // inherit, so theirs is under another id.
            let text = synced.assignment.text
            let client = clients[key, default: Client()]
            if client.instanceId == nil, !text.isEmpty,
                text != "\(client.memberId) \(client.generation)"
            {
                problems.append("\(key) \(client.memberId) got '\(text)'")
            }
        case .deleteGroups(let deleted):
            for result in deleted.results where result.errorCode == .none {
                generations[result.groupId] = nil
            }
        default: break
        }
    }

    // MARK: What must hold

    func check() throws {
        let coordinator = broker.coordinator
        try #require(problems.isEmpty, "\(problems)")
        // Timers come to an end.
        if let deadline = coordinator.nextDeadline { try #require(deadline > broker.now) }
        var states: [String: String] = [:]
        var groupCount = 0
        if case .listGroups(let list)? = broker.askQuietly(.listGroups(.init()), version: 5) {
            groupCount = list.groups.count
            for group in list.groups { states[group.groupId] = group.groupState }
        }
        try #require(groupCount == coordinator.groupCount)
        for state in GroupState.allCases {
            let count = states.values.filter { $0 == state.name }.count
            try #require(coordinator.groupCount(in: state) == count)
        }
        for group in Self.groups where states[group] == nil { generations[group] = nil }
        let offsets = (0..<3).flatMap { coordinator.snapshot(ofPartition: $0) }
            .filter { if case .offset = $0 { true } else { false } }
        try #require(offsets.count == coordinator.offsetCount)
        for partition in 0..<3 as Range<Int32>
        where !broker.inFlight.contains(where: { $0.partition == partition }) {
            try checkReplay(of: partition, states)
        }
    }

    /// Reading the log anew gives the same.
    private func checkReplay(of partition: Int32, _ states: [String: String]) throws {
        let other = TestBroker(config: broker.coordinator.config, partitions: 3)
        other.logs = broker.logs
        other.lead(partition)
        func comparable(_ records: [GroupRecord]) -> [GroupRecord] {
            records.compactMap { record in
                guard case .group(let key, var value?) = record else { return record }
                // A group at work on its next generation has not written it yet.
                guard ["Stable", "Empty", nil].contains(states[key.group]),
                    !unwritten.contains(key.group)
                else { return nil }
                // The record of a stable group was written a moment before it became stable.
                if !value.members.isEmpty { value.currentStateTimestamp = 0 }
                return .group(key, value)
            }
        }
        let live = comparable(broker.coordinator.snapshot(ofPartition: partition))
        let read = comparable(other.coordinator.snapshot(ofPartition: partition))
        try #require(live == read)
    }

    /// After the last partition is gone, every request has its answer.
    func end() throws {
        for partition in 0..<3 as Range<Int32> { broker.lose(partition) }
        try #require(problems.isEmpty, "\(problems)")
        #expect(answered.count == Int(sent))
        #expect(broker.coordinator.groupCount == 0 && broker.coordinator.offsetCount == 0)
    }
}

extension TestBroker {
    /// Asks without being noticed.
    fileprivate func askQuietly(_ request: GroupRequest, version: Int16) -> GroupResponse? {
        let effects = coordinator.step(
            .request(token: .max, request, GroupClient(version: version)), now: now,
            wallMs: wallMs)
        guard case .reply(_, let response)? = effects.first else { return nil }
        return response
    }
}
