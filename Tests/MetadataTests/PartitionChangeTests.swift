import KafkaWire
import Metadata
import Testing

/// What becomes of one partition, by the rules of Kafka's elections.
@Suite struct PartitionChangeTests {
    private let id = KafkaUUID(high: 1, low: 1)

    private func after(
        _ partition: PartitionRegistration, live: Set<Int32>, elr: Bool = true, minimum: Int = 2,
        _ adjust: (inout PartitionChange) -> Void
    ) throws -> PartitionRegistration? {
        var change = PartitionChange(
            partition, topicId: id, partitionId: 0, electsEligible: elr, minimumIsr: minimum)
        adjust(&change)
        let record = change.record(
            canLead: live.contains, newDirectory: { _ in DirectoryId.unassigned })
        return try record.map { try partition.applying($0) }
    }

    private func partition(
        _ replicas: [Int32] = [1, 2, 3], isr: [Int32]? = nil, leader: Int32 = 1,
        elr: [Int32] = [], last: [Int32] = []
    ) -> PartitionRegistration {
        PartitionRegistration(
            replicas: replicas, isr: isr ?? replicas, leader: leader, leaderEpoch: 4,
            partitionEpoch: 7, eligibleLeaderReplicas: elr, lastKnownLeaderReplicas: last)
    }

    @Test func nothingToDo() throws {
        #expect(try after(partition(), live: [1, 2, 3]) { _ in } == nil)
    }

    @Test func theLeaderGoes() throws {
        let next = try #require(try after(partition(), live: [2, 3]) { $0.isr = [2, 3] })
        #expect((next.leader, next.leaderEpoch, next.partitionEpoch) == (2, 5, 8))
        #expect(next.isr == [2, 3])
        // Enough are left for acknowledgement, so nobody else may lead.
        #expect(next.eligibleLeaderReplicas == [])
    }

    @Test func aFollowerGoes() throws {
        let next = try #require(try after(partition(), live: [1, 2]) { $0.isr = [1, 2] })
        // No new leader epoch since 3.6: only the partition epoch rises.
        #expect((next.leader, next.leaderEpoch, next.partitionEpoch) == (1, 4, 8))
    }

    @Test func belowTheMinimumThoseWhoLeaveStayEligible() throws {
        let two = partition(isr: [1, 2])
        let one = try #require(try after(two, live: [1, 3]) { $0.isr = [1] })
        #expect(one.isr == [1])
        #expect(one.eligibleLeaderReplicas == [2])
        let none = try #require(try after(one, live: [3]) { $0.isr = [] })
        #expect((none.leader, none.isr) == (-1, []))
        #expect(none.eligibleLeaderReplicas == [2, 1])
        #expect(none.lastKnownLeaderReplicas == [1])
        // Broker 3 missed records: it may not lead. Broker 2 has all that was acknowledged.
        #expect(try after(none, live: [3]) { _ in } == nil)
        let back = try #require(try after(none, live: [2, 3]) { _ in })
        #expect((back.leader, back.isr) == (2, [2]))
        #expect(back.eligibleLeaderReplicas == [1])
        #expect(back.lastKnownLeaderReplicas == [])
        #expect(back.recovery == .recovered)
        // In sync again, nobody else need be eligible.
        let healed = try #require(try after(back, live: [2, 3]) { $0.isr = [2, 3] })
        #expect(healed.eligibleLeaderReplicas == [])
    }

    @Test func anUncleanShutdownEndsEligibility() throws {
        let none = partition(isr: [], leader: -1, elr: [2, 1], last: [1])
        let one = try #require(try after(none, live: []) { $0.uncleanReplicas = [2] })
        #expect(one.eligibleLeaderReplicas == [1])
        let empty = try #require(try after(one, live: []) { $0.uncleanReplicas = [1] })
        #expect(empty.eligibleLeaderReplicas == [])
        // Only the last leader may try again, and has to recover.
        #expect(try after(empty, live: [2, 3]) { _ in } == nil)
        let back = try #require(try after(empty, live: [1, 2, 3]) { _ in })
        #expect((back.leader, back.isr, back.recovery) == (1, [1], .recovering))
        #expect(back.lastKnownLeaderReplicas == [])
    }

