import BrokerConfig
import CommitLog
import KafkaWire
import Metadata
import Replication
import Timing

// What a broker does for its logs from time to time.
extension BrokerNode {
    func keepHouse() {
        for task in housekeeping.due(now) {
            switch task {
            case .retention: applyRetention()
            case .highWatermarks: writeHighWatermarks()
            case .recoveryPoints: logs.writeCheckpoints()
            case .cleaning: beginCleaning()
            case .cleaningSlice: clean()
            case .flushing: flushOverdue()
            case .opening(let partition): openAgain(partition)
            }
        }
        for stray in logs.takeStrays() {
            say(.warning, stray.message, about: LogSubject(stray.partition))
        }
        for problem in logs.takeProblems() where reminders.isDue(problem, now) {
            say(.error, problem)
        }
        if logs.isOffline { storageFailed() }
    }

    private func openAgain(_ partition: TopicPartition) {
        guard !logs.isOffline, replicas.replica(partition)?.role == .offline,
            replicas.reopen(partition)
        else { return }
        reminders.forget("offline \(partition)")
        say(.notice, "\(partition) is open again")
    }

    private func applyRetention() {
        for replica in replicas.replicas {
            guard let log = replica.log else { continue }
            do {
                let result = try log.applyRetention(
                    nowMs: nowMs, highWatermark: replica.highWatermark)
                logs.removeLater(result.files, delayMs: log.config.fileDeleteDelayMs)
                if result.segments > 0 { replicas.logStartMoved(replica.topicPartition) }
                if result.segments > 0 {
                    say(
                        .info,
                        "\(replica.topicPartition): dropped \(result.segments) segments, "
                            + "\(result.bytes) bytes, by retention",
                        about: LogSubject(replica.topicPartition))
                }
                log.removeExpiredProducers(nowMs: nowMs)
            } catch {
                carryOut(.storageFailed(replica.topicPartition, error))
            }
        }
        logs.removeDue()
    }

    private func beginCleaning() {
        guard !logs.isCleaning, !logs.isOffline else { return }
        let candidates = replicas.replicas.compactMap { replica in
            replica.log.flatMap { log in
                log.config.isCompacted
                    ? CleanerCandidate(log: log, highWatermark: replica.highWatermark) : nil
            }
        }
        guard !candidates.isEmpty else { return }
        do {
            try logs.beginCleaning(candidates)
        } catch {
            return carryOut(.storageFailed(candidates[0].log.topicPartition, error))
        }
        if logs.isCleaning { clean() }
    }

    /// One slice of compaction; when a log is done, the next that needs it.
    private func clean() {
        guard !logs.isOffline, let partition = logs.cleanedPartition else { return }
        let step: CleanerStep
        do {
            step = try logs.clean()
        } catch {
            return carryOut(.storageFailed(partition, error))
        }
        if let ticket = step.flush, let replica = replicas.replica(partition) {
            effects.append(.flush(TopicIdPartition(replica.topicId, replica.partition), ticket))
        }
        logs.removeLater(step.deleted, delayMs: step.deleteDelayMs)
        if let report = step.report {
            say(
                .info,
                "\(report.partition): compacted up to offset \(report.cleanedOffset), "
                    + "\(report.recordsBefore) records to \(report.recordsAfter), "
                    + "\(report.bytesBefore) bytes to \(report.bytesAfter)",
                about: LogSubject(report.partition))
        }
        if logs.isCleaning {
            housekeeping.goOnCleaning(now)
        } else {
            beginCleaning()
        }
    }

    func writeHighWatermarks() {
        logs.writeHighWatermarks(replicas.highWatermarks())
    }

    /// Checkpoints of leader epochs that are on their way to the disk at a time: after an election
    /// there may be thousands, and flushes that producers wait for come behind them.
    private static let epochFlushes = 16

    /// `flush.ms`, segments that are closed and not on the disk yet, and epochs that have begun.
    private func flushOverdue() {
        let all = replicas.replicas
        var epochFlushes = all.count { $0.log?.isFlushing ?? false }
        for replica in all {
            guard let log = replica.log else { continue }
            let isDue = log.isFlushDue(nowMs: nowMs) || log.hasUnflushedClosedSegment
            let isNewEpoch = log.hasUnwrittenEpoch && epochFlushes < Self.epochFlushes
            guard isDue || isNewEpoch else { continue }
            do {
                guard let ticket = try isDue ? log.beginFlush() : log.beginEpochFlush() else {
                    continue
                }
                epochFlushes += 1
                effects.append(
                    .flush(TopicIdPartition(replica.topicId, replica.partition), ticket))
            } catch {
                carryOut(.storageFailed(replica.topicPartition, error))
            }
        }
        logs.removeDue()
    }

    /// The end of a clean shutdown: everything is on the disk, and the next start reads nothing.
    /// - Returns: what there is to say of it, if it reads all the same.
    @discardableResult
    package func closeLogs(nowMs: Int64) -> String? {
        self.nowMs = nowMs
        logs.nowMs = nowMs
        writeHighWatermarks()
        return logs.close(brokerEpoch: lifecycle.lastEpoch).map {
            "the next start reads the ends of the logs again, as after a crash: \($0)"
        }
    }
}
