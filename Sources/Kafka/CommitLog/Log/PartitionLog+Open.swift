import KafkaRecords
import KafkaWire
import NIOCore

/// What the checkpoints of the directory say of a log that is about to be opened.
struct LogCheckpoint {
    /// Below this offset everything is on the disk: nothing there is read again.
    var recoveryPoint: Int64 = 0
    var logStartOffset: Int64 = 0
    /// The last use ended with a clean shutdown: all there is, is whole.
    var isClean = false
}

extension PartitionLog {
    /// Finds what is on the disk, repairs what a crash has left, and is ready for use.
    func open(_ checkpoint: LogCheckpoint, nowMs: Int64) throws(LogError) {
        try onDisk { () throws(DiskError) in try disk.createDirectory(path) }
        let entries = try settleSwaps(
            try onDisk { () throws(DiskError) in try disk.list(path) })
        try findSegments(entries)
        logStartOffset = max(
            checkpoint.logStartOffset, segments.first?.baseOffset ?? checkpoint.logStartOffset)
        let hasEpochs = try loadEpochs()
        if segments.isEmpty {
            try begin(at: logStartOffset, nowMs: nowMs)
            return
        }
        let end: Int64
        if checkpoint.isClean, let known = try cleanEnd() {
            end = known
            flushedOffset = end
            logEndOffset = end
            try removeSnapshots { $0 > end }
            if hasEpochs { epochs.truncateEnd(to: end) } else { try rebuildEpochs(before: end) }
            try rebuildProducers(to: end)
        } else {
            try recover(checkpoint, hasEpochs: hasEpochs)
        }
        if logEndOffset < logStartOffset {
            // Segments have vanished: what the checkpoint promises is all that is known.
            for segment in segments { try remove(segment) }
            segments = []
            try begin(at: logStartOffset, nowMs: nowMs)
            return
        }
        epochs.truncateStart(to: logStartOffset)
        removeStraySnapshotNames()
        producers.removeExpired(nowMs: nowMs, after: directory.settings.producerIdExpirationMs)
    }

    private func begin(at offset: Int64, nowMs: Int64) throws(LogError) {
        segments = [
            try LogSegment.create(baseOffset: offset, directory: path, disk: disk, nowMs: nowMs)
        ]
        try removeSnapshots { _ in true }
        directoryIsUnsynced = true
        logStartOffset = offset
        logEndOffset = offset
        flushedOffset = offset
        epochs.removeAll()
        producers.reset(endOffset: offset)
    }

    // MARK: Files

    /// Removes what was on its way out, and finishes or undoes what compaction had begun: a
    /// `.swap` log is complete and takes the place of what it was made from, `.cleaned` is not.
    private func settleSwaps(_ entries: [DiskEntry]) throws(LogError) -> [DiskEntry] {
        var swaps: [LogFileName] = []
        var isChanged = false
        for entry in entries where !entry.isDirectory {
            guard let name = LogFileName(entry.name), let stage = name.stage else { continue }
            if stage == .swap {
                swaps.append(name)
            } else {
                try removeFile(name.text)
                isChanged = true
            }
        }
        let whole = Set(swaps.filter { $0.kind == .log }.map(\.offset))
        for name in swaps where !whole.contains(name.offset) {
            try removeFile(name.text)
            isChanged = true
        }
        for offset in whole.sorted() {
            let found = entries.first { $0.name == LogFileName(offset, .log, .swap).text }
            try finishSwap(at: offset, size: found?.size ?? 0, entries)
            isChanged = true
        }
        guard isChanged else { return entries }
        return try onDisk { () throws(DiskError) in
            try disk.syncDirectory(path)
            return try disk.list(path)
        }
    }

    private func finishSwap(
        at offset: Int64, size: Int64, _ entries: [DiskEntry]
    ) throws(LogError) {
        let swap = LogSegment(
            baseOffset: offset, directory: path, disk: disk, size: size, modifiedMs: 0)
        swap.stage = .swap
        var next = offset
        var cursor = try swap.cursor(from: 0, pieceSize: BatchCursor.scanPiece)
        while let found = try cursor.next() { next = found.header.lastOffset + 1 }
        for entry in entries {
            guard let name = LogFileName(entry.name), name.stage == nil, name.kind != .snapshot,
                name.offset >= offset, name.offset < max(next, offset + 1)
            else { continue }
            try removeFile(name.text)
        }
        try swap.rename(to: nil)
    }

    private func removeFile(_ name: String) throws(LogError) {
        let path = DiskPath.join(path, name)
        try onDisk { () throws(DiskError) in try disk.remove(path) }
    }

    private func findSegments(_ entries: [DiskEntry]) throws(LogError) {
        segments = []
        snapshots = []
        var logs: Set<Int64> = []
        var others: [LogFileName] = []
        for entry in entries where !entry.isDirectory {
            guard let name = LogFileName(entry.name), name.stage == nil else { continue }
            switch name.kind {
            case .log:
                logs.insert(name.offset)
                segments.append(
                    LogSegment(
                        baseOffset: name.offset, directory: path, disk: disk, size: entry.size,
                        modifiedMs: entry.modifiedMs))
            case .snapshot:
                snapshots.append(name.offset)
            default:
                others.append(name)
            }
        }
        segments.sort { $0.baseOffset < $1.baseOffset }
        snapshots.sort()
        for name in others where !logs.contains(name.offset) { try removeFile(name.text) }
    }

    private func loadEpochs() throws(LogError) -> Bool {
        let file = DiskPath.join(path, LogDirectory.FileName.leaderEpochs)
        let bytes = try onDisk { () throws(DiskError) in
            try disk.readWhole(file, limit: TextCheckpoint.maxBytes)
        }
        guard let bytes, let entries = try? TextCheckpoint.decodeEpochs(bytes) else {
            return false
        }
        epochs = LeaderEpochs(entries)
        return true
    }

    /// Snapshots between segments are of use only at the log's end.
    private func removeStraySnapshotNames() {
        guard let last = snapshots.last else { return }
        let bases = Set(segments.map(\.baseOffset))
        for offset in snapshots where offset != last && !bases.contains(offset) {
            try? removeSnapshot(at: offset)
        }
    }

    // MARK: After a clean shutdown

    /// The log's end, from the last few batches of the last segment. Nil where they or the index
    /// are not as a clean shutdown leaves them.
    private func cleanEnd() throws(LogError) -> Int64? {
        do {
            return try active.nextOffset(interval: config.indexIntervalBytes)
        } catch {
            guard case .corruptBatch = error else { throw error }
            return nil
        }
    }

    /// The epochs, from the headers of all batches below an offset.
    func rebuildEpochs(before end: Int64) throws(LogError) {
        epochs.removeAll()
        epochs.isDirty = true
        for segment in segments where segment.baseOffset < end {
            var cursor = try segment.cursor(from: 0, pieceSize: BatchCursor.scanPiece)
            while let found = try cursor.next(), found.header.baseOffset < end {
                epochs.assign(
                    epoch: found.header.partitionLeaderEpoch,
                    startOffset: found.header.baseOffset)
            }
        }
    }
}
