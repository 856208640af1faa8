"""Nodes that do not belong together, or are alone, and wishes that the cluster cannot meet."""

import contextlib
import struct
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

sys.path.append(str(Path(__file__).parents[1] / "Clients"))

from lab.brokers import broker_program  # noqa: E402
from nodes import (  # noqa: E402
    BrokerCluster, another, client, make_topic, read, refusal, refused, run, send, values,
    wait_until)
from wire import METADATA, Wire  # noqa: E402

TOPIC = "kept"


@pytest.fixture
def one(lab):
    """A node that runs, with records."""
    cluster = BrokerCluster(lab, 1)
    make_topic(cluster, TOPIC)
    cluster.records = values(50)
    assert send(cluster, TOPIC, cluster.records) == (cluster.records, [])
    return cluster


def serves(cluster):
    more = values(5, "more")
    assert send(cluster, TOPIC, more) == (more, [])
    cluster.records += more
    assert read(cluster, TOPIC) == cluster.records


# --- other clusters, other nodes ---------------------------------------------------------------


def test_a_broker_of_another_cluster(one):
    stranger = another(one, 7, cluster_id="of-another-cluster")
    status, said = refused(stranger, seconds=8)
    assert status == 1
    last = said.splitlines()[-1]
    assert "another cluster" in last and f"1 at 127.0.0.1:{one[1].controller_port}" in last, said
    assert "of-another-cluster" in last and one.cluster_id in last, said
    assert "controller.quorum.voters" in last and "log.dir" in last, said
    assert said.count("belong to another cluster") == 1, said
    serves(one)
    assert set(AdminClient(client(one)).list_topics(timeout=10).brokers) == {1}


