import CommitLog
import KafkaWire
import NIOCore
import Timing

enum FetchIsolation: Equatable {
    /// Replicas read what is not committed yet.
    case logEnd
    case highWatermark
    /// `read_committed`: not past an open transaction.
    case lastStable
}

/// What one Fetch request says about all of its partitions.
struct FetchParameters {
    var version: Int16
    /// -1: a consumer.
    var replicaId: Int32 = -1
    var brokerEpoch: Int64 = -1
    var isolation = FetchIsolation.highWatermark
    /// `client.rack`; empty: not said.
    var rack = ""
    var minBytes = 0
    var maxBytes = 0
    /// Followers read from the leader only, and so do consumers too old for KIP-392.
    var onlyLeader = false

    var isFollower: Bool { replicaId >= 0 }
}

extension FetchResponse.PartitionData {
    static func failed(_ partition: Int32, _ error: ErrorCode) -> Self {
        Self(partitionIndex: partition, errorCode: error, highWatermark: -1)
    }

    var isDiverging: Bool { divergingEpoch.epoch >= 0 || divergingEpoch.endOffset >= 0 }
    var byteCount: Int { records?.count ?? 0 }
}

extension PartitionReplica {
    /// Reads for a fetch. Nothing is changed by it.
    func read(
        _ request: SessionPartition, _ parameters: borrowing FetchParameters, maxBytes: Int,
        atLeastOneBatch: Bool, nextOffset: inout Int64?
    ) -> FetchResponse.PartitionData {
        let error = check(
            askedEpoch: request.currentLeaderEpoch, onlyLeader: parameters.onlyLeader)
        guard error == .none, let log else { return failed(error) }
        var follower: Int?
        if parameters.isFollower {
            follower = followers.firstIndex { $0.brokerId == parameters.replicaId }
            if follower == nil {
                // It knows of an assignment that we do not, or the other way round.
                return failed(
                    request.currentLeaderEpoch >= 0 ? .unknownLeaderEpoch : .notLeaderOrFollower)
            }
            if isStale(parameters.replicaId, parameters.brokerEpoch) {
                return failed(.notLeaderOrFollower)
            }
        } else if role == .leader, !parameters.rack.isEmpty, parameters.version >= 11,
            let preferred = preferredReadReplica(parameters.rack, at: request.fetchOffset, log)
        {
            var data = answer(parameters, log)
            data.preferredReadReplica = preferred
            return data
        }

        // What is on its way to a follower is this log's own.
        switch request.isAhead
            ? .agrees
            : checkLastFetchedEpoch(
                request.lastFetchedEpoch, fetchOffset: request.fetchOffset, log: log)
        {
        case .agrees: break
        case .failed(let error): return outOfRange(error, parameters, log)
        case .diverges(let epoch, let endOffset):
            var data = answer(parameters, log)
            data.divergingEpoch = FetchResponse.EpochEndOffset(epoch: epoch, endOffset: endOffset)
            return data
        }
        if request.position < log.logStartOffset || request.position > log.logEndOffset {
            return outOfRange(.offsetOutOfRange, parameters, log)
        }

        var data = answer(parameters, log)
        let limit: Int64
        switch parameters.isolation {
        case .logEnd: limit = log.logEndOffset
        case .highWatermark: limit = highWatermark
        case .lastStable: limit = lastStableOffset
        }
        guard request.position < limit, !request.awaitsName, maxBytes > 0 || atLeastOneBatch,
            !isThrottled(follower)
        else { return data }
        do {
            let read = try log.read(
                from: request.position, maxBytes: max(0, maxBytes), before: limit,
                atLeastOneBatch: atLeastOneBatch)
            data.records = read.records
            nextOffset = read.nextOffset
            if parameters.isolation == .lastStable {
                data.abortedTransactions = try log.abortedTransactions(
                    from: request.fetchOffset, before: limit
                ).map { .init(producerId: $0.producerId, firstOffset: $0.firstOffset) }
            }
        } catch {
            noteFailure(error)
            return failed(error.errorCode)
        }
        return data
    }

    /// What every answer tells, with no records.
    private func answer(
        _ parameters: borrowing FetchParameters, _ log: PartitionLog
    ) -> FetchResponse.PartitionData {
        FetchResponse.PartitionData(
            partitionIndex: partition, highWatermark: highWatermark,
            lastStableOffset: lastStableOffset, logStartOffset: log.logStartOffset,
            abortedTransactions: parameters.isolation == .lastStable ? [] : nil)
    }

    private func failed(_ error: ErrorCode) -> FetchResponse.PartitionData {
        var data = FetchResponse.PartitionData.failed(partition, error)
        if error == .notLeaderOrFollower || error == .fencedLeaderEpoch, metadata.leader >= 0 {
            data.currentLeader = FetchResponse.LeaderIdAndEpoch(
                leaderId: metadata.leader, leaderEpoch: metadata.leaderEpoch)
        }
        return data
    }

    /// To a follower we also say where the log begins, which saves it from asking for it.
    private func outOfRange(
        _ error: ErrorCode, _ parameters: borrowing FetchParameters, _ log: PartitionLog
    ) -> FetchResponse.PartitionData {
        var data = failed(error)
        if parameters.isFollower { data.logStartOffset = log.logStartOffset }
        return data
    }

    // MARK: The nearest replica

    /// The replica in the consumer's rack that it should read from, where that is not this
    /// leader. Only replicas in sync count: a consumer sent to one that lags would fall behind
    /// with it.
    private func preferredReadReplica(
        _ rack: String, at offset: Int64, _ log: PartitionLog
    ) -> Int32? {
        guard context.config.replicaSelector == .rackAware else { return nil }
        if context.brokers.rack(of: context.brokerId) == rack { return nil }
        var best: SelectableReplica?
        for follower in followers
        where follower.isInISR && follower.logEndOffset >= offset
            && follower.logStartOffset <= offset && context.brokers.isAlive(follower.brokerId)
            && context.brokers.rack(of: follower.brokerId) == rack
        {
            let lag = follower.lastCaughtUp.map { (context.now - $0).count } ?? Int64.max
            let candidate = SelectableReplica(
                brokerId: follower.brokerId, rack: rack, logEndOffset: follower.logEndOffset,
                lag: lag)
            if ReplicaSelector.isBetter(candidate, than: best) { best = candidate }
        }
        return best?.brokerId
    }

    // MARK: Throttling

    /// A follower that is not in sync may be told to take its time (KIP-73); one in sync never,
    /// or it would not stay so.
    private func isThrottled(_ follower: Int?) -> Bool {
        guard let follower, !followers[follower].isInISR, isLeaderThrottled else { return false }
        return context.leaderQuota.isExceeded(context.now)
    }

    var isLeaderThrottled: Bool {
        config.leaderThrottledReplicas.contains(partition: partition, broker: context.brokerId)
    }

    var isFollowerThrottled: Bool {
        config.followerThrottledReplicas.contains(partition: partition, broker: context.brokerId)
    }
}
