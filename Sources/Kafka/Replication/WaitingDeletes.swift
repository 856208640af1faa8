import CommitLog
import KafkaWire
import Timing

/// One partition of a DeleteRecords request that waits until every replica that lives or may
/// lead has raised its log's start.
struct DeleteTicket {
    var requiredOffset: Int64
    var slot: Int32
    var generation: UInt32
    var topic: Int32
    var partition: Int32
}

/// DeleteRecords requests that wait for followers: few, so nothing here is clever.
struct WaitingDeletes {
    private struct Entry {
        var token: RequestToken
        var response: DeleteRecordsResponse
        var remaining: Int
        var generation: UInt32
        var deadline: Instant?
    }

    private var entries: [Entry] = []

    var count: Int { entries.count { $0.deadline != nil } }
    var nextDeadline: Instant? { entries.compactMap(\.deadline).min() }

    mutating func reserve() -> (slot: Int32, generation: UInt32) {
        if let slot = entries.firstIndex(where: { $0.deadline == nil && $0.remaining == 0 }) {
            return (Int32(slot), entries[slot].generation)
        }
        entries.append(
            Entry(
                token: RequestToken(low: 0), response: DeleteRecordsResponse(), remaining: 0,
                generation: 0, deadline: nil))
        return (Int32(entries.count - 1), 0)
    }

    mutating func commit(
        _ slot: Int32, token: RequestToken, response: DeleteRecordsResponse, remaining: Int,
        deadline: Instant
    ) {
        let index = Int(slot)
        entries[index].token = token
        entries[index].response = response
        entries[index].remaining = remaining
        entries[index].deadline = deadline
    }

    mutating func settle(
        _ ticket: DeleteTicket, _ error: ErrorCode, lowWatermark: Int64
    ) -> ReplicationEffect? {
        let slot = Int(ticket.slot)
        guard entries[slot].generation == ticket.generation else { return nil }
        let topic = Int(ticket.topic)
        let partition = Int(ticket.partition)
        entries[slot].response.topics[topic].partitions[partition].errorCode = error
        entries[slot].response.topics[topic].partitions[partition].lowWatermark = lowWatermark
        entries[slot].remaining -= 1
        return entries[slot].remaining == 0 ? finish(slot) : nil
    }

    /// Partitions that are still open hold REQUEST_TIMED_OUT from the beginning.
    mutating func popTimedOut(_ now: Instant) -> ReplicationEffect? {
        guard
            let slot = entries.firstIndex(where: { entry in
                entry.deadline.map { $0 <= now } ?? false
            })
        else { return nil }
        return finish(slot)
    }

    private mutating func finish(_ slot: Int) -> ReplicationEffect {
        let entry = entries[slot]
        entries[slot].generation &+= 1
        entries[slot].deadline = nil
        entries[slot].remaining = 0
        entries[slot].response = DeleteRecordsResponse()
        return .deletedRecords(entry.token, entry.response)
    }
}

extension PartitionReplica {
    /// The smallest log start of the replicas that live or may lead: what is below is gone for
    /// good. Kafka asks only whether they live; one that is fenced and then elected from the
    /// eligible leaders (KIP-966) would bring back what had been promised to be gone.
    var lowWatermark: Int64 {
        guard let log else { return -1 }
        var low = log.logStartOffset
        for follower in followers
        where follower.isInMaximalISR || context.brokers.isAlive(follower.brokerId)
            || metadata.eligibleLeaders.contains(follower.brokerId)
        {
            low = min(low, follower.logStartOffset)
        }
        return low
    }

    /// Deletes the records below an offset; -1 is the high watermark.
    func deleteRecords(before offset: Int64) -> (error: ErrorCode, required: Int64) {
        guard role == .leader, let log else {
            return (role == .offline ? .kafkaStorageError : .notLeaderOrFollower, -1)
        }
        guard log.config.isDeleted else { return (.policyViolation, -1) }
        let target = offset == -1 ? highWatermark : offset
        guard target >= 0, target <= highWatermark else { return (.offsetOutOfRange, -1) }
        if target > log.logStartOffset {
            do {
                try log.raiseLogStart(to: target)
            } catch {
                noteFailure(error)
                return (error.errorCode, -1)
            }
            // Followers learn of it now rather than with the next record.
            wakeAll()
        }
        return (.none, target)
    }

    func settleDeletes() {
        guard !deletes.isEmpty else { return }
        let low = lowWatermark
        for ticket in deletes where ticket.requiredOffset <= low {
            if let effect = context.deleteWaits.settle(ticket, .none, lowWatermark: low) {
                context.emit(effect)
            }
        }
        deletes.removeAll { $0.requiredOffset <= low }
    }

    func failDeletes(_ error: ErrorCode) {
        for ticket in deletes {
            if let effect = context.deleteWaits.settle(ticket, error, lowWatermark: -1) {
                context.emit(effect)
            }
        }
        deletes = []
    }
}
