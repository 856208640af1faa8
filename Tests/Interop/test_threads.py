"""The packet threads: who serves what. Threads show in /proc/PID/task, and one that sleeps does
not switch."""

import itertools
import time
from pathlib import Path

import pytest

from ends import Pair
from lab import wait_until
from traffic import (bound_udp, content, exchange, exchange_patiently, make_socket,
                     transfer)


def thread(end, which):
    """The /proc directory of a thread of the interface (`out`, `in` or `ctl`)."""
    tasks = Path(f"/proc/{end.process.pid}/task")
    name = f"{end.name}-{which}"[:15]
    return next(task for task in tasks.iterdir()
                if (task / "comm").read_text().strip() == name)


def wakes(task):
    for line in (task / "status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError(f"{task} says nothing of switches")


def is_light(pair, tasks):
    """Whether a few packets, one at a time, pass without the inbound threads."""
    before = [wakes(task) for task in tasks]
    exchange(*pair.spaces(), pair.inner(1), [64] * 20)
    return [wakes(task) for task in tasks] == before


def test_one_thread_serves_light_traffic_and_two_serve_heavy(lab):
    """There and back several times, with a new port in either mode: nothing is lost, and each
    mode is really entered."""
    pair = Pair(lab, kinds=("ours", "ours"))
    exchange(*pair.spaces(), pair.inner(1), [64])
    tasks = [thread(end, "in") for end in pair.ends]
    with bound_udp(pair.right.namespace, pair.inner(1), timeout=5) as server, \
            make_socket(pair.left.namespace, server.family, server.type) as client:
        client.connect(server.getsockname())
        port = itertools.count(pair.left.port + 1000)
        for turn in range(4):
            wait_until(lambda: is_light(pair, tasks), 10, "one thread to serve both directions")
            pair.left.set("listen-port", next(port))
            # The other end learns of the port while it answers.
            exchange_patiently(*pair.spaces(), pair.inner(1), [1, 1000, 1372])
            assert is_light(pair, tasks)
            before = [wakes(task) for task in tasks]
            # What one read of many segments brings is heavy at both ends, and so are the
            # acknowledgements' companions the other way.
            transfer(*pair.spaces(), pair.inner(1), 3_000_000, seed=f"there {turn}")
            transfer(*pair.spaces(1), pair.inner(0), 3_000_000, seed=f"back {turn}")
            assert all(now > then + 5 for now, then in zip(map(wakes, tasks), before))
            pair.left.set("listen-port", next(port))
            # While it goes back to one thread: a datagram every millisecond, each one arrives.
            for number in range(1200):
                client.send(content(f"{turn} {number}", 100))
                assert server.recv(1000) == content(f"{turn} {number}", 100)
                time.sleep(0.001)


@pytest.mark.parametrize("heavy", [False, True], ids=["one-thread", "two-threads"])
def test_it_ends_in_either_mode(lab, heavy):
    pair = Pair(lab, kinds=("ours", "ours"))
    left, right = pair.ends
    exchange(*pair.spaces(), pair.inner(1), [64])
    if heavy:
        transfer(*pair.spaces(), pair.inner(1), 3_000_000)
    else:
        assert is_light(pair, [thread(end, "in") for end in pair.ends])
    left.namespace.ip(f"link del {left.name}")
    wait_until(lambda: not left.process.is_running, 5, "the process without its interface to end")
    assert right.process.is_running
    right.stop()
    assert not right.process.is_running
