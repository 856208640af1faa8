import KafkaRecords
import NIOCore

// Idempotence across a restart. Kafka's snapshots hold the last batch of each producer, so that a
// broker that has read one would take the batch before it, sent again because its answer was lost,
// for one out of order. What a producer may send again is at the end of the log: it is looked up
// there, when it happens.
extension PartitionLog {
    /// How much of the log is read at most for one producer, once after a start.
    static let recalledBytes: Int64 = 16 << 20

    /// The batches of a producer before those that its entry knows, as many as may be sent again.
    func batches(
        of producer: Int64, before entry: ProducerEntry
    ) throws(LogError) -> [ProducerEntry.Batch] {
        guard let first = entry.batches.first?.firstOffset, first > logStartOffset else {
            return []
        }
        let wanted = ProducerEntry.retainedBatches - entry.batches.count
        var found: [ProducerEntry.Batch] = []
        var left = Self.recalledBytes
        for segment in segments[...segmentIndex(for: first - 1)].reversed() {
            guard found.count < wanted, left > 0, segment.size > 0 else { break }
            do {
                let last = try segment.batch(atOrAfter: first, interval: config.indexIntervalBytes)
                let end = last?.position ?? segment.size
                let start = try segment.offsets().position(notAbove: max(0, end - left))
                left -= end - start
                let here = try batches(in: segment, from: start, before: first) {
                    $0.producerId == producer && $0.producerEpoch == entry.producerEpoch
                }
                found = here.suffix(wanted - found.count) + found
            } catch {
                // That records are broken is for their readers to hear.
                guard case .corruptBatch = error else { throw error }
                break
            }
        }
        return found
    }

    private func batches(
        in segment: LogSegment, from position: Int64, before limit: Int64,
        where isWanted: (RecordBatchHeader) -> Bool
    ) throws(LogError) -> [ProducerEntry.Batch] {
        var found: [ProducerEntry.Batch] = []
        var cursor = try segment.cursor(from: position, pieceSize: BatchCursor.scanPiece)
        while let header = try cursor.next()?.header, header.baseOffset < limit {
            guard !header.isControl, isWanted(header) else { continue }
            if found.count == ProducerEntry.retainedBatches { found.removeFirst() }
            found.append(
                ProducerEntry.Batch(
                    lastSequence: header.lastSequence, lastOffset: header.lastOffset,
                    offsetDelta: header.lastOffsetDelta, timestamp: header.maxTimestamp))
        }
        return found
    }
}
