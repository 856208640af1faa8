import Metadata
import Raft

extension QuorumNode {
    /// Under the names that exporters of Kafka's own metrics use.
    package func metrics() -> [NodeMetric] {
        var all: [NodeMetric] = []
        func gauge(_ name: String, _ value: Int64) {
            all.append(NodeMetric("kafka_" + name, .gauge, [], Double(value)))
        }
        gauge("server_raft_metrics_current_epoch", Int64(raft.epoch))
        gauge("server_raft_metrics_current_leader", Int64(raft.leaderID ?? -1))
        gauge("server_raft_metrics_high_watermark", raft.highWatermark)
        gauge("server_raft_metrics_log_end_offset", log.endOffset)
        all.append(
            NodeMetric(
                "kafka_server_raft_metrics_current_state", .gauge,
                [(name: "state", value: raft.roleName)], 1))
        guard let controller else { return all }
        gauge("controller_kafkacontroller_activecontrollercount", controller.isActive ? 1 : 0)
        let image = follower.image
        let brokers = image.brokers.values
        gauge("controller_kafkacontroller_activebrokercount", Int64(brokers.count { !$0.fenced }))
        gauge("controller_kafkacontroller_fencedbrokercount", Int64(brokers.count(where: \.fenced)))
        gauge("controller_kafkacontroller_globaltopiccount", Int64(image.topicCount))
        gauge("controller_kafkacontroller_globalpartitioncount", Int64(image.partitionCount))
        var offline: Int64 = 0
        for topic in image.topics {
            offline += Int64(topic.partitions.count { $0.map { !$0.hasLeader } ?? false })
        }
        gauge("controller_kafkacontroller_offlinepartitionscount", offline)
        return all
    }
}
