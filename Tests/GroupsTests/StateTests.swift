import Groups
import KafkaWire
import NIOCore
import Testing
import Timing

@Suite struct StateTests {
    private func join(
        _ broker: TestBroker, group: String = "g", memberId: String = "", version: Int16 = 3,
        clientId: String = "c"
    ) -> JoinGroupResponse? {
        let request = JoinGroupRequest(
            groupId: group, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000,
            memberId: memberId, protocolType: "consumer",
            protocols: [.init(name: "range", metadata: subscription(["t"]))])
        let token = broker.send(
            .joinGroup(request), GroupClient(version: version, clientId: clientId))
        broker.wait(milliseconds: 0)
        let response = broker.replies.last { $0.token == token }?.response
        guard case .joinGroup(let joined)? = response else { return nil }
        return joined
    }

    private static let config = GroupCoordinatorConfig.with { $0.initialRebalanceDelayMs = 0 }

    @Test func withoutPartitionsThereIsNoCoordinator() throws {
        let broker = TestBroker()
        broker.coordinator.partitionCount = nil
        #expect(join(broker)?.errorCode == .coordinatorNotAvailable)
        guard case .listGroups(let list)? = broker.ask(.listGroups(.init()), version: 4) else {
            throw Missing()
        }
        #expect(list.errorCode == .none)
        #expect(list.groups.isEmpty)
        broker.coordinator.partitionCount = 1
        #expect(join(broker)?.errorCode == .notCoordinator)
    }

    /// "c-xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx", from the generator that was passed in.
    @Test func memberIdsAreUUIDs() throws {
        let ids = try (0..<3).map { seed in
            let broker = TestBroker(config: Self.config, seed: UInt64(seed % 2))
            broker.leadAll()
            return try #require(join(broker, version: 4)).memberId
        }
        #expect(ids[0] == ids[2] && ids[0] != ids[1])
        let parts = ids[0].split(separator: "-")
        #expect(parts.map(\.count) == [1, 8, 4, 4, 4, 12])
        #expect(parts[3].first == "4" && "89ab".contains(parts[4].first ?? "x"))
        #expect(parts.dropFirst().joined().allSatisfy { $0.isHexDigit })
    }

    /// A static member whose rebalances may take no time at all is left alone, and is not there.
    /// The group waits for it, but not by asking again at once for ever.
    @Test func aTimeoutOfNothingDoesNotHoldUpTheCoordinator() throws {
        let broker = TestBroker(config: Self.config)
        broker.leadAll()
        func join(_ instance: String, _ memberId: String, timeoutMs: Int32) -> UInt64 {
            let token = broker.send(
                .joinGroup(
                    JoinGroupRequest(
                        groupId: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: timeoutMs,
                        memberId: memberId, groupInstanceId: instance, protocolType: "consumer",
                        protocols: [.init(name: "range", metadata: subscription(["t"]))])),
                GroupClient(version: 5))
            broker.wait(milliseconds: 0)
            return token
        }
        func joined(_ token: UInt64) throws -> JoinGroupResponse {
            let response = broker.replies.last { $0.token == token }?.response
            guard case .joinGroup(let joined)? = response else { throw Missing() }
            return joined
        }
        let first = try joined(join("a", "", timeoutMs: 60_000))
        let other = join("b", "", timeoutMs: 0)
        _ = join("a", first.memberId, timeoutMs: 60_000)
        let second = try joined(other)
        for (memberId, instance) in [(first.memberId, "a"), (second.memberId, "b")] {
            _ = broker.send(
                .syncGroup(
                    SyncGroupRequest(
                        groupId: "g", generationId: second.generationId, memberId: memberId,
                        groupInstanceId: instance)), GroupClient(version: 5))
        }
        broker.wait(milliseconds: 0)
        #expect(broker.coordinator.groupCount(in: .stable) == 1)
        _ = broker.send(
            .leaveGroup(LeaveGroupRequest(groupId: "g", members: [.init(groupInstanceId: "a")])),
            GroupClient(version: 5))
        broker.wait(milliseconds: 3_000)
        #expect(broker.coordinator.groupCount(in: .preparingRebalance) == 1)
        // It is back at once when it comes.
        let back = try joined(join("b", second.memberId, timeoutMs: 0))
        #expect(back.errorCode == .none && back.members.count == 1)
    }

    /// Who has no time to ask for an assignment loses its place at once, and nobody waits.
    @Test func membersWithoutAnyTimeAreLeftOut() {
        let broker = TestBroker(config: Self.config)
        broker.leadAll()
        for instance in ["a", "b", "a"] {
            _ = broker.send(
                .joinGroup(
                    JoinGroupRequest(
                        groupId: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 0,
                        groupInstanceId: instance, protocolType: "consumer",
                        protocols: [.init(name: "range", metadata: subscription(["t"]))])),
                GroupClient(version: 5))
            broker.wait(milliseconds: 1)
        }
        broker.wait(milliseconds: 3_000)
        #expect(broker.coordinator.groupCount(in: .empty) == 1)
        #expect(broker.replies.count == 3)
    }

