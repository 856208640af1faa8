"""The wall clock of a machine is set while its broker runs. Time that passes is the monotonic
clock's: nobody is fenced, no leader changes, nothing expires that is young."""

import re
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from lab.brokers import broker_program
from nodes import BrokerCluster, client, make_topic, read, run, send, values

TOPIC = "kept"
HOUR, DAY = 3600, 86_400
FENCED = r"broker \d fenced"


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    run("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library,
        Path(__file__).with_name("clock.c"), "-ldl")
    return library


class Clock:
    """Of one node, started under it."""

    def __init__(self, node, shim):
        self.node, self.path = node, node.directory / "clock"
        self.path.write_bytes(b"\0" * 4096)
        self.step(0)
        node.process = node.cluster.lab.start(
            [broker_program(), "start", "--config", node.file], label=f"clock-{node.node}",
            env={"LD_PRELOAD": str(shim), "WALL_CLOCK_OFFSET": str(self.path)})

    def step(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(str(seconds).encode().ljust(32, b"\0"))


@pytest.fixture
def three(lab, shim):
    cluster = BrokerCluster(lab, 3, start=False)
    cluster.clocks = [Clock(node, shim) for node in cluster]
    for node in cluster:
        node.wait_ready()
    make_topic(cluster, TOPIC, 3, 3, min_insync_replicas=2)
    return cluster


def said(cluster, words):
    return [line for node in cluster for line in node.process.output().splitlines()
            if re.search(words, line)]


def stamps(node):
    """The day and hour that a node logs."""
    return node.process.output().splitlines()[-1][:13]


def test_the_shim_moves_the_clock(three):
    """Otherwise nothing here would prove anything."""
    three.clocks[0].step(400 * DAY)
    three[1].process.signal(15)
    three[1].process.wait(20)
    assert stamps(three[1]) == time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 400 * DAY))


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["ahead", "back"])
@pytest.mark.parametrize("whose", ["one", "all"])
def test_a_clock_that_is_set(three, whose, step):
    kept = values(100)
    acknowledged, errors = send(three, TOPIC, kept)
    assert sorted(acknowledged) == sorted(kept) and errors == []
    led = leaders(three)
    for clock in three.clocks if whose == "all" else three.clocks[:1]:
        clock.step(step)
    # While more is sent: with timestamps that the broker gives, as a client with the right time
    # may be refused (message.timestamp.after.max.ms) by a broker whose clock is behind.
    make_topic(three, "stamped", 3, 3, message_timestamp_type="LogAppendTime")
    for n in range(5):
        more = values(100, f"more{n}")
        acknowledged, errors = send(three, "stamped", more)
        assert sorted(acknowledged) == sorted(more) and errors == []
    assert not said(three, FENCED), said(three, FENCED)
    assert leaders(three) == led
    for clock in three.clocks:
        clock.step(0)
    assert sorted(value for n in range(3) for value in read(three, TOPIC, n)) == sorted(kept)
    assert sum(len(read(three, "stamped", n)) for n in range(3)) == 500
    assert all(node.is_running for node in three)


def test_records_from_the_future_are_refused_with_words(three):
    """The broker's clock is two hours behind: the client's records are from the future."""
    for clock in three.clocks:
        clock.step(-2 * HOUR)
    acknowledged, errors = send(three, TOPIC, values(3), seconds=5)
    assert acknowledged == [] and set(errors) <= {"INVALID_TIMESTAMP", "_INVALID_DIFFERENT_RECORD"}
    for clock in three.clocks:
        clock.step(0)
    more = values(5, "more")
    acknowledged, errors = send(three, TOPIC, more)
    assert sorted(acknowledged) == sorted(more) and errors == []


def leaders(cluster):
    topic = AdminClient(client(cluster)).list_topics(TOPIC, timeout=10).topics[TOPIC]
    return {n: partition.leader for n, partition in topic.partitions.items()}
