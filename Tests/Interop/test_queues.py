"""Several queues: flows go out from several ports, and each stays whole and in order."""

import socket
import struct

import pytest

from ends import Pair
from lab import wait_until
from traffic import (Flow, Tap, bound_udp, exchange, make_socket, many_flows,
                     transfer)

KINDS = [("spread", "theirs"), ("spread", "ours"), ("spread", "spread")]
FLOWS = 24


def source_ports(tap, outgoing):
    """The ports that transport messages with something in them came from."""
    return {source[1] for message, source, _ in tap.messages(outgoing, kind=4)
            if len(message) > 32}


@pytest.fixture(params=KINDS, ids=lambda kinds: "-".join(kinds))
def pair(lab, request):
    pair = Pair(lab, request.param)
    exchange(*pair.spaces(), pair.inner(1), [64])
    return pair


def test_streams_spread_over_ports_and_arrive_whole(pair):
    """Both ways at once, more of them than queues."""
    with Tap(pair.left.namespace) as tap:
        many_flows([
            lambda way=way, number=number: transfer(
                *pair.spaces(way), pair.inner(1 - way), 400_000, seed=f"{way} {number}")
            for way in (0, 1) for number in range(FLOWS // 2)])
        assert len(source_ports(tap, outgoing=True)) == 3
        if pair.right.kind == "spread":
            assert len(source_ports(tap, outgoing=False)) == 3


def test_datagrams_of_a_flow_stay_in_order(pair):
    """Each flow's datagrams are numbered; they come as they went, and from one port each."""
    count = 300
    with bound_udp(pair.right.namespace, pair.inner(1)) as server:
        server.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        clients = [make_socket(pair.left.namespace, server.family, server.type)
                   for _ in range(FLOWS)]
        for number in range(count):
            for client in clients:
                client.sendto(struct.pack("!I", number), server.getsockname())
            # As many as the queues of the devices hold.
            came = [server.recvfrom(64) for _ in clients]
            assert {data for data, _ in came} == {struct.pack("!I", number)}
        # And in a burst, without waiting: some may be lost, none may overtake.
        for number in range(count):
            for client in clients:
                client.sendto(struct.pack("!I", number), server.getsockname())
        last = {}
        server.settimeout(1)
        try:
            while True:
                data, source = server.recvfrom(64)
                (number,) = struct.unpack("!I", data)
                assert number > last.get(source, -1), f"{source}: {number} after {last[source]}"
                last[source] = number
        except TimeoutError:
            pass
        for client in clients:
            client.close()
        assert len(last) == FLOWS


def test_the_endpoint_stays_the_listening_port(lab):
    """Packets come from three ports, one of them that port seldom: our other end does not follow
    each of them."""
    pair = Pair(lab, ("spread", "spread"), initiator=0)
    exchange(*pair.spaces(), pair.inner(1), [64])
    many_flows([
        lambda number=number: transfer(
            *pair.spaces(), pair.inner(1), 2_000_000, seed=f"{number}") for number in range(6)])
    assert pair.right.peer(pair.left.public)["endpoint"] == pair.endpoint(0)
    assert pair.left.peer(pair.right.public)["endpoint"] == pair.endpoint(1)


def test_another_port_under_traffic(lab):
    pair = Pair(lab, ("spread", "spread"), keepalive=1)
    flows = [Flow(*pair.spaces(n % 2), pair.inner(1 - n % 2), seed=f"flow {n}") for n in range(6)]
    try:
        for port in (40_000, 40_001):
            pair.left.set("listen-port", port)
            assert pair.left.port == port
            for flow in flows:
                flow.goes_on()
            wait_until(lambda: pair.right.peer(pair.left.public)["endpoint"].endswith(f":{port}"),
                       10, "the new endpoint")
    finally:
        for flow in flows:
            flow.__exit__(None)


def test_a_port_that_somebody_has_is_refused(lab):
    """Though sockets of one interface share a port, two interfaces never do."""
    pair = Pair(lab, ("spread", "spread"))
    space = pair.left.namespace
    with make_socket(space, socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("::", 40_100))
        refused = pair.left.wg("set", pair.left.name, "listen-port", "40100", check=False)
        assert refused.returncode != 0
    with make_socket(space, socket.AF_INET6, socket.SOCK_DGRAM) as late:
        with pytest.raises(OSError):
            late.bind(("::", pair.left.port))
        # Who asks to join may, and gets nothing.
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        late.bind(("::", pair.left.port))
        for _ in range(8):
            exchange(*pair.spaces(1), pair.inner(0), [64, 1300])
        late.setblocking(False)
        with pytest.raises(BlockingIOError):
            late.recv(2000)
