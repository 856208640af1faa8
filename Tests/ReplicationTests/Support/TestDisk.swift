import CommitLog
import KafkaWire
import SimulatedDisk

func openDirectory(_ disk: SimulatedDisk) throws(LogError) -> LogDirectory {
    do {
        try disk.createDirectory("/logs")
        try disk.syncDirectory("/")
    } catch {
        throw .storage(error)
    }
    return try LogDirectory(path: "/logs", disk: disk)
}

func openTestLog(
    _ directory: LogDirectory, _ partition: TopicPartition, _ topicId: KafkaUUID,
    _ config: LogConfig
) throws(LogError) -> PartitionLog {
    try directory.openLog(
        partition, topicId: topicId, config: config, nowMs: 1_700_000_000_000, unique: "aside")
}
