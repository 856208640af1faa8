import KafkaRecords
import NIOCore

extension PartitionLog {
    /// After a crash: reads the batches from the recovery point on, cuts the log at the first
    /// that is torn, and builds indexes, epochs and producers anew from there.
    ///
    /// Kafka reads whole segments again. Here an index entry below the recovery point is believed
    /// if the batch it points at proves right, so that a log which is flushed now and then is
    /// back at once.
    func recover(_ checkpoint: LogCheckpoint, hasEpochs: Bool) throws(LogError) {
        let point = max(logStartOffset, min(checkpoint.recoveryPoint, Int64.max))
        var index = segmentIndex(for: point)
        // Below the recovery point all segments are whole, unless someone else was here.
        var start = try recoveryStart(in: segments[index], point: point)
        if !hasEpochs {
            if try !canRebuildEpochs(before: start.offset) { (index, start) = (0, .beginning(segments[0])) }
        } else {
            epochs.truncateEnd(to: start.offset)
        }
        // What was written behind the recovery point may have been meant for other records.
        try removeSnapshots { $0 > start.offset }
        do {
            try rebuildProducers(to: start.offset)
        } catch {
            guard case .corruptBatch = error else { throw error }
            // Something below the recovery point is broken after all: begin at the beginning.
            (index, start) = (0, .beginning(segments[0]))
            epochs.truncateEnd(to: start.offset)
            try removeSnapshots { $0 > start.offset }
            producers.reset(endOffset: start.offset)
        }
        var scan = RecoveryScan(nextOffset: start.offset)
        logEndOffset = start.offset
        while index < segments.count {
            let segment = segments[index]
            if segment.baseOffset > scan.nextOffset, index > 0 {
                scan.nextOffset = segment.baseOffset
            }
            let isWhole = try recover(segment, from: start, &scan)
            logEndOffset = scan.nextOffset
            index += 1
            guard isWhole else { break }
            guard index < segments.count else { break }
            producers.setEndOffset(segments[index].baseOffset)
            logEndOffset = max(logEndOffset, segments[index].baseOffset)
            try takeSnapshot()
            start = .beginning(segments[index])
        }
        try removeSegments(after: index)
        if active.size == 0 { logEndOffset = max(logEndOffset, active.baseOffset) }
        producers.setEndOffset(logEndOffset)
        epochs.truncateEnd(to: logEndOffset)
        flushedOffset = min(point, logEndOffset)
        directoryIsUnsynced = true
    }

    /// Where in a segment recovery begins.
    struct RecoveryStart {
        var position: Int64
        /// Everything before has smaller offsets.
        var offset: Int64

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
            let hint = try segment.offsets().entry(notAbove: point - 1)
            guard hint.position > 0 else { return .beginning(segment) }
            var cursor = try segment.cursor(
                from: hint.position, pieceSize: BatchCursor.scanPiece)
            guard let found = try cursor.next(), found.header.baseOffset <= hint.offset,
                found.header.baseOffset >= segment.baseOffset,
                Self.isValid(found.header, try cursor.bytes(of: found))
            else { return .beginning(segment) }
            return RecoveryStart(position: found.position, offset: found.header.baseOffset)
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

    private func canRebuildEpochs(before end: Int64) throws(LogError) -> Bool {
        do {
            try rebuildEpochs(before: end)
            return true
        } catch {
            guard case .corruptBatch = error else { throw error }
            epochs.removeAll()
            return false
        }
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
                epochs.assign(
                    epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset)
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
            try onDisk { () throws(DiskError) in try file.truncate(to: end) }
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
