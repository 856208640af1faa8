import CommitLog
import KafkaWire
import Timing

extension PartitionReplica {
    /// Removes followers that were behind for too long. The smaller ISR counts only when the
    /// controller has committed it: until then the high watermark waits for those removed, too.
    func considerShrink() {
        guard role == .leader, proposal == nil, let log else { return }
        let end = log.logEndOffset
        let late = followers.filter {
            $0.isInISR
                && !$0.isCaughtUp(
                    leaderEnd: end, now: context.now, maxLag: context.config.replicaLagTimeMax)
        }
        guard !late.isEmpty else { return }
        propose(
            metadata.isr.filter { id in !late.contains { $0.brokerId == id } }, isExpansion: false)
    }

    /// Adds followers that have caught up with the high watermark and with this leader's epoch:
    /// below its beginning there may be committed records that the high watermark does not tell
    /// of yet. They count for the high watermark at once (the maximal ISR, KIP-497). They begin
    /// their log no earlier than the leader, too: whoever is in sync may lead, and what
    /// DeleteRecords has promised to be gone must not be back then.
    func considerExpansion() {
        guard role == .leader, proposal == nil, let log else { return }
        var isr = metadata.isr
        for follower in followers where !follower.isInISR {
            guard follower.logEndOffset >= highWatermark, follower.logEndOffset >= epochStart,
                follower.logStartOffset >= log.logStartOffset,
                isHeardFrom(follower),
                context.brokers.mayJoinISR(follower.brokerId, fetchedEpoch: follower.brokerEpoch)
            else { continue }
            isr.append(follower.brokerId)
        }
        if isr.count > metadata.isr.count { propose(isr, isExpansion: true) }
    }

    /// Whether a follower goes on fetching. One that is considered for another reason than that it
    /// has just fetched may have died since, or may not have fetched in this epoch.
    private func isHeardFrom(_ follower: RemoteReplica) -> Bool {
        guard var last = follower.lastFetch else { return false }
        for watcher in watchers where watcher.session.replicaId == follower.brokerId {
            last = max(last, watcher.session.lastRequest)
        }
        return context.now - last <= context.config.replicaLagTimeMax
    }

    private func propose(_ isr: [Int32], isExpansion: Bool) {
        let number = context.alterPartitions.nextNumber()
        proposal = ISRProposal(
            number: number, leaderEpoch: metadata.leaderEpoch,
            partitionEpoch: metadata.partitionEpoch, isr: isr, isExpansion: isExpansion)
        markISR()
        context.alterPartitions.add(self, number)
    }

    /// The proposal as the request carries it; the epochs are those under which each broker
    /// fetched, so that one that has restarted since is not taken in (KIP-903).
    func alterPartitionData(brokerEpoch: Int64) -> AlterPartitionRequest.PartitionData? {
        guard let proposal else { return nil }
        return AlterPartitionRequest.PartitionData(
            partitionIndex: partition, leaderEpoch: proposal.leaderEpoch, newIsr: proposal.isr,
            newIsrWithEpochs: proposal.isr.map { id in
                let epoch =
                    id == context.brokerId
                    ? brokerEpoch : followers.first { $0.brokerId == id }?.brokerEpoch ?? -1
                return AlterPartitionRequest.BrokerState(brokerId: id, brokerEpoch: epoch)
            },
            // Once this leader leads it has recovered (KIP-704).
            leaderRecoveryState: 0, partitionEpoch: proposal.partitionEpoch)
    }

    /// What the controller said. Gives back false where the proposal is to be sent again.
    func decided(_ number: UInt64, _ verdict: ISRVerdict) -> Bool {
        // Overtaken by metadata: it says what became of it.
        guard let proposal, proposal.number == number, role == .leader else { return true }
        switch verdict {
        case .accepted(let leader, let leaderEpoch, let isr, let partitionEpoch):
            // Something newer than what we know about is told by the metadata alone.
            guard leader == context.brokerId, leaderEpoch == metadata.leaderEpoch,
                partitionEpoch >= metadata.partitionEpoch
            else { return true }
            commit(isr: isr, partitionEpoch: partitionEpoch)
            return true
        case .refused(let error):
            return refused(error)
        }
    }

    private func commit(isr: [Int32], partitionEpoch: Int32) {
        let wasUnderMin = isUnderMinISR
        proposal = nil
        let before = metadata.isr
        // Those that left may still be elected; the metadata will say.
        metadata.eligibleLeaders += metadata.isr.filter { !isr.contains($0) }
        metadata.isr = isr
        metadata.partitionEpoch = partitionEpoch
        markISR()
        isrChanged(from: before)
        advanceHighWatermark()
        if !wasUnderMin, isUnderMinISR { failAcksUnderMinISR() }
        settleDeletes()
        // Others may have caught up while this one was under way.
        considerExpansion()
    }

    /// Whoever decided it and whoever tells first: the controller takes a broker that it fences out
    /// by itself, and the metadata may overtake the answer to a proposal.
    func isrChanged(from old: [Int32]) {
        let isr = metadata.isr
        let hasShrunk = old.contains { !isr.contains($0) }
        let hasGrown = isr.contains { !old.contains($0) }
        if hasShrunk { context.counters.isrShrinks += 1 }
        if hasGrown { context.counters.isrExpands += 1 }
        if hasShrunk {
            context.warn(self, .isrShrunk(isr: isr, underMinISR: isUnderMinISR))
        } else if hasGrown {
            context.warn(self, .isrExpanded(isr: isr))
        }
    }

    private func refused(_ error: ErrorCode) -> Bool {
        context.counters.failedISRUpdates += 1
        switch error {
        case .operationNotAttempted, .ineligibleReplica:
            // It did not and will not happen: what is committed is all there is. A follower that
            // is not taken now is proposed again by `reconsider`.
            proposal = nil
            markISR()
            context.warn(self, .alterPartitionRefused(error))
            advanceHighWatermark()
            return true
        case .unknownTopicOrPartition, .unknownTopicId, .fencedLeaderEpoch, .invalidUpdateVersion,
            .invalidRequest, .newLeaderElected:
            // The controller knows more than we do. Until the metadata tells us, the proposal
            // may have been carried out and goes on to count.
            context.warn(self, .alterPartitionRefused(error))
            return true
        default:
            return false
        }
    }

    /// Followers that stand still at the log's end send nothing that would let them be considered
    /// again, after a refusal or when a broker was unfenced: the manager asks from time to time.
    func reconsider() {
        guard role == .leader, let log else { return }
        // One that was waited for though it is not in the ISR may have fallen behind since.
        if highWatermark < log.logEndOffset { advanceHighWatermark() }
        guard proposal == nil else { return }
        if metadata.isr.count < followers.count + 1 { considerExpansion() }
        considerShrink()
    }
}
