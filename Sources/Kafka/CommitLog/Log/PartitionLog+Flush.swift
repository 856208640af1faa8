import NIOCore

/// What has to be made durable, to be carried out on any thread.
///
/// Group commit: the log goes on taking appends while a ticket is carried out; the next ticket
/// takes all of them at once.
package struct FlushTicket: Sendable {
    package typealias ID = UInt64

    enum Step: Sendable {
        case sync(any DiskFile)
        case syncDirectory(String)
        /// Sync a file, and put it in place of another.
        case replace(any DiskFile, path: String)
    }

    let id: ID
    let disk: any Disk
    let steps: [Step]
    /// The log is durable up to here once the ticket is carried out.
    package let endOffset: Int64
    /// Not where it only writes down leader epochs: `flush.ms` counts from the last that was.
    var isOfRecords = true

    package func perform() throws(DiskError) {
        for step in steps {
            switch step {
            case .sync(let file):
                try file.sync()
            case .syncDirectory(let path):
                try disk.syncDirectory(path)
            case .replace(let file, let path):
                try file.sync()
                try disk.rename(file.path, to: path)
                try disk.syncDirectory(DiskPath.parent(of: path))
            }
        }
    }
}

extension PartitionLog {
    package var unflushedRecords: Int64 { logEndOffset - flushedOffset }

    /// Whether `flush.messages` or `flush.ms` ask for a flush.
    package func isFlushDue(nowMs: Int64) -> Bool {
        let records = unflushedRecords
        guard records > 0, flushInFlight == nil else { return false }
        return records >= config.flushMessages
            || nowMs.subtractingReportingOverflow(lastFlushMs).partialValue >= config.flushMs
    }

    /// When `flush.ms` will ask for a flush, if nothing is appended.
    package var nextFlushMs: Int64? {
        guard unflushedRecords > 0, config.flushMs < Int64.max else { return nil }
        let (due, overflow) = lastFlushMs.addingReportingOverflow(config.flushMs)
        return overflow ? nil : due
    }

    /// Closed segments that no flush has covered: better flushed before the next is full.
    package var hasUnflushedClosedSegment: Bool {
        segments.dropLast().last.map(\.isUnsynced) ?? false
    }

    /// Collects what is not durable. Nil when there is nothing, or a flush is under way.
    package func beginFlush() throws(LogError) -> FlushTicket? {
        try beginFlush(isLast: false)
    }

    /// The last flush before a clean shutdown leaves nothing to be rebuilt.
    private func beginFlush(isLast: Bool) throws(LogError) -> FlushTicket? {
        try guarded { () throws(LogError) -> FlushTicket? in
            guard flushInFlight == nil else { return nil }
            var steps: [FlushTicket.Step] = []
            flushingSegments = segments.filter(\.isUnsynced)
            for segment in flushingSegments {
                steps.append(.sync(try segment.file()))
                // The active segment's indexes are rebuilt after a crash; closed ones are not.
                if segment !== active || isLast {
                    try segment.writeIndexes()
                    for kind in [LogFileName.Kind.index, .timeindex, .txnindex] {
                        let path = segment.path(kind)
                        if let file = try openIfThere(path) { steps.append(.sync(file)) }
                    }
                }
                segment.isUnsynced = false
            }
            if directoryIsUnsynced { steps.append(.syncDirectory(path)) }
            if epochs.isDirty { steps.append(try epochStep()) }
            directoryIsUnsynced = false
            epochs.isDirty = false
            guard !steps.isEmpty || flushedOffset < logEndOffset else { return nil }
            return ticket(steps, endOffset: logEndOffset)
        }
    }

    private func ticket(_ steps: [FlushTicket.Step], endOffset: Int64) -> FlushTicket {
        let id = directory.nextFlush()
        flushCount += 1
        flushInFlight = id
        flushBound = Int64.max
        return FlushTicket(id: id, disk: disk, steps: steps, endOffset: endOffset)
    }

    /// An epoch has begun of which the checkpoint on the disk does not tell yet.
    package var hasUnwrittenEpoch: Bool { epochs.isDirty }
    package var isFlushing: Bool { flushInFlight != nil }

    /// Writes down the epochs, and nothing else. Nil when they are on the disk, or a flush is under
    /// way.
    package func beginEpochFlush() throws(LogError) -> FlushTicket? {
        try guarded { () throws(LogError) -> FlushTicket? in
            guard flushInFlight == nil, epochs.isDirty else { return nil }
            let step = try epochStep()
            epochs.isDirty = false
            var flush = ticket([step], endOffset: flushedOffset)
            flush.isOfRecords = false
            return flush
        }
    }

