import CommitLog
import KafkaWire
import NIOCore
import Timing

/// What a follower made of a leader's answer.
enum FollowOutcome: Equatable {
    /// The log, its start or its high watermark have moved, or nothing was new.
    case done(appended: Int)
    /// The answer is for another place in the log: to an earlier question.
    case ignored
    /// Something is missing before it, which is not on its way any more.
    case gap
    /// To be asked again after a while.
    case failed(LogError)
    /// The log has failed.
    case offline
}

extension PartitionReplica {
    func follow(_ new: PartitionMetadata) -> Bool {
        let wasLeader = role == .leader
        let isNewEpoch = new.leaderEpoch > metadata.leaderEpoch || role != .follower
        metadata = new
        role = .follower
        // What another leader said is not this one's.
        if isNewEpoch { leaderHighWatermark = 0 }
        if wasLeader {
            endLeadership(.notLeaderOrFollower)
            followers = []
            context.emit(.leadership(topicPartition, epoch: nil))
        }
        if isNewEpoch { wakeAll() }
        return isNewEpoch
    }

    // MARK: What the leader answered

    /// - Parameter isFromEnd: the leader was asked for what begins at our log's end. Then a first
    ///   record behind it is what compaction has left; else something between was not taken.
    func take(_ data: FetchResponse.PartitionData, isFromEnd: Bool) -> FollowOutcome {
        guard role == .follower, let log else { return .ignored }
        var count = 0
        if case .bytes(let batches)? = data.records, batches.readableBytes > 0 {
            guard
                let first = batches.getInteger(at: batches.readerIndex, as: Int64.self)
            else { return .ignored }
            guard first <= log.logEndOffset || isFromEnd else { return .gap }
            do {
                if first < log.logEndOffset {
                    // The leader's log begins inside a batch, where ours ends: what we have, if
                    // anything, is deleted there, and no epochs tell any more whether it was the
                    // same.
                    guard max(log.logStartOffset, data.logStartOffset) >= log.logEndOffset,
                        try Self.lastOffset(of: batches) >= log.logEndOffset
                    else { return .ignored }
                    try log.truncateFully(startingAt: first)
                }
                _ = try log.appendAsFollower(batches, nowMs: context.nowMs)
            } catch {
                noteFailure(error)
                return role == .offline ? .offline : .failed(error)
            }
            count = batches.readableBytes
            context.counters.replicationBytesIn += count
            beginFlushIfDue()
            for index in watchers.indices where watchers[index].session.readsToLogEnd {
                watchers[index].session.wake(watchers[index].slot, context)
            }
        }
        leaderHighWatermark = data.highWatermark
        raiseHighWatermark(to: min(data.highWatermark, log.logEndOffset))
        return raiseLogStart(to: data.logStartOffset, log) ?? .done(appended: count)
    }

    private static func lastOffset(of batches: ByteBuffer) throws(LogError) -> Int64 {
        // Base offset, batch length, leader epoch, magic, CRC, attributes, last offset delta.
        guard let base = batches.getInteger(at: batches.readerIndex, as: Int64.self),
            let delta = batches.getInteger(at: batches.readerIndex + 23, as: Int32.self)
        else { throw .corruptBatch("\(batches.readableBytes) bytes are no batch") }
        return base.addingReportingOverflow(Int64(delta)).partialValue
    }

    /// Committed once is committed for good, so that a leader that has only just been elected
    /// and does not know yet how far its followers are does not take anything back.
    private func raiseHighWatermark(to offset: Int64) {
        guard offset > highWatermark else { return }
        highWatermark = offset
        log?.highWatermarkRose(to: offset)
        wakeForHighWatermark()
    }

    private func raiseLogStart(to offset: Int64, _ log: PartitionLog) -> FollowOutcome? {
        guard offset > log.logStartOffset, offset <= log.logEndOffset else { return nil }
        // What the leader has deleted was committed.
        raiseHighWatermark(to: offset)
        do {
            try log.raiseLogStart(to: offset)
            return nil
        } catch {
            noteFailure(error)
            return role == .offline ? .offline : .failed(error)
        }
    }

    // MARK: Truncation

    /// The leader's log parts from ours: the largest epoch it has that is not above the one we
    /// asked for, and where that ends there. Records past what both have of that epoch go. When
    /// we do not have the epoch at all, we go back to the end of the one before it and ask again
    /// (KIP-279).
    func truncate(divergingEpoch epoch: Int32, endOffset: Int64) -> FollowOutcome {
        guard role == .follower, let log else { return .ignored }
        var target: Int64
        if endOffset < 0 {
            // No leader says so; what is committed stays in any case.
            target = highWatermark
        } else if let ours = log.endOffset(forEpoch: epoch) {
            target = ours.epoch == epoch ? min(ours.endOffset, endOffset) : ours.endOffset
        } else {
            target = endOffset
        }
        target = min(target, log.logEndOffset)
        return truncate(to: target, log)
    }

    /// The leader's log ends before ours, and no epoch tells where they part.
    func truncate(toLeaderEnd end: Int64) -> FollowOutcome {
        guard role == .follower, let log, end >= 0 else { return .ignored }
        return truncate(to: min(end, log.logEndOffset), log)
    }

    private func truncate(to offset: Int64, _ log: PartitionLog) -> FollowOutcome {
        if offset < highWatermark {
            context.warn(
                self,
                .truncatedBelowHighWatermark(offset: offset, highWatermark: highWatermark))
        }
        do {
            if offset < log.logStartOffset {
                try log.truncateFully(startingAt: offset)
            } else {
                try log.truncate(to: offset)
            }
        } catch {
            noteFailure(error)
            return role == .offline ? .offline : .failed(error)
        }
        lowerHighWatermark(log)
        return .done(appended: 0)
    }

    /// The leader's log begins at `start`. Where ours ends before it, ours begins anew there.
    func reset(toLeaderStart start: Int64) -> FollowOutcome {
        // No log comes near the largest offsets there are, from which no one can count on.
        guard role == .follower, let log, (0...Int64.max / 2).contains(start) else {
            return .ignored
        }
        guard start > log.logEndOffset else { return .done(appended: 0) }
        context.warn(self, .resetToLeaderStart(offset: start))
        do {
            try log.truncateFully(startingAt: start)
        } catch {
            noteFailure(error)
            return role == .offline ? .offline : .failed(error)
        }
        highWatermark = start
        log.highWatermarkRose(to: start)
        wakeForHighWatermark()
        return .done(appended: 0)
    }

    /// What was deleted was committed.
    func keepHighWatermark(above start: Int64) {
        guard highWatermark < start else { return }
        highWatermark = start
        log?.highWatermarkRose(to: start)
        wakeForHighWatermark()
    }

    private func lowerHighWatermark(_ log: PartitionLog) {
        let end = max(log.logEndOffset, log.logStartOffset)
        guard end < highWatermark else { return }
        highWatermark = end
        log.highWatermarkRose(to: end)
        wakeAll()
    }
}
