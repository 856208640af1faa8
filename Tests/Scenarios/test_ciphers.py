"""The second suite: what the manifest says of `cipher` is what gateways do, and nothing less."""

import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import AGENTS, ThreeClusters, capture, ping, reaches, run, tcp_transfer, wait_until
from lab.gateways import Slice, SliceWorld, slicectl
from lab.traffic import server

AES = "aes-256-gcm"
REFUSED = "handshakeOtherSuite"


def has_aes():
    """AES of libsodium wants both."""
    with open("/proc/cpuinfo") as file:
        flags = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    return flags is not None and {"aes", "pclmulqdq"} <= set(flags[1].split())


needs_aes = pytest.mark.skipif(not has_aes(), reason="this CPU has no AES instructions")


class CipherSlice(Slice):
    """A slice in whose manifest the gateways of `aes` have the cipher. A cluster of `own` reads
    a manifest of its own."""

    def __init__(self, world, aes=(), own=None, **options):
        self.aes = tuple(aes)
        self.own = {}
        super().__init__(world, **options)
        for number, (cluster, its) in enumerate((own or {}).items(), 2):
            self.own[cluster] = self.newer(number, its)

    def text(self, version=1, **changes):
        text = super().text(version, **changes)
        for cluster in self.aes:
            key = f"          publicKey: {self.publics[cluster]}\n"
            assert text.count(key) == 1
            text = text.replace(key, f"{key}          cipher: {AES}\n")
        return text

    def newer(self, version, aes):
        """A signed manifest in a file beside the first."""
        path = self.directory / f"version-{version}.yaml"
        before, self.aes = self.aes, tuple(aes)
        path.write_text(self.text(version))
        self.aes = before
        self.sign(path)
        return path

    def config_entry(self, cluster, manifest=None, **more):
        return super().config_entry(cluster, manifest or self.own.get(cluster), **more)


def make_world(lab, clusters, conditions="delay 1ms", aes=(), own=None, **options):
    world = ThreeClusters(lab, conditions, clusters=clusters)
    return SliceWorld(lab, world, [CipherSlice(world, aes, own)], **options)


def ciphers(world, cluster):
    """What a gateway says it uses with each peer; None is WireGuard's own."""
    return {peer["cluster"]: peer.get("cipher")
            for peer in world.gateway(cluster).status("payments")["peers"]}


def refusals(world, cluster):
    return world.gateway(cluster).status("payments")["drops"].get(REFUSED, 0)


def exchange(world, count=4 << 20):
    """Everybody sends to everybody else at once: all that was sent arrives, as it was."""
    clusters = world.clusters.clusters
    pairs = [(source, target) for source in clusters for target in clusters if source != target]

    def transfer(pair):
        n, (source, target) = pair
        return tcp_transfer(world.endpoint(source), world.endpoint(target), count,
                            world.address(target, version=6 if n % 2 else 4), timeout=60, seed=n)

    with ThreadPoolExecutor(len(pairs)) as pool:
        list(pool.map(transfer, enumerate(pairs)))
    for source, target in pairs:
        for version in (4, 6):
            assert reaches(world.endpoint(source), world.address(target, version=version), 20)


@needs_aes
def test_two_with_aes_and_a_third_without(lab):
    world = make_world(lab, ("west", "central", "east"), aes=("west", "east"))
    assert ciphers(world, "west") == {"central": None, "east": AES}
    assert ciphers(world, "east") == {"central": None, "west": AES}
    assert ciphers(world, "central") == {"west": None, "east": None}
    manifest = world.slices[0].manifest
    seen = slicectl("slice", "show", manifest, "--cluster", "west").stdout
    assert re.search(r"AES-256-GCM +with east$", seen, re.MULTILINE), seen
    assert "AES-256-GCM" not in slicectl("slice", "show", manifest, "--cluster", "central").stdout
    exchange(world)
    for cluster in world.clusters.clusters:
        status = world.gateway(cluster).status("payments")
        assert status["state"] == "up" and status["problems"] == [], status
        assert refusals(world, cluster) == 0
        for peer in status["peers"]:
            # Bulk in both directions, so that each session carried what it is said to have.
            assert min(peer["traffic"]["receivedBytes"],
                       peer["traffic"]["transmittedBytes"]) > 4 << 20


@needs_aes
@pytest.mark.parametrize("newer", ["aes", "chacha"])
def test_ends_that_disagree_exchange_nothing_until_they_agree(lab, newer):
    """West has the first manifest and east the second: one of them wants AES between both."""
    both = ("west", "east")
    first, second = ((), both) if newer == "aes" else (both, ())
    world = make_world(lab, both, aes=first, own={"east": second}, join=False,
                       settings={"logLevel": "trace"})
    west, east = world.endpoint("west"), world.endpoint("east")
    with capture(world.node("west"), "eth0", "udp port 51820") as wire:
        for source, target, other in ((west, "east", "west"), (east, "west", "east")):
            before = refusals(world, target)
            for version in (4, 6):
                address = world.address(target, version=version)
                assert ping(source, address, 3, patience=1).received == 0
            # The one that is asked counts, and names the sender and the reason.
            wait_until(lambda: refusals(world, target) > before, 15,
                       f"{target} to count what it refused")
            asked = world.gateway(target)
            asked.process.wait_for(
                rf"refused a handshake message from {world.clusters.address(other)}:51820: "
                "otherSuite")
            human = asked.ctl("status", "payments").stdout
            assert re.search(r"dropped: .*\d+ handshake other suite", human), human
            assert re.search(rf"no session with {other}: .* does not answer", human), human
        wire.wait_for(2, lambda packet: packet.payload[8:9] == b"\x01")
        # Neither answers, and there is no session whose messages could be seen.
        kinds = {packet.payload[8] for packet in wire.packets()}
    assert kinds == {1}, kinds
    for cluster in both:
        status = world.gateway(cluster).status("payments")
        assert status["manifestVersion"] == (1 if cluster == "west" else 2)
        assert not any(peer["hasSession"] for peer in status["peers"])
        assert all(peer["traffic"]["receivedPackets"] == 0 for peer in status["peers"])
    pids = {cluster: world.gateway(cluster).status()["daemon"]["processID"] for cluster in both}
    applied = world.gateway("west").ask("slice", "apply", world.slices[0].own["east"])
    assert applied["changed"] is True
    world.wait_until_joined()
    for cluster, other in (both, both[::-1]):
        assert ciphers(world, cluster) == {other: AES if newer == "aes" else None}
        gateway = world.gateway(cluster)
        assert gateway.status()["daemon"]["processID"] == pids[cluster]
    settled = {cluster: refusals(world, cluster) for cluster in both}
    exchange(world)
    assert settled == {cluster: refusals(world, cluster) for cluster in both}


