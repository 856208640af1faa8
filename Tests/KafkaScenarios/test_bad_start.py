"""Configurations, directories and addresses that are not as they should be: the node says so and
does not start, what is there stays as it is, and when it is mended nothing has been lost."""

import copy
import os
import re
import socket

import pytest

from lab.brokers import broker_program, free_ports
from nodes import (
    BrokerCluster, make_topic, read, refused, run, send, tree, values, wait_until)

TOPIC = "kept"


@pytest.fixture
def one(lab):
    """One node with records, stopped."""
    cluster = BrokerCluster(lab, 1)
    make_topic(cluster, TOPIC)
    cluster.records = values(200)
    assert send(cluster, TOPIC, cluster.records) == (cluster.records, [])
    cluster[1].stop()
    return cluster


@pytest.fixture
def fresh(lab):
    """One node, formatted and never started."""
    return BrokerCluster(lab, 1, start=False)


def holds(cluster):
    """Starts the node: every acknowledged record is there, and it takes more."""
    cluster[1].start()
    assert read(cluster, TOPIC) == cluster.records
    more = values(10, "more")
    assert send(cluster, TOPIC, more) == (more, [])
    assert read(cluster, TOPIC) == cluster.records + more


# --- the configuration -------------------------------------------------------------------------


@pytest.mark.parametrize("line, expected", [
    ("log.retention.hour=1", r'"log.retention.hour" is not a property.*log.retention.hours'),
    ("broker.id=1", r"broker.id is not supported.*node.id"),
    ("zookeeper.connect=h:2181", r"zookeeper.connect is not supported.*controller.quorum.voters"),
    ("ssl.keystore.location=/a", r"ssl.keystore.location is not supported: TLS"),
    ("num.partitions=many", r"num.partitions .*many"),
    ("num.partitions=0", r"num.partitions .*0"),
    ("node.id=2", r"node.id was given before, in line 1"),
    ("advertised.listeners=PLAINTEXT://0.0.0.0:9092", r"advertised.listeners .*0.0.0.0"),
    ("log.flush.interval.messages", r"log.flush.interval.messages"),
    ("=", r"a value without a key"),
], ids=lambda value: value.split("=")[0] or "no key" if "\\" not in value else "")
def test_a_property_that_is_not_understood(fresh, line, expected):
    node = fresh[1]
    with open(node.file, "a") as out:
        out.write(line + "\n")
    number = len(node.file.read_text().splitlines())
    before = tree(node.data)
    status, said = refused(node)
    assert status == 2
    assert re.search(f"line {number}: {expected}", said), said
    assert str(node.file) in said
    checked = run(broker_program(), "check", "--config", node.file, check=False)
    assert checked.returncode == 2 and re.search(expected, checked.stderr)
    formatted = node.format(check=False)
    assert formatted.returncode == 2 and re.search(expected, formatted.stderr)
    assert tree(node.data) == before


def test_every_problem_is_told_at_once(fresh):
    node = fresh[1]
    node.file.write_text(
        node.file.read_text().replace("node.id=1\n", "") + "nonsense=1\nnum.partitions=-4\n")
    status, said = refused(node)
    assert status == 2
    for word in ("node.id is missing", '"nonsense"', "num.partitions"):
        assert word in said, said


@pytest.mark.parametrize("content, expected", [
    (None, "No such file"), (b"\xff\xfe\x00", "UTF-8"), (b"node.id=1\n" * 200_000, "larger"),
    (b"", "node.id is missing"),
], ids=["missing", "bytes", "huge", "empty"])
def test_a_configuration_that_is_none(fresh, content, expected):
    node = fresh[1]
    node.file.unlink()
    if content is not None:
        node.file.write_bytes(content)
    status, said = refused(node)
    assert status == 2 and expected in said and str(node.file) in said, said


# --- the directory -----------------------------------------------------------------------------


