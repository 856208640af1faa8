"""What Tests/Clients/test_wire.py asks of the clients' port, asked of the controllers' port; and
crowds."""

import contextlib
import random
import resource
import socket
import struct
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

sys.path.append(str(Path(__file__).parents[1] / "Clients"))

from nodes import (  # noqa: E402
    BrokerCluster, broker_program, client, make_topic, read, send, values, wait_until)
from wire import API_VERSIONS, Wire, api_versions, frame, ranges_of  # noqa: E402


class Controller:
    """The controller's listener of a node, as a place for Wire."""

    def __init__(self, node):
        self.host, self.port = node.host, node.controller_port


@pytest.fixture
def one(lab):
    return BrokerCluster(lab, 1)


def decides(cluster, topic):
    """The quorum works: a topic is made, written and read."""
    assert cluster[1].is_running
    make_topic(cluster, topic)
    assert send(cluster, topic, values(20)) == (values(20), [])
    assert read(cluster, topic) == values(20)


@contextlib.contextmanager
def descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        except (ValueError, PermissionError):
            pytest.skip(f"needs {count} open files, and may have {hard}")
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, count)))


def until_closed(wire):
    with contextlib.suppress(OSError):
        wire.socket.shutdown(socket.SHUT_WR)
        while wire.socket.recv(65536):
            pass


# --- at the controller -------------------------------------------------------------------------


def test_noise_at_the_controller(one):
    chance = random.Random(21)
    port = Controller(one[1])
    for number in range(100):
        with Wire(port) as wire:
            noise = chance.randbytes(chance.randrange(1, 300))
            with contextlib.suppress(OSError):
                wire.raw(noise if number % 2 else frame(noise))
            until_closed(wire)
    decides(one, "after")


def test_bent_requests_at_the_controller(one):
    """Votes, fetches of the metadata, registrations and the rest, with bodies of noise: nobody is
    elected, registered or fenced by them."""
    chance = random.Random(22)
    port = Controller(one[1])
    with Wire(port) as wire:
        ranges = api_versions(wire)
    assert 52 in ranges and 62 in ranges  # Vote, BrokerRegistration
    for key, (lowest, highest) in sorted(ranges.items()):
        for version in range(lowest, highest + 1):
            for _ in range(4):
                with Wire(port) as wire:
                    wire.send(key, version, chance.randbytes(chance.randrange(0, 80)))
                    until_closed(wire)
    decides(one, "after")
    assert set(AdminClient(client(one)).list_topics(timeout=10).brokers) == {1}


def test_what_clients_may_not_ask_of_the_controller(one):
    """And what is only for the controllers is not served to clients: Vote, BeginQuorumEpoch,
    EndQuorumEpoch, BrokerRegistration, BrokerHeartbeat, AlterPartition."""
    with Wire(Controller(one[1])) as wire:
        inside = api_versions(wire)
    with Wire(one[1]) as wire:
        outside = api_versions(wire)
    assert {52, 53, 54, 56, 62, 63} <= set(inside)
    assert not {52, 53, 54, 56, 62, 63} & set(outside)
    for key in (52, 53, 54, 56, 62, 63):
        with Wire(one[1]) as wire:
            wire.send(key, 0, b"\0" * 40)
            assert wire.is_closed_by_peer()
    decides(one, "after")


@pytest.mark.parametrize("length", [-1, 2**31 - 1])
def test_a_length_beyond_reason_at_the_controller(one, length):
    with Wire(Controller(one[1])) as wire:
        wire.raw(struct.pack(">i", length) + b"\0" * 20)
        assert wire.is_closed_by_peer()
    decides(one, "after")


def test_half_requests_at_the_controller(one):
    port = Controller(one[1])
    whole = frame(struct.pack(">hhi", API_VERSIONS, 0, 5) + struct.pack(">h", -1))
    halves = [Wire(port) for _ in range(200)]
    try:
        for number, wire in enumerate(halves):
            wire.raw(whole[:number % len(whole)])
        decides(one, "meanwhile")
        for number, wire in enumerate(halves[::20]):
            wire.raw(whole[20 * number % len(whole):])
            assert ranges_of(wire.receive(5))[0] == 0
    finally:
        for wire in halves:
            wire.__exit__()


# --- crowds ------------------------------------------------------------------------------------


def test_ten_thousand_idle_connections(one):
    """The others are served, the crowd is not forgotten, and costs little."""
    count = 10_000
    node = one[1]
    with descriptors(count + 2000):
        node.stop()
        node.start()  # with this program's limit
        before = node.resident_bytes()
        crowd = []
        try:
            for _ in range(count):
                crowd.append(socket.create_connection((node.host, node.port), 10))
            files = Path(f"/proc/{node.process.pid}/fd")
            wait_until(lambda: len(list(files.iterdir())) > count, 30, "all to be taken")
            make_topic(one, "meanwhile", 3)
            started = time.monotonic()
            assert send(one, "meanwhile", values(2000))[1] == []
            assert sum(len(read(one, "meanwhile", n)) for n in range(3)) == 2000
            assert time.monotonic() - started < 30
            assert (node.resident_bytes() - before) / count < 30_000
            whole = frame(struct.pack(">hhi", API_VERSIONS, 0, 5) + struct.pack(">h", -1))
            for one_of_them in crowd[::500]:
                one_of_them.sendall(whole)
                assert one_of_them.recv(4)
        finally:
            for one_of_them in crowd:
                one_of_them.close()
        wait_until(lambda: len(list(files.iterdir())) < 200, 30, "all to be let go")
        # And the next crowd finds the room that this one has left.
        after_first = node.resident_bytes()
        crowd = []
        try:
            for _ in range(count):
                crowd.append(socket.create_connection((node.host, node.port), 10))
            wait_until(lambda: len(list(files.iterdir())) > count, 30, "all to be taken")
            assert (node.resident_bytes() - after_first) / count < 3_000
        finally:
            for one_of_them in crowd:
                one_of_them.close()
        wait_until(lambda: len(list(files.iterdir())) < 200, 30, "all to be let go")
    decides(one, "after")