def handshake_ages(world):
    return [peer.get("handshakeAgeSeconds") or 0 for cluster in world.clusters.clusters
            for peer in world.gateway(cluster).status("payments")["peers"]]


@needs_aes
def test_a_change_of_cipher_passes_by_itself_and_breaks_nothing(lab):
    """One gateway is given the manifest that wants AES, and then the one that does not; the other
    has it from there. A connection that was open meanwhile loses no byte."""
    world = make_world(lab, ("west", "east"), conditions="delay 2ms rate 10mbit")
    gateways = [world.gateway(cluster) for cluster in ("west", "east")]
    address = world.address("east")
    west, east = world.endpoint("west"), world.endpoint("east")

    def change(version, aes):
        # Nobody begins a handshake within 5 s (RekeyTimeout) of the one before.
        wait_until(lambda: min(handshake_ages(world)) > 6, 30, "the handshake to be old")
        began = time.monotonic()
        world.gateway("west").ctl("slice", "apply", world.slices[0].newer(version, aes))
        wait_until(lambda: all(one.status("payments")["manifestVersion"] == version
                               for one in gateways), 20, "both to have it")
        wanted = AES if version == 2 else None
        assert ciphers(world, "west") == {"east": wanted}
        assert ciphers(world, "east") == {"west": wanted}
        # A session under the other suite, made since.
        wait_until(lambda: max(handshake_ages(world)) < time.monotonic() - began, 20,
                   "both ends to have made another session")

    with server(east, "tcp_server", address) as port, \
            capture(east, world.interface("east"), f"tcp port {port}") as seen:
        client = west.start(sys.executable, AGENTS, "tcp_client", address, "--port", port,
                            "--bytes", 36 << 20, "--timeout", 80, label="transfer")
        seen.wait_for(200)
        change(2, ("west", "east"))
        change(3, ("west",))
        assert client.is_running, "the transfer was too short to see the changes"
        assert client.wait(60) == 0
        assert '"matches": true' in client.output()
    assert reaches(west, address, 5)


NO_AES = "int crypto_aead_aes256gcm_is_available(void) { return 0; }\n"


def replace(slice, version, aes):
    """Another manifest under the name that gateway.conf has."""
    slice.aes = aes
    slice.write_manifest(version)
    slice.sign()


@needs_aes
def test_a_cpu_without_aes_refuses_and_says_what_to_do(lab):
    """West's libsodium is made to say that there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    source = lab.directory / "no_aes.c"
    source.write_text(NO_AES)
    library = lab.directory / "no_aes.so"
    run(compiler, "-shared", "-fPIC", source, "-o", library)
    world = make_world(lab, ("west", "east"))
    slice, west = world.slices[0], world.gateway("west")
    with_aes = slice.newer(2, ("west", "east"))
    west.stop()
    west.launch(env={"LD_PRELOAD": str(library)})
    west.wait_until_ready()
    world.wait_until_joined()
    assert "no AES instructions for `cipher`" in west.ctl("doctor", check=False).stdout
    refused = west.ctl("slice", "apply", with_aes, check=False)
    assert refused.returncode != 0
    for word in (AES, "between west and east", "no AES instructions",
                 "take `cipher` away from this cluster's gateway"):
        assert word in refused.stderr, refused.stderr
    # What was in force still is, and works.
    assert west.status("payments")["manifestVersion"] == 1
    assert reaches(world.endpoint("west"), world.address("east"), 3)
    # Started with it, the slice stays down for the same reason, until a manifest leaves it out.
    west.stop()
    replace(slice, 2, ("west", "east"))
    west.launch(env={"LD_PRELOAD": str(library)})
    west.wait_until_ready()
    down, = west.status()["slices"]
    said = " ".join(down["problems"])
    assert down["state"] == "down", down
    assert "no AES instructions" in said and "take `cipher` away" in said, said
    assert ping(world.endpoint("west"), world.address("east"), 2, patience=1).received == 0
    # The file is looked at again, and east hears of it from there.
    replace(slice, 3, ("east",))
    wait_until(lambda: west.status()["slices"][0]["state"] != "down", 20, "the slice to start")
    world.wait_until_joined()
    assert ciphers(world, "west") == {"east": None}
    wait_until(lambda: world.gateway("east").status("payments")["manifestVersion"] == 3, 20,
               "east to have it too")
    exchange(world, 1 << 20)
