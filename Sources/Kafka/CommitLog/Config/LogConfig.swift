/// The properties of a topic that its logs go by, with Kafka's defaults.
package struct LogConfig: Equatable, Sendable {
    package enum TimestampType: String, Sendable {
        case createTime = "CreateTime"
        case logAppendTime = "LogAppendTime"
    }

    package var segmentBytes = 1 << 30
    package var segmentMs: Int64 = 604_800_000
    package var segmentJitterMs: Int64 = 0
    package var segmentIndexBytes = 10 << 20
    package var indexIntervalBytes = 4096
    package var flushMessages = Int64.max
    package var flushMs = Int64.max
    package var retentionMs: Int64 = 604_800_000
    package var retentionBytes: Int64 = -1
    package var isDeleted = true
    package var isCompacted = false
    package var deleteRetentionMs: Int64 = 86_400_000
    package var minCompactionLagMs: Int64 = 0
    package var maxCompactionLagMs = Int64.max
    package var minCleanableDirtyRatio = 0.5
    package var fileDeleteDelayMs: Int64 = 60_000
    package var maxMessageBytes = 1_048_588
    package var timestampType = TimestampType.createTime
    package var timestampBeforeMaxMs = Int64.max
    package var timestampAfterMaxMs: Int64 = 3_600_000
    package var minInsyncReplicas: Int32 = 1
    package var uncleanLeaderElection = false

    package init() {}

    /// After how long a segment is closed: compaction does not touch the active one.
    package var maxSegmentMs: Int64 {
        isCompacted ? min(segmentMs, maxCompactionLagMs) : segmentMs
    }

    /// A topic's own properties over a broker's defaults.
    package init(
        _ properties: [String: String], over defaults: LogConfig = LogConfig()
    ) throws(ConfigError) {
        self = defaults
        for name in properties.keys.sorted() {
            guard let value = properties[name] else { continue }
            guard let definition = TopicConfig.definition(name) else {
                throw ConfigError(name: name, value: value, reason: "unknown topic property")
            }
            set(name, try definition.normalize(value))
        }
        guard minCompactionLagMs <= maxCompactionLagMs else {
            throw ConfigError(
                name: "min.compaction.lag.ms", value: String(minCompactionLagMs),
                reason: "it is above max.compaction.lag.ms (\(maxCompactionLagMs))")
        }
    }

    /// As far as they are understood: a property that is not keeps its default, and no other does
    /// for it.
    package static func understood(
        of properties: [String: String]
    ) -> (config: LogConfig, problems: [ConfigError]) {
        var config = LogConfig()
        var problems: [ConfigError] = []
        for name in properties.keys.sorted() {
            guard let value = properties[name] else { continue }
            do throws(ConfigError) {
                guard let definition = TopicConfig.definition(name) else {
                    throw ConfigError(name: name, value: value, reason: "unknown topic property")
                }
                config.set(name, try definition.normalize(value))
            } catch {
                problems.append(error)
            }
        }
        return (config, problems)
    }

    /// The defaults for topics that a broker's own properties (`log.retention.hours`) give.
    package init(brokerProperties properties: [String: String]) throws(ConfigError) {
        var topic: [String: String] = [:]
        for definition in TopicConfig.all {
            for synonym in definition.synonyms {
                guard let value = properties[synonym.name] else { continue }
                topic[definition.name] = try Self.converted(value, synonym)
                break
            }
        }
        try self.init(topic)
    }

    private static func converted(
        _ value: String, _ synonym: ConfigSynonym
    ) throws(ConfigError) -> String {
        guard synonym.unit != .same else { return value }
        guard let number = Int64(value) else {
            throw ConfigError(name: synonym.name, value: value, reason: "it is a number")
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: synonym.unit.rawValue)
        return String(number < 0 ? -1 : overflow ? Int64.max : product)
    }

    /// `value` is normal: what `ConfigDefinition.normalize` has returned.
    private mutating func set(_ name: String, _ value: String) {
        let long = Int64(value) ?? 0
        switch name {
        case "segment.bytes": segmentBytes = Int(long)
        case "segment.ms": segmentMs = long
        case "segment.jitter.ms": segmentJitterMs = long
        case "segment.index.bytes": segmentIndexBytes = Int(long)
        case "index.interval.bytes": indexIntervalBytes = Int(long)
        case "flush.messages": flushMessages = long
        case "flush.ms": flushMs = long
        case "retention.ms": retentionMs = long
        case "retention.bytes": retentionBytes = long
        case "cleanup.policy":
            let items = ConfigDefinition.items(value)
            isDeleted = items.contains("delete")
            isCompacted = items.contains("compact")
        case "delete.retention.ms": deleteRetentionMs = long
        case "min.compaction.lag.ms": minCompactionLagMs = long
        case "max.compaction.lag.ms": maxCompactionLagMs = long
        case "min.cleanable.dirty.ratio": minCleanableDirtyRatio = Double(value) ?? 0.5
        case "file.delete.delay.ms": fileDeleteDelayMs = long
        case "max.message.bytes": maxMessageBytes = Int(long)
        case "message.timestamp.type":
            timestampType = TimestampType(rawValue: value) ?? .createTime
        case "message.timestamp.before.max.ms": timestampBeforeMaxMs = long
        case "message.timestamp.after.max.ms": timestampAfterMaxMs = long
        case "min.insync.replicas": minInsyncReplicas = Int32(clamping: long)
        case "unclean.leader.election.enable": uncleanLeaderElection = value == "true"
        default: break
        }
    }
}
