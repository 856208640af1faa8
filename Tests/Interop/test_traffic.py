"""Packets through tunnels: ours with Debian's wireguard-go, and ours with ours."""

import errno
import socket

import pytest

from ends import MTU, Pair, psk
from lab import Lab
from traffic import (Tap, bound_udp, content, echo, exchange, exchange_patiently, make_socket,
                     many_flows, transfer)

KINDS = [("ours", "theirs"), ("theirs", "ours"), ("ours", "ours")]
UDP_ROOM = {4: MTU - 28, 6: MTU - 48}
EDGES = [0, 1, 2, 3, 7, 15, 16, 17, 19, 20, 21, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 1023]


def sizes(version):
    """Odd and even, both sides of a padding step, and of the MTU: beyond it come fragments."""
    room = UDP_ROOM[version]
    return [*EDGES, *range(room - 17, room + 18), 2 * room + 1, 4001, 9001, 65000]


def check_everything(pair, start=0):
    source, destination = pair.spaces(start)
    for version in (4, 6):
        there = pair.inner(1 - start, version)
        exchange(source, destination, there, sizes(version), seed=f"udp{version}")
        echo(source, there, sizes(version), seed=f"icmp{version}")
        for count in (0, 1, 1379, 1380, 1381, 300_001):
            transfer(source, destination, there, count, seed=f"tcp{version}")
        transfer(destination, source, pair.inner(start, version), 300_001)


@pytest.mark.parametrize("outer", [4, 6], ids=["over-v4", "over-v6"])
@pytest.mark.parametrize("secret", [False, True], ids=["plain", "psk"])
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "-".join(kinds))
def test_everything_crosses(lab, kinds, secret, outer):
    """The left end begins: it alone knows where the other is."""
    pair = Pair(lab, kinds, outer, psk() if secret else None, initiator=0)
    with Tap(pair.left.namespace) as tap:
        exchange(*pair.spaces(), pair.inner(1), [64])
        assert tap.messages(outgoing=True, kind=1) and not tap.messages(outgoing=False, kind=1)
    check_everything(pair)
    for n, end in enumerate(pair.ends):
        peer = end.peer(pair.ends[1 - n].public)
        assert int(peer["handshake"]) > 0
        assert int(peer["received"]) > 900_000 and int(peer["sent"]) > 900_000
        assert peer["endpoint"] == pair.endpoint(1 - n)


@pytest.fixture(scope="module", params=KINDS[1:], ids=lambda kinds: "-".join(kinds))
def joined(request):
    with Lab() as made:
        yield Pair(made, request.param)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("start", [0, 1], ids=["from-left", "from-right"])
def test_every_size_of_datagram(joined, start, version):
    exchange(*joined.spaces(start), joined.inner(1 - start, version),
             range(UDP_ROOM[version] + 1))


@pytest.mark.parametrize("version", [4, 6])
def test_the_mtu_is_the_edge(joined, version):
    source, destination = joined.spaces()
    with bound_udp(destination, joined.inner(1, version)) as server, \
            make_socket(source, socket.AF_INET if version == 4 else socket.AF_INET6,
                        socket.SOCK_DGRAM) as client:
        level, option = (0, 10) if version == 4 else (41, 23)  # IP(V6)_MTU_DISCOVER
        client.setsockopt(level, option, 2)  # IP_PMTUDISC_DO
        client.connect(server.getsockname()[:2])
        exact = content("edge", UDP_ROOM[version])
        client.send(exact)
        assert server.recv(1 << 16) == exact
        with pytest.raises(OSError) as refused:
            client.send(exact + b"!")
        assert refused.value.errno == errno.EMSGSIZE


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("start", [0, 1], ids=["from-left", "from-right"])
def test_fifty_megabytes(joined, start, version):
    transfer(*joined.spaces(start), joined.inner(1 - start, version), 50_000_000, seed="fifty")


def test_many_flows_at_once(joined):
    jobs = []
    for n in range(24):
        start, version = n % 2, 4 + n // 2 % 2 * 2
        there = joined.inner(1 - start, version)
        spaces = joined.spaces(start)
        jobs.append(lambda s=spaces, t=there, n=n: transfer(*s, t, 500_000 + n, seed=n))
    for n in range(8):
        start, version = n % 2, 4 + n // 2 % 2 * 2
        there = joined.inner(1 - start, version)
        spaces = joined.spaces(start)
        jobs.append(lambda s=spaces, t=there, n=n, v=version: exchange_patiently(
            *s, t, range(n, UDP_ROOM[v], 41), seed=n))
    many_flows(jobs)


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "-".join(kinds))
@pytest.mark.parametrize("outer", [4, 6], ids=["over-v4", "over-v6"])
def test_an_underlay_smaller_than_the_tunnel(lab, outer, kinds):
    """Outer packets are cut by the underlay's MTU, in batches too."""
    pair = Pair(lab, kinds, outer=outer, underlay_mtu=1400)
    for version in (4, 6):
        exchange(*pair.spaces(), pair.inner(1, version), [64, UDP_ROOM[version], 9001])
        transfer(*pair.spaces(), pair.inner(1, version), 2_000_000)
        transfer(*pair.spaces(1), pair.inner(0, version), 2_000_000)


@pytest.mark.parametrize("mtu", [1280, 8920])
def test_other_mtus(lab, mtu):
    pair = Pair(lab, mtu=mtu, underlay_mtu=9000)
    for version, header in ((4, 28), (6, 48)):
        room = mtu - header
        exchange(*pair.spaces(), pair.inner(1, version),
                 [0, 1, *range(room - 17, room + 2), 20_001])
        for start in (0, 1):
            transfer(*pair.spaces(start), pair.inner(1 - start, version), 2_000_000)
