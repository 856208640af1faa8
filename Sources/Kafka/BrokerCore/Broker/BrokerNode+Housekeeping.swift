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
            case .cleaning: break
            case .flushing: flushOverdue()
            }
        }
        for problem in logs.takeProblems() { say(.error, problem) }
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
                            + "\(result.bytes) bytes, by retention")
                }
                log.removeExpiredProducers(nowMs: nowMs)
            } catch {
                carryOut(.storageFailed(replica.topicPartition, error))
            }
        }
        logs.removeDue()
    }

    func writeHighWatermarks() {
        logs.writeHighWatermarks(replicas.highWatermarks())
    }

    /// `flush.ms`, and segments that are closed and not on the disk yet.
    private func flushOverdue() {
        for replica in replicas.replicas {
            guard let log = replica.log,
                log.isFlushDue(nowMs: nowMs) || log.hasUnflushedClosedSegment
            else { continue }
            do {
                guard let ticket = try log.beginFlush() else { continue }
                effects.append(
                    .flush(TopicIdPartition(replica.topicId, replica.partition), ticket))
            } catch {
                carryOut(.storageFailed(replica.topicPartition, error))
            }
        }
        logs.removeDue()
    }

    /// The end of a clean shutdown: everything is on the disk, and the next start reads nothing.
    package func closeLogs(nowMs: Int64) {
        self.nowMs = nowMs
        logs.nowMs = nowMs
        writeHighWatermarks()
        logs.close()
    }
}
