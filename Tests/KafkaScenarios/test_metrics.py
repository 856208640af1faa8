"""Metrics as Prometheus reads them and logs as collectors do, of real nodes."""

import collections
import json
import re
import urllib.request

import pytest

from nodes import BrokerCluster, make_topic, read, send, values, wait_until
from lab.brokers import free_ports

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (NaN|[-+.e0-9]+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# What the usual boards for Kafka ask for. A name that is missing here again is a board that is
# empty.
BOARDS = """
    kafka_server_brokertopicmetrics_messagesin_total
    kafka_server_brokertopicmetrics_bytesin_total
    kafka_server_brokertopicmetrics_bytesout_total
    kafka_server_brokertopicmetrics_bytesrejected_total
    kafka_server_brokertopicmetrics_totalproducerequests_total
    kafka_server_brokertopicmetrics_failedproducerequests_total
    kafka_server_brokertopicmetrics_totalfetchrequests_total
    kafka_server_brokertopicmetrics_failedfetchrequests_total
    kafka_server_brokertopicmetrics_replicationbytesin_total
    kafka_server_brokertopicmetrics_replicationbytesout_total
    kafka_server_replicamanager_partitioncount
    kafka_server_replicamanager_leadercount
    kafka_server_replicamanager_underreplicatedpartitions
    kafka_server_replicamanager_underminisrpartitioncount
    kafka_server_replicamanager_atminisrpartitioncount
    kafka_server_replicamanager_offlinereplicacount
    kafka_server_replicamanager_reassigningpartitions
    kafka_server_replicamanager_isrshrinks_total
    kafka_server_replicamanager_isrexpands_total
    kafka_server_replicamanager_failedisrupdates_total
    kafka_server_fetcherlagmetrics_consumerlag
    kafka_server_replicafetchermanager_maxlag
    kafka_server_delayedoperationpurgatory_purgatorysize
    kafka_server_delayedproducemetrics_expires_total
    kafka_server_delayedfetchmetrics_expires_total
    kafka_server_kafkaserver_brokerstate
    kafka_log_log_size
    kafka_log_log_logendoffset
    kafka_log_log_logstartoffset
    kafka_network_requestmetrics_requests_total
    kafka_network_requestmetrics_totaltimems
    kafka_network_requestmetrics_requestqueuetimems
    kafka_network_requestmetrics_localtimems
    kafka_network_requestmetrics_remotetimems
    kafka_network_requestmetrics_responsequeuetimems
    kafka_network_requestmetrics_responsesendtimems
    kafka_network_socketserver_networkprocessoravgidle_percent
    kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent
    kafka_coordinator_group_groupmetadatamanager_numgroups
    kafka_coordinator_group_groupmetadatamanager_numgroupsempty
    kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance
    kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance
    kafka_coordinator_group_groupmetadatamanager_numgroupsstable
    kafka_coordinator_group_groupmetadatamanager_numgroupsdead
    kafka_coordinator_group_groupmetadatamanager_numoffsets
    kafka_server_raft_metrics_current_leader
    kafka_server_raft_metrics_current_epoch
    kafka_server_raft_metrics_high_watermark
    kafka_controller_kafkacontroller_activecontrollercount
    kafka_controller_kafkacontroller_activebrokercount
    kafka_controller_kafkacontroller_fencedbrokercount
    kafka_controller_kafkacontroller_globaltopiccount
    kafka_controller_kafkacontroller_globalpartitioncount
    kafka_controller_kafkacontroller_offlinepartitionscount
    kafka_controller_kafkacontroller_preferredreplicaimbalancecount
    kafka_controller_controllerstats_leaderelectionrateandtimems_count
    kafka_controller_controllerstats_uncleanleaderelections_total
    process_cpu_seconds_total
    process_resident_memory_bytes
    process_virtual_memory_bytes
    process_open_fds
    process_max_fds
    process_start_time_seconds
""".split()


def metered(lab, count=3, **properties):
    cluster = BrokerCluster(lab, count, start=False, properties=properties)
    for node, port in zip(cluster, free_ports(count), strict=True):
        node.extra["metrics.listener"] = f"127.0.0.1:{port}"
        node.metrics = f"http://127.0.0.1:{port}/metrics"
        node.write_properties()
    cluster.start()
    return cluster


class Metrics:
    """One answer, held against what the format asks."""

    def __init__(self, node):
        with urllib.request.urlopen(node.metrics, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        self.kinds, self.series, head = {}, {}, None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, head, words = line.split(" ", 3)
                assert head not in self.kinds and words.endswith("."), line
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == head and kind in ("gauge", "counter", "summary"), line
                self.kinds[name] = kind
            else:
                name, labels, value = SAMPLE.fullmatch(line).groups()
                kind = self.kinds[head]
                allowed = {head, head + "_sum", head + "_count"} if kind == "summary" else {head}
                assert name in allowed, line
                key = name, frozenset(LABEL.findall(labels or ""))
                assert key not in self.series, line
                self.series[key] = float(value)

    def __call__(self, name, **labels):
        return self.series[name, frozenset(labels.items())]

    def total(self, name, **labels):
        wanted = set(labels.items())
        return sum(value for (one, its), value in self.series.items()
                   if one == name and wanted <= its)


def test_the_names_of_the_boards_are_all_there(lab):
    cluster = metered(lab)
    make_topic(cluster, "orders", 3, 3)
    send(cluster, "orders", values(10))
    for node in cluster:
        names = set(Metrics(node).kinds)
        assert set(BOARDS) <= names, sorted(set(BOARDS) - names)


def test_counters_move_with_what_they_count(lab):
    cluster = metered(lab)
    make_topic(cluster, "orders", 1, 3, min_insync_replicas=2)
    wait_until(lambda: cluster.wait_in_sync("orders") is None, 30, "replicas")
    leader = cluster[cluster.describe("orders")[0]["leader"]]
    follower = next(node for node in cluster if node is not leader)
    server = "kafka_server_brokertopicmetrics_"
    before, elsewhere = Metrics(leader), Metrics(follower)
    sent, errors = send(cluster, "orders", values(500))
    assert len(sent) == 500 and not errors
    assert len(read(cluster, "orders")) == 500
    after = Metrics(leader)
    for labels in ({}, {"topic": "orders"}):
        moved = {name: after(server + name + "_total", **labels)
                 - before(server + name + "_total", **labels)
                 for name in ("messagesin", "bytesin", "bytesout", "totalproducerequests",
                              "totalfetchrequests", "failedproducerequests")}
        if labels:
            assert moved["messagesin"] == 500
        assert moved["messagesin"] >= 500 and moved["bytesin"] > 50_000, moved
        assert moved["totalproducerequests"] >= 1 and moved["failedproducerequests"] == 0, moved
    readers = sum(Metrics(node).total(server + "bytesout_total", topic="orders")
                  for node in cluster)
    assert readers > 50_000
    taken = "replicationbytesin_total"
    wait_until(lambda: Metrics(follower)(server + taken) - elsewhere(server + taken) > 50_000, 20,
               "the follower's bytes")
    assert after(server + "replicationbytesout_total") > 100_000

    times = "kafka_network_requestmetrics_"
    labels = {"part": "broker", "request": "Produce"}
    count = after(times + "totaltimems_count", **labels)
    assert count == after(times + "requests_total", request="Produce") > 0
    parts = [after(times + part + "timems_sum", **labels) for part in (
        "requestqueue", "local", "remote", "responsequeue", "responsesend")]
    assert sum(parts) == pytest.approx(after(times + "totaltimems_sum", **labels))
    # With acks=all most of it is waiting for the followers.
    assert parts[2] > 0 and parts[1] > 0
    quantiles = [after(times + "totaltimems", quantile=quantile, **labels)
                 for quantile in ("0.50", "0.95", "0.99", "0.999")]
    assert quantiles == sorted(quantiles) and quantiles[0] > 0
    assert after.total(times + "totaltimems_count", request="FetchFollower") > 0
    assert Metrics(cluster[1]).total(times + "totaltimems_count", part="quorum") > 0

    # A follower that is away leaves the ISR, and comes back to it.
    follower.pause()
    shrinks = "kafka_server_replicamanager_isrshrinks_total"
    wait_until(lambda: Metrics(leader)(shrinks) > after(shrinks), 30, "the ISR to shrink")
    follower.resume()
    cluster.wait_in_sync("orders")
    expands = "kafka_server_replicamanager_isrexpands_total"
    wait_until(lambda: Metrics(leader)(expands) > after(expands), 30, "the ISR to expand")

    # A leader that ends is an election at the controller that leads, whichever that is.
    elections = "kafka_controller_controllerstats_leaderelectionrateandtimems_count"
    controllers = [node for node in cluster if node is not leader]
    earlier = sum(Metrics(node)(elections) for node in controllers)
    leader.kill()
    wait_until(lambda: sum(Metrics(node)(elections) for node in controllers) > earlier, 30,
               "an election")
    assert all(Metrics(node)("kafka_controller_controllerstats_uncleanleaderelections_total") == 0
               for node in controllers)
    active = "kafka_controller_kafkacontroller_activecontrollercount"
    assert sum(Metrics(node)(active) for node in controllers) == 1


def test_what_the_process_says_of_itself_is_what_the_system_says(lab):
    node = metered(lab, 1)[1]
    said = Metrics(node)
    assert said("process_resident_memory_bytes") == pytest.approx(node.resident_bytes(), rel=0.3)
    assert 0 < said("process_open_fds") < said("process_max_fds")
    assert said("process_cpu_seconds_total") > 0
    with open("/proc/uptime") as uptime, open(f"/proc/{node.process.pid}/stat") as stat, \
            open("/proc/stat") as system:
        boot = next(int(line.split()[1]) for line in system if line.startswith("btime "))
        assert float(uptime.read().split()[0]) > 0
        began = boot + int(stat.read().rsplit(")", 1)[1].split()[19]) / 100
    assert said("process_start_time_seconds") == pytest.approx(began, abs=0.02)
    for part in ("broker", "quorum"):
        assert 0 <= said("kafka_network_socketserver_networkprocessoravgidle_percent",
                         part=part) <= 1
    assert said("kafka_server_kafkaserver_brokerstate") == 3


def test_a_log_for_machines_is_an_object_a_line(lab):
    cluster = BrokerCluster(lab, 3, properties={"log.format": "json"})
    make_topic(cluster, "orders", 1, 3)
    cluster.wait_in_sync("orders")
    leader = cluster.describe("orders")[0]["leader"]
    follower = next(node for node in cluster if node.node != leader)
    follower.kill()
    wait_until(lambda: follower.node not in cluster.describe("orders")[0]["isr"], 30,
               "the broker to leave the ISR")
    follower.start()
    wait_until(lambda: follower.node in cluster.describe("orders")[0]["isr"], 30,
               "its return")
    for node in cluster:
        if node.is_running:
            node.stop()
    seen = collections.Counter()
    for node in cluster:
        for line in node.process.output().splitlines():
            record = json.loads(line)
            assert set(record) <= {"time", "level", "logger", "part", "message", "fields"}, line
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
            assert record["level"] in ("debug", "info", "notice", "warning", "error"), line
            assert record["message"] and record["fields"]["node"] == str(node.node), line
            assert record.get("part") in (None, "broker", "quorum"), line
            seen.update(record["fields"].keys())
            seen[record.get("part")] += 1
            if re.search(r"^(this |no )?controller( \d+)? leads in epoch \d+$", record["message"]):
                assert record["fields"]["epoch"] == record["message"].rsplit(" ", 1)[1]
            if "in sync are" in record["message"]:
                fields = record["fields"]
                assert (fields["topic"], fields["partition"]) == ("orders", "0")
                assert fields["epoch"].isdigit() and record["part"] == "broker"
    # Of the ISR the leader speaks only where it was told before the metadata told it.
    assert min(seen[key] for key in ("broker", "quorum", "epoch")) > 0, seen


def test_a_node_that_cannot_go_on_says_so_to_machines_as_well(lab):
    cluster = BrokerCluster(lab, 1, start=False, properties={"log.format": "json"})
    node = cluster[1]
    (node.data / "meta.properties").unlink()
    node.start(wait=False)
    assert node.process.wait(20) == 1
    last = json.loads(node.process.output().splitlines()[-1])
    assert last["level"] == "critical" and "format" in last["message"]
