/// What a metric of one name is: the same in the text for Prometheus and in Docs/Metrics.md.
package struct MetricFamily: Sendable {
    package let name: String
    package let kind: NodeMetric.Kind
    package let labels: [String]
    package let help: String

    init(_ name: String, _ kind: NodeMetric.Kind, _ help: String) {
        self.init(name, kind, [], help)
    }

    init(_ name: String, _ kind: NodeMetric.Kind, _ labels: [String], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }
}

/// All metrics of a node, under the names that exporters of Kafka's own metrics make of them.
package enum MetricCatalogue {
    package static let all = traffic + partitions + requests + groups + quorum + process

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private static let traffic: [MetricFamily] = [
        .init(
            "kafka_server_brokertopicmetrics_messagesin_total", .counter, ["topic"],
            "Records appended to partitions led here; without a label of all topics."),
        .init(
            "kafka_server_brokertopicmetrics_bytesin_total", .counter, ["topic"],
            "Bytes of record batches appended to partitions led here."),
        .init(
            "kafka_server_brokertopicmetrics_bytesout_total", .counter, ["topic"],
            "Bytes of record batches sent to consumers."),
        .init(
            "kafka_server_brokertopicmetrics_bytesrejected_total", .counter, ["topic"],
            "Bytes of record batches refused for their size."),
        .init(
            "kafka_server_brokertopicmetrics_totalproducerequests_total", .counter, ["topic"],
            "Partitions of produce requests."),
        .init(
            "kafka_server_brokertopicmetrics_failedproducerequests_total", .counter, ["topic"],
            "Partitions of produce requests that were refused, not for a leader elsewhere."),
        .init(
            "kafka_server_brokertopicmetrics_totalfetchrequests_total", .counter, ["topic"],
            "Partitions in answers to fetches of consumers."),
        .init(
            "kafka_server_brokertopicmetrics_failedfetchrequests_total", .counter, ["topic"],
            "Partitions in answers to fetches that carry an error, not for an old leader or epoch, "
                + "or an offset that is not there."),
        .init(
            "kafka_server_brokertopicmetrics_replicationbytesin_total", .counter,
            "Bytes of record batches that followers here took from their leaders."),
        .init(
            "kafka_server_brokertopicmetrics_replicationbytesout_total", .counter,
            "Bytes of record batches that leaders here sent to followers."),
    ]

    private static let partitions: [MetricFamily] = [
        .init(
            "kafka_server_replicamanager_partitioncount", .gauge,
            "Partitions with a replica here."),
        .init("kafka_server_replicamanager_leadercount", .gauge, "Partitions led here."),
        .init(
            "kafka_server_replicamanager_underreplicatedpartitions", .gauge,
            "Partitions led here with fewer replicas in sync than replicas."),
        .init(
            "kafka_server_replicamanager_underminisrpartitioncount", .gauge,
            "Partitions led here with fewer in sync than min.insync.replicas."),
        .init(
            "kafka_server_replicamanager_atminisrpartitioncount", .gauge,
            "Partitions led here with exactly min.insync.replicas in sync."),
        .init(
            "kafka_server_replicamanager_offlinereplicacount", .gauge,
            "Replicas here whose log cannot be used."),
        .init(
            "kafka_server_replicamanager_reassigningpartitions", .gauge,
            "Partitions led here that are being reassigned."),
        .init(
            "kafka_server_replicamanager_isrshrinks_total", .counter,
            "Times that followers left the ISR of a partition led here."),
        .init(
            "kafka_server_replicamanager_isrexpands_total", .counter,
            "Times that followers joined the ISR of a partition led here."),
        .init(
            "kafka_server_replicamanager_failedisrupdates_total", .counter,
            "Changes of an ISR that the controller refused."),
        .init(
            "kafka_server_fetcherlagmetrics_consumerlag", .gauge,
            ["clientId", "topic", "partition"],
            "Committed records that a follower here has not yet."),
        .init(
            "kafka_server_replicafetchermanager_maxlag", .gauge, ["clientId"],
            "The largest lag of the followers here, in records."),
        .init(
            "kafka_server_delayedoperationpurgatory_purgatorysize", .gauge, ["delayedOperation"],
            "Requests that wait: for followers (Produce, DeleteRecords), for records (Fetch)."),
        .init(
            "kafka_server_delayedproducemetrics_expires_total", .counter,
            "Produce requests that were not acknowledged in their time."),
        .init(
            "kafka_server_delayedfetchmetrics_expires_total", .counter, ["fetcherType"],
            "Fetches that waited in vain for as long as they may."),
        .init("kafka_log_log_size", .gauge, ["topic", "partition"], "Bytes of a partition's log."),
        .init(
            "kafka_log_log_logendoffset", .gauge, ["topic", "partition"],
            "The offset after the last record."),
        .init(
            "kafka_log_log_logstartoffset", .gauge, ["topic", "partition"],
            "The offset of the first record."),
        .init(
            "kafka_cluster_partition_highwatermark", .gauge, ["topic", "partition"],
            "The offset after the last record that is committed."),
    ]

    private static let requests: [MetricFamily] = [
        .init(
            "kafka_network_requestmetrics_requests_total", .counter, ["request"],
            "Requests by name, at the broker's listeners."),
        .init(
            "kafka_network_requestmetrics_refusedrequests_total", .counter,
            "Requests of a kind or version that is not served."),
        .init(
            "kafka_network_requestmetrics_totaltimems", .summary, ["part", "request", "quantile"],
            "Milliseconds from a request to its answer, in all."),
        .init(
            "kafka_network_requestmetrics_requestqueuetimems", .summary,
            ["part", "request", "quantile"],
            "Of that behind the requests that were read from the connection with it."),
        .init(
            "kafka_network_requestmetrics_localtimems", .summary, ["part", "request", "quantile"],
            "Of that being served here."),
        .init(
            "kafka_network_requestmetrics_remotetimems", .summary, ["part", "request", "quantile"],
            "Of that waiting: for followers, for records, for a controller, for a group."),
        .init(
            "kafka_network_requestmetrics_responsequeuetimems", .summary,
            ["part", "request", "quantile"],
            "Of that behind the answers to earlier requests of the connection."),
        .init(
            "kafka_network_requestmetrics_responsesendtimems", .summary,
            ["part", "request", "quantile"],
            "Of that until the answer was written to the socket."),
        .init(
            "kafka_network_socketserver_networkprocessoravgidle_percent", .gauge, ["part"],
            "The idle share of the event loop of a part, from 0 to 1."),
        .init(
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", .gauge,
            "The same of the broker's, whose one loop reads and serves."),
        .init("kafka_server_connections", .gauge, "Connections at the broker's listeners."),
    ]

    private static let groups: [MetricFamily] = [
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroups", .gauge,
            "Groups that are coordinated here."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroupsempty", .gauge,
            "Of those without members."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", .gauge,
            "Of those that wait for members to join."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", .gauge,
            "Of those that wait for their leader's assignment."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroupsstable", .gauge,
            "Of those whose members are at work."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numgroupsdead", .gauge,
            "Of those that are being removed."),
        .init(
            "kafka_coordinator_group_groupmetadatamanager_numoffsets", .gauge,
            "Offsets committed by those groups."),
    ]

    private static let quorum: [MetricFamily] = [
        .init(
            "kafka_server_kafkaserver_brokerstate", .gauge,
            "1 starting, 3 running, 6 handing leaderships over, 7 stopping."),
        .init(
            "kafka_server_brokerstate_fenced", .gauge,
            "1 while the controller fences this broker."),
        .init(
            "kafka_server_raft_metrics_current_epoch", .gauge,
            "The epoch of the metadata quorum as this node knows it."),
        .init(
            "kafka_server_raft_metrics_current_leader", .gauge,
            "The node that leads the metadata quorum; -1 if none is known."),
        .init(
            "kafka_server_raft_metrics_high_watermark", .gauge,
            "The offset after the last committed record of the metadata log."),
        .init(
            "kafka_server_raft_metrics_log_end_offset", .gauge,
            "The offset after the last record of the metadata log."),
        .init(
            "kafka_server_raft_metrics_current_state", .gauge, ["state"],
            "What this node is in the metadata quorum."),
        .init(
            "kafka_controller_kafkacontroller_activecontrollercount", .gauge,
            "1 at the controller that leads."),
        .init(
            "kafka_controller_kafkacontroller_activebrokercount", .gauge,
            "Brokers that are registered and not fenced."),
        .init(
            "kafka_controller_kafkacontroller_fencedbrokercount", .gauge,
            "Brokers that are registered and fenced."),
        .init("kafka_controller_kafkacontroller_globaltopiccount", .gauge, "Topics."),
        .init("kafka_controller_kafkacontroller_globalpartitioncount", .gauge, "Partitions."),
        .init(
            "kafka_controller_kafkacontroller_offlinepartitionscount", .gauge,
            "Partitions without a leader."),
        .init(
            "kafka_controller_kafkacontroller_preferredreplicaimbalancecount", .gauge,
            "Partitions whose leader is not their preferred replica."),
        .init(
            "kafka_controller_controllerstats_leaderelectionrateandtimems_count", .counter,
            "Partitions that got another leader while this controller led."),
        .init(
            "kafka_controller_controllerstats_uncleanleaderelections_total", .counter,
            "Of those where the new leader was not known to have everything."),
    ]

    private static let process: [MetricFamily] = [
        .init(
            "process_cpu_seconds_total", .counter,
            "Seconds of processor time, of the user's side and the system's."),
        .init("process_resident_memory_bytes", .gauge, "Memory that is present."),
        .init("process_virtual_memory_bytes", .gauge, "Memory that is mapped."),
        .init("process_open_fds", .gauge, "Files and sockets that are open."),
        .init("process_max_fds", .gauge, "Files and sockets that may be open."),
        .init(
            "process_start_time_seconds", .gauge, "When the process began, in seconds since 1970."),
    ]
}
