import KafkaRecords
import NIOCore

extension PartitionLog {
    /// After a crash: reads the batches from the recovery point on, cuts the log at the first
    /// that is torn, and builds indexes, epochs and producers anew from there.
    ///
    /// Kafka reads whole segments again. Here an index entry below the recovery point is believed
    /// if the batch it points at proves right, so that a log which is flushed now and then is
    /// back at once.
    func recover(_ checkpoint: LogCheckpoint) throws(LogError) {
        let point = max(logStartOffset, min(checkpoint.recoveryPoint, Int64.max))
        // One that ends right there may have been closed since, with indexes that no flush covered.
        var index = segmentIndex(for: max(point - 1, logStartOffset))
        // Below the recovery point all segments are whole, unless someone else was here.
        var start = try recoveryStart(in: segments[index], point: point)
        try recoverEpochs(before: start, in: index)
        // What was written behind the recovery point may have been meant for other records.
        try removeSnapshots { $0 > start.offset }
        try rebuildProducers(to: start.offset)
        var scan = RecoveryScan(nextOffset: start.offset)
        logEndOffset = start.offset
        while index < segments.count {
            let isWhole = try recover(segments[index], from: start, &scan)
            logEndOffset = scan.nextOffset
            index += 1
            guard isWhole, index < segments.count else { break }
            let next = segments[index].baseOffset
            // Compaction leaves gaps, but only where all is on the disk. Elsewhere the end of the
            // segment before is lost, though it looks whole; or it overlaps the next because a
            // truncation never reached the disk.
            guard next == scan.nextOffset || (next > scan.nextOffset && next <= point) else {
                break
            }
            scan.nextOffset = next
            logEndOffset = scan.nextOffset
            producers.setEndOffset(logEndOffset)
            try takeSnapshot()
            start = .beginning(segments[index])
        }
        try removeSegments(after: index)
        if active.size == 0 { logEndOffset = max(logEndOffset, active.baseOffset) }
        producers.setEndOffset(logEndOffset)
        epochs.truncateEnd(to: logEndOffset)
        // Nothing bears out what they say: they may be of a log that was there before this one
        // began anew, and would have a leader find that the two part.
        if segments.allSatisfy({ $0.size == 0 }) { epochs.removeAll() }
        flushedOffset = min(point, logEndOffset)
        directoryIsUnsynced = true
    }

    /// The checkpoint of the epochs is written beside the log and not in one step with it: the
    /// batches tell what it lacks. What it has is kept where no batch contradicts it, since
    /// compaction may have taken the first batches of an epoch.
    private func recoverEpochs(
        before start: RecoveryStart, in index: Int
    ) throws(LogError) {
        let first = epochs.earliest?.startOffset ?? Int64.max
        if first > logStartOffset {
            // The log begins earlier than it did when they were written: what was dropped from
            // its front had not left the disk when the power failed.
            try findEpochs(from: logStartOffset, before: min(first, start.offset))
        }
        guard let last = try lastBatch(notAfter: start, in: index), last.epoch >= 0,
            epochs.epoch(at: last.offset) != last.epoch
        else { return }
        let place = epochs.entries.last { $0.startOffset <= last.offset }
        try findEpochs(from: place?.startOffset ?? logStartOffset, before: start.offset)
    }

    /// The batch where recovery begins, if it was looked at, or the last of the segment before.
    private func lastBatch(
        notAfter start: RecoveryStart, in index: Int
    ) throws(LogError) -> (offset: Int64, epoch: Int32)? {
        if let epoch = start.epoch { return (start.offset, epoch) }
        guard index > 0 else { return nil }
        var last: (offset: Int64, epoch: Int32)?
        let segment = segments[index - 1]
        let position = try segment.offsets().last?.position ?? 0
        var cursor = try segment.cursor(from: position, pieceSize: BatchCursor.searchPiece)
        do {
            while let found = try cursor.next() {
                last = (found.header.baseOffset, found.header.partitionLeaderEpoch)
            }
        } catch {
            guard case .corruptBatch = error else { throw error }
        }
        return last
    }

    /// Where in a segment recovery begins.
    struct RecoveryStart {
        var position: Int64
        /// Everything before has smaller offsets.
        var offset: Int64
        /// Of the batch there, where one has been looked at.
        var epoch: Int32?

        static func beginning(_ segment: LogSegment) -> RecoveryStart {
            RecoveryStart(position: 0, offset: segment.baseOffset)
        }
    }

    struct RecoveryScan {
        var nextOffset: Int64
        /// Leaders follow one another: an epoch that falls is what a truncation had removed.
        var epoch: Int32 = -1
    }

    private func recoveryStart(
        in segment: LogSegment, point: Int64
    ) throws(LogError) -> RecoveryStart {
        guard point > segment.baseOffset, segment.size > 0 else { return .beginning(segment) }
        do {
            // What the time index lacks, because only the other one reached the disk when both
            // were made anew, has to be read again.
            let timed = try segment.times().last?.offset ?? -1
            let hint = try segment.offsets().entry(notAbove: min(point - 1, timed))
            guard hint.position > 0 else { return .beginning(segment) }
            var cursor = try segment.cursor(
                from: hint.position, pieceSize: BatchCursor.scanPiece)
            guard let found = try cursor.next(), found.header.baseOffset <= hint.offset,
                found.header.baseOffset >= segment.baseOffset,
                Self.isValid(found.header, try cursor.bytes(of: found))
            else { return .beginning(segment) }
            return RecoveryStart(
                position: found.position, offset: found.header.baseOffset,
                epoch: found.header.partitionLeaderEpoch)
        } catch {
            guard case .corruptBatch = error else { throw error }
            return .beginning(segment)
        }
    }

