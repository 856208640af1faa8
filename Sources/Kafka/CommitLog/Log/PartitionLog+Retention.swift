extension PartitionLog {
    /// What a round of retention has done.
    package struct Retention: Equatable, Sendable {
        package var segments = 0
        package var bytes: Int64 = 0
        /// Renamed away; to be removed once `file.delete.delay.ms` has passed.
        package var files: [DeletedFile] = []
    }

    /// DeleteRecords, or a leader's log start: nothing below the offset is readable any more.
    /// Segments that lie below go with the next retention. True when the start has moved.
    @discardableResult
    package func raiseLogStart(to offset: Int64) throws(LogError) -> Bool {
        guard offset <= logEndOffset else {
            throw .offsetOutOfRange(offset: offset, start: logStartOffset, end: logEndOffset)
        }
        guard offset > logStartOffset else { return false }
        logStartOffset = offset
        epochs.truncateStart(to: offset)
        producers.highWatermarkRose(to: offset)
        return true
    }

    /// Drops whole segments from the front: those below the log's start, and with
    /// cleanup.policy delete those that are too old or too many. Nothing at or above the high
    /// watermark goes.
    package func applyRetention(nowMs: Int64, highWatermark: Int64) throws(LogError) -> Retention {
        try guarded { () throws(LogError) in
            var result = Retention()
            try drop(nowMs, highWatermark, &result) { _, next throws(LogError) in
                next.map { $0.baseOffset <= logStartOffset } ?? false
            }
            guard config.isDeleted else { return result }
            if config.retentionBytes >= 0 {
                var excess = sizeInBytes - config.retentionBytes
                try drop(nowMs, highWatermark, &result) { segment, _ throws(LogError) in
                    guard excess - segment.size >= 0 else { return false }
                    excess -= segment.size
                    return true
                }
            }
            if config.retentionMs >= 0 {
                try drop(nowMs, highWatermark, &result) { segment, _ throws(LogError) in
                    let newest = try segment.newestMs()
                    return nowMs.subtractingReportingOverflow(newest).partialValue
                        > config.retentionMs
                }
            }
            return result
        }
    }

    private func drop(
        _ nowMs: Int64, _ highWatermark: Int64, _ result: inout Retention,
        where condition: (LogSegment, LogSegment?) throws(LogError) -> Bool
    ) throws(LogError) {
        var count = 0
        while count < segments.count {
            let segment = segments[count]
            let next = count + 1 < segments.count ? segments[count + 1] : nil
            guard highWatermark >= next?.baseOffset ?? logEndOffset,
                next != nil || segment.size > 0, try condition(segment, next)
            else { break }
            count += 1
        }
        guard count > 0 else { return }
        // The log never has no segment: a new one takes the place of the last.
        if count == segments.count { try roll(nowMs: nowMs) }
        // What stays must be there before the rest goes, or a loss of power could leave nothing,
        // and the log would begin anew at offset 0; and what goes may come back, and be looked at.
        if flushedOffset < segments[count].baseOffset { try flush() }
        let dropped = Array(segments.prefix(count))
        result.segments += count
        result.bytes += dropped.reduce(0) { $0 + $1.size }
        segments.removeFirst(count)
        segmentGeneration += 1
        let start = segments[0].baseOffset
        if start > logStartOffset { try raiseLogStart(to: start) }
        if flushedOffset < start { flushedOffset = start }
        while let first = recent.firstOffset, first < start { dropOldestRecent() }
        for segment in dropped { result.files += try markDeleted(segment) }
        try removeSnapshots { $0 < start }
    }

    /// Renames a segment's files away. The log first: the others mean nothing without it.
    func markDeleted(_ segment: LogSegment) throws(LogError) -> [DeletedFile] {
        var files: [DeletedFile] = []
        for kind in LogFileName.Kind.ofSegment {
            let from = segment.path(kind)
            let to = LogFileName(segment.baseOffset, kind, .deleted).path(in: path)
            do {
                try disk.rename(from, to: to)
            } catch {
                if error.isNotFound { continue }
                throw .storage(error)
            }
            files.append(DeletedFile(path: to, size: kind == .log ? segment.size : 0))
        }
        directoryIsUnsynced = true
        return files
    }
}
