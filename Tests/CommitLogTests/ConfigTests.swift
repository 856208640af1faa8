import CommitLog
import Testing

@Suite struct ConfigTests {
    @Test func defaultsAreTheTables() throws {
        var properties: [String: String] = [:]
        for definition in TopicConfig.all {
            #expect(try definition.normalize(definition.defaultValue) == definition.defaultValue)
            properties[definition.name] = definition.defaultValue
            #expect(!definition.documentation.isEmpty)
        }
        #expect(try LogConfig(properties) == LogConfig())
        #expect(TopicConfig.all.map(\.name) == TopicConfig.all.map(\.name).sorted())
        #expect(TopicConfig.definition("retention.ms")?.type == .long)
        #expect(TopicConfig.definition("retention.hours") == nil)
    }

    @Test func everyValueArrives() throws {
        let config = try LogConfig([
            "segment.bytes": "1048576", "segment.ms": "2", "segment.jitter.ms": "3",
            "segment.index.bytes": "400", "index.interval.bytes": "5", "flush.messages": "6",
            "flush.ms": "7", "retention.ms": "-1", "retention.bytes": " 9 ",
            "cleanup.policy": "delete, compact", "delete.retention.ms": "10",
            "min.compaction.lag.ms": "11", "max.compaction.lag.ms": "12",
            "min.cleanable.dirty.ratio": "0.25", "file.delete.delay.ms": "13",
            "max.message.bytes": "14", "message.timestamp.type": "LogAppendTime",
            "message.timestamp.before.max.ms": "15", "message.timestamp.after.max.ms": "16",
            "min.insync.replicas": "2", "unclean.leader.election.enable": "TRUE",
        ])
        var expected = LogConfig()
        expected.segmentBytes = 1_048_576
        expected.segmentMs = 2
        expected.segmentJitterMs = 3
        expected.segmentIndexBytes = 400
        expected.indexIntervalBytes = 5
        expected.flushMessages = 6
        expected.flushMs = 7
        expected.retentionMs = -1
        expected.retentionBytes = 9
        expected.isCompacted = true
        expected.deleteRetentionMs = 10
        expected.minCompactionLagMs = 11
        expected.maxCompactionLagMs = 12
        expected.minCleanableDirtyRatio = 0.25
        expected.fileDeleteDelayMs = 13
        expected.maxMessageBytes = 14
        expected.timestampType = .logAppendTime
        expected.timestampBeforeMaxMs = 15
        expected.timestampAfterMaxMs = 16
        expected.minInsyncReplicas = 2
        expected.uncleanLeaderElection = true
        #expect(config == expected)
    }

    @Test(arguments: [
        ("retention.ms", "x"), ("retention.ms", "-2"), ("retention.ms", "9223372036854775808"),
        ("segment.bytes", "1000"), ("segment.bytes", "2147483648"), ("cleanup.policy", "shred"),
        ("cleanup.policy", "compact,shred"), ("min.cleanable.dirty.ratio", "1.5"),
        ("min.cleanable.dirty.ratio", "nan"), ("compression.type", "zstd"),
        ("preallocate", "true"), ("preallocate", "yes"), ("remote.storage.enable", "true"),
        ("message.timestamp.type", "createtime"), ("min.insync.replicas", "0"), ("colour", "blue"),
        ("min.compaction.lag.ms", "9223372036854775807"),
    ])
    func refusals(_ name: String, _ value: String) {
        var properties = [name: value]
        if name == "min.compaction.lag.ms" { properties["max.compaction.lag.ms"] = "5" }
        let error = #expect(throws: ConfigError.self) { try LogConfig(properties) }
        #expect(error?.name == name)
        #expect(error?.value == value)
        #expect(error?.reason.isEmpty == false)
    }

    @Test func brokersGiveDefaults() throws {
        let config = try LogConfig(
            brokerProperties: [
                "log.retention.hours": "2", "log.retention.minutes": "90", "log.roll.hours": "-1",
                "message.max.bytes": "77", "min.insync.replicas": "2", "node.id": "1",
            ].filter { $0.key != "log.roll.hours" })
        #expect(config.retentionMs == 5_400_000)
        #expect(config.maxMessageBytes == 77)
        #expect(config.minInsyncReplicas == 2)
        #expect(try LogConfig(["retention.ms": "5"], over: config).maxMessageBytes == 77)
        #expect(try LogConfig(brokerProperties: ["log.retention.hours": "-1"]).retentionMs == -1)
        #expect(throws: ConfigError.self) {
            try LogConfig(brokerProperties: ["log.retention.hours": "soon"])
        }
    }
}
