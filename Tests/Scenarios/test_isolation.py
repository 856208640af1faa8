"""Who reaches whom, and that the rest is not one packet: by capture."""

import sys
from pathlib import Path

import pytest

from lab import capture, ping, reaches, run, tcp_transfer, udp_echo, wait_until
from lab.traffic import server

SPOOF, PORT = Path(__file__).with_name("spoof.py"), 4999
EVERYWHERE = [(cluster, version) for cluster in ("west", "central", "east") for version in (4, 6)]


def spoofed(report):
    """Packets that were dropped for their source, in a slice's status."""
    return sum(count for reason, count in report["drops"].items() if "poof" in reason)


def test_slices_have_the_same_addresses(world):
    for cluster, version in EVERYWHERE:
        assert world.address(cluster, 0, version) == world.address(cluster, 1, version)


@pytest.mark.parametrize("version", [4, 6])
def test_not_one_packet_crosses_between_slices(world, version):
    """Both slices talk at once, on the same addresses; each datagram carries its slice's name
    (the seed), and every one is seen in its own slice only. What came together is captured as one
    packet, of so many times the size; these two sizes have no small multiple in common."""
    sent = {}
    sizes = {0: 501, 1: 777}

    def bytes_in(one):
        return [len(packet.payload) - 8 for packet in one.packets(lambda packet: packet.is_udp)]

    with capture(world.endpoint("east", 0), world.interface("east", 0)) as in_payments, \
            capture(world.endpoint("east", 1), world.interface("east", 1)) as in_orders:
        for n, size in sizes.items():
            address = world.address("east", n, version)
            sent[n] = udp_echo(world.endpoint("west", n), world.endpoint("east", n), address,
                               count=50, size=size, seed=f"slice{n}")
            assert sorted(sent[n]["received"]) == list(range(50))
        for n, one in enumerate((in_payments, in_orders)):
            wait_until(lambda: sum(bytes_in(one)) >= 100 * sizes[n], 10, "what was captured")
    for n, one in enumerate((in_payments, in_orders)):
        assert all(count % sizes[n] == 0 for count in bytes_in(one))
        assert sum(bytes_in(one)) == 100 * sizes[n]


@pytest.mark.parametrize("version", [4, 6])
def test_a_service_of_one_slice_is_not_there_in_the_other(world, version):
    address = world.address("east", 0, version)
    with server(world.endpoint("east", 0), "tcp_server", address, 7001), \
            capture(world.endpoint("east", 0), "any", "tcp port 7001") as payments:
        own = world.endpoint("west", 0).run("socat", "-u", "OPEN:/dev/null",
                                            f"TCP{version}:{bracketed(address)}:7001")
        assert own.returncode == 0
        seen = len(payments.wait_for(3))
        other = world.endpoint("west", 1).run(
            "socat", "-u", "OPEN:/dev/null",
            f"TCP{version}:{bracketed(address)}:7001,connect-timeout=2", check=False)
        assert other.returncode != 0
        # All of the first connection was seen before; the second must add nothing.
        wait_until(lambda: payments.count() >= seen, 2, "the capture")
        assert len({packet.source_port for packet in payments.packets()
                    if packet.destination_port == 7001}) == 1


def bracketed(address):
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("cluster,version", [
    ("west", 4), ("central", 6), ("east", 4),
    *[pytest.param(*more, marks=pytest.mark.nightly)
      for more in (("west", 6), ("central", 4), ("east", 6))]])
def test_a_host_reaches_no_endpoint(world, cluster, version):
    """Not of its own cluster, not of another; not with a route set on purpose either."""
    node = world.node(cluster)
    with capture(world.endpoint("west"), "any") as west, \
            capture(world.endpoint("east"), "any") as east:
        def echoes():
            return west.count(lambda p: p.is_echo_request) + east.count(lambda p: p.is_echo_request)

        for target in ("west", "east"):
            assert ping(node, world.address(target, version=version), 2, patience=1).received == 0
        assert echoes() == 0
        # The capture sees what does arrive.
        assert reaches(world.endpoint("central"), world.address("east", version=version), 2)
        east.wait_for(2, lambda p: p.is_echo_request)


def test_an_endpoint_reaches_nothing_but_the_slice(world):
    west = world.endpoint("west")
    for address in (world.clusters.address("west"), world.clusters.address("east"), "10.81.1.1"):
        refused = west.run("ping", "-nqc1", "-W1", address, check=False)
        assert "unreachable" in refused.stderr.lower()
    routes = run("ip", "-n", west.full_name, "route").stdout
    assert "default" not in routes


FORGED = {
    # Another of its own cluster, one of another cluster, its gateway, the world, itself and all.
    4: ["10.80.1.77", "10.80.3.9", "10.80.1.1", "192.0.2.9", "10.81.1.2", "10.80.3.1"],
    6: ["fd00:80:0:1::77", "fd00:80:0:3::9", "fd00:80:0:1::1", "2001:db8::9", "fd81:1::2"],
}


@pytest.mark.parametrize("version", [4, 6])
def test_a_spoofed_source_does_not_leave(world, version):
    """An endpoint is root in its namespace and may say what it likes; nothing under another
    address than its own leaves its gateway, and the gateway counts it."""
    west, gateway = world.endpoint("west"), world.gateway("west")
    own, target = (world.address(name, version=version) for name in ("west", "central"))
    before = gateway.status("payments")
    with capture(west, world.interface("west"), f"udp port {PORT}") as here, \
            capture(gateway.router_namespace("payments"), before["interface"]) as leaving, \
            capture(world.endpoint("central"), world.interface("central")) as there:
        west.run(sys.executable, SPOOF, target, 5, *FORGED[version])
        here.wait_for(5 * len(FORGED[version]))
        # Honest ones, sent after them, show that the captures see.
        west.run(sys.executable, SPOOF, target, 3, own)

        def ours(packet):
            return packet.destination_port == PORT

        def datagrams(seen):  # what came together is captured as one packet
            return sum(len(packet.payload) - 8 for packet in seen.packets(ours)) / len(b"not mine")

        for seen in (there, leaving):
            wait_until(lambda: datagrams(seen) >= 3, 10, "what was captured")
            assert datagrams(seen) == 3
            assert {packet.source for packet in seen.packets(ours)} == {own}
    after = gateway.status("payments")
    assert spoofed(after) - spoofed(before) == 5 * len(FORGED[version]), (
        before["drops"], after["drops"])


def test_transfers_go_on_beside_all_this(world):
    tcp_transfer(world.endpoint("west", 1), world.endpoint("central", 1), 1 << 20,
                 world.address("central", 1))
