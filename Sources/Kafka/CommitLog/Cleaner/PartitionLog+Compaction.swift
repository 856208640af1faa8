// What compaction does to a log.
extension PartitionLog {
    /// Whether segments are still part of the log, one behind the other and none of them active.
    func contains(_ some: [LogSegment]) -> Bool {
        guard let first = some.first else { return false }
        let index = segmentIndex(for: first.baseOffset)
        guard index + some.count < segments.count else { return false }
        return zip(segments[index...], some).allSatisfy { $0 === $1 }
    }

    /// What makes a new segment durable before it may take the place of others.
    func cleanerTicket(for target: LogSegment) throws(LogError) -> FlushTicket {
        var steps: [FlushTicket.Step] = [.sync(try target.file())]
        for kind in [LogFileName.Kind.index, .timeindex, .txnindex] {
            if let file = try openIfThere(target.path(kind)) { steps.append(.sync(file)) }
        }
        flushCount += 1
        let id = directory.nextFlush()
        cleanerFlush = id
        return FlushTicket(id: id, disk: disk, steps: steps, endOffset: flushedOffset)
    }

    /// Puts a compacted segment, which is durable, in the place of those that it was made from.
    ///
    /// It is renamed to `.swap` first: from there on a start after a crash finishes what is left
    /// to do (see `PartitionLog.open`). Both syncs are waited for, because a truncation that
    /// comes later must not find on the disk, after a crash, what it has removed.
    func replace(
        _ sources: [LogSegment], with target: LogSegment
    ) throws(LogError) -> [DeletedFile] {
        guard contains(sources), let first = sources.first, let last = sources.last else {
            try remove(target)
            return []
        }
        try target.rename(to: .swap)
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
        var deleted: [DeletedFile] = []
        for source in sources { deleted += try markDeleted(source) }
        try target.rename(to: nil)
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
        let index = segmentIndex(for: first.baseOffset)
        let fresh = LogSegment(
            baseOffset: first.baseOffset, directory: path, disk: disk, size: target.size,
            modifiedMs: last.modifiedMs)
        segments.replaceSubrange(index..<(index + sources.count), with: [fresh])
        segmentGeneration += 1
        // Readers shall see of it what is left, not what is still in memory.
        let end = index + 1 < segments.count ? segments[index + 1].baseOffset : logEndOffset
        while let first = recent.firstOffset, first < end { dropOldestRecent() }
        for source in sources.dropFirst()
        where source.baseOffset != snapshots.last && snapshots.contains(source.baseOffset) {
            try removeSnapshot(at: source.baseOffset)
        }
        return deleted
    }
}
