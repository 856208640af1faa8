"""Things that are wrong on a host, in a file or on the wire: the error names the thing and says
what to do, nothing is half-applied, and nothing is lost."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab import AGENTS, ThreeClusters, ping, run, wait_until
from lab.core import NETNS
from lab.gateways import Gateway, Slice, SliceWorld

GARBAGE = Path(__file__).with_name("garbage_peer.py")
SLICE = "payments"


@pytest.fixture
def pair(lab):
    """Two clusters and a slice for them; no gateway runs yet."""
    world = ThreeClusters(lab, "delay 1ms", clusters=("west", "east"))
    return world, Slice(world)


def router_namespaces(gateway):
    return sorted(path.name for path in NETNS.glob(gateway.namespace_prefix + "*"))


def refused_start(gateway, status, *words, before=()):
    """The daemon ends by itself, with this status and these words; no trace is left."""
    process = gateway.launch(before=before)
    assert process.wait(20) == status, process.output()
    said = process.output()
    for word in words:
        assert str(word) in said, said
    assert "Fatal" not in said and "Backtrace" not in said, said
    assert router_namespaces(gateway) == []
    assert not gateway.socket.exists() or before
    return said


def problems(gateway, name=SLICE):
    report = gateway.status()
    return "\n".join(text for one in report["slices"] for text in one["problems"])


def is_down(gateway, *words):
    """The daemon runs, the slice does not, and says why."""
    gateway.start()
    said = wait_until(lambda: problems(gateway), 10, "the slice to say what is wrong")
    for word in words:
        assert str(word) in said, said
    assert gateway.status()["slices"][0]["state"] == "down"
    assert router_namespaces(gateway) == []
    return said


def comes_up(gateway, other=None):
    gateway.ctl("reload")
    wait_until(lambda: gateway.status()["slices"][0]["state"] != "down", 20,
               "the slice to come up after it was mended")
    assert len(router_namespaces(gateway)) == 1


# --- the host ----------------------------------------------------------------------------------


def test_no_tun_device(pair):
    gateway = Gateway(pair[0], "west", [pair[1]])
    empty = gateway.directory / "empty"
    empty.mkdir()
    # In a mount namespace of its own, where the device's directory is empty.
    before = ["unshare", "--mount", "sh", "-c", f'mount --bind {empty} /dev/net && exec "$@"', "-"]
    refused_start(gateway, 1, "/dev/net/tun", "modprobe tun", before=before)


@pytest.mark.parametrize("capability", ["net_admin", "sys_admin"])
def test_no_capability(pair, capability):
    gateway = Gateway(pair[0], "west", [pair[1]])
    before = ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"]
    refused_start(gateway, 1, f"CAP_{capability.upper()}", "root", before=before)


def test_two_daemons_on_one_state_directory(pair):
    world, slice = pair
    first = Gateway(world, "west", [slice]).start()
    second = Gateway(world, "west", [slice], name="again",
                     settings={"stateDirectory": str(first.state)})
    refused_start(second, 1, first.state, str(first.process.pid), "stateDirectory")
    assert first.status(SLICE)["state"] != "down"


def test_two_daemons_on_one_admin_socket(pair):
    world, slice = pair
    first = Gateway(world, "west", [slice]).start()
    second = Gateway(world, "west", [], name="again", settings={"adminSocket": str(first.socket)})
    process = second.launch()
    assert process.wait(20) == 1
    assert str(first.socket) in process.output()
    assert first.status(SLICE)["state"] != "down"


def test_the_admin_socket_is_for_root_only(pair):
    gateway = Gateway(pair[0], "west").start()
    assert gateway.socket.stat().st_mode & 0o077 == 0
    assert gateway.state.stat().st_mode & 0o077 == 0


def test_the_port_is_in_use(pair):
    world, slice = pair
    holder = world.node("west").start(
        sys.executable, AGENTS, "udp_server", "0.0.0.0", "--port", slice.port)
    holder.wait_for("^ready")
    gateway = Gateway(world, "west", [slice])
    gateway.start()
    said = wait_until(lambda: problems(gateway), 10, "the slice to say what is wrong")
    assert str(slice.port) in said and "in use" in said, said
    assert gateway.status()["slices"][0]["state"] == "down"
    holder.stop()
    comes_up(gateway)


# --- files -------------------------------------------------------------------------------------


def test_a_key_file_that_others_can_read(pair):
    world, slice = pair
    key = slice.key_file("west")
    key.chmod(0o644)
    gateway = Gateway(world, "west", [slice])
    is_down(gateway, key, f"chmod 600 {key}")
    key.chmod(0o600)
    comes_up(gateway)


def test_a_key_file_that_is_not_there(pair):
    world, slice = pair
    key = slice.key_file("west")
    kept = key.rename(key.with_suffix(".away"))
    gateway = Gateway(world, "west", [slice])
    is_down(gateway, key)
    kept.rename(key)
    comes_up(gateway)


def test_a_key_file_with_nonsense(pair):
    world, slice = pair
    key = slice.key_file("west")
    text = key.read_text()
    key.write_text("not a key\n")
    gateway = Gateway(world, "west", [slice])
    said = is_down(gateway, key)
    assert "not a key" not in said  # it may be most of one
    key.write_text(text)
    comes_up(gateway)


def test_the_key_of_another_gateway(pair):
    world, slice = pair
    gateway = Gateway(world, "west", [slice.config_entry("west") | {
        "privateKeyFile": str(slice.key_file("east"))}])
    is_down(gateway, "west")


def test_a_tampered_manifest(pair):
    world, slice = pair
    text = slice.manifest.read_text()
    slice.manifest.write_text(text.replace("10.80.2.0/24", "10.80.7.0/24"))
    gateway = Gateway(world, "west", [slice])
    said = is_down(gateway, slice.manifest)
    assert "sign" in said, said
    slice.manifest.write_text(text)
    comes_up(gateway)


def test_a_tampered_manifest_is_not_applied(pair):
    world, slice = pair
    gateway = Gateway(world, "west", [slice]).start()
    forged = slice.directory / "forged.yaml"
    forged.write_text(slice.manifest.read_text().replace("version: 1", "version: 9"))
    refused = gateway.ctl("slice", "apply", forged, check=False)
    assert refused.returncode == 1 and "sign" in refused.stderr, refused.stderr
    assert gateway.status(SLICE)["manifestVersion"] == 1


def test_another_owners_manifest(pair):
    world, slice = pair
    stranger = slice.directory / "stranger.key"
    slice.make_key(stranger, owner=True)
    slice.ctl("slice", "sign", slice.manifest, "--key", stranger)
    is_down(Gateway(world, "west", [slice]), slice.manifest)


@pytest.mark.parametrize("change,words", [
    (("10.80.2.0/24", "10.80.1.128/25"), ["10.80.1.128/25", "overlap"]),
    (("  isolation: open", "  isolation: shut"), ["isolation", "open"]),
    (("  isolation: open", "  isolation: open\n  colour: red"), ["colour"]),
    (("region-2", "Region 2"), ["region"]),
    (("10.80.2.0/24", "10.99.2.0/24"), ["10.99.2.0/24"]),
])
def test_a_manifest_that_is_wrong_is_not_signed(pair, change, words):
    slice = pair[1]
    slice.write_manifest(version=2)
    text = slice.manifest.read_text()
    assert change[0] in text
    slice.manifest.write_text(text.replace(*change))
    refused = slice.ctl("slice", "sign", slice.manifest, "--key", slice.owner_file, check=False)
    assert refused.returncode == 2, refused.stderr
    # FILE:LINE:COLUMN, as compilers have it.
    assert any(line.startswith(f"{slice.manifest}:") and line.split(":")[1].isdigit()
               for line in refused.stderr.splitlines()), refused.stderr
    for word in words:
        assert word in refused.stderr, refused.stderr


def test_all_problems_of_a_configuration_at_once(pair):
    gateway = Gateway(pair[0], "west", [pair[1]])
    gateway.config.write_text(
        "cluster: West Side\nstateDirectory: relative/path\ncolour: red\nlimits:\n"
        "  maxSlices: 0\nslices: []\n")
    said = refused_start(gateway, 2, "colour", "stateDirectory", "maxSlices", "cluster")
    for line in (1, 2, 3, 5):
        assert f"{gateway.config}:{line}:" in said, said


def test_a_configuration_that_is_not_there(pair):
    gateway = Gateway(pair[0], "west")
    gateway.config.unlink()
    refused_start(gateway, 2, gateway.config)


def test_a_bad_reload_changes_nothing(pair):
    world, slice = pair
    gateway = Gateway(world, "west", [slice]).start()
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace('"slices"', '"slice"'))
    refused = gateway.ctl("reload", check=False)
    assert refused.returncode != 0 and "slice" in refused.stderr, refused.stderr
    assert gateway.status(SLICE)["state"] != "down"
    assert len(router_namespaces(gateway)) == 1


@pytest.mark.parametrize("content", [
    b"{", *[pytest.param(more, marks=pytest.mark.nightly) for more in (b"[]", b"\xff\xfe", b"")]])
@pytest.mark.parametrize("name", ["leases.json", "attachments.json", "manifest.yaml",
                                  "source.json"])
def test_a_damaged_state_file_is_named(pair, name, content):
    """The gateway says which file, keeps it, and goes on with its other work."""
    world, slice = pair
    gateway = Gateway(world, "west", [slice]).start()
    gateway.attach(slice, world.endpoint("west"), "b")
    gateway.stop()
    path = gateway.state / "slices" / SLICE / name
    path.write_bytes(content)
    gateway.start()
    assert gateway.process.is_running
    if content != b"[]" or name in ("manifest.yaml", "leases.json"):
        said = problems(gateway) + gateway.process.output()
        assert name in said or gateway.status()["slices"][0]["state"] != "down", said


# --- slicectl against a daemon -----------------------------------------------------------------


def test_commands_that_cannot_be(pair, lab):
    world, slice = pair
    gateway = Gateway(world, "west", [slice]).start()
    endpoint = world.endpoint("west").full_name
    for status, words, said in [
            (4, ["attach", "nowhere", "kafka/b", "--netns", endpoint], "slice"),
            (4, ["attach", SLICE, "kafka/b", "--netns", "no-such-netns"], "no-such-netns"),
            (4, ["attach", SLICE, "kafka/b", "--path", "/run/netns/nope"], "/run/netns/nope"),
            (2, ["attach", SLICE, "kafka", "--netns", endpoint], "namespace/name"),
            (2, ["attach", SLICE, "kafka/b"], "--netns")]:
        done = gateway.ctl(*words, check=False)
        assert done.returncode == status, (words, done.returncode, done.stderr)
        assert said in done.stderr.lower(), done.stderr
    # A plain file is not a network namespace; nor is the node's own namespace an endpoint.
    plain = lab.directory / "plain"
    plain.touch()
    assert gateway.ctl("attach", SLICE, "kafka/b", "--path", plain, check=False).returncode != 0
    assert gateway.status(SLICE)["endpoints"] == []
    assert world.endpoint("west").interfaces() == ["lo"]


def test_an_endpoint_that_has_the_slices_addresses_already(pair):
    world, slice = pair
    gateway = Gateway(world, "west", [slice]).start()
    endpoint = world.endpoint("west")
    endpoint.address("lo", "10.80.9.9/32")
    done = gateway.ctl("attach", SLICE, "kafka/b", "--netns", endpoint.full_name, check=False)
    assert done.returncode in (1, 5) and "10.80.9.9" in done.stderr, done.stderr
    assert endpoint.interfaces() == ["lo"]
    endpoint.ip("address del 10.80.9.9/32 dev lo")
    assert gateway.attach(slice, endpoint, "b")["changed"] is True


def test_without_a_daemon(pair):
    gateway = Gateway(pair[0], "west")
    done = gateway.ctl("status", check=False)
    assert done.returncode == 3 and str(gateway.socket) in done.stderr


def test_rubbish_on_the_admin_socket(pair):
    gateway = Gateway(pair[0], "west", [pair[1]]).start()
    for rubbish in (b"\0" * 4096, b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/manifests HTTP/1.1\r\n"
                    b"Content-Length: 99999999999\r\n\r\n", b"\r\n" * 1000):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(10)
            one.connect(str(gateway.socket))
            one.sendall(rubbish)
            one.shutdown(socket.SHUT_WR)
            try:
                while one.recv(4096):
                    pass
            except (TimeoutError, ConnectionResetError):
                pass
    assert gateway.status(SLICE)["state"] != "down"


# --- the wire ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_a_peer_that_answers_garbage(lab, version):
    world = ThreeClusters(lab, "delay 1ms", clusters=("west", "east"))
    slice = Slice(world, versions=(version,))
    liar = world.node("east").start(
        sys.executable, GARBAGE, world.address("east", version=version), slice.port)
    liar.wait_for("^ready")
    west = Gateway(world, "west", [slice]).start()
    west.attach(slice, world.endpoint("west"), "b")
    # Something to say makes it shake hands; what comes back makes no sense.
    ping(world.endpoint("west"), "10.80.2.1", 3, patience=1)
    liar.wait_for("^answered [1-9]")
    ping(world.endpoint("west"), "10.80.2.1", 2, patience=1)
    [peer] = west.status(SLICE)["peers"]
    assert not peer["hasSession"]
    assert west.process.is_running
    liar.stop()
    # The same address, and honest now.
    east = Gateway(world, "east", [slice]).start()
    east.attach(slice, world.endpoint("east"), "b")
    wait_until(lambda: ping(world.endpoint("west"), "10.80.2.2", 1, patience=1).received, 30,
               "a session with the honest peer")
