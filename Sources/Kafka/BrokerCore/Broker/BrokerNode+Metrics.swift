import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import Replication

/// What a broker counts as it serves.
struct BrokerCounters {
    var requests = [Int](repeating: 0, count: 128)
    var producedBytes = 0
    var fetchedBytes = 0
    var refusedRequests = 0

    mutating func request(_ apiKey: Int16) {
        if apiKey >= 0, Int(apiKey) < requests.count { requests[Int(apiKey)] += 1 }
    }
}

extension BrokerNode {
    /// Under the names that exporters of Kafka's own metrics use.
    package func metrics() -> [NodeMetric] {
        var all: [NodeMetric] = []
        func gauge(_ name: String, _ value: Int) {
            all.append(NodeMetric("kafka_server_" + name, .gauge, [], Double(value)))
        }
        func counter(_ name: String, _ value: Int, _ labels: [(name: String, value: String)] = []) {
            all.append(NodeMetric("kafka_" + name + "_total", .counter, labels, Double(value)))
        }
        let hosted = replicas.replicas
        gauge("replicamanager_partitioncount", hosted.count)
        gauge("replicamanager_leadercount", hosted.count(where: \.isLeader))
        gauge(
            "replicamanager_underreplicatedpartitions", hosted.count(where: \.isUnderReplicated))
        gauge("replicamanager_underminisrpartitioncount", hosted.count(where: \.isUnderMinISR))
        gauge("replicamanager_atminisrpartitioncount", hosted.count(where: \.isAtMinISR))
        gauge(
            "replicamanager_offlinereplicacount", hosted.count { $0.role == .offline })
        gauge("brokerstate_fenced", lifecycle.isFenced ? 1 : 0)
        gauge("connections", connections.count)
        counter("server_brokertopicmetrics_bytesin", counters.producedBytes)
        counter("server_brokertopicmetrics_bytesout", counters.fetchedBytes)
        counter("network_requestmetrics_refusedrequests", counters.refusedRequests)
        for (key, count) in counters.requests.enumerated() where count > 0 {
            counter(
                "network_requestmetrics_requests", count,
                [("request", ApiKey(rawValue: Int16(key))?.name ?? "\(key)")])
        }
        all.append(
            NodeMetric(
                "kafka_coordinator_group_groupmetadatamanager_numgroups", .gauge, [],
                Double(groups.groupCount)))
        all.append(
            NodeMetric(
                "kafka_coordinator_group_groupmetadatamanager_numoffsets", .gauge, [],
                Double(groups.offsetCount)))
        all += logMetrics(hosted)
        return all
    }

    private func logMetrics(_ hosted: [PartitionReplica]) -> [NodeMetric] {
        var all: [NodeMetric] = []
        for replica in hosted {
            guard let log = replica.log else { continue }
            let labels = [
                (name: "topic", value: replica.topic),
                (name: "partition", value: String(replica.partition)),
            ]
            all.append(NodeMetric("kafka_log_log_size", .gauge, labels, Double(log.sizeInBytes)))
            all.append(
                NodeMetric("kafka_log_log_logendoffset", .gauge, labels, Double(log.logEndOffset)))
            all.append(
                NodeMetric(
                    "kafka_log_log_logstartoffset", .gauge, labels, Double(log.logStartOffset)))
            all.append(
                NodeMetric(
                    "kafka_cluster_partition_highwatermark", .gauge, labels,
                    Double(replica.highWatermark)))
        }
        return all
    }
}
