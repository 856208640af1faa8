"""A replica moves no faster than it may."""

import random
import time

from confluent_kafka.admin import AdminClient, NewTopic
from nodes import BrokerCluster, client, read, send, wait_until

TOPIC = "heavy"
LIMIT = 5_000_000  # bytes a second
SIZE, COUNT = 10_000, 4000  # 40 MB
DUE = SIZE * COUNT / LIMIT


def held(broker):
    """Bytes of the partition's records that a broker has."""
    return sum(path.stat().st_size for path in (broker.data / f"{TOPIC}-0").glob("*.log"))


def throttles(cluster):
    found = {}
    for node in cluster:
        for one in cluster.ctl_json("configs", "describe", "broker", str(node.node)):
            if "throttled.rate" in one["name"]:
                found[node.node, one["name"]] = one["value"]
    return found


def test_a_throttled_move(lab, capsys):
    """40 MB at 5 MB/s take 8 s, and whoever writes meanwhile does not wait for it."""
    cluster = BrokerCluster(lab, 3)
    admin = AdminClient(client(cluster))
    admin.create_topics([NewTopic(TOPIC, 1, replica_assignment=[[1, 2]], config={
        "min.insync.replicas": "2"})], operation_timeout=10)[TOPIC].result(20)
    chance = random.Random(1)
    written = [chance.randbytes(SIZE) for _ in range(COUNT)]
    acknowledged, errors = send(cluster, TOPIC, written, seconds=40)
    assert errors == [] and len(acknowledged) == COUNT
    began = time.monotonic()
    cluster.ctl("reassign", "start", "--topic", TOPIC, "--partition", "0", "--replicas", "1,3",
                "--throttle", str(LIMIT))
    seen, slowest = [], 0.0  # of (seconds, bytes)

    def moved():
        nonlocal slowest
        seen.append((time.monotonic() - began, held(cluster[3])))
        if len(seen) % 5 == 0:
            # Replicas in sync are not throttled, so neither are producers.
            at = time.monotonic()
            assert send(cluster, TOPIC, [b"meanwhile"])[1] == []
            slowest = max(slowest, time.monotonic() - at)
        partition, = cluster.describe(TOPIC)
        return sorted(partition["replicas"]) == [1, 3] and sorted(partition["isr"]) == [1, 3]
    wait_until(moved, 60, "the replica to have moved")
    seconds = time.monotonic() - began
    # Any four seconds of it: an allowance is for a while, and the machine does other things too.
    windows = [(b - a) / (t - s) for n, (s, a) in enumerate(seen) for t, b in seen[n + 1:]
               if t - s >= 4 and a < SIZE * COUNT]
    fastest = max(windows, default=0.0)
    with capsys.disabled():
        print(f"\n40 MB at 5 MB/s moved in {seconds:.1f} s, at most {fastest / 1e6:.1f} MB/s in "
              f"any 4 s; a record sent meanwhile took at most {slowest:.2f} s")
    assert DUE * 0.75 < seconds < DUE * 2.5
    assert fastest < LIMIT * 1.5
    assert slowest < 3
    cluster.ctl("reassign", "unthrottle")
    wait_until(lambda: not any(throttles(cluster).values()), 10, "the throttles to be gone")
    found = read(cluster[3].address, TOPIC)
    assert found[:COUNT] == written and set(found[COUNT:]) == {b"meanwhile"}
