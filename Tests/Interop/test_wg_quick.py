"""wg-quick(8) with ours as its userspace implementation."""

import pytest

from ends import BINARY, Pair
from lab import wait_until, wireguard_keys
from lab.vpn import SOCKETS
from traffic import exchange, transfer


class Quick:
    """A configuration file for wg-quick, in a namespace."""

    def __init__(self, space, text):
        self.space = space
        self.name = space.lab.interface("wq")
        self.link = space.lab.directory / "slice-gateway-wireguard"
        if not self.link.exists():
            self.link.symlink_to(BINARY)
        self.file = space.lab.directory / f"{self.name}.conf"
        self.file.touch(mode=0o600)
        self.file.write_text(text)
        space.lab.sockets.append(SOCKETS / f"{self.name}.sock")

    def say(self, word, check=True):
        return self.space.run("wg-quick", word, self.file, check=check, timeout=30,
                              env={"WG_QUICK_USERSPACE_IMPLEMENTATION": str(self.link)})

    def is_gone(self):
        return self.name not in self.space.interfaces() \
            and not (SOCKETS / f"{self.name}.sock").exists()

    def __enter__(self):
        self.up = self.say("up")
        return self

    def __exit__(self, *error):
        if self.name in self.space.interfaces():
            self.space.ip(f"link del {self.name}")


@pytest.fixture
def place(lab):
    """A pair whose left end is taken away, for wg-quick to stand in its place."""
    pair = Pair(lab, ("theirs", "theirs"))
    private, public = wireguard_keys()
    pair.left.stop()
    pair.right.add_peer(public, ["10.90.0.1/32", "10.95.0.0/24", "fd90::1/128"], routes=True)
    pair.text = (
        f"[Interface]\nPrivateKey = {private}\nListenPort = 51830\n"
        "Address = 10.90.0.1/24, fd90::1/64\n%s\n"
        f"[Peer]\nPublicKey = {pair.right.public}\nEndpoint = {pair.endpoint(1)}\n"
        "AllowedIPs = %s\nPersistentKeepalive = 25\n")
    return pair


def test_up_and_down(place):
    space, other = place.spaces()
    before = space.run("ip", "-j", "route").stdout, space.run("ip", "-6", "-j", "route").stdout
    with Quick(space, place.text % ("MTU = 1400", "10.90.0.2/32, fd90::2/128, 10.96.0.0/16")) as wq:
        assert "[!] Missing WireGuard kernel module" in wq.up.stderr
        for version in (4, 6):
            exchange(space, other, place.inner(1, version), [0, 64, 1352, 5000])
            transfer(space, other, place.inner(1, version), 1_000_000)
            transfer(other, space, place.inner(0, version), 1_000_000)
        assert "mtu 1400" in space.run("ip", "link", "show", wq.name).stdout
        assert wq.name in space.run("ip", "route", "get", "10.96.1.1").stdout
        assert space.run("wg", "show", wq.name, "listen-port").stdout == "51830\n"
        assert "already exists" in wq.say("up", check=False).stderr
        exchange(space, other, place.inner(1), [64])
        saved = wq.say("strip").stdout
        (space.lab.directory / "stripped").write_text(saved)
        space.run("wg", "syncconf", wq.name, space.lab.directory / "stripped")
        exchange(space, other, place.inner(1), [64])
        wq.say("down")
        wait_until(wq.is_gone, 10, "the interface and its socket to go")
        assert wq.say("down", check=False).returncode != 0
    after = space.run("ip", "-j", "route").stdout, space.run("ip", "-6", "-j", "route").stdout
    assert before == after


def test_up_and_down_again_and_again(place):
    space, other = place.spaces()
    for _ in range(3):
        with Quick(space, place.text % ("", "10.90.0.2/32")) as wq:
            exchange(space, other, place.inner(1), [64, 1000])
            wq.say("down")
            wait_until(wq.is_gone, 10, "the interface and its socket to go")


def test_a_default_route_and_its_mark(place):
    """AllowedIPs 0.0.0.0/0: wg-quick sets a mark, so that the tunnel's own packets, which are in
    0.0.0.0/0 too, stay outside."""
    space, other = place.spaces()
    other.address("lo", "10.97.0.1/32")
    with Quick(space, place.text % ("", "0.0.0.0/0, ::/0")) as wq:
        mark = space.run("wg", "show", wq.name, "fwmark").stdout.strip()
        assert mark not in ("off", "")
        exchange(space, other, "10.97.0.1", [64, 1000])
        transfer(space, other, "10.97.0.1", 500_000)
        wq.say("down")
        wait_until(wq.is_gone, 10, "the interface and its socket to go")
    assert "suppress_prefixlength" not in space.run("ip", "rule").stdout


def test_save(place):
    space, other = place.spaces()
    with Quick(space, place.text % ("SaveConfig = false", "10.90.0.2/32")) as wq:
        exchange(space, other, place.inner(1), [64])
        third = wireguard_keys()[1]
        space.run("wg", "set", wq.name, "peer", third, "allowed-ips", "10.99.0.0/16")
        wq.say("save")
        text = wq.file.read_text()
        assert third in text and "10.99.0.0/16" in text and "ListenPort = 51830" in text
        wq.say("down")
        wait_until(wq.is_gone, 10, "the interface and its socket to go")


def test_a_bad_configuration_leaves_nothing(place):
    space, _ = place.spaces()
    wq = Quick(space, place.text % ("", "10.90.0.2/33"))
    assert wq.say("up", check=False).returncode != 0
    wait_until(wq.is_gone, 10, "the interface and its socket to go")


def test_hooks_see_the_interface(place):
    space, _ = place.spaces()
    mark = space.lab.directory / "hook"
    with Quick(space, place.text % (f"PostUp = wg show %i > {mark}", "10.90.0.2/32")) as wq:
        assert wq.name in mark.read_text()