def test_files_run_out(lab):
    """Clients cannot take the files that partitions need, and the node says so, once. 200 files are
    little: half of them are for connections, of those to come."""
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    node.process = lab.start(
        ["prlimit", "--nofile=200", broker_program(), "start", "--config", node.file],
        label="few files")
    node.wait_ready()
    assert "does not fit into the 200 files" in node.process.output()
    first = Wire(node)
    api_versions(first)
    crowd = []
    try:
        for _ in range(400):
            crowd.append(socket.create_connection((node.host, node.port), 10))
        for one_of_them in crowd[-200:]:
            one_of_them.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert one_of_them.recv(1) == b""
        api_versions(first)
        files = len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))
        assert 100 < files < 180
        assert node.process.output().count("is refused: there are as many as") == 1
    finally:
        first.__exit__()
        for one_of_them in crowd:
            one_of_them.close()
    decides(cluster, "after")


def test_files_of_the_machine_run_out(one):
    """The limit falls while the node runs, below what it has open: it accepts nobody, lives, says
    so, and goes on when there are files again."""
    node = one[1]
    with Wire(node) as first:
        api_versions(first)
        soft, hard = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (10, hard))
        crowd = [socket.create_connection((node.host, node.port), 10) for _ in range(50)]
        try:
            node.process.wait_for("no connection to PLAINTEXT.* can be accepted, as no more files")
            for _ in range(100):
                api_versions(first)  # whom it has, it serves
            assert node.process.output().count("can be accepted, as no more files") == 1
        finally:
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            for one_of_them in crowd:
                one_of_them.close()
    decides(one, "after")


def test_more_connections_than_are_allowed(lab):
    """Those that are too many are closed; those that were first are served."""
    cluster = BrokerCluster(lab, 1, properties={"max.connections": 50})
    node = cluster[1]
    first = Wire(node)
    api_versions(first)
    crowd = [socket.create_connection((node.host, node.port), 10) for _ in range(200)]
    try:
        for one_of_them in crowd[-100:]:
            one_of_them.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert one_of_them.recv(1) == b""
        api_versions(first)
    finally:
        first.__exit__()
        for one_of_them in crowd:
            one_of_them.close()
    decides(cluster, "after")


def test_too_many_connections_from_one_address(lab):
    cluster = BrokerCluster(lab, 1, properties={"max.connections.per.ip": 20})
    node = cluster[1]
    crowd = []
    try:
        for _ in range(60):
            one_of_them = socket.socket()
            one_of_them.bind(("127.0.0.9", 0))
            one_of_them.settimeout(10)
            one_of_them.connect((node.host, node.port))
            crowd.append(one_of_them)
        with contextlib.suppress(ConnectionResetError):
            assert crowd[-1].recv(1) == b""
        decides(cluster, "meanwhile")
    finally:
        for one_of_them in crowd:
            one_of_them.close()


def test_connections_that_are_idle_for_too_long(lab):
    cluster = BrokerCluster(lab, 1, properties={"connections.max.idle.ms": 1000})
    with Wire(cluster[1]) as idle:
        api_versions(idle)
        assert idle.is_closed_by_peer()
    decides(cluster, "after")


def test_half_requests_do_not_fill_the_memory(lab):
    """Forty that are all but complete hold 280 MB, if somebody lets them: queued.max.request.bytes
    says what all requests together may hold."""
    cluster = BrokerCluster(lab, 1, properties={
        "socket.request.max.bytes": 8 << 20, "queued.max.request.bytes": 16 << 20})
    node = cluster[1]
    before = node.resident_bytes()
    part = struct.pack(">i", 8 << 20) + bytes(7 << 20)
    crowd = [socket.create_connection((node.host, node.port), 10) for _ in range(40)]
    try:
        sent = [0] * len(crowd)
        for one_of_them in crowd:
            one_of_them.setblocking(False)

        def no_more():
            """Until nothing more is taken."""
            moved = 0
            for n, one_of_them in enumerate(crowd):
                with contextlib.suppress(OSError):
                    while sent[n] < len(part):
                        count = one_of_them.send(part[sent[n]:sent[n] + (1 << 20)])
                        sent[n] += count
                        moved += count
            return moved == 0
        for _ in range(20):  # in a row: the broker is busy with what it has
            wait_until(no_more, 30, "the broker to take no more")
        decides(cluster, "meanwhile")
        assert (node.resident_bytes() - before) / 2**20 < 100
    finally:
        for one_of_them in crowd:
            one_of_them.close()
    decides(cluster, "after")
