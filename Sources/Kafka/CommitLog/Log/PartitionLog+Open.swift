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
        try removeSegments(below: logStartOffset)
        let hasEpochs = try loadEpochs()
        if segments.isEmpty {
            try begin(at: logStartOffset, nowMs: nowMs)
            return
        }
        let isWhole = checkpoint.isClean ? try openClean(hasEpochs: hasEpochs) : false
        if !isWhole {
            try recover(checkpoint)
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

    /// Segments below the log's start are deleted already, whatever a crash brought back.
    private func removeSegments(below start: Int64) throws(LogError) {
        while segments.count > 1, segments[1].baseOffset <= start {
            try remove(segments.removeFirst())
        }
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

    /// Removes what was on its way in or out, and finishes or undoes what compaction had begun: a
    /// `.swap` log is complete and takes the place of what it was made from, `.cleaned` is not.
    private func settleSwaps(_ entries: [DiskEntry]) throws(LogError) -> [DiskEntry] {
        var swaps: [LogFileName] = []
        var isChanged = false
        for entry in entries where !entry.isDirectory {
            if LogDirectory.FileName.isEpochsInWriting(entry.name) { try removeFile(entry.name) }
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
        let next = try endOfSwap(swap)
        let source = LogFileName(offset, .log).text
        if next == nil, entries.contains(where: { $0.name == source }) {
            // Damaged; but what it was made from is still there.
            return try remove(swap)
        }
        let end = next ?? offset
        for entry in entries {
            guard let name = LogFileName(entry.name), name.stage == nil, name.kind != .snapshot,
                name.offset >= offset, name.offset < max(end, offset + 1)
            else { continue }
            try removeFile(name.text)
        }
        try swap.rename(to: nil)
    }

    /// Nil where the segment cannot be read to its end.
    private func endOfSwap(_ swap: LogSegment) throws(LogError) -> Int64? {
        var end = swap.baseOffset
        do {
            var cursor = try swap.cursor(from: 0, pieceSize: BatchCursor.scanPiece)
            while let found = try cursor.next() {
                guard Self.isValid(found.header, try cursor.bytes(of: found)) else { return nil }
                end = found.header.lastOffset + 1
            }
        } catch {
            guard case .corruptBatch = error else { throw error }
            return nil
        }
        return end
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

    /// Believes what is there, and reads no more than the last few batches of the last segment.
    /// False where they, or the index, are not as a clean shutdown leaves them.
    private func openClean(hasEpochs: Bool) throws(LogError) -> Bool {
        do {
            let end = try active.nextOffset(interval: config.indexIntervalBytes)
            flushedOffset = end
            logEndOffset = end
            try removeSnapshots { $0 > end }
            if hasEpochs {
                epochs.truncateEnd(to: end)
            } else {
                try findEpochs(from: logStartOffset, before: end)
            }
            try rebuildProducers(to: end)
            endAtCleanOpen = end
            return true
        } catch {
            guard case .corruptBatch = error else { throw error }
            return false
        }
    }

    /// Holds the epochs against the headers of the batches between two offsets.
    func findEpochs(from start: Int64, before end: Int64) throws(LogError) {
        epochs.isDirty = true
        for segment in segments[segmentIndex(for: start)...] where segment.baseOffset < end {
            var cursor = try segment.cursor(from: 0, pieceSize: BatchCursor.scanPiece)
            do {
                while let found = try cursor.next(), found.header.baseOffset < end {
                    epochs.found(
                        epoch: found.header.partitionLeaderEpoch, at: found.header.baseOffset,
                        through: found.header.lastOffset)
                }
            } catch {
                guard case .corruptBatch = error else { throw error }
            }
        }
    }
}