def test_a_directory_that_is_not_formatted(lab):
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    (node.data / "meta.properties").unlink()
    status, said = refused(node)
    assert status == 1
    assert str(node.data) in said and "not formatted" in said and "slice-broker format" in said
    assert tree(node.data) == {}
    node.format()
    node.start()


def test_a_directory_that_is_not_there(fresh):
    node = fresh[1]
    (node.data / "meta.properties").unlink()
    node.data.rmdir()
    status, said = refused(node)
    assert status == 1 and str(node.data) in said and "slice-broker format" in said, said
    assert not node.data.exists()


def test_a_file_where_the_directory_should_be(fresh):
    node = fresh[1]
    (node.data / "meta.properties").unlink()
    node.data.rmdir()
    node.data.write_text("mine")
    status, said = refused(node)
    assert status == 1 and str(node.data) in said, said
    assert node.format(check=False).returncode == 1
    assert node.data.read_text() == "mine"


def test_formatting_again(one):
    node = one[1]
    before = tree(node.data)
    again = node.format(check=False)
    assert again.returncode == 1 and "formatted already" in again.stderr
    assert "--ignore-formatted" in again.stderr
    assert node.format("--ignore-formatted").returncode == 0
    other = run(broker_program(), "format", "--config", node.file, "--cluster-id", "another",
                "--ignore-formatted", check=False)
    assert other.returncode == 1 and one.cluster_id in other.stderr, other.stderr
    assert tree(node.data) == before
    holds(one)


@pytest.mark.parametrize("cluster_id", ["", " ", "a=b", "x" * 65, "ü"])
def test_a_cluster_id_that_is_none(fresh, cluster_id):
    node = fresh[1]
    (node.data / "meta.properties").unlink()
    refusal = run(broker_program(), "format", "--config", node.file, "--cluster-id", cluster_id,
                  check=False)
    assert refusal.returncode == 1 and "slice-broker random-uuid" in refusal.stderr
    assert tree(node.data) == {}


def test_the_directory_of_another_node(one):
    node = one[1]
    before = tree(node.data)
    text = node.file.read_text()
    voters = one.voters()
    node.file.write_text(text.replace("node.id=1\n", "node.id=2\n").replace(
        voters, voters.replace("1@", "2@")))
    status, said = refused(node)
    assert status == 1
    assert "belongs to node 1" in said and "node.id=2" in said and "log.dir" in said, said
    assert tree(node.data) == before
    node.file.write_text(text)
    holds(one)


def test_logs_without_a_name_on_them(one):
    """meta.properties is gone. Formatting would take what is there for this cluster's."""
    node = one[1]
    meta = node.data / "meta.properties"
    kept = meta.read_bytes()
    meta.unlink()
    before = tree(node.data)
    status, said = refused(node)
    assert status == 1 and "meta.properties" in said, said
    formatted = node.format(check=False)
    assert formatted.returncode == 1
    assert "meta.properties" in formatted.stderr and "estore" in formatted.stderr
    assert tree(node.data) == before
    meta.write_bytes(kept)
    holds(one)