    @Test func withoutEligibleLeadersTheLastOneStaysInTheIsr() throws {
        let last = partition(isr: [3], leader: 3)
        let gone = try #require(try after(last, live: [1, 2], elr: false) { $0.isr = [] })
        #expect((gone.leader, gone.isr, gone.eligibleLeaderReplicas) == (-1, [3], []))
        #expect(try after(gone, live: [1, 2], elr: false) { _ in } == nil)
        let back = try #require(try after(gone, live: [1, 3], elr: false) { _ in })
        #expect((back.leader, back.recovery) == (3, .recovered))
    }

    @Test func uncleanElection() throws {
        let gone = partition(isr: [3], leader: -1)
        for elr in [false, true] {
            let next = try #require(
                try after(gone, live: [2], elr: elr) { $0.election = .unclean })
            #expect((next.leader, next.isr, next.recovery) == (2, [2], .recovering))
            #expect(next.eligibleLeaderReplicas == [])
            // A clean one is taken first.
            let clean = try #require(
                try after(gone, live: [2, 3], elr: elr) { $0.election = .unclean })
            #expect((clean.leader, clean.recovery) == (3, .recovered))
        }
    }

    @Test func preferredElection() throws {
        let moved = partition(leader: 2)
        let next = try #require(try after(moved, live: [1, 2, 3]) { $0.election = .preferred })
        #expect((next.leader, next.leaderEpoch) == (1, 5))
        // Not there, or not in sync: the leader stays.
        #expect(try after(moved, live: [2, 3]) { $0.election = .preferred } == nil)
        let lagging = partition(isr: [2, 3], leader: 2)
        #expect(try after(lagging, live: [1, 2, 3]) { $0.election = .preferred } == nil)
    }

    @Test func reassignmentFromBeginToEnd() throws {
        let start = partition([1, 2, 3])
        let plan = Reassignment(of: start, to: [4, 5, 1])
        #expect(plan.replicas == [4, 5, 1, 2, 3])
        #expect((plan.adding, plan.removing) == ([4, 5], [2, 3]))
        let moving = try #require(
            try after(start, live: [1, 2, 3, 4, 5]) {
                $0.replicas = plan.replicas
                $0.adding = plan.adding
                $0.removing = plan.removing
            })
        #expect(moving.isReassigning)
        #expect((moving.leader, moving.leaderEpoch) == (1, 4))
        #expect(Reassignment.original(moving) == [1, 2, 3])
        #expect(Reassignment.cancelling(moving)?.replicas == [1, 2, 3])
        let partly = try #require(
            try after(moving, live: [1, 2, 3, 4, 5]) { $0.isr = [1, 2, 3, 4] })
        #expect(partly.isReassigning)
        let done = try #require(
            try after(partly, live: [1, 2, 3, 4, 5]) { $0.isr = [1, 2, 3, 4, 5] })
        #expect(!done.isReassigning)
        #expect((done.replicas, done.isr) == ([4, 5, 1], [1, 4, 5]))
        // 2 and 3 are fenced off by a new leader epoch under the same leader.
        #expect((done.leader, done.leaderEpoch) == (1, 5))
    }

    @Test func reassignmentThatTakesTheLeaderAway() throws {
        let start = partition([1, 2])
        let plan = Reassignment(of: start, to: [2])
        let done = try #require(
            try after(start, live: [1, 2], minimum: 1) {
                $0.replicas = plan.replicas
                $0.removing = plan.removing
            })
        #expect((done.replicas, done.isr, done.leader) == ([2], [2], 2))
        #expect(done.leaderEpoch == 5)
    }

    @Test func aReassignmentReplacedByAnother() {
        var moving = partition([4, 5, 1, 2, 3], isr: [1, 2, 3, 4])
        moving.addingReplicas = [4, 5]
        moving.removingReplicas = [2, 3]
        let plan = Reassignment(of: moving, to: [6, 1])
        // 4 and 5 were never finished and are wanted no more: back means back to the beginning.
        #expect(plan.replicas == [6, 1, 2, 3])
        #expect((plan.adding, plan.removing, plan.isr) == ([6], [2, 3], [1, 2, 3]))
        // Unless one of them is all there is.
        moving.isr = [4]
        let kept = Reassignment(of: moving, to: [6, 1])
        #expect((kept.isr, kept.removing) == ([4], [2, 3, 4, 5]))
        #expect(Reassignment.cancelling(moving) == nil)
    }
}
