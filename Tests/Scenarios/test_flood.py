"""Bogus handshakes and garbage at a gateway while a transfer runs."""

import sys
from pathlib import Path

import pytest

from lab import capture, ping, reaches, tcp_transfer, wait_until

FLOOD = Path(__file__).with_name("flood.py")
SECONDS = 3


@pytest.mark.parametrize("kind,version", [
    ("mac1", 4), ("garbage", 6), ("random", 4),
    *[pytest.param(*more, marks=pytest.mark.nightly)
      for more in (("mac1", 6), ("garbage", 4), ("random", 6))]])
def test_a_transfer_lives_through_a_flood(world, kind, version):
    gateway = world.gateway("west")
    status = gateway.status("payments")
    target = world.clusters.address("west", version=version)
    with capture(world.node("west"), "eth0", f"udp and src port {status['listenPort']}") as wire:
        flood = world.node("central").start(
            sys.executable, FLOOD, target, status["listenPort"], status["publicKey"], kind, SECONDS)
        flood.wait_for("^ready")
        for n in range(2):
            tcp_transfer(world.endpoint("east"), world.endpoint("west"), 2 << 20,
                         world.address("west", version=version), timeout=60, seed=str(n))
        assert flood.wait(60) == 0
        sent = int(flood.wait_for(r"^sent (\d+)")[1])
        assert sent > 1000
        answers = [packet for packet in wire.packets() if packet.destination == (
            world.clusters.address("central", version=version))]
    # Cookie replies are 64 bytes of type 3 (paper 5.4.7), and only who has the key's MAC gets one.
    cookies = [packet for packet in answers if packet.payload[8:12] == b"\x03\0\0\0"
               and len(packet.payload) == 72]
    responses = [packet for packet in answers if packet.payload[8:12] == b"\x02\0\0\0"]
    assert responses == []
    if kind == "mac1":
        assert cookies
        assert len(cookies) < sent
    elif kind == "random":
        assert cookies == []
    assert gateway.process.is_running
    assert reaches(world.endpoint("west"), world.address("central"), 3)


def test_handshakes_work_under_a_flood(world):
    """A restarted gateway finds its peers again while its peer is under load: it proves its
    address with the cookie."""
    west, central = world.gateway("west"), world.gateway("central")
    status = west.status("payments")
    flood = world.node("east").start(
        sys.executable, FLOOD, world.clusters.address("west"), status["listenPort"],
        status["publicKey"], "mac1", 60)
    try:
        flood.wait_for("^ready")
        central.restart()
        wait_until(lambda: ping(world.endpoint("central"), world.address("west"), 1,
                                patience=1).received, 40, "a handshake to get through")
    finally:
        flood.stop()
