/// A log that may be compacted, and up to where its records are replicated.
package struct CleanerCandidate {
    package var log: PartitionLog
    package var highWatermark: Int64

    package init(log: PartitionLog, highWatermark: Int64) {
        self.log = log
        self.highWatermark = highWatermark
    }
}

/// What compacting one log has come to.
package struct CleanerReport: Equatable, Sendable {
    package var partition: TopicPartition
    /// Up to where it has no record that a later one below replaces.
    package var cleanedOffset: Int64
    package var bytesBefore: Int64 = 0
    package var bytesAfter: Int64 = 0
    package var recordsBefore: Int64 = 0
    package var recordsAfter: Int64 = 0
}

/// What a step of compaction asks for.
package struct CleanerStep {
    /// To be carried out, on any thread, and handed back to the log by `completeFlush` or
    /// `failFlush`; until then steps do nothing.
    package var flush: FlushTicket?
    /// To be removed when `file.delete.delay.ms` have passed.
    package var deleted: [DeletedFile] = []
    package var deleteDelayMs: Int64 = 0
    package var report: CleanerReport?
    /// Why a log is left as it is from now on, in words.
    package var problem: String?
}

/// Compaction (`cleanup.policy=compact`): of every key the last record stays.
///
/// One log at a time, the one with the largest share of records that were not looked at yet. The
/// new records' keys are taken down first; then all segments up to there are written anew, without
/// what a later record replaces, and put in place of the old ones. All of it in steps of bounded
/// size, between which the log goes on being used. The rules are those of Kafka's LogCleaner.
package final class LogCleaner {
    package struct Settings: Sendable {
        /// What the keys of one pass may take in memory; a pass takes as many records as fit.
        /// (`log.cleaner.dedupe.buffer.size`, which Kafka has at 128 MiB.)
        package var keyMemory = 32 << 20

        package init() {}
    }

    private let directory: LogDirectory
    private let settings: Settings
    private let hash: SipHash
    private var run: CleanerRun?
    /// Logs that cannot be read to their end.
    private var uncleanable: Set<TopicPartition> = []

    /// - Parameter secret: random; keeps writers from making keys whose hashes are equal.
    package init(
        directory: LogDirectory, settings: Settings = Settings(), secret: (UInt64, UInt64)
    ) {
        self.directory = directory
        self.settings = settings
        hash = SipHash(key: secret.0, secret.1)
    }

    package var isRunning: Bool { run != nil }
    /// What is being compacted.
    package var partition: TopicPartition? { run?.log.topicPartition }

    // MARK: Which log

    /// Where compaction of a log begins and ends, and whether it is worth it.
    struct Plan {
        var firstDirty: Int64
        var end: Int64
        var dirtyRatio: Double
        var isDue: Bool
    }

    /// Begins with the log that needs it most. False where none does, or one is under way.
    package func begin(
        _ candidates: [CleanerCandidate], nowMs: Int64
    ) throws(LogError) -> Bool {
        guard run == nil, directory.offlineReason == nil else { return false }
        var best: (log: PartitionLog, plan: Plan)?
        for candidate in candidates {
            let log = candidate.log
            guard log.config.isCompacted, !log.isClosed,
                !uncleanable.contains(log.topicPartition)
            else { continue }
            let plan: Plan?
            do {
                plan = try self.plan(candidate, nowMs: nowMs)
            } catch {
                guard case .corruptBatch = error else { throw error }
                uncleanable.insert(log.topicPartition)
                continue
            }
            guard let plan, plan.isDue, plan.dirtyRatio > best?.plan.dirtyRatio ?? -1 else {
                continue
            }
            best = (log, plan)
        }
        guard let (log, plan) = best else { return false }
        run = try CleanerRun(
            log: log, from: plan.firstDirty, to: plan.end,
            keyCapacity: settings.keyMemory / KeyOffsets.bytesPerKey, hash: hash,
            nowMs: nowMs)
        return true
    }

    /// Nil where nothing may be compacted.
    func plan(_ candidate: CleanerCandidate, nowMs: Int64) throws(LogError) -> Plan? {
        let log = candidate.log
        let config = log.config
        let closed = log.segments.dropLast()
        var firstDirty = directory.cleanedOffset[log.topicPartition] ?? 0
        if firstDirty < log.logStartOffset || firstDirty > log.active.baseOffset {
            // Of another life of the log.
            firstDirty = log.logStartOffset
        }
        // The active segment is never touched, nor what may be undone or is undecided.
        var end = min(
            log.active.baseOffset, log.lastStableOffset(highWatermark: candidate.highWatermark))
        var clean: Int64 = 0
        var dirty: Int64 = 0
        var oldest = Int64.max
        for (index, segment) in closed.enumerated() {
            let next = log.segments[index + 1].baseOffset
            if next <= firstDirty {
                clean += segment.size
                continue
            }
            if next > end {
                end = min(end, segment.baseOffset)
                break
            }
            if config.minCompactionLagMs > 0,
                try segment.newestMs() > nowMs.subtractingClamped(config.minCompactionLagMs)
            {
                end = segment.baseOffset
                break
            }
            dirty += segment.size
            if config.maxCompactionLagMs < Int64.max, segment.size > 0 {
                let first = try log.firstTimestamp(of: segment)
                oldest = min(oldest, first >= 0 ? first : segment.modifiedMs)
            }
        }
        guard dirty > 0, end > firstDirty else { return nil }
        let ratio = Double(dirty) / Double(clean + dirty)
        let isLate =
            config.maxCompactionLagMs < Int64.max
            && oldest < nowMs.subtractingClamped(config.maxCompactionLagMs)
        return Plan(
            firstDirty: firstDirty, end: end, dirtyRatio: ratio,
            isDue: isLate || ratio > config.minCleanableDirtyRatio)
    }

    // MARK: Steps

    /// Goes on with the log that was begun with, for about so many bytes of reading and writing.
    package func step(nowMs: Int64, budgetBytes: Int) throws(LogError) -> CleanerStep {
        var result = CleanerStep()
        guard let run else { return result }
        result.deleteDelayMs = run.log.config.fileDeleteDelayMs
        guard run.isStillPossible else {
            self.run = nil
            run.abandon()
            return result
        }
        do {
            try run.log.guarded { () throws(LogError) in
                try run.step(nowMs: nowMs, budget: budgetBytes, &result)
            }
        } catch {
            self.run = nil
            guard case .corruptBatch(let reason) = error else { throw error }
            run.abandon()
            uncleanable.insert(run.log.topicPartition)
            result.problem = "\(run.log.topicPartition) is not compacted any more: \(reason)"
            return result
        }
        if let report = result.report {
            self.run = nil
            try directory.setCleanedOffset(report.cleanedOffset, of: report.partition)
        }
        return result
    }

    /// Lets go of what is under way, as before the log directory is closed.
    package func stop() {
        run?.abandon()
        run = nil
    }
}

extension Int64 {
    func subtractingClamped(_ other: Int64) -> Int64 {
        let (result, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other > 0 ? Int64.min : Int64.max) : result
    }
}