def test_a_controller_of_another_cluster(lab):
    """Two of three belong together: they serve, and do not take the third for one of them. It says
    what is wrong, and with the right directory it is one."""
    cluster = BrokerCluster(lab, 3, start=False)
    wrong = cluster[3]
    (wrong.data / "meta.properties").unlink()
    run(broker_program(), "format", "--config", wrong.file, "--cluster-id", "of-another-cluster")
    for node in cluster:
        node.start(wait=False)
    cluster[1].wait_ready()
    cluster[2].wait_ready()
    bootstrap = f"{cluster[1].address},{cluster[2].address}"
    make_topic(bootstrap, TOPIC, replicas=2, min_insync_replicas=2)
    written = values(50)
    assert send(bootstrap, TOPIC, written) == (written, [])
    wait_until(lambda: "another cluster" in wrong.process.output(), 8,
               f"the third to say what is wrong; it said:\n{wrong.process.tail()}")
    assert wrong.process.wait(10) == 1
    last = wrong.process.output().splitlines()[-1]
    assert "of-another-cluster" in last and cluster.cluster_id in last, last
    assert "is ready" not in wrong.process.output()
    # The others say it, once, and of whom.
    for node in (cluster[1], cluster[2]):
        lines = [line for line in node.process.output().splitlines() if "another cluster" in line]
        assert len(lines) <= 2, lines
        assert all("of-another-cluster" in one and cluster.cluster_id in one for one in lines)
    assert set(AdminClient(client(bootstrap)).list_topics(timeout=10).brokers) == {1, 2}
    for path in sorted(wrong.data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    wrong.format()
    wrong.start()
    assert read(cluster, TOPIC) == written


def test_a_second_broker_with_the_same_id(one):
    """The first stays; the second says why it waits, gives up in the time it was given, and is let
    in when the first is gone."""
    first = another(one, 7, directory="first")
    first.start()
    second = another(one, 7, directory="second", initial_broker_registration_timeout_ms=2500)
    status, said = refused(second)
    assert status == 1 and "another broker with node.id 7" in said, said
    assert said.count("another broker with node.id 7") < 5, said
    brokers = AdminClient(client(one)).list_topics(timeout=10).brokers
    assert brokers[7].port == first.port
    assert first.is_running
    third = another(one, 7, directory="third")
    third.start(wait=False)
    third.process.wait_for("another broker with node.id 7")
    first.stop()
    third.wait_ready()
    brokers = AdminClient(client(one)).list_topics(timeout=10).brokers
    assert brokers[7].port == third.port
    serves(one)


def test_a_broker_with_the_id_of_a_controller(one):
    """Which it is not: the configuration alone shows that."""
    copy = another(one, 8)
    copy.file.write_text(copy.file.read_text().replace("node.id=8", "node.id=1"))
    status, said = refused(copy)
    assert status == 2 and "controller.quorum.voters has this node, 1" in said, said
    serves(one)


# --- alone -------------------------------------------------------------------------------------


def test_a_broker_whose_controllers_cannot_be_reached(lab):
    """It waits, says for whom, and serves when they are there."""
    cluster = BrokerCluster(lab, 1, start=False)
    broker = another(cluster, 7)
    broker.start(wait=False)
    where = f"127.0.0.1:{cluster[1].controller_port}"
    for seconds in ("[2-9]", "[4-9]"):
        broker.process.wait_for(rf"no controller leads .* for {seconds} s\..* 1 at {where} cannot "
                                r"be reached \(connection refused\)", 20)
    assert broker.is_running and "is ready" not in broker.process.output()
    assert len(broker.process.output().splitlines()) < 20, broker.process.output()
    cluster[1].start()
    broker.wait_ready()
    assert "in touch with the controllers again" in broker.process.output()
    make_topic(cluster, TOPIC, replicas=2)
    assert send(cluster, TOPIC, values(5)) == (values(5), [])
    # And once more, when it has served.
    cluster[1].kill()
    cluster[1].start()
    assert read(cluster, TOPIC) == values(5)


@pytest.mark.parametrize("roles", [["broker"], ["broker", "controller"]], ids=["broker", "both"])
def test_controllers_that_are_never_reached(lab, roles):
    """After initial.broker.registration.timeout.ms the broker ends, as Kafka's does."""
    cluster = BrokerCluster(lab, 3, start=False, properties={
        "initial.broker.registration.timeout.ms": 3000})
    node = cluster[1] if "controller" in roles else another(cluster, 7)
    status, said = refused(node)
    last = said.splitlines()[-1]
    assert status == 1
    assert "3000 ms" in last and "initial.broker.registration.timeout.ms" in last, said
    for one in cluster:
        assert f"{one.node} at 127.0.0.1:{one.controller_port}" in last, said


def test_a_broker_that_waits_can_be_stopped(lab):
    cluster = BrokerCluster(lab, 1, start=False)
    broker = another(cluster, 7)
    broker.start(wait=False)
    broker.process.wait_for("listening at PLAINTEXT")
    broker.stop(seconds=10)


def test_one_of_three_waits_for_another(lab):
    cluster = BrokerCluster(lab, 3, start=False)
    alone = cluster[1]
    alone.start(wait=False)
    others = [f"127.0.0.1:{cluster[n].controller_port}" for n in (2, 3)]
    wait_until(lambda: any(one in alone.process.output() for one in others), 8,
               f"the node to say whom it cannot reach:\n{alone.process.tail()}")
    assert alone.is_running and "is ready" not in alone.process.output()
    assert len(alone.process.output().splitlines()) < 20, alone.process.output()
    cluster[2].start()
    alone.wait_ready()
    cluster[3].start()
    make_topic(cluster, TOPIC, replicas=3)


def test_a_majority_that_is_gone_and_comes_back(lab):
    """Without it nothing is acknowledged that was not, and what was is there when it is back."""
    cluster = BrokerCluster(lab, 3)
    make_topic(cluster, TOPIC, replicas=3, min_insync_replicas=2)
    before = values(50)
    assert send(cluster, TOPIC, before) == (before, [])
    cluster[2].kill()
    cluster[3].kill()
    lonely, errors = send(cluster, TOPIC, values(5, "lonely"), seconds=4)
    assert lonely == [] and set(errors) == {"_MSG_TIMED_OUT"}
    cluster[2].start()
    cluster[3].start()
    after = values(5, "after")
    assert send(cluster, TOPIC, after) == (after, [])
    found = read(cluster, TOPIC)
    assert [one for one in found if not one.startswith(b"lonely")] == before + after
    assert len(set(found)) == len(found)


def test_a_client_is_never_told_that_there_are_no_brokers(lab):
    """All at once are killed and started. Until they are registered again none is in the metadata
    as alive; but who answers is, and librdkafka forgets for good what it is not told of."""
    cluster = BrokerCluster(lab, 3)
    make_topic(cluster, TOPIC, replicas=3)
    for node in cluster:
        node.kill()
    for node in cluster:
        node.start(wait=False)
    told = []

    def ready():
        for node in cluster:
            with contextlib.suppress(OSError, EOFError), Wire(node, seconds=2) as wire:
                # Version 1, of no topics: the number of brokers comes first.
                told.append(struct.unpack_from(">i", wire.ask(METADATA, 1, bytes(4)))[0])
        return all("is ready" in node.process.output() for node in cluster)
    wait_until(ready, 20, "the brokers to be ready", longest_pause=0.005)
    assert told and min(told) > 0, told


# --- what cannot be ----------------------------------------------------------------------------


def create(cluster, topic, *arguments, **options):
    admin = AdminClient(client(cluster))
    admin.create_topics([NewTopic(topic, *arguments, **options)])[topic].result(20)


def topics(cluster):
    return {one for one in AdminClient(client(cluster)).list_topics(timeout=10).topics}


@pytest.mark.parametrize("partitions, options, error, words", [
    (1, {"replication_factor": 3}, "INVALID_REPLICATION_FACTOR", ["3", "1"]),
    (1, {"replication_factor": 0}, "INVALID_REPLICATION_FACTOR", []),
    (0, {"replication_factor": 1}, "INVALID_PARTITIONS", []),
    (1, {"replica_assignment": [[1, 2, 3]]}, "INVALID_REPLICA_ASSIGNMENT", ["2"]),
    (1, {"replica_assignment": [[1, 1]]}, "INVALID_REPLICA_ASSIGNMENT", ["1"]),
    (1, {"replication_factor": 1, "config": {"retention.mss": "1"}}, "INVALID_CONFIG",
     ["retention.mss"]),
    (1, {"replication_factor": 1, "config": {"retention.ms": "long"}}, "INVALID_CONFIG",
     ["retention.ms", "long"]),
], ids=lambda value: str(value) if isinstance(value, str) else "")
def test_a_topic_that_cannot_be_placed(one, partitions, options, error, words):
    name, said = refusal(create, one, "impossible", partitions, **options)
    assert name == error
    assert said and all(word in said for word in words), said
    assert "impossible" not in topics(one)
    serves(one)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 250, "ü"])
