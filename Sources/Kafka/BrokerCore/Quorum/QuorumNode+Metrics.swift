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
        let counts = follower.image.statistics
        gauge("controller_kafkacontroller_activebrokercount", Int64(counts.activeBrokers))
        gauge("controller_kafkacontroller_fencedbrokercount", Int64(counts.fencedBrokers))
        gauge("controller_kafkacontroller_globaltopiccount", Int64(counts.topics))
        gauge("controller_kafkacontroller_globalpartitioncount", Int64(counts.partitions))
        gauge("controller_kafkacontroller_offlinepartitionscount", Int64(counts.offlinePartitions))
        gauge(
            "controller_kafkacontroller_preferredreplicaimbalancecount", Int64(counts.imbalanced))
        for (name, count) in [
            ("leaderelectionrateandtimems_count", follower.elections.all),
            ("uncleanleaderelections_total", follower.elections.unclean),
        ] {
            all.append(
                NodeMetric(
                    "kafka_controller_controllerstats_\(name)", .counter, [], Double(count)))
        }
        return all
    }
}