    static func isValid(_ header: RecordBatchHeader, _ bytes: ByteBuffer) -> Bool {
        guard let batch = try? RecordBatch(at: bytes.readerIndex, in: bytes) else { return false }
        guard (try? batch.checkCRC()) != nil, (try? header.checkCounts()) != nil else {
            return false
        }
        return true
    }

    /// Reads a segment from a place on. False when it had to be cut.
    private func recover(
        _ segment: LogSegment, from start: RecoveryStart, _ scan: inout RecoveryScan
    ) throws(LogError) -> Bool {
        if start.position == 0 {
            segment.dropIndexes()
        } else {
            try segment.loadIndexes()
            segment.loadedOffsets?.truncate(toPosition: start.position)
            segment.loadedTimes?.truncate(to: start.offset)
            segment.largest = segment.loadedTimes?.last
            // So that the batch which the start was found by is indexed again.
            segment.bytesSinceIndexEntry = Int.max / 2
        }
        try recoverTransactions(segment, from: start.offset)
        var cursor = try segment.cursor(from: start.position, pieceSize: BatchCursor.scanPiece)
        var end = start.position
        segment.isUnsynced = true
        do {
            while let found = try cursor.next() {
                let header = found.header
                let bytes = try cursor.bytes(of: found)
                guard header.baseOffset >= scan.nextOffset, Self.isValid(header, bytes),
                    header.partitionLeaderEpoch < 0 || header.partitionLeaderEpoch >= scan.epoch
                else { break }
                let marker: ControlMarker? =
                    header.isControl ? try ControlMarker(bytes, header: header) : nil
                segment.note(found, interval: config.indexIntervalBytes)
                epochs.found(
                    epoch: header.partitionLeaderEpoch, at: header.baseOffset,
                    through: header.lastOffset)
                if let marker {
                    try learn(marker, header, in: segment)
                } else {
                    producers.didAppend(header)
                }
                scan.nextOffset = header.lastOffset + 1
                scan.epoch = max(scan.epoch, header.partitionLeaderEpoch)
                end = found.end
            }
        } catch {
            guard case .corruptBatch = error else { throw error }
        }
        let isWhole = end == segment.size
        if !isWhole {
            let file = try segment.file()
            // What is cut off now must not come back behind other records.
            try onDisk { () throws(DiskError) in
                try file.truncate(to: end)
                try file.sync()
            }
            segment.size = end
        }
        segment.noteLargest()
        try segment.writeIndexes()
        return isWhole
    }

    private func recoverTransactions(
        _ segment: LogSegment, from offset: Int64
    ) throws(LogError) {
        do {
            _ = try segment.transactions()
        } catch {
            guard case .invalidFile = error else { throw error }
            try rebuildTransactions(of: segment, before: offset)
        }
        segment.withTransactions { $0.truncate(to: offset) }
    }

    /// Deletes what lies behind a place where the log had to be cut.
    private func removeSegments(after index: Int) throws(LogError) {
        guard index < segments.count else { return }
        for segment in segments[index...].reversed() { try remove(segment) }
        segments.removeLast(segments.count - index)
        try removeSnapshots { $0 > logEndOffset }
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
    }

    // MARK: Transaction indexes

    /// A segment's aborted transactions; built from the log where their file is garbage.
    func transactions(of segment: LogSegment) throws(LogError) -> TransactionIndex {
        do {
            return try segment.transactions()
        } catch {
            guard case .invalidFile = error else { throw error }
            let next = segments.first { $0.baseOffset > segment.baseOffset }
            try rebuildTransactions(of: segment, before: next?.baseOffset ?? logEndOffset)
            return try segment.transactions()
        }
    }

    /// Walks through the log from its beginning: transactions may begin in earlier segments.
    private func rebuildTransactions(
        of segment: LogSegment, before end: Int64
    ) throws(LogError) {
        var table = ProducerStateTable()
        var index = TransactionIndex.rewriting
        for other in segments where other.baseOffset <= segment.baseOffset {
            var cursor = try other.cursor(from: 0, pieceSize: BatchCursor.scanPiece)
            while let found = try cursor.next(), found.header.baseOffset < end {
                let header = found.header
                guard header.isControl else {
                    table.didAppend(header)
                    continue
                }
                let marker = try ControlMarker(try cursor.bytes(of: found), header: header)
                guard case .end(let isAbort, let epoch, let timestamp) = marker else { continue }
                let completed = table.didAppendMarker(
                    header, coordinatorEpoch: epoch, isAbort: isAbort, timestamp: timestamp)
                guard let completed, isAbort, other === segment else { continue }
                index.append(
                    AbortedTransaction(
                        producerId: completed.producerId, firstOffset: completed.firstOffset,
                        lastOffset: completed.lastOffset,
                        lastStableOffset: table.lastStableOffset(after: completed)))
            }
        }
        segment.setTransactions(index)
        try segment.writeIndexes()
    }
}
