import CommitLog
import KafkaWire
import NIOCore
import Timing

/// What became of one append.
package struct AppendOutcome {
    package var error: ErrorCode = .none
    package var message: String?
    package var baseOffset: Int64 = -1
    package var logAppendTimeMs: Int64 = -1
    package var logStartOffset: Int64 = -1
    /// The high watermark that acknowledges it for `acks=all`.
    package var requiredOffset: Int64 = -1
}

extension PartitionReplica {
    func lead(_ new: PartitionMetadata) -> Bool {
        guard let log else { return false }
        let isNewLeader = role != .leader
        let isNewEpoch = new.leaderEpoch > metadata.leaderEpoch || isNewLeader
        let wasUnderMin = isUnderMinISR
        // A newer partition epoch decides about any proposal: it was committed with it, or the
        // controller will refuse it.
        proposal = nil
        let isrBefore = isNewLeader ? new.isr : metadata.isr
        metadata = new
        metadata.isRecovering = false
        role = .leader
        setFollowers(new, keepsKnown: !isNewLeader)
        isrChanged(from: isrBefore)

        if isNewEpoch {
            epochStart = log.logEndOffset
            // A follower may hold records of a later epoch than any record here. It finds where
            // to truncate by asking for that epoch, which must lie below ours.
            log.beginEpoch(new.leaderEpoch)
            for index in followers.indices {
                followers[index].beginEpoch(
                    isNewLeader: isNewLeader, leaderEnd: epochStart, now: context.now)
            }
            // Fetches under the old epoch are answered with it.
            wakeAll()
            context.emit(.leadership(topicPartition, epoch: new.leaderEpoch))
        }
        // The ISR may be smaller now, down to ourselves.
        advanceHighWatermark()
        if !wasUnderMin, isUnderMinISR { failAcksUnderMinISR() }
        settleDeletes()
        considerExpansion()
        return isNewEpoch
    }

    func setFollowers(_ new: PartitionMetadata, keepsKnown: Bool) {
        let known = keepsKnown ? followers : []
        followers = []
        for id in new.replicas where id != context.brokerId {
            followers.append(
                known.first { $0.brokerId == id } ?? RemoteReplica(brokerId: id))
        }
        markISR()
    }

    /// Notes beside each follower whether it is in the ISR.
    func markISR() {
        let maximal = proposal.map { $0.isExpansion ? $0.isr : metadata.isr } ?? metadata.isr
        for index in followers.indices {
            followers[index].isInISR = metadata.isr.contains(followers[index].brokerId)
            followers[index].isInMaximalISR = maximal.contains(followers[index].brokerId)
        }
    }

    // MARK: Append

    /// Appends batches as the leader. With `acks` -1 it needs enough replicas in sync before it
    /// touches the log.
    func append(
        _ batches: consuming ByteBuffer, acks: Int16, origin: AppendOrigin
    ) -> AppendOutcome {
        var outcome = AppendOutcome()
        guard role == .leader, let log else {
            outcome.error = role == .offline ? .kafkaStorageError : .notLeaderOrFollower
            if origin == .client { refused.note(batches) }
            return outcome
        }
        if origin == .client, refused.precede(batches, in: log.producers) {
            outcome.error = .notEnoughReplicas
            outcome.message = "a batch of this producer that was refused has to come first"
            return outcome
        }
        if acks == -1 {
            let needed = effectiveMinISR
            if metadata.isr.count < needed {
                if origin == .client { refused.note(batches) }
                outcome.error = .notEnoughReplicas
                outcome.message =
                    "\(metadata.isr.count) replicas in sync, min.insync.replicas is \(needed)"
                return outcome
            }
        }
        let endBefore = log.logEndOffset
        let size = batches.readableBytes
        do {
            let result = try log.appendAsLeader(
                consume batches, leaderEpoch: metadata.leaderEpoch, nowMs: context.nowMs,
                origin: origin)
            outcome.baseOffset = result.firstOffset
            outcome.logAppendTimeMs = result.logAppendTimeMs
            outcome.logStartOffset = log.logStartOffset
            outcome.requiredOffset = result.lastOffset + 1
        } catch {
            outcome.error = error.errorCode
            outcome.message = error.description
            outcome.logStartOffset = log.logStartOffset
            noteFailure(error)
            return outcome
        }
        if log.logEndOffset > endBefore {
            count(records: Int(log.logEndOffset - endBefore), bytes: size)
            beginFlushIfDue()
            appended(from: endBefore)
            advanceHighWatermark()
        }
        return outcome
    }

    private func count(records: Int, bytes: Int) {
        context.traffic.recordsIn += records
        context.traffic.bytesIn += bytes
        traffic.recordsIn += records
        traffic.bytesIn += bytes
    }

    /// Wakes who reads to the log's end. Followers that were there were caught up until now.
    private func appended(from endBefore: Int64) {
        for index in watchers.indices {
            let session = watchers[index].session
            guard session.readsToLogEnd else { continue }
            if session.replicaId >= 0 {
                for follower in followers.indices
                where followers[follower].brokerId == session.replicaId
                    && followers[follower].logEndOffset == endBefore
                {
                    followers[follower].remainedCaughtUp(until: session.lastRequest)
                }
            }
            session.wake(watchers[index].slot, context)
        }
    }

