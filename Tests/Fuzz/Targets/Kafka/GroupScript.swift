import Groups
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Timing

/// Records of `__consumer_offsets`, of any content, are loaded; the groups they make are then asked
/// for everything, and each request is answered once.
enum GroupScript {
    static func run(_ bytes: UnsafeRawBufferPointer) {
        GroupRecord.fuzz(bytes)
        var script = FuzzScript(bytes)
        var builder = RecordBatchBuilder()
        while let step = script.next() {
            var value = ByteBuffer(bytes: step.bytes)
            let key = value.readSlice(length: min(Int(step.argument), value.readableBytes))
            builder.append(
                key: key, value: step.operation & 1 == 0 ? value : nil, timestamp: 1)
        }
        guard let batch = try? builder.build() else { return }
        let life = GroupLife()
        life.step(.loadRecords(0, epoch: 1, batch))
        life.step(.loadFinished(0, epoch: 1))
        life.askForEverything()
    }

    private static func record(_ key: ByteBuffer, _ value: ByteBuffer?) -> [UInt8] {
        FuzzScript.step(
            value == nil ? 1 : 0, UInt8(clamping: key.readableBytes),
            Array(buffer: key) + (value.map { Array(buffer: $0) } ?? []))
    }

    static let seeds: [[UInt8]] = {
        let group = GroupMetadataKey(group: "g").versionPrefixed(version: 2)
        let offset = OffsetCommitKey(group: "g", topic: "t", partition: 0)
            .versionPrefixed(version: 1)
        let subscription = ConsumerProtocolSubscription(topics: ["t"]).versionPrefixed(version: 1)
        let members = record(
            group,
            GroupMetadataValue(
                protocolType: "consumer", generation: 3, protocol: "range", leader: "m",
                currentStateTimestamp: 5,
                members: [
                    .init(
                        memberId: "m", groupInstanceId: "i", clientId: "c", clientHost: "/h",
                        rebalanceTimeout: 100, sessionTimeout: 100, subscription: subscription),
                    .init(
                        memberId: "n", clientId: "c", clientHost: "/h", rebalanceTimeout: 100,
                        sessionTimeout: 100, subscription: subscription),
                ]
            ).versionPrefixed(version: 3))
        let committed = record(
            offset,
            OffsetCommitValue(offset: 7, leaderEpoch: 1, metadata: "x", commitTimestamp: 9)
                .versionPrefixed(version: 3))
        return [
            members, committed, members + committed,
            members + committed + record(offset, nil) + record(group, nil),
        ]
    }()
}

private final class GroupLife {
    private let coordinator: GroupCoordinator
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var nextToken: UInt64 = 1
    private var open: Set<UInt64> = []

    init() {
        coordinator = GroupCoordinator(
            config: GroupCoordinatorConfig(), partitionCount: 1, random: SplitMix64(seed: 1))
        step(.partitionLed(0, epoch: 1))
    }

    @discardableResult
    func step(_ event: GroupEvent) -> [GroupResponse] {
        var replies: [GroupResponse] = []
        var events = [event]
        while let event = events.popLast() {
            for effect in coordinator.step(event, now: now, wallMs: 1_700_000_000_000) {
                switch effect {
                case .append(_, let batch, let token):
                    precondition(
                        (try? RecordBatch(at: 0, in: batch)) != nil, "no batch is appended")
                    events.insert(.appended(token: token, .committed), at: 0)
                case .reply(let token, let response):
                    precondition(open.remove(token) != nil, "answered twice")
                    replies.append(response)
                }
            }
        }
        return replies
    }

    @discardableResult
    private func ask(_ request: GroupRequest) -> [GroupResponse] {
        open.insert(nextToken)
        defer { nextToken += 1 }
        return step(.request(token: nextToken, request, GroupClient(version: 5)))
    }

    func askForEverything() {
        var ids: [String] = []
        for case .listGroups(let list) in ask(.listGroups(ListGroupsRequest())) {
            ids = Array(list.groups.map(\.groupId).prefix(8))
        }
        var members: [(group: String, member: String)] = []
        let described = ask(.describeGroups(DescribeGroupsRequest(groups: ids)))
        for case .describeGroups(let description) in described {
            for group in description.groups {
                members += group.members.prefix(8).map { (group.groupId, $0.memberId) }
            }
        }
        for id in ids {
            ask(.offsetFetch(OffsetFetchRequest(groupId: id, topics: nil)))
            ask(
                .joinGroup(
                    JoinGroupRequest(
                        groupId: id, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 100,
                        groupInstanceId: "i", protocolType: "consumer",
                        protocols: [.init(name: "range")])))
        }
        for (group, member) in members {
            ask(.heartbeat(HeartbeatRequest(groupId: group, generationId: 3, memberId: member)))
            ask(.syncGroup(SyncGroupRequest(groupId: group, generationId: 3, memberId: member)))
        }
        for _ in 0..<8 {
            guard let due = coordinator.nextDeadline else { break }
            now = max(now, due)
            step(.timer)
        }
        step(.expireOffsets)
        step(.topicsDeleted(["t"]))
        ask(.deleteGroups(DeleteGroupsRequest(groupsNames: ids)))
        step(.partitionLost(0, epoch: 2))
        precondition(open.isEmpty, "a request has no answer")
        precondition(coordinator.groupCount == 0, "a lost partition leaves groups behind")
    }
}
