import KafkaRecords
import NIOCore

/// A record's offset and timestamp, and the epoch of the leader that wrote it.
package struct OffsetAndTime: Equatable, Sendable {
    package var offset: Int64
    package var timestamp: Int64
    package var leaderEpoch: Int32?

    package init(offset: Int64, timestamp: Int64, leaderEpoch: Int32?) {
        self.offset = offset
        self.timestamp = timestamp
        self.leaderEpoch = leaderEpoch
    }
}

extension PartitionLog {
    /// ListOffsets -2: where the log begins.
    package var earliest: OffsetAndTime {
        let first = epochs.earliest
        let epoch = first.flatMap { $0.startOffset <= logStartOffset ? $0.epoch : nil }
        return OffsetAndTime(offset: logStartOffset, timestamp: -1, leaderEpoch: epoch)
    }

    /// ListOffsets -1: where the log ends.
    package var latest: OffsetAndTime {
        OffsetAndTime(offset: logEndOffset, timestamp: -1, leaderEpoch: epochs.latest)
    }

    /// The first record that is not earlier than a time; nil when all are.
    package func lookUp(timestamp: Int64) throws(LogError) -> OffsetAndTime? {
        try guarded { () throws(LogError) -> OffsetAndTime? in
            for segment in segments where segment.size > 0 {
                guard try segment.newestMs() >= timestamp else { continue }
                // As in Kafka one segment is looked through, the first that is late enough.
                return try lookUp(timestamp, in: segment)
            }
            return nil
        }
    }

    private func lookUp(
        _ timestamp: Int64, in segment: LogSegment
    ) throws(LogError) -> OffsetAndTime? {
        let hint = try segment.times().entry(notAbove: timestamp)?.offset ?? segment.baseOffset
        let start = max(hint, logStartOffset)
        let first = try segment.batch(atOrAfter: start, interval: config.indexIntervalBytes)
        guard let first else { return nil }
        var cursor = try segment.cursor(from: first.position, pieceSize: BatchCursor.scanPiece)
        while let found = try cursor.next() {
            let header = found.header
            guard header.maxTimestamp >= timestamp, header.lastOffset >= logStartOffset else {
                continue
            }
            let batch = try cursor.bytes(of: found)
            let record = try LogRecords.first(batch) {
                $0.timestamp >= timestamp && $0.offset >= logStartOffset
            }
            if let record {
                return OffsetAndTime(
                    offset: record.offset, timestamp: record.timestamp,
                    leaderEpoch: Self.epoch(of: header))
            }
        }
        return nil
    }

    /// ListOffsets -3: the record with the largest timestamp, the first of several.
    package func maxTimestamp() throws(LogError) -> OffsetAndTime? {
        try guarded { () throws(LogError) -> OffsetAndTime? in
            var best: (segment: LogSegment, entry: TimeIndex.Entry)?
            for segment in segments {
                guard let entry = try segment.largestTimestamp() else { continue }
                if entry.timestamp > best?.entry.timestamp ?? -1 { best = (segment, entry) }
            }
            guard let (segment, entry) = best else { return nil }
            let first = try segment.batch(
                atOrAfter: entry.offset, interval: config.indexIntervalBytes)
            guard let first else { return nil }
            var cursor = try segment.cursor(
                from: first.position, pieceSize: BatchCursor.searchPiece)
            while let found = try cursor.next() {
                guard found.header.maxTimestamp == entry.timestamp else { continue }
                let batch = try cursor.bytes(of: found)
                let record = try LogRecords.first(batch) { $0.timestamp == entry.timestamp }
                guard let record else { continue }
                return OffsetAndTime(
                    offset: record.offset, timestamp: record.timestamp,
                    leaderEpoch: Self.epoch(of: found.header))
            }
            return nil
        }
    }

    private static func epoch(of header: RecordBatchHeader) -> Int32? {
        header.partitionLeaderEpoch >= 0 ? header.partitionLeaderEpoch : nil
    }
}