    /// Lets a request wait until its records are acknowledged.
    func awaitAck(_ ticket: AckTicket, requiredOffset: Int64) {
        acks.dropDead(context.produces)
        acks.append(ticket, requiredOffset: requiredOffset)
    }

    /// Are the records below an offset acknowledged, and if so how?
    func acknowledgement(requiredOffset: Int64) -> ErrorCode? {
        guard highWatermark >= requiredOffset || context.canary == .acknowledgesEarly else {
            return nil
        }
        return metadata.isr.count < effectiveMinISR ? .notEnoughReplicasAfterAppend : ErrorCode.none
    }

    // MARK: High watermark

    /// Raises the high watermark to what every replica of the maximal ISR has (KIP-497), unless
    /// there are fewer in sync than `min.insync.replicas` (KIP-966).
    func advanceHighWatermark() {
        guard role == .leader, let log else { return }
        guard metadata.isr.count >= effectiveMinISR else { return }
        let end = log.logEndOffset
        var target = durableEnd
        for index in followers.indices where followers[index].logEndOffset < target {
            if followers[index].isInMaximalISR || isAboutToJoin(index, leaderEnd: end) {
                target = followers[index].logEndOffset
            }
        }
        guard target > highWatermark else { return }
        highWatermark = target
        highWatermarkMoved()
    }

    /// A follower outside the ISR that keeps up is waited for: else a leader that is alone in its
    /// ISR would always be a step ahead of the one that is to join it.
    private func isAboutToJoin(_ index: Int, leaderEnd: Int64) -> Bool {
        followers[index].isCaughtUp(
            leaderEnd: leaderEnd, now: context.now, maxLag: context.config.replicaLagTimeMax)
            && context.brokers.mayJoinISR(
                followers[index].brokerId, fetchedEpoch: followers[index].brokerEpoch)
    }

    private func highWatermarkMoved() {
        log?.highWatermarkRose(to: highWatermark)
        let error: ErrorCode =
            metadata.isr.count < effectiveMinISR ? .notEnoughReplicasAfterAppend : .none
        while let ticket = acks.pop(upTo: highWatermark) {
            if let effect = context.produces.settle(ticket, error) { context.emit(effect) }
        }
        wakeForHighWatermark()
    }

    /// The ISR has become smaller than `min.insync.replicas` with records on their way: the
    /// high watermark stands, and who waits for it is told so.
    func failAcksUnderMinISR() {
        while let ticket = acks.popFirst() {
            if let effect = context.produces.settle(ticket, .notEnoughReplicasAfterAppend) {
                context.emit(effect)
            }
        }
    }

    // MARK: Followers' fetches

    /// Where a follower's log parts from ours, if it does (KIP-595's form of KIP-101).
    enum EpochCheck: Equatable {
        case agrees
        case diverges(epoch: Int32, endOffset: Int64)
        case failed(ErrorCode)
    }

    func checkLastFetchedEpoch(_ epoch: Int32, fetchOffset: Int64, log: PartitionLog) -> EpochCheck
    {
        guard epoch >= 0 else { return .agrees }
        // By far the most frequent: the same epoch, and no more than we have.
        if epoch == log.latestEpoch, fetchOffset <= log.logEndOffset {
            return fetchOffset < log.logStartOffset ? .failed(.offsetOutOfRange) : .agrees
        }
        guard let end = log.endOffset(forEpoch: epoch) else { return .failed(.offsetOutOfRange) }
        if fetchOffset < log.logStartOffset { return .failed(.offsetOutOfRange) }
        if end.epoch < epoch || end.endOffset < fetchOffset {
            return .diverges(epoch: end.epoch, endOffset: end.endOffset)
        }
        return .agrees
    }

    /// Notes what a follower's fetch says about the follower, unless there is something wrong
    /// with it; that the read that follows finds and says.
    func noteFetch(_ request: SessionPartition, replicaId: Int32, brokerEpoch: Int64) {
        guard check(askedEpoch: request.currentLeaderEpoch, onlyLeader: true) == .none, let log,
            let index = followers.firstIndex(where: { $0.brokerId == replicaId }),
            !isStale(replicaId, brokerEpoch), request.fetchOffset <= log.logEndOffset,
            request.fetchOffset >= log.logStartOffset,
            checkLastFetchedEpoch(
                request.lastFetchedEpoch, fetchOffset: request.fetchOffset, log: log) == .agrees
        else { return }
        let endBefore = followers[index].logEndOffset
        let startBefore = followers[index].logStartOffset
        followers[index].fetched(
            at: request.fetchOffset, logStart: request.logStartOffset,
            leaderEnd: log.logEndOffset, brokerEpoch: brokerEpoch, now: context.now)
        if !followers[index].isInMaximalISR { considerExpansion() }
        if followers[index].logEndOffset != endBefore { advanceHighWatermark() }
        if followers[index].logStartOffset != startBefore { settleDeletes() }
    }

    /// A fetch of a process that has ended since: the broker is registered anew (KIP-903).
    func isStale(_ replicaId: Int32, _ brokerEpoch: Int64) -> Bool {
        guard brokerEpoch != -1, let current = context.brokers.aliveEpoch(of: replicaId) else {
            return false
        }
        return current > brokerEpoch
    }
}