    func openIfThere(_ path: String) throws(LogError) -> (any DiskFile)? {
        do {
            return try disk.open(path, create: false)
        } catch {
            if error.isNotFound { return nil }
            throw .storage(error)
        }
    }

    private func epochStep() throws(LogError) -> FlushTicket.Step {
        // Of its own name: should the folder be put away while the ticket is carried out, it must
        // not find what another log is writing under the same path.
        let name = LogDirectory.FileName.epochsInWriting(directory.nextFlush())
        let temporary = DiskPath.join(path, name)
        let bytes = TextCheckpoint.encodeEpochs(epochs.entries)
        epochsInWriting = temporary
        return try onDisk { () throws(DiskError) -> FlushTicket.Step in
            let file = try disk.open(temporary, create: true)
            try file.truncate(to: 0)
            try file.write(at: 0, bytes)
            return .replace(
                file, path: DiskPath.join(path, LogDirectory.FileName.leaderEpochs))
        }
    }

    /// The ticket has been carried out.
    package func completeFlush(_ ticket: FlushTicket, nowMs: Int64) throws(LogError) {
        if cleanerFlush == ticket.id { cleanerFlush = nil }
        guard flushInFlight == ticket.id else { return }
        flushInFlight = nil
        flushingSegments = []
        if ticket.isOfRecords { lastFlushMs = nowMs }
        flushedOffset = max(flushedOffset, min(ticket.endOffset, flushBound))
        if bytesSinceSnapshot >= directory.settings.snapshotIntervalBytes {
            try guarded { () throws(LogError) in try takeSnapshot() }
        }
    }

    /// The ticket could not be carried out. What the system then still has of the unsynced
    /// bytes is unknown, so the directory goes offline rather than try again. For want of a
    /// descriptor nothing was tried: the log is opened again, and flushed from its recovery point.
    /// - Returns: false where the disk is well: for a ticket of a log that was open under this name
    ///   before, and whose folder or files are not there any more.
    package func failFlush(_ ticket: FlushTicket, _ error: DiskError) -> Bool {
        let isOurs = flushInFlight == ticket.id || cleanerFlush == ticket.id
        guard isOurs || !(error.isNotFound || error.isShortage) else { return false }
        if isOurs { flushInFlight = nil }
        failed(error)
        return true
    }

    /// Begins, carries out and completes a flush.
    package func flush(nowMs: Int64? = nil) throws(LogError) {
        guard flushInFlight == nil else { return try syncAll() }
        try flush(isLast: false, nowMs: nowMs)
    }

    /// Makes durable all that a start after a clean shutdown believes. A flush that is under way
    /// elsewhere is overtaken.
    func closeCleanly() throws(LogError) {
        guard !isAsItWasOpened else { return }
        try guarded { () throws(LogError) in
            if flushInFlight != nil, let epochsInWriting {
                // Its epochs must not come in place of those that are written now.
                try onDisk { () throws(DiskError) in try disk.remove(epochsInWriting) }
            }
            flushInFlight = nil
            try takeSnapshot()
            if active.size > 0 {
                try active.loadIndexes()
                _ = try active.largestTimestamp()
                active.noteLargest()
                active.isUnsynced = true
            }
            for segment in flushingSegments { segment.isUnsynced = true }
            directoryIsUnsynced = true
            epochs.isDirty = true
        }
        try flush(isLast: true, nowMs: nil)
    }

    /// After a clean shutdown, and not changed since: with thousands of partitions most are.
    private var isAsItWasOpened: Bool {
        endAtCleanOpen == logEndOffset && truncationCount == 0 && segmentGeneration == 0
            && flushCount == 0 && !directoryIsUnsynced && !epochs.isDirty
            && segments.allSatisfy { !$0.isUnsynced }
    }

    private func flush(isLast: Bool, nowMs: Int64?) throws(LogError) {
        guard let ticket = try beginFlush(isLast: isLast) else { return }
        do {
            try ticket.perform()
        } catch {
            _ = failFlush(ticket, error)
            throw .storage(error)
        }
        try completeFlush(ticket, nowMs: nowMs ?? lastFlushMs)
    }

    /// While a ticket is under way nobody knows how far it is: everything is synced again. The
    /// recovery point rises when the ticket is complete.
    private func syncAll() throws(LogError) {
        try guarded { () throws(LogError) in
            for segment in segments
            where segment.isUnsynced || flushingSegments.contains(where: { $0 === segment }) {
                let file = try segment.file()
                try onDisk { () throws(DiskError) in try file.sync() }
            }
            try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
        }
    }
}
