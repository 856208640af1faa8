"""What sends little does not wait behind what sends much, and no flow overtakes itself.

Nothing is timed: an end is stopped (SIGSTOP) while packets pile up before it, and goes on.
"""

import contextlib
import os
import signal
import socket
import struct

import pytest

from ends import Pair
from lab import wait_until
from traffic import SPARSE_TOS, Tap, bound_udp, exchange, make_socket, receive_all

BULK = 200  # datagrams of `SIZE`: far more than a flow may send and be sparse
SIZE, SMALL = 1300, 64
FEW = 5
KINDS = [("ours", "ours"), ("spread", "spread")]


@contextlib.contextmanager
def stopped(end):
    """Nothing is done for packets meanwhile; they wait in the kernel."""
    os.kill(end.process.pid, signal.SIGSTOP)
    try:
        # Each thread, or one may still take what was meant to wait.
        tasks = f"/proc/{end.process.pid}/task"
        wait_until(lambda: all(
            _state(f"{tasks}/{task}") == "T" for task in os.listdir(tasks)), 5, "the stop")
        yield
    finally:
        os.kill(end.process.pid, signal.SIGCONT)


def _state(task):
    with open(f"{task}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


class Sender:
    """One flow of numbered datagrams."""

    def __init__(self, pair, server, flow):
        self.flow, self.number = flow, 0
        self.socket = make_socket(pair.left.namespace, server.family, socket.SOCK_DGRAM)
        self.target = server.getsockname()[:2]

    def send(self, count, size):
        for _ in range(count):
            head = struct.pack("!BI", self.flow, self.number)
            self.socket.sendto(head.ljust(size, b"."), self.target)
            self.number += 1


def arrivals(server, count):
    """(flow, number) in the order in which they came."""
    return [struct.unpack("!BI", data[:5]) for data in receive_all(server, count)]


def in_order(came):
    """Whether each flow came as it went, and whole."""
    flows = {}
    for flow, number in came:
        flows.setdefault(flow, []).append(number)
    return all(numbers == list(range(len(numbers))) for numbers in flows.values())


def position(came, flow):
    """How many of other flows came before the last of this one."""
    last = max(i for i, (one, _) in enumerate(came) if one == flow)
    return sum(one != flow for one, _ in came[:last])


@pytest.fixture
def pair(lab, request):
    pair = Pair(lab, getattr(request, "param", KINDS[0]))
    exchange(*pair.spaces(), pair.inner(1), [64])
    return pair


@pytest.fixture
def server(pair):
    with bound_udp(pair.right.namespace, pair.inner(1)) as made:
        made.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        yield made


def test_at_the_sending_end(pair, server):
    """The bulk is in the queue of the device before the sparse flow's packets are."""
    bulk, few = Sender(pair, server, 1), Sender(pair, server, 2)
    # Both have been seen: so the sparse one is looked for.
    bulk.send(BULK, SIZE)
    few.send(1, SMALL)
    assert in_order(arrivals(server, BULK + 1))
    with stopped(pair.left):
        bulk.send(BULK, SIZE)
        few.send(FEW, SMALL)
    came = arrivals(server, BULK + FEW)
    # What a thread had at hand when it was stopped may be before them.
    assert position(came, 2) < BULK // 20
    assert sorted(came) == [(1, BULK + n) for n in range(BULK)] + [(2, 1 + n) for n in range(FEW)]
    assert [number for flow, number in came if flow == 1] == list(range(BULK, 2 * BULK))


SEALED = {SIZE: 1360, SMALL: 128}  # a message with a datagram of that size


def wait_to_leave(tap, **datagrams):
    """Until so many bytes have left as these datagrams make, however many at a time."""
    expected = sum(SEALED[{"bulk": SIZE, "small": SMALL}[kind]] * count
                   for kind, count in datagrams.items())
    wait_until(lambda: sum(len(message) for message, _, _ in tap.messages(True, kind=4))
               >= expected, 10, f"{expected} bytes to leave")


def of_sparse_flows(tap):
    """What has left as such, in bytes."""
    return sum(len(message) for message, _, tos in tap.messages(True, kind=4)
               if tos == SPARSE_TOS)


def test_at_the_receiving_end(pair, server):
    """The bulk has come before the sparse flow's packets have; nothing is taken for a replay."""
    bulk, few = Sender(pair, server, 1), Sender(pair, server, 2)
    bulk.send(BULK, SIZE)
    few.send(1, SMALL)
    assert in_order(arrivals(server, BULK + 1))
    with Tap(pair.left.namespace) as tap:
        with stopped(pair.right):
            bulk.send(BULK, SIZE)
            wait_to_leave(tap, bulk=BULK)
            few.send(FEW, SMALL)
            wait_to_leave(tap, bulk=BULK, small=FEW)
        came = arrivals(server, BULK + FEW)
        # If this took long enough, the bulk was sparse at first.
        sparse = of_sparse_flows(tap) // SEALED[SIZE]
    assert position(came, 2) < sparse + BULK // 20
    assert [number for flow, number in came if flow == 1] == list(range(BULK, 2 * BULK))


def test_many_more_overtake_than_a_window_holds(pair, server):
    """8,128 counters are the replay window of any WireGuard: small packets that wait are more."""
    count = 8_600  # and no more than the buffer of a socket holds
    bulk, few = Sender(pair, server, 1), Sender(pair, server, 2)
    for _ in range(12):  # beyond what is sparse
        bulk.send(100, SMALL)
        arrivals(server, 100)
    few.send(1, SMALL)
    arrivals(server, 1)
    with Tap(pair.left.namespace) as tap:
        with stopped(pair.right):
            for _ in range(count // 100):
                bulk.send(100, SMALL)
                wait_to_leave(tap, small=bulk.number - 1200)
            few.send(FEW, SMALL)
            wait_to_leave(tap, small=count + FEW)
        came = arrivals(server, count + FEW)
        sparse = of_sparse_flows(tap) // SEALED[SMALL]
    assert position(came, 2) < sparse + BULK // 20
    assert [number for flow, number in came if flow == 1] == list(range(1200, 1200 + count))


@pytest.mark.parametrize("pair", KINDS, ids="-".join, indirect=True)
@pytest.mark.parametrize("which", [0, 1], ids=["sending", "receiving"])
def test_what_grows_heavy_stays_in_order(pair, server, which):
    """Flows that are sparse and then are not, all of them piled up before a stopped end."""
    flows = [Sender(pair, server, n) for n in range(8)]
    with stopped(pair.ends[which]):
        for _ in range(40):  # 40 times 1,300 bytes are more than is sparse
            for flow in flows:
                flow.send(1, SIZE)
    assert in_order(arrivals(server, 8 * 40))


def test_what_was_sparse_for_long_stays_in_order(pair, server):
    """Hundreds of lone datagrams, each a message of its own, and then bulk."""
    flow = Sender(pair, server, 1)
    with Tap(pair.left.namespace) as tap:
        with stopped(pair.right):
            for n in range(300):
                flow.send(1, SMALL)
                wait_to_leave(tap, small=n + 1)
            flow.send(BULK, SIZE)
            wait_to_leave(tap, small=300, bulk=BULK)
        came = arrivals(server, 300 + BULK)
        assert of_sparse_flows(tap) >= 300 * SEALED[SMALL]
    assert in_order(came) and len(came) == 300 + BULK


def test_a_stock_peer_takes_it(lab):
    """Both ways with wireguard-go: it minds neither the DSCP nor the counters left out."""
    pair = Pair(lab, ("ours", "theirs"))
    exchange(*pair.spaces(), pair.inner(1), [64])
    for way in (0, 1):
        source, destination = pair.spaces(way)
        with bound_udp(destination, pair.inner(1 - way)) as server:
            senders = []
            for flow in range(3):
                sender = Sender(pair, server, flow)
                sender.socket = make_socket(source, server.family, socket.SOCK_DGRAM)
                senders.append(sender)
            for _ in range(60):
                for sender in senders[:2]:
                    sender.send(1, SIZE)
                senders[2].send(1, SMALL)
                came = arrivals(server, 3)
                assert sorted(flow for flow, _ in came) == [0, 1, 2]
