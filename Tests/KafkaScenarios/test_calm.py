"""A hundred milliseconds from cluster to cluster and back, and nothing else: the settings that
notice a fault within a second must not see one where there is none. Then there is one."""

import os
import time

import pytest

import ondisk
from history import History
from lab import LabError, wait_until
from lab.gateways import find_program
from stretched import PARTITIONS, Stretched

ONE_WAY = "delay 50ms"
PORT = 9404
# The longest that a partition may take nothing after its leader is killed, on a machine that has
# other things to do; what it was is printed.
LONGEST_OUTAGE = 8
ALARMS = ("fenced", "leads in epoch", "controller leads", "does not lead", "no leader", "election",
          "in sync are", "stood still", "truncated", "cannot be reached")
CALM = {"kafka_controller_kafkacontroller_fencedbrokercount": 0,
        "kafka_controller_kafkacontroller_offlinepartitionscount": 0,
        "kafka_server_replicamanager_underreplicatedpartitions": 0,
        "kafka_server_replicamanager_underminisrpartitioncount": 0}
STEADY = ("kafka_server_raft_metrics_current_leader", "kafka_server_raft_metrics_current_epoch",
          "kafka_controller_kafkacontroller_activecontrollercount")
# What may be decided while nothing happens: that time has passed, and ids for a new producer.
IDLE = {"NoOp", "ProducerIds"}


@pytest.fixture
def far(lab):
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    try:
        find_program("slice-gateway")
        find_program("slicectl")
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
    made = Stretched(lab, {"metrics.listener": f"127.0.0.1:{PORT}"})
    made.weather("*", ONE_WAY)
    made.ask("create")
    made.wait_in_sync()
    return made


def metrics(broker):
    """Name -> value, of what has no labels."""
    script = (f"import urllib.request as r; "
              f"print(r.urlopen('http://127.0.0.1:{PORT}/metrics', timeout=5).read().decode())")
    said = broker.namespace.run("/usr/bin/python3", "-c", script).stdout
    pairs = [line.split() for line in said.splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, value in pairs if "{" not in name}


def steady(found):
    return [{name: one[name] for name in STEADY} for one in found]


def watch(far, seconds):
    """Looks at every node's metrics for so long; how often it could."""
    brokers = list(far.kafka)
    before = [metrics(one) for one in brokers]
    assert sum(one[STEADY[2]] for one in before) == 1
    until, looks = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        now = [metrics(one) for one in brokers]
        for broker, found in zip(brokers, now):
            wrong = {name: found[name] for name, value in CALM.items() if found[name] != value}
            assert not wrong, f"node {broker.node}, after {looks} looks: {wrong}"
        assert steady(now) == steady(before)
        far.last(1)  # looking costs the machine something, too
        looks += 1
    return looks


def decided(broker, begin, end):
    """What the quorum has decided from one offset to another, as the log of a node that has ended
    has it, but for what comes by itself."""
    found = list(ondisk.metadata_log(broker.data))
    assert found[-1][0] >= end - 1
    return [(offset, kind) for offset, kind, _ in found
            if begin <= offset < end and kind not in IDLE]


def committed(broker):
    return int(metrics(broker)["kafka_server_raft_metrics_high_watermark"])


@pytest.mark.parametrize("seconds", [30, pytest.param(60, marks=pytest.mark.nightly)])
def test_no_false_alarm_at_100_ms_round_trip(far, seconds, capsys):
    far.run("west", "send", "send-west", "--rate", 200)
    far.run("central", "send", "send-central", "--rate", 200)
    far.settle()
    far.wait_in_sync()
    brokers = list(far.kafka)
    # From here on nothing is to happen.
    said = {one.node: len(one.process.output()) for one in brokers}
    begin = committed(brokers[0])
    begun = time.monotonic()
    looks = watch(far, seconds)
    calm = begun, time.monotonic()
    for broker in brokers:
        new = broker.process.output()[said[broker.node]:]
        alarms = [line for line in new.splitlines() if any(word in line for word in ALARMS)]
        assert not alarms, f"node {broker.node}: {alarms}"
    end = committed(brokers[0])
    assert looks >= seconds / 5, "the metrics were hardly looked at"

    leader = far.leader(0)
    led = metrics(far.kafka[leader])[STEADY[2]] == 1
    killed = time.monotonic()
    far.kill(leader)

    def served():
        found = far.ask("leaders", check=False)
        return found and all(one not in (-1, leader) for one in found["leaders"].values())
    wait_until(served, 30, "other leaders")
    acknowledged = [one.progress["acknowledged"] for one in far.senders()]
    wait_until(lambda: all(one.progress.get("acknowledged", 0) > before + 400 for one, before
                           in zip(far.senders(), acknowledged)), 30, "records to go on")
    far.check()
    for one in far.senders():
        one.end()
        assert one.join(60)["waiting"] == 0
    history = History.load([one.path for one in far.senders()])
    times = sorted(one.ended for one in history.acknowledged() if calm[0] < one.ended < calm[1])
    rate = len(times) / (calm[1] - calm[0])
    quiet = max(b - a for a, b in zip([calm[0], *times], [*times, calm[1]]))
    far.kafka.stop()
    # What happened in between would be in the log of the quorum, however short it was.
    for broker in brokers:
        assert decided(broker, begin, end) == [], f"node {broker.node}"
    mine, outage = gap(history, 0, killed), max(gap(history, n, killed) for n in range(PARTITIONS))
    who = f"broker {leader}{', the active controller' if led else ''}"
    with capsys.disabled():
        print(f"\n{seconds} s at 100 ms round trip: {rate:.0f} records a second acknowledged, "
              f"never {quiet:.2f} s without; nothing fenced, elected or out of sync in {looks} "
              f"looks. kill -9 of {who}: partition 0 took nothing for "
              f"{mine:.2f} s, no partition for longer than {outage:.2f} s")
    assert rate > 300 and quiet < 2
    assert 0.1 < mine <= outage < LONGEST_OUTAGE


def gap(history, partition, at):
    """The seconds without an acknowledgement of a partition that begin at a moment, when some may
    still have been on their way."""
    ends = [one.ended for one in history.acknowledged() if one.partition == partition]
    ends = sorted(one for one in ends if one > at - 1)
    return max(b - a for a, b in zip(ends, ends[1:]))
