import KafkaRecords

extension PartitionLog {
    /// Removes records from `offset` on. A batch that holds the offset goes as a whole, and the
    /// log then ends where that batch began: its leader will send all of it again. Nor does the
    /// log end within a gap that compaction has left. (In Kafka the log's end is the offset all
    /// the same, until the next start; where replicas part is always between batches.)
    package func truncate(to offset: Int64) throws(LogError) {
        guard offset < logEndOffset else {
            // An epoch that began here and wrote nothing: a leader that never saw it would have
            // a follower ask for it for ever.
            if offset == logEndOffset { epochs.truncateEnd(to: offset) }
            return
        }
        try guarded { () throws(LogError) in
            guard offset > segments[0].baseOffset else {
                return try startOver(at: max(0, offset))
            }
            try willTruncate(to: offset)
            try lowerFlushed(to: offset)
            dropRecent()
            try removeSegments(from: offset)
            let segment = active
            let interval = config.indexIntervalBytes
            if let found = try segment.batch(atOrAfter: offset, interval: interval) {
                let cut = min(offset, found.header.baseOffset)
                try lowerFlushed(to: cut)
                try segment.truncate(toPosition: found.position, offset: cut)
            }
            // Not within a gap that compaction has left: a start would not find it again.
            let end = min(offset, try segment.nextOffset(interval: interval))
            try lowerFlushed(to: end)
            logEndOffset = end
            logStartOffset = min(logStartOffset, end)
            epochs.truncateEnd(to: end)
            try removeSnapshots { $0 > end }
            try rebuildProducers(to: end)
        }
    }

    /// Removes everything; the log goes on at `offset`.
    package func truncateFully(startingAt offset: Int64) throws(LogError) {
        guard offset >= 0, offset <= Self.largestOffset else {
            throw .offsetOutOfRange(offset: offset, start: 0, end: Self.largestOffset)
        }
        try guarded { () throws(LogError) in try startOver(at: offset) }
    }

    private func startOver(at offset: Int64) throws(LogError) {
        try willTruncate(to: min(offset, segments[0].baseOffset))
        try lowerFlushed(to: min(offset, segments[0].baseOffset))
        dropRecent()
        try removeSegments(from: 0)
        try removeSnapshots { _ in true }
        if active.size > 0 || active.baseOffset != offset {
            let old = active
            segments.removeLast()
            try remove(old)
            segments.append(
                try LogSegment.create(
                    baseOffset: offset, directory: path, disk: disk, nowMs: old.modifiedMs))
        }
        directoryIsUnsynced = true
        segmentGeneration += 1
        logEndOffset = offset
        logStartOffset = offset
        flushedOffset = offset
        epochs.removeAll()
        producers.reset(endOffset: offset)
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
    }

    /// What compaction knows of the records that go now is of no use any more.
    private func willTruncate(to offset: Int64) throws(LogError) {
        truncationCount += 1
        if let cleaned = directory.cleanedOffset[topicPartition], cleaned > offset {
            try directory.setCleanedOffset(offset, of: topicPartition)
        }
    }

    /// The recovery point on disk must fall before the log does: what lies below it is trusted
    /// after a crash, and new records may take the place of those that go now.
    func lowerFlushed(to offset: Int64) throws(LogError) {
        flushBound = min(flushBound, offset)
        flushedOffset = min(flushedOffset, offset)
        try directory.lowerRecoveryPoint(of: topicPartition, to: offset)
    }

    /// Removes the segments that begin behind the offset, the last first, and for good: one
    /// that came back after a crash would leave a hole before it.
    private func removeSegments(from offset: Int64) throws(LogError) {
        var removed = false
        while segments.count > 1, active.baseOffset > offset {
            let last = segments.removeLast()
            try remove(last)
            removed = true
        }
        guard removed else { return }
        segmentGeneration += 1
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
    }

    func remove(_ segment: LogSegment) throws(LogError) {
        for kind in [LogFileName.Kind.log, .index, .timeindex, .txnindex] {
            let path = segment.path(kind)
            try onDisk { () throws(DiskError) in try disk.remove(path) }
        }
    }

    // MARK: Producers

    /// The producers as they were at an offset: from the latest snapshot, and the log behind it.
    func rebuildProducers(to end: Int64) throws(LogError) {
        try loadSnapshot(notAbove: end)
        try replay(from: producers.endOffset, to: end)
        producers.setEndOffset(end)
    }

    /// Loads the latest snapshot that is whole; others are removed on the way.
    func loadSnapshot(notAbove end: Int64) throws(LogError) {
        let first = segments[0].baseOffset
        for offset in snapshots.reversed() where offset <= end && offset >= first {
            let file = LogFileName(offset, .snapshot).path(in: path)
            let bytes = try onDisk { () throws(DiskError) in
                try disk.readWhole(file, limit: ProducerSnapshot.maxBytes)
            }
            if let bytes, let entries = ProducerSnapshot.decode(bytes) {
                producers.load(entries, endOffset: offset)
                return
            }
            try removeSnapshot(at: offset)
        }
        producers.reset(endOffset: min(first, end))
    }

    /// Tells the producers of all batches from one offset up to another. A segment that cannot be
    /// read on is left at that place: that its records are broken is for their readers to hear.
    func replay(from start: Int64, to end: Int64) throws(LogError) {
        guard start < end else { return }
        for segment in segments[segmentIndex(for: start)...] {
            guard segment.baseOffset < end, segment.size > 0 else { continue }
            do {
                try replay(segment, from: start, to: end)
            } catch {
                guard case .corruptBatch = error else { throw error }
            }
        }
    }

    private func replay(
        _ segment: LogSegment, from start: Int64, to end: Int64
    ) throws(LogError) {
        let first = try segment.batch(atOrAfter: start, interval: config.indexIntervalBytes)
        guard let first else { return }
        var cursor = try segment.cursor(from: first.position, pieceSize: BatchCursor.scanPiece)
        while let found = try cursor.next(), found.header.baseOffset < end {
            if found.header.isControl {
                let marker = try ControlMarker(try cursor.bytes(of: found), header: found.header)
                replay(marker, found.header)
            } else {
                producers.didAppend(found.header)
            }
        }
    }

    private func replay(_ marker: ControlMarker, _ header: RecordBatchHeader) {
        guard case .end(let isAbort, let coordinatorEpoch, let timestamp) = marker,
            header.producerId >= 0
        else { return producers.setEndOffset(header.lastOffset + 1) }
        _ = producers.didAppendMarker(
            header, coordinatorEpoch: coordinatorEpoch, isAbort: isAbort, timestamp: timestamp)
    }
}