    @Test func limits() throws {
        var config = Self.config
        config.maxGroups = 2
        config.maxPendingMembers = 3
        let broker = TestBroker(config: config)
        broker.leadAll()
        for _ in 0..<3 { #expect(join(broker, version: 4)?.errorCode == .memberIdRequired) }
        #expect(join(broker, version: 4)?.errorCode == .groupMaxSizeReached)
        #expect(join(broker, group: "h", version: 4)?.errorCode == .memberIdRequired)
        #expect(join(broker, group: "i", version: 4)?.errorCode == .policyViolation)
        #expect(broker.coordinator.groupCount == 2)
        // Ids that nobody used are taken back, and with them their groups.
        broker.wait(milliseconds: 10_000)
        #expect(broker.coordinator.groupCount == 0)
        #expect(broker.coordinator.groupCount(in: .empty) == 0)
        #expect(join(broker, group: "i", version: 4)?.errorCode == .memberIdRequired)
    }

    /// Deletions of many offsets are written in several batches, the group's end last.
    @Test func largeDeletion() throws {
        let config = GroupCoordinatorConfig.with { $0.tombstoneBatchBytes = 1_000 }
        let broker = TestBroker(config: config)
        broker.leadAll()
        let commit = OffsetCommitRequest(
            groupId: "g",
            topics: [
                .init(name: "t", partitions: (0..<100).map { .init(partitionIndex: $0) })
            ])
        _ = broker.ask(.offsetCommit(commit), version: 8)
        #expect(broker.coordinator.offsetCount == 100)
        broker.holds = true
        let token = broker.send(
            .deleteGroups(DeleteGroupsRequest(groupsNames: ["g"])), GroupClient(version: 2))
        #expect(broker.inFlight.count >= 3)
        while broker.inFlight.count > 1 { broker.commit() }
        #expect(!broker.replies.contains { $0.token == token })
        broker.commit()
        #expect(broker.replies.last?.token == token)
        #expect(broker.coordinator.offsetCount == 0 && broker.coordinator.groupCount == 0)
    }

    /// A search for expired offsets that does not fit one step goes on in the next.
    @Test func expirationInSlices() throws {
        var config = Self.config
        config.expirationSlice = 10
        config.offsetsRetentionMinutes = 1
        let broker = TestBroker(config: config, partitions: 2)
        broker.leadAll()
        for group in 0..<40 {
            let commit = OffsetCommitRequest(
                groupId: "g\(group)", topics: [.init(name: "t", partitions: [.init()])])
            _ = broker.ask(.offsetCommit(commit), version: 8)
        }
        broker.wait(milliseconds: 599_999)
        #expect(broker.coordinator.offsetCount == 40)
        broker.now = broker.now + .milliseconds(1)
        broker.step(.timer)
        #expect(broker.coordinator.offsetCount == 35)
        #expect(broker.coordinator.nextDeadline == broker.now)
        broker.wait(milliseconds: 0)
        #expect(broker.coordinator.offsetCount == 0 && broker.coordinator.groupCount == 0)
        #expect(broker.coordinator.nextDeadline == broker.now + .milliseconds(600_000))
    }

    /// A stable fetch waits for the commits ahead of it in all its groups, not for later ones.
    @Test func stableFetchOfSeveralGroups() throws {
        let broker = TestBroker(partitions: 2)
        broker.leadAll()
        broker.holds = true
        // "a" and "b" live in partitions 1 and 0.
        func commit(_ group: String) {
            let request = OffsetCommitRequest(
                groupId: group,
                topics: [.init(name: "t", partitions: [.init(committedOffset: 5)])])
            _ = broker.send(.offsetCommit(request), GroupClient(version: 9))
        }
        commit("a")
        commit("b")
        let fetch = OffsetFetchRequest(
            groups: ["a", "b"].map { .init(groupId: $0, topics: nil) }, requireStable: true)
        let token = broker.send(.offsetFetch(fetch), GroupClient(version: 9))
        commit("a")
        broker.commit(1)
        #expect(!broker.replies.contains { $0.token == token })
        broker.commit(0)
        guard
            case .offsetFetch(let fetched)? = broker.replies.first(where: { $0.token == token })?
                .response
        else { throw Missing() }
        #expect(
            fetched.groups.map { $0.topics.first?.partitions.first?.committedOffset } == [5, 5])
        #expect(broker.inFlight.count == 1)
    }

    /// Answers to appends that are not known (any more), and events of former epochs.
    @Test func staleEvents() throws {
        let broker = TestBroker(config: Self.config)
        broker.leadAll()
        #expect(join(broker)?.errorCode == ErrorCode.none)
        broker.step(.appended(token: 999, .committed))
        broker.step(.appended(token: 998, .refused(.notEnoughReplicas)))
        broker.step(.partitionLost(0, epoch: 0))
        broker.step(.partitionLed(0, epoch: 1))
        broker.step(.loadFinished(0, epoch: 1))
        broker.step(.partitionLost(5, epoch: 9))
        #expect(broker.coordinator.groupCount(in: .completingRebalance) == 1)
        broker.step(.partitionLed(0, epoch: 2))
        #expect(broker.coordinator.groupCount == 0)
        broker.step(.loadFinished(0, epoch: 1))
        #expect(join(broker)?.errorCode == .coordinatorLoadInProgress)
    }

    /// A heartbeat moves the deadline; the timer that comes up at the old one does nothing.
    @Test func timersFireOnlyWhenAsked() throws {
        let broker = TestBroker(config: Self.config)
        broker.leadAll()
        let joined = try #require(join(broker))
        broker.now = broker.now + .milliseconds(15_000)
        // The session is over, but the shell was held up and hands over the heartbeat first.
        let beat = HeartbeatRequest(
            groupId: "g", generationId: joined.generationId, memberId: joined.memberId)
        guard case .heartbeat(let answer)? = broker.ask(.heartbeat(beat), version: 4) else {
            throw Missing()
        }
        #expect(answer.errorCode == .none)
        broker.step(.timer)
        #expect(broker.coordinator.groupCount(in: .completingRebalance) == 1)
        broker.now = broker.now + .milliseconds(10_000)
        broker.step(.timer)
        #expect(broker.coordinator.groupCount(in: .empty) == 1)
    }
}

struct Missing: Error {}