def test_a_topic_name_that_is_none(one, name):
    error, said = refusal(create, one, name, 1, replication_factor=1)
    assert error in ("INVALID_TOPIC_EXCEPTION", "TOPIC_EXCEPTION", "_INVALID_ARG"), error
    assert said
    serves(one)


def test_more_partitions_cannot_be_fewer(one):
    admin = AdminClient(client(one))
    error, said = refusal(admin.create_partitions([NewPartitions(TOPIC, 1)])[TOPIC].result, 20)
    assert error == "INVALID_PARTITIONS" and said
    serves(one)


def test_a_topic_made_unasked_that_cannot_be_placed(lab):
    """The broker says so in its log: the client is told nothing but that it is not there."""
    cluster = BrokerCluster(lab, 1, properties={"default.replication.factor": 3})
    acknowledged, errors = send(cluster, "unasked", [b"1"], seconds=3)
    assert acknowledged == [] and len(errors) == 1
    assert "unasked" not in topics(cluster)
    said = cluster[1].process.output()
    assert "unasked" in said and "eplication factor" in said, said
    # And not with every question of every client.
    assert sum("unasked" in line for line in said.splitlines()) < 3, said
    make_topic(cluster, TOPIC)


def test_more_replicas_in_sync_than_there_are(one):
    """As Kafka has it: no more are asked for than the topic has replicas."""
    make_topic(one, "strict", min_insync_replicas=2)
    assert send(one, "strict", [b"1"]) == ([b"1"], [])
    assert read(one, "strict") == [b"1"]