@pytest.mark.parametrize("damage", [
    lambda kept: b"", lambda kept: b"\xff\x00" * 40, lambda kept: kept[:len(kept) // 2],
    lambda kept: kept.replace(b"version=1", b"version=7"),
    lambda kept: kept.replace(b"node.id=1", b"node.id=one"),
    lambda kept: re.sub(b"directory.id=.*", b"directory.id=x", kept),
    lambda kept: kept + b"#" * 100_000,
], ids=["empty", "bytes", "half", "version", "node", "directory", "huge"])
def test_a_damaged_meta_properties(one, damage):
    node = one[1]
    meta = node.data / "meta.properties"
    kept = meta.read_bytes()
    meta.write_bytes(damage(kept))
    before = tree(node.data)
    status, said = refused(node)
    assert status == 1 and str(meta) in said, said
    formatted = node.format("--ignore-formatted", check=False)
    assert formatted.returncode == 1 and str(meta) in formatted.stderr, formatted.stderr
    assert tree(node.data) == before
    meta.write_bytes(kept)
    holds(one)


@pytest.mark.parametrize("content", [
    b"", b"\xff\x00" * 40, b'{"leaderId":1', b"[]", b"{}", b" " * 100_000,
    b'{"leaderId":1,"leaderEpoch":"x","votedId":-1,"data_version":1}',
    b'{"leaderId":1,"leaderEpoch":99999999999,"votedId":-1,"data_version":1}',
    b'{"leaderId":1,"leaderEpoch":3,"votedId":-1,"data_version":9}',
], ids=["empty", "bytes", "half", "array", "no fields", "blank", "text", "large", "version"])
def test_a_damaged_quorum_state(one, content):
    """It says for whom this node has voted: guessing could elect two."""
    node = one[1]
    file, = node.data.rglob("quorum-state")
    kept = file.read_bytes()
    file.write_bytes(content)
    before = tree(node.data)
    status, said = refused(node)
    assert status == 1 and str(file) in said and "damaged" in said, said
    assert tree(node.data) == before
    file.write_bytes(kept)
    holds(one)


def test_a_second_process_on_one_directory(one):
    node = one[1]
    holds(one)
    text = node.file.read_text()
    for old, new in zip((node.port, node.controller_port), free_ports(2)):
        text = text.replace(f":{old}", f":{new}")
    second = copy.copy(node)
    second.file = node.directory / "second.properties"
    second.file.write_text(text)
    status, said = refused(second, seconds=8)
    assert status == 1
    assert "in use by another process" in said and str(node.data) in said, said
    assert read(one, TOPIC)[:200] == one.records
    node.stop()
    # The lock goes with the process, however that ends.
    node.start()
    node.kill()
    node.start()
    assert read(one, TOPIC)[:200] == one.records


# --- the address -------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["port", "controller_port"])
def test_a_port_in_use(one, which):
    node = one[1]
    before = tree(node.data)
    with socket.create_server(("127.0.0.1", getattr(node, which)), reuse_port=False):
        status, said = refused(node)
    assert status == 1
    assert f"127.0.0.1:{getattr(node, which)}" in said and "in use" in said, said
    for name, data in before.items():
        if name.startswith(TOPIC) and name.endswith(".log"):
            assert tree(node.data)[name] == data
    holds(one)


def test_an_address_of_another_host(fresh):
    node = fresh[1]
    node.file.write_text(node.file.read_text().replace(
        f"PLAINTEXT://127.0.0.1:{node.port}", f"PLAINTEXT://192.0.2.1:{node.port}"))
    status, said = refused(node)
    assert status == 1 and f"192.0.2.1:{node.port}" in said and "not on this host" in said, said


def test_a_name_that_nobody_knows(fresh):
    node = fresh[1]
    node.file.write_text(node.file.read_text().replace(
        f"PLAINTEXT://127.0.0.1:{node.port}", f"PLAINTEXT://no.such.host.invalid:{node.port}"))
    status, said = refused(node, seconds=60)
    assert status == 1 and "no.such.host.invalid" in said, said


def test_few_descriptors(one):
    """A limit on open files that more clients would exceed costs those clients, and nobody else."""
    node = one[1]
    limit = 200
    node.process = one.lab.start(
        ["prlimit", f"--nofile={limit}:{limit}", broker_program(), "start", "--config", node.file],
        label="few-descriptors")
    node.wait_ready()
    crowd = []
    try:
        for _ in range(limit + 50):
            crowd.append(socket.create_connection(("127.0.0.1", node.port), 5))
        files = f"/proc/{node.process.pid}/fd"
        wait_until(lambda: len(os.listdir(files)) > limit // 2, 10, "connections to be taken")
        assert node.is_running
    finally:
        for one_of_them in crowd:
            one_of_them.close()
    assert read(one, TOPIC) == one.records
    make_topic(one, "after")
    assert send(one, "after", values(5)) == (values(5), [])
