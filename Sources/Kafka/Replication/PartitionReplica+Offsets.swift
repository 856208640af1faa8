import CommitLog
import KafkaWire

/// An offset that was looked for.
enum OffsetLookup: Equatable {
    case found(offset: Int64, timestamp: Int64, epoch: Int32?)
    case nothing
    case failed(ErrorCode)
}

extension PartitionReplica {
    /// The offset at a time: -1 is the end of what the asker may read, -2 and -4 the beginning, -3
    /// the record with the largest timestamp; else the first record at that time or later.
    func offset(
        at timestamp: Int64, askedEpoch: Int32, isolation: FetchIsolation, onlyLeader: Bool
    ) -> OffsetLookup {
        let error = check(askedEpoch: askedEpoch, onlyLeader: onlyLeader)
        guard error == .none, let log else { return .failed(error) }
        let end: Int64
        switch isolation {
        case .logEnd: end = log.logEndOffset
        case .highWatermark: end = highWatermark
        case .lastStable: end = lastStableOffset
        }
        // A leader that was only just elected does not know how much of what it has is
        // committed; the end it would tell might lie before what was told already (KIP-207).
        let isUnsettled = isolation != .logEnd && isLeader && epochStart > highWatermark
        do {
            switch timestamp {
            case -1:
                if isUnsettled { return .failed(.offsetNotAvailable) }
                return .found(offset: end, timestamp: -1, epoch: leaderEpoch)
            case -2, -4:
                return found(log.earliest)
            case -5:
                // There is no other storage, so nothing was moved there.
                return .nothing
            default:
                let found =
                    timestamp == -3
                    ? try log.maxTimestamp() : try log.lookUp(timestamp: timestamp)
                guard let found else {
                    return isUnsettled ? .failed(.offsetNotAvailable) : .nothing
                }
                if found.offset < end { return self.found(found) }
                return isUnsettled ? .failed(.offsetNotAvailable) : .nothing
            }
        } catch {
            noteFailure(error)
            return .failed(error.errorCode)
        }
    }

    private func found(_ place: OffsetAndTime) -> OffsetLookup {
        .found(offset: place.offset, timestamp: place.timestamp, epoch: place.leaderEpoch)
    }
}
