import BrokerConfig
import CommitLog
import KafkaWire
import Replication
import Timing

/// When the broker looks after its logs.
struct Housekeeping {
    private struct Chore {
        var interval: Nanoseconds
        var due: Instant

        mutating func isDue(_ now: Instant) -> Bool {
            guard due <= now else { return false }
            due = now + interval
            return true
        }
    }

    private var retention: Chore
    private var highWatermarks: Chore
    private var recoveryPoints: Chore
    private var cleaning: Chore
    private var flushing: Chore
    /// Logs that could not be had for a moment, and when they are tried again.
    private var opening: [TopicPartition: Instant] = [:]
    /// While a log is being compacted: when its next slice is.
    private var nextSlice: Instant?

    init(config: BrokerConfig, now: Instant) {
        func chore(_ name: String, atLeast: Int64 = 10) -> Chore {
            let interval = Nanoseconds.milliseconds(
                min(max(config.integer(name), atLeast), 1 << 40))
            return Chore(interval: interval, due: now + interval)
        }
        retention = chore("log.retention.check.interval.ms")
        highWatermarks = chore("replica.high.watermark.checkpoint.interval.ms")
        recoveryPoints = chore("log.flush.offset.checkpoint.interval.ms")
        cleaning = chore("log.cleaner.backoff.ms")
        flushing = Chore(interval: .milliseconds(100), due: now + .milliseconds(100))
    }

    var nextDeadline: Instant? {
        let chores = [retention, highWatermarks, recoveryPoints, cleaning, flushing]
        return (chores.map(\.due) + [nextSlice, opening.values.min()].compactMap(\.self)).min()
    }

    enum Task {
        case retention, highWatermarks, recoveryPoints, cleaning, cleaningSlice, flushing
        case opening(TopicPartition)
    }

    mutating func openAgain(_ partition: TopicPartition, _ now: Instant) {
        opening[partition] = now + .seconds(1)
    }

    /// The loop has others to serve between two slices of compaction.
    mutating func goOnCleaning(_ now: Instant) { nextSlice = now + .milliseconds(4) }

    mutating func due(_ now: Instant) -> [Task] {
        var tasks: [Task] = []
        if retention.isDue(now) { tasks.append(.retention) }
        if highWatermarks.isDue(now) { tasks.append(.highWatermarks) }
        if recoveryPoints.isDue(now) { tasks.append(.recoveryPoints) }
        if cleaning.isDue(now) { tasks.append(.cleaning) }
        if let due = nextSlice, due <= now {
            nextSlice = nil
            tasks.append(.cleaningSlice)
        }
        if flushing.isDue(now) { tasks.append(.flushing) }
        for partition in opening.filter({ $0.value <= now }).keys.sorted() {
            opening[partition] = nil
            tasks.append(.opening(partition))
        }
        return tasks
    }
}
