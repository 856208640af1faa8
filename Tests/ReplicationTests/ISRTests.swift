import CommitLog
import KafkaWire
import Replication
import Testing
import Timing

@Suite struct ISRTests {
    private func isr(_ proposal: AlterPartitionRequest.PartitionData?) -> [Int32]? {
        proposal?.newIsrWithEpochs.map(\.brokerId)
    }

    // MARK: Expansion

    @Test func aFollowerThatCaughtUpIsProposed() throws {
        let node = try TestNode()
        node.lead(isr: [1, 2])
        try node.append(["a", "b"])
        // Not yet at the high watermark... which is 0, but the epoch begins at 0 too.
        let effects = node.followerFetch(3, at: 0)
        let proposal = try #require(alterPartition(effects))
        #expect(proposal.leaderEpoch == 5)
        #expect(proposal.partitionEpoch == 1)
        #expect(proposal.leaderRecoveryState == 0)
        #expect(
            proposal.newIsrWithEpochs.map { [Int64($0.brokerId), $0.brokerEpoch] }
                == [[1, 10], [2, -1], [3, 30]])
        guard
            case .alterPartition(let request)? = effects.first(where: {
                if case .alterPartition = $0 { true } else { false }
            })
        else { return }
        #expect(request.brokerId == 1)
        #expect(request.brokerEpoch == 10)
        #expect(request.topics[0].topicId == topicA)
    }

    /// The proposed ISR counts before it is committed (KIP-497).
    @Test func theMaximalISRHoldsTheHighWatermark() throws {
        let node = try TestNode()
        node.lead(isr: [1, 2])
        try node.append(["a", "b"])
        node.followerFetch(3, at: 0)
        node.followerFetch(2, at: 2)
        #expect(try node.replica().highWatermark == 0)
        #expect(try node.replica().isr == [1, 2])
        node.followerFetch(3, at: 1)
        #expect(try node.replica().highWatermark == 1)
        #expect(node.manager.counters.isrExpands == 0)
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 2, 3])) }
        #expect(try node.replica().isr == [1, 2, 3])
        #expect(node.manager.counters.isrExpands == 1)
        #expect(try node.replica().partitionEpoch == 2)
        node.followerFetch(3, at: 2)
        #expect(try node.replica().highWatermark == 2)
    }

    @Test func belowTheHighWatermarkOrTheEpochNobodyJoins() throws {
        let node = try TestNode()
        node.lead(epoch: 5, replicas: [1, 2, 3], isr: [1, 2])
        try node.append(["a", "b", "c"])
        node.followerFetch(2, at: 3)
        #expect(try node.replica().highWatermark == 3)
        #expect(alterPartition(node.followerFetch(3, at: 2)) == nil)
        #expect(alterPartition(node.followerFetch(3, at: 3)) != nil)

        // High watermark 0, but the epoch begins at 3: what lies below may be committed.
        let other = try TestNode()
        other.lead(epoch: 5, isr: [1, 2])
        try other.append(["a", "b", "c"])
        other.lead(epoch: 6, partitionEpoch: 2, isr: [1, 2])
        #expect(try other.replica().epochStart == 3)
        #expect(alterPartition(other.followerFetch(3, at: 2, epoch: 6)) == nil)
        #expect(alterPartition(other.followerFetch(3, at: 3, epoch: 6)) != nil)
    }

    @Test func whoMayNotJoin() throws {
        func proposes(_ status: BrokerStatus?, fetchEpoch: Int64) throws -> Bool {
            let node = try TestNode()
            node.step {
                $0.setBrokers(
                    BrokerTable([BrokerStatus(id: 1, epoch: 10)] + (status.map { [$0] } ?? [])))
            }
            node.lead(replicas: [1, 3], isr: [1])
            return alterPartition(node.followerFetch(3, at: 0, brokerEpoch: fetchEpoch)) != nil
        }
        #expect(try proposes(BrokerStatus(id: 3, epoch: 30), fetchEpoch: 30))
        #expect(try proposes(BrokerStatus(id: 3, epoch: 30), fetchEpoch: -1))
        #expect(try !proposes(BrokerStatus(id: 3, epoch: 30), fetchEpoch: 29))
        #expect(try !proposes(BrokerStatus(id: 3, epoch: 30), fetchEpoch: 31))
        #expect(try !proposes(BrokerStatus(id: 3, epoch: 30, isFenced: true), fetchEpoch: 30))
        #expect(
            try !proposes(
                BrokerStatus(id: 3, epoch: 30, isInControlledShutdown: true), fetchEpoch: 30))
        #expect(try !proposes(nil, fetchEpoch: 30))
    }

    @Test func oneThatIsUnfencedLaterIsProposedThen() throws {
        let node = try TestNode()
        node.step {
            $0.setBrokers(
                BrokerTable([
                    BrokerStatus(id: 1, epoch: 10), BrokerStatus(id: 3, epoch: 30, isFenced: true),
                ]))
        }
        node.lead(replicas: [1, 3], isr: [1])
        #expect(alterPartition(node.followerFetch(3, at: 0)) == nil)
        let effects = node.step {
            $0.setBrokers(
                BrokerTable([BrokerStatus(id: 1, epoch: 10), BrokerStatus(id: 3, epoch: 30)]))
        }
        #expect(isr(alterPartition(effects)) == [1, 3])
    }

    // MARK: Shrinking

    @Test func aFollowerThatLagsIsProposedToLeave() throws {
        let node = try TestNode()
        node.lead()
        try node.append(["a"])
        // Both were caught up when the epoch began; broker 2 goes on.
        node.followerFetch(2, at: 1, after: .seconds(29))
        #expect(alterPartition(node.step(after: .milliseconds(900))) == nil)
        let effects = node.step(after: .seconds(1))
        #expect(isr(alterPartition(effects)) == [1, 2])
        // Pessimistic: until it is committed broker 3 is waited for.
        #expect(try node.replica().highWatermark == 0)
        #expect(try node.replica().isr == [1, 2, 3])
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 2])) }
        #expect(try node.replica().isr == [1, 2])
        #expect(try node.replica().highWatermark == 1)
    }

    @Test func theEndOfTheLogIsNeverLate() throws {
        let node = try TestNode()
        node.lead()
        node.followerFetch(2, at: 0)
        node.followerFetch(3, at: 0)
        #expect(alterPartition(node.step(after: .seconds(3_600))) == nil)
    }

    /// An incremental session does not name partitions in which nothing happens. When something
    /// does at last, its follower has not been late for all that time.
    @Test func anIdlePartitionOfALiveSessionIsNotLate() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        func fetch(_ session: Int32, _ epoch: Int32, _ parts: [FetchRequest.FetchPartition])
            -> FetchResponse?
        {
            fetched(
                node.step {
                    $0.fetch(
                        fetchRequest(
                            parts, replica: 2, brokerEpoch: 20, session: session, epoch: epoch),
                        version: 17, token: node.token())
                })
        }
        let id = try #require(fetch(0, 0, [want(0, epoch: 5)])).sessionId
        for epoch in Int32(1)...120 {
            node.step(after: .milliseconds(500))
            _ = fetch(id, epoch, [])
        }
        try node.append(["a"])
        #expect(alterPartition(node.step(after: .milliseconds(600))) == nil)
        // But when it stops fetching it is.
        #expect(alterPartition(node.step(after: .seconds(30))) != nil)
    }

    @Test func aFollowerBehindAMovingEndIsMeasuredByWhatItHadThen() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1, 2])
        // Always one record behind, but never by more than a second.
        for round in 0..<60 {
            try node.append(["a"])
            node.followerFetch(2, at: Int64(round), after: .seconds(1))
            #expect(alterPartition(node.step()) == nil)
        }
        // It goes on fetching, but gets no further.
        var proposed = false
        for _ in 0..<40 {
            try node.append(["a"])
            if alterPartition(node.followerFetch(2, at: 59, after: .seconds(1))) != nil {
                proposed = true
            }
        }
        #expect(proposed)
    }

    /// With too few in sync the high watermark stands where the dead follower's log ends.
    @Test func theDeadAreNotProposedAgain() throws {
        var log = LogConfig()
        log.minInsyncReplicas = 2
        let node = try TestNode(log: log)
        node.lead(replicas: [1, 2], isr: [1, 2])
        node.followerFetch(2, at: 0)
        try node.append(["a"])
        #expect(isr(alterPartition(node.step(after: .seconds(31)))) == [1])
        #expect(alterPartition(node.step { $0.alterPartitionDone(alterAnswer(isr: [1])) }) == nil)
        #expect(node.manager.counters.isrShrinks == 1)
        for _ in 0..<5 { #expect(alterPartition(node.step(after: .seconds(1))) == nil) }
        #expect(isr(alterPartition(node.followerFetch(2, at: 0))) == [1, 2])
    }

    // MARK: The controller's answers

    @Test func oneProposalIsUnderWayAtATime() throws {
        let node = try TestNode()
        node.lead(isr: [1])
        #expect(isr(alterPartition(node.followerFetch(2, at: 0))) == [1, 2])
        #expect(alterPartition(node.followerFetch(3, at: 0)) == nil)
        // The other follower is not forgotten.
        let effects = node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 2])) }
        let next = try #require(alterPartition(effects))
        #expect(isr(next) == [1, 2, 3])
        #expect(next.partitionEpoch == 2)
    }

    @Test(arguments: [ErrorCode.ineligibleReplica, .operationNotAttempted])
    func aRefusalThatIsFinal(error: ErrorCode) throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1])
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        try node.append(["b"])
        #expect(try node.replica().highWatermark == 1)
        node.step(after: .seconds(40)) { $0.alterPartitionDone(alterAnswer(error)) }
        // Nobody else is in the ISR, and the one that was to be is not waited for.
        #expect(try node.replica().highWatermark == 2)
        #expect(try node.replica().isr == [1])
        // It is proposed again when it has caught up again.
        #expect(alterPartition(node.followerFetch(2, at: 2)) != nil)
    }

    @Test func aRefusedFollowerThatStandsStillIsProposedAgain() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1])
        #expect(alterPartition(node.followerFetch(2, at: 0)) != nil)
        let refused = node.step { $0.alterPartitionDone(alterAnswer(.ineligibleReplica)) }
        #expect(alterPartition(refused) == nil)
        #expect(alterPartition(node.step(after: .milliseconds(600))) != nil)
    }

    @Test(arguments: [
        ErrorCode.invalidUpdateVersion, .fencedLeaderEpoch, .unknownTopicOrPartition,
        .unknownTopicId, .invalidRequest, .newLeaderElected,
    ])
    func aRefusalThatMetadataWillExplain(error: ErrorCode) throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1])
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        try node.append(["b"])
        node.step { $0.alterPartitionDone(alterAnswer(error)) }
        // It may have been carried out: broker 2 still counts.
        node.step(after: .seconds(40))
        #expect(try node.replica().highWatermark == 1)
        #expect(alterPartition(node.followerFetch(2, at: 1)) == nil)
        #expect(alterPartition(node.lead(partitionEpoch: 4, replicas: [1, 2], isr: [1])) == nil)
        // It was not: broker 2 has to catch up first, and is then proposed under the new epoch.
        #expect(try node.replica().highWatermark == 2)
        #expect(alterPartition(node.followerFetch(2, at: 2))?.partitionEpoch == 4)
    }

    @Test func otherErrorsAndLostAnswersAreTriedAgain() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1])
        let first = try #require(alterPartition(node.followerFetch(2, at: 0)))
        #expect(alterPartition(node.step { $0.alterPartitionDone(nil) }) == nil)
        #expect(alterPartition(node.step(after: .milliseconds(100))) == first)
        node.step { $0.alterPartitionDone(alterAnswer(.unknownServerError)) }
        #expect(alterPartition(node.step(after: .milliseconds(100))) == first)
        // The whole request refused: under the new broker epoch it goes again.
        node.step {
            $0.alterPartitionDone(AlterPartitionResponse(errorCode: .staleBrokerEpoch))
            $0.brokerEpoch = 11
        }
        let again = try #require(alterPartition(node.step(after: .milliseconds(100))))
        #expect(again.newIsrWithEpochs[0].brokerEpoch == 11)
        // An answer that leaves the partition out.
        node.step { $0.alterPartitionDone(AlterPartitionResponse()) }
        #expect(alterPartition(node.step(after: .milliseconds(100))) != nil)
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 2])) }
        #expect(try node.replica().isr == [1, 2])
    }

    @Test func answersThatAreOutOfDate() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1])
        node.followerFetch(2, at: 0)
        // Metadata is faster than the answer.
        node.lead(partitionEpoch: 2, replicas: [1, 2], isr: [1, 2])
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 2], partitionEpoch: 2)) }
        #expect(try node.replica().isr == [1, 2])
        // An answer under another leader epoch says nothing about this one.
        let other = try TestNode()
        other.lead(replicas: [1, 2], isr: [1])
        other.followerFetch(2, at: 0)
        other.step {
            $0.alterPartitionDone(alterAnswer(epoch: 6, isr: [1, 2], partitionEpoch: 3))
        }
        #expect(try other.replica().isr == [1])
        #expect(try other.replica().partitionEpoch == 1)
    }

    @Test func anAnswerToAnotherProposal() throws {
        let node = try TestNode()
        node.lead(isr: [1])
        node.followerFetch(2, at: 0)
        node.followerFetch(3, at: 0)
        // Metadata says that broker 2 was let in; broker 3 is proposed, while the answer to the
        // first proposal is still on its way.
        node.lead(partitionEpoch: 2, isr: [1, 2])
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        #expect(try node.replica().highWatermark == 0)
        let effects = node.step { $0.alterPartitionDone(alterAnswer(.ineligibleReplica)) }
        #expect(isr(alterPartition(effects)) == [1, 2, 3])
        #expect(try node.replica().highWatermark == 0)
    }

    @Test func metadataOfTheSameEpochDoesNotDropAProposal() throws {
        let node = try TestNode()
        node.lead(replicas: [1, 2], isr: [1], partition: 0)
        try node.append(["a"])
        node.followerFetch(2, at: 1)
        try node.append(["b"])
        node.step {
            $0.setBrokers(
                BrokerTable([
                    BrokerStatus(id: 1, epoch: 10), BrokerStatus(id: 2, epoch: 20, isFenced: true),
                ]))
        }
        // What was applied already comes again while the proposal is under way.
        node.lead(replicas: [1, 2], isr: [1])
        node.step(after: .seconds(60))
        #expect(try node.replica().highWatermark == 1)
    }

    /// The answer tells of the ISR, the metadata of the same epoch that a reassignment is done.
    @Test func aReassignmentThatTheAnswerCompleted() throws {
        let node = try TestNode()
        node.step {
            $0.assign(
                topic: "t", topicId: topicA, partition: 0,
                PartitionMetadata(
                    leader: 1, leaderEpoch: 5, partitionEpoch: 1, replicas: [1, 2, 3],
                    isr: [1, 2], addingReplicas: [3], removingReplicas: [2]))
        }
        #expect(try node.replica().isReassigning)
        node.followerFetch(3, at: 0)
        node.step { $0.alterPartitionDone(alterAnswer(isr: [1, 3])) }
        #expect(try node.replica().followers.map(\.brokerId) == [2, 3])
        node.lead(partitionEpoch: 2, replicas: [1, 3], isr: [1, 3])
        #expect(try !node.replica().isReassigning)
        #expect(try node.replica().followers.map(\.brokerId) == [3])
        #expect(try node.replica().followers[0].logEndOffset == 0)
    }
}
