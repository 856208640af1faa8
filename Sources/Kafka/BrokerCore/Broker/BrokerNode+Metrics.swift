import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import Replication

/// What a broker counts as it serves.
struct BrokerCounters {
    var requests = [Int](repeating: 0, count: 128)
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
        gauge(
            "replicamanager_reassigningpartitions",
            hosted.count { $0.isLeader && $0.isReassigning })
        gauge("kafkaserver_brokerstate", lifecycle.metricState)
        gauge("brokerstate_fenced", lifecycle.isFenced ? 1 : 0)
        gauge("connections", connections.count)
        counter("network_requestmetrics_refusedrequests", counters.refusedRequests)
        for (key, count) in counters.requests.enumerated() where count > 0 {
            counter(
                "network_requestmetrics_requests", count,
                [("request", ApiKey(rawValue: Int16(key))?.name ?? "\(key)")])
        }
        all += trafficMetrics()
        all += waitingMetrics()
        all += groupMetrics()
        all += logMetrics(hosted)
        return all
    }

    private func trafficMetrics() -> [NodeMetric] {
        var all: [NodeMetric] = []
        func add(_ name: String, _ value: Int, _ labels: [(name: String, value: String)] = []) {
            all.append(
                NodeMetric(
                    "kafka_server_brokertopicmetrics_" + name + "_total", .counter, labels,
                    Double(value)))
        }
        func add(_ traffic: TrafficCounters, _ labels: [(name: String, value: String)]) {
            add("messagesin", traffic.recordsIn, labels)
            add("bytesin", traffic.bytesIn, labels)
            add("bytesout", traffic.bytesOut, labels)
            add("bytesrejected", traffic.bytesRejected, labels)
            add("totalproducerequests", traffic.produces, labels)
            add("failedproducerequests", traffic.failedProduces, labels)
            add("totalfetchrequests", traffic.fetches, labels)
            add("failedfetchrequests", traffic.failedFetches, labels)
        }
        add(replicas.traffic, [])
        for (topic, traffic) in replicas.topicTraffic { add(traffic, [("topic", topic)]) }
        add("replicationbytesin", replicas.counters.replicationBytesIn)
        add("replicationbytesout", replicas.counters.replicationBytesOut)
        return all
    }

    private func waitingMetrics() -> [NodeMetric] {
        let counters = replicas.counters
        let waiting = replicas.waiting
        var all: [NodeMetric] = []
        func counter(_ name: String, _ value: Int, _ labels: [(name: String, value: String)] = []) {
            all.append(
                NodeMetric("kafka_server_" + name + "_total", .counter, labels, Double(value)))
        }
        counter("replicamanager_isrshrinks", counters.isrShrinks)
        counter("replicamanager_isrexpands", counters.isrExpands)
        counter("replicamanager_failedisrupdates", counters.failedISRUpdates)
        counter("delayedproducemetrics_expires", counters.expiredProduces)
        counter(
            "delayedfetchmetrics_expires", counters.expiredFollowerFetches,
            [("fetcherType", "follower")])
        counter(
            "delayedfetchmetrics_expires", counters.expiredConsumerFetches,
            [("fetcherType", "consumer")])
        for (operation, count) in [
            ("Produce", waiting.produces), ("Fetch", waiting.fetches),
            ("DeleteRecords", waiting.deletes),
        ] {
            all.append(
                NodeMetric(
                    "kafka_server_delayedoperationpurgatory_purgatorysize", .gauge,
                    [("delayedOperation", operation)], Double(count)))
        }
        return all
    }

    private func groupMetrics() -> [NodeMetric] {
        let room = "kafka_coordinator_group_groupmetadatamanager_"
        let states = GroupState.allCases.map { state in
            NodeMetric(
                room + "numgroups" + state.name.lowercased(), .gauge, [],
                Double(groups.groupCount(in: state)))
        }
        return states + [
            NodeMetric(room + "numgroups", .gauge, [], Double(groups.groupCount)),
            NodeMetric(room + "numoffsets", .gauge, [], Double(groups.offsetCount)),
        ]
    }

    private func logMetrics(_ hosted: [PartitionReplica]) -> [NodeMetric] {
        var all: [NodeMetric] = []
        var largest: Int64 = 0
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
            guard replica.role == .follower else { continue }
            largest = max(largest, replica.lag)
            all.append(
                NodeMetric(
                    "kafka_server_fetcherlagmetrics_consumerlag", .gauge,
                    // The name that Kafka's first fetcher has; here there is one for each leader.
                    [("clientId", "ReplicaFetcherThread-0-\(replica.metadata.leader)")] + labels,
                    Double(replica.lag)))
        }
        all.append(
            NodeMetric(
                "kafka_server_replicafetchermanager_maxlag", .gauge, [("clientId", "Replica")],
                Double(largest)))
        return all
    }
}

extension BrokerLifecycle {
    /// As Kafka's BrokerState counts.
    fileprivate var metricState: Int {
        switch state {
        case .unregistered, .registering, .registered: hasSaidReady ? 3 : 1
        case .shuttingDown: 6
        case .ended: 7
        }
    }
}
