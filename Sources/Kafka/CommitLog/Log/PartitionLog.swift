import KafkaRecords
import KafkaWire
import NIOCore

/// The log of one partition: its segments, leader epochs and producers.
///
/// One event loop owns it. Every call is synchronous and either done or refused when it returns;
/// after an error of the disk the log, with its whole directory, refuses further use.
package final class PartitionLog {
    package let topicPartition: TopicPartition
    package let directory: LogDirectory
    package let path: String
    package let topicId: KafkaUUID?
    package var config: LogConfig
    let disk: any Disk

    /// In order of their base offsets; never empty once the log is open. The last is appended to.
    package internal(set) var segments: [LogSegment] = []
    package internal(set) var logStartOffset: Int64 = 0
    package internal(set) var logEndOffset: Int64 = 0
    /// The recovery point: what is below survives a loss of power.
    package internal(set) var flushedOffset: Int64 = 0
    package internal(set) var epochs = LeaderEpochs()
    package internal(set) var producers = ProducerStateTable()
    /// Offsets at which there is a producer snapshot, rising.
    var snapshots: [Int64] = []
    var bytesSinceSnapshot = 0

    var recent = RecentBatches()
    /// Appends of all logs of the directory are counted, so this tells who was last.
    var appendCount: UInt64 = 0

    var lastFlushMs: Int64
    var flushInFlight: FlushTicket.ID?
    /// What that flush syncs, for whoever cannot wait for it.
    var flushingSegments: [LogSegment] = []
    /// A truncation during a flush bounds what the flush will have achieved.
    var flushBound = Int64.max
    var flushCount: FlushTicket.ID = 0
    /// A compacted segment is on its way to the disk.
    var cleanerFlush: FlushTicket.ID?
    /// Where the epochs were last written to before they took their place.
    var epochsInWriting: String?
    /// Counts what has been cut off, for a cleaner that is under way.
    var truncationCount = 0
    var directoryIsUnsynced = false
    /// Where the log ended when it was opened after a clean shutdown.
    var endAtCleanOpen: Int64?
    /// Counts changes of what segments there are, for a cleaner that is under way.
    var segmentGeneration = 0
    /// A write that could be neither finished nor undone, or something that could not be opened.
    var brokenReason: String?
    package private(set) var isClosed = false

    init(
        directory: LogDirectory, topicPartition: TopicPartition, topicId: KafkaUUID?,
        config: LogConfig, nowMs: Int64
    ) {
        self.directory = directory
        self.topicPartition = topicPartition
        self.topicId = topicId
        self.config = config
        self.path = DiskPath.join(directory.path, topicPartition.description)
        self.disk = directory.disk
        self.lastFlushMs = nowMs
        directory.recentMemory.register(self)
    }

    deinit {
        directory.recentMemory.give(recent.cost)
        directory.recentMemory.unregister(self)
    }

    var active: LogSegment { segments[segments.count - 1] }

    package var latestEpoch: Int32? { epochs.latest }
    package var sizeInBytes: Int64 { segments.reduce(0) { $0 + $1.size } }

    /// Where an epoch ended here: how two logs find the place where they part.
    package func endOffset(forEpoch epoch: Int32) -> (epoch: Int32, endOffset: Int64)? {
        epochs.endOffset(forEpoch: epoch, logEndOffset: logEndOffset)
    }

    package func epoch(at offset: Int64) -> Int32? { epochs.epoch(at: offset) }

    /// A leader begins an epoch at the log's end.
    package func beginEpoch(_ epoch: Int32) {
        epochs.assign(epoch: epoch, startOffset: logEndOffset)
    }

    // MARK: Errors

    /// Every use of the log passes here: nothing works once the disk has failed, and a failure
    /// takes the directory offline. One for want of descriptors or memory ends the use of this log
    /// alone, which may be in the middle of something: to go on it is opened again.
    func guarded<Result>(_ body: () throws(LogError) -> Result) throws(LogError) -> Result {
        if let reason = brokenReason ?? directory.offlineReason { throw .offline(reason) }
        guard !isClosed else { throw .offline("\(topicPartition) is closed") }
        do {
            return try body()
        } catch {
            if case .storage(let cause) = error { failed(cause) }
            throw error
        }
    }

    func failed(_ cause: DiskError) {
        directory.goOffline(cause)
        if cause.isShortage { brokenReason = brokenReason ?? cause.description }
    }

    // MARK: Transactions

    /// The first record whose transaction is not decided and replicated yet.
    package var firstUnstableOffset: Int64? {
        producers.firstUnstableOffset.map { max($0, logStartOffset) }
    }

    package func lastStableOffset(highWatermark: Int64) -> Int64 {
        min(highWatermark, firstUnstableOffset ?? highWatermark)
    }

    /// Decided transactions below the high watermark are stable.
    package func highWatermarkRose(to offset: Int64) {
        producers.highWatermarkRose(to: offset)
    }

    /// The aborted transactions that overlap a range: what a reader of committed records skips.
    package func abortedTransactions(
        from offset: Int64, before limit: Int64
    ) throws(LogError) -> [AbortedTransaction] {
        try guarded { () throws(LogError) in
            var found: [AbortedTransaction] = []
            for segment in segments[segmentIndex(for: offset)...] {
                for entry in try transactions(of: segment).entries {
                    if entry.lastOffset >= offset, entry.firstOffset < limit { found.append(entry) }
                    // From here on everything begins behind the range.
                    if entry.lastStableOffset >= limit { return found }
                }
            }
            return found
        }
    }

    // MARK: Producers

    package func removeExpiredProducers(nowMs: Int64) {
        producers.removeExpired(nowMs: nowMs, after: directory.settings.producerIdExpirationMs)
    }

    /// Writes the producers as they are at the log's end.
    func takeSnapshot() throws(LogError) {
        let offset = logEndOffset
        guard offset > 0, snapshots.last != offset else { return }
        let bytes = ProducerSnapshot.encode(producers.active)
        let path = LogFileName(offset, .snapshot).path(in: path)
        try onDisk { () throws(DiskError) in
            let file = try disk.open(path, create: true)
            try file.truncate(to: 0)
            try file.write(at: 0, bytes)
        }
        // One that stands at no segment's beginning has done its duty.
        if let last = snapshots.last, last > active.baseOffset { try removeSnapshot(at: last) }
        snapshots.append(offset)
        bytesSinceSnapshot = 0
        directoryIsUnsynced = true
    }

    func removeSnapshot(at offset: Int64) throws(LogError) {
        let file = LogFileName(offset, .snapshot).path(in: path)
        try onDisk { () throws(DiskError) in try disk.remove(file) }
        snapshots.removeAll { $0 == offset }
        directoryIsUnsynced = true
    }

    func removeSnapshots(where condition: (Int64) -> Bool) throws(LogError) {
        for offset in snapshots where condition(offset) { try removeSnapshot(at: offset) }
    }

    // MARK: Recent batches

    func dropOldestRecent() { directory.recentMemory.give(recent.dropFirst()) }
    func dropRecent() { directory.recentMemory.give(recent.removeAll()) }

    /// Forgets what another log may need more, and files that can be opened again.
    package func releaseMemory() {
        dropRecent()
        for segment in segments.dropLast() { segment.releaseMemory() }
    }

    // MARK: Segments

    /// The last segment that begins at the offset or before it; the first if none does.
    func segmentIndex(for offset: Int64) -> Int {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }

    /// Closes the active segment and begins the next, at the log's end or behind it.
    package func roll(at offset: Int64? = nil, nowMs: Int64) throws(LogError) {
        let base = max(offset ?? logEndOffset, logEndOffset)
        let closed = active
        if closed.size == 0 {
            guard let offset, closed.baseOffset != offset else { return }
            // Nothing is in it, and what comes next is too far from its beginning.
            segments.removeLast()
            for kind in LogFileName.Kind.ofSegment {
                let path = closed.path(kind)
                try onDisk { () throws(DiskError) in try disk.remove(path) }
            }
        } else {
            closed.modifiedMs = nowMs
            try closed.loadIndexes()
            _ = try closed.largestTimestamp()
            closed.noteLargest()
            try closed.writeIndexes()
        }
        segments.append(
            try LogSegment.create(
                baseOffset: base, directory: path, disk: disk, nowMs: nowMs))
        segmentGeneration += 1
        directoryIsUnsynced = true
        logEndOffset = base
        producers.setEndOffset(base)
        try takeSnapshot()
        limitOpenSegments()
    }

    /// Old segments that were read give their indexes back, but for the newest few.
    private func limitOpenSegments() {
        guard segments.count > 4 else { return }
        segments[segments.count - 5].releaseMemory()
    }

    /// Stops use. A clean shutdown flushes first: see `LogDirectory.close`.
    func markClosed() {
        isClosed = true
        dropRecent()
        directory.recentMemory.unregister(self)
    }
}
