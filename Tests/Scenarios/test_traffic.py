"""Real packets between attached namespaces, on good and bad wires, checked for content."""

import pytest

from lab import Lab, ThreeClusters, capture, ping, reaches, tcp_transfer, udp_echo
from lab.gateways import SliceWorld

WIRES = {
    0: "delay 2ms",
    1: "delay 2ms jitter 3ms loss 1% reorder 5% by 4ms",
    20: "delay 2ms jitter 3ms loss 20% reorder 10% by 4ms",
}
TCP_BYTES = {0: 8 << 20, 1: 2 << 20, 20: 96 << 10}


@pytest.fixture(params=WIRES, ids=lambda loss: f"{loss}%")
def loss(request, world):
    # The loss of a wire in both directions.
    world.relay.set("*", WIRES[request.param])
    return request.param


@pytest.mark.parametrize("version", [4, 6])
def test_tcp(world, loss, version):
    tcp_transfer(world.endpoint("west"), world.endpoint("east"), TCP_BYTES[loss],
                 world.address("east", version=version), timeout=60)


@pytest.mark.parametrize("version", [4, 6])
def test_udp(world, loss, version):
    result = udp_echo(world.endpoint("central"), world.endpoint("west"),
                      world.address("west", version=version), count=300, size=700,
                      interval=0.001, timeout=1)
    assert result["damaged"] == 0
    arrived = set(result["received"])
    if loss == 0:
        assert len(arrived) == 300 and len(result["received"]) == 300
    else:
        assert 0 < len(arrived) <= 300
    if loss == 20:
        assert len(arrived) < 300
    if loss:
        # The wires reorder, and a slice delivers what comes late but was never seen.
        assert result["received"] != sorted(result["received"])


@pytest.mark.parametrize("version", [4, 6])
def test_icmp(world, loss, version):
    east, address = world.endpoint("east"), world.address("central", version=version)
    if loss == 0:
        assert reaches(east, address, 100)
        return
    result = ping(east, address, 100, interval=0.005, patience=1)
    assert result.duplicates == 0 and 0 < result.received <= 100
    if loss == 20:
        assert result.received < 100


def largest_echo(mtu, version):
    return mtu - (28 if version == 4 else 48)


@pytest.mark.parametrize("version", [4, 6])
def test_mtu_at_the_edge(world, version):
    """The largest packet passes whole, in one packet of the underlay that is not larger than the
    underlay takes; one byte more is refused where it starts."""
    west, address = world.endpoint("west"), world.address("east", version=version)
    mtu = world.reports["west", 0]["mtu"]
    size = largest_echo(mtu, version)
    with capture(world.node("west"), "eth0", "udp") as wire:
        assert reaches(west, address, 3, size=size, dont_fragment=True)
        large = wire.wait_for(3, lambda packet: len(packet.data) > mtu)
    assert not any(packet.is_fragment for packet in large)
    assert max(len(packet.data) for packet in large) <= 1500
    too_large = ping(west, address, 1, size=size + 1, dont_fragment=True, patience=1)
    assert too_large.received == 0
    assert f"mtu={mtu}" in too_large.output.replace("mtu = ", "mtu=").replace("mtu: ", "mtu=")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [3000, 9000, 60000])
def test_fragments(world, version, size):
    west, address = world.endpoint("west"), world.address("east", version=version)
    assert reaches(west, address, 3, size=size)
    result = udp_echo(west, world.endpoint("east"), address, count=5, size=size, interval=0.02)
    assert result["damaged"] == 0 and sorted(result["received"]) == list(range(5))


def test_jumbo_underlay():
    """Where all underlays take 9,000 bytes, the slice's packets are larger too."""
    with Lab() as lab:
        world = SliceWorld(lab, ThreeClusters(lab, "delay 1ms", mtu=9000))
        mtu = world.reports["west", 0]["mtu"]
        assert 8900 <= mtu <= 8940
        west, east = world.endpoint("west"), world.endpoint("east")
        for version in (4, 6):
            address = world.address("east", version=version)
            size = largest_echo(mtu, version)
            assert reaches(west, address, 3, size=size, dont_fragment=True)
            tcp_transfer(west, east, 8 << 20, address)


def test_every_pair_at_once(world):
    """Six transfers that cross each other, every one whole."""
    from concurrent.futures import ThreadPoolExecutor
    names = ("west", "central", "east")
    pairs = [(a, b) for a in names for b in names if a != b]
    with ThreadPoolExecutor(len(pairs)) as pool:
        list(pool.map(lambda pair: tcp_transfer(
            world.endpoint(pair[0]), world.endpoint(pair[1]), 2 << 20,
            world.address(pair[1], version=4 + 2 * (pair[0] == "west")), timeout=60,
            seed="-".join(pair)), pairs))
