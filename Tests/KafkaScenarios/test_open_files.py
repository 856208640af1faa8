"""A node that may open no more files stays what it is: nothing of that is the disk's fault."""

import contextlib
import socket
import urllib.error
import urllib.request

from confluent_kafka.admin import AdminClient, NewTopic

from lab import wait_until
from lab.brokers import broker_program, free_ports
from nodes import BrokerCluster, client, make_topic, read, run, send, values

TOPIC = "kept"
FILES = 400


def limit(node, files):
    run("prlimit", "--pid", node.process.pid, f"--nofile={files}:")


def test_idle_connections_to_the_metrics(lab):
    """However many there are, the partitions have the files they need, and the answer comes again
    when they are gone."""
    port, = free_ports(1)
    cluster = BrokerCluster(lab, 1, start=False, properties={
        "metrics.listener": f"127.0.0.1:{port}",
        "replica.high.watermark.checkpoint.interval.ms": 100,
        "log.flush.offset.checkpoint.interval.ms": 100})
    node = cluster[1]
    node.process = lab.start(
        ["prlimit", f"--nofile={FILES}:{FILES}", broker_program(), "start", "--config", node.file],
        label="kafka-1")
    node.wait_ready()
    make_topic(cluster, TOPIC)
    kept = values(50)
    assert send(cluster, TOPIC, kept) == (kept, [])
    checkpoint = node.data / "replication-offset-checkpoint"

    def answer():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                return page.status == 200
        except (urllib.error.URLError, OSError):
            return False

    with contextlib.ExitStack() as stack:
        for _ in range(FILES + 100):
            one = stack.enter_context(socket.socket())
            one.settimeout(5)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", port))
        node.process.wait_for("are taken for metrics", 20)
        before = checkpoint.stat().st_mtime_ns
        wait_until(lambda: checkpoint.stat().st_mtime_ns != before, 10, "another checkpoint")
        # A topic more needs files more, and connections to ask for it.
        make_topic(cluster, "another", partitions=20)
        more = values(50, "more")
        assert send(cluster, TOPIC, more) == (more, [])
        assert read(cluster, TOPIC) == kept + more
    assert node.is_running, node.process.tail()
    assert "EMFILE" not in node.process.output()
    wait_until(answer, 20, "metrics to be answered again")


def test_no_file_may_be_opened_for_a_while(lab):
    """Checkpoints are written later, and a partition that could not be opened is open later."""
    cluster = BrokerCluster(lab, 1, start=False, properties={
        "replica.high.watermark.checkpoint.interval.ms": 100})
    node = cluster[1]
    node.start()
    # Connected before: what is asked during the shortage comes in over connections that are there.
    admin = AdminClient(client(cluster))
    admin.create_topics([NewTopic(TOPIC, 1, 1)], operation_timeout=10)[TOPIC].result(20)
    kept = values(50)
    assert send(cluster, TOPIC, kept) == (kept, [])
    soft = int(run("prlimit", "--pid", node.process.pid, "--nofile", "--output=SOFT",
                   "--noheadings").stdout)
    limit(node, 3)
    node.process.wait_for(r"replication-offset-checkpoint.* too many open files", 20)
    admin.create_topics([NewTopic("later", 1, 1)], operation_timeout=10)["later"].result(20)
    node.process.wait_for(r"later-0 is offline here: .*too many open files", 20)
    assert node.is_running
    assert "later-0 is open again" not in node.process.output()
    limit(node, soft)
    node.process.wait_for("later-0 is open again", 20)
    checkpoint = node.data / "replication-offset-checkpoint"
    wait_until(lambda: "later 0 " in checkpoint.read_text(), 20, "a checkpoint")
    for topic in (TOPIC, "later"):
        more = values(20, topic)
        assert send(cluster, topic, more) == (more, [])
    assert read(cluster, TOPIC) == kept + values(20, TOPIC)
    assert read(cluster, "later") == values(20, "later")
    assert "log directory" not in node.process.output()
    node.stop()
    node.start()
    assert read(cluster, TOPIC) == kept + values(20, TOPIC)
