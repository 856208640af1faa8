"""How an interface comes, goes, and refuses to come: exit codes, words, and nothing left behind."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from ends import BINARY, End, Pair, psk
from lab import wait_until
from lab.vpn import SOCKETS
from traffic import Flow, exchange, exchange_patiently


@pytest.fixture
def space(lab):
    return lab.namespace("space")


def is_gone(space, name):
    return name not in space.interfaces() and not (SOCKETS / f"{name}.sock").exists()


def foreground(space, name, *prefix, env=None):
    space.lab.sockets.append(SOCKETS / f"{name}.sock")
    return space.start(*prefix, BINARY, "wireguard", "-f", name, env=env)


def failed(process, pattern):
    """It has ended with an error and one line that says why."""
    code = process.wait(15)
    said = process.output()
    assert code not in (0, None) and code > 0, (code, said)
    assert re.search(pattern, said, re.IGNORECASE), said
    assert "Fatal error" not in said and "Swift runtime" not in said
    assert len(said.strip().splitlines()) <= 2, said
    return said


# --- going -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(space, number):
    end = End("ours", space, ["10.90.0.1/24"])
    end.process.signal(number)
    assert end.process.wait() == 0
    assert is_gone(space, end.name)


def test_deleting_the_link_ends_it(space):
    end = End("ours", space, ["10.90.0.1/24"])
    space.ip(f"link del {end.name}")
    assert end.process.wait() == 0
    assert is_gone(space, end.name)


def test_removing_the_socket_ends_it(space):
    end = End("ours", space, ["10.90.0.1/24"])
    end.socket.unlink()
    assert end.process.wait() == 0
    assert is_gone(space, end.name)


@pytest.mark.parametrize("how", ["signal", "link", "socket"])
def test_it_ends_under_traffic(lab, how):
    """With a session, traffic from both sides, and configuration requests under way."""
    pair = Pair(lab)
    exchange(*pair.spaces(), pair.inner(1), [64])
    ours = pair.left
    pings = [space.start("ping", "-q", "-f", "-c", "100000", pair.inner(1 - n), label="ping")
             for n, space in enumerate(pair.spaces())]
    wait_until(lambda: int(ours.peer(pair.right.public)["received"]) > 20_000, 10, "traffic")
    if how == "signal":
        ours.process.signal(signal.SIGTERM)
    elif how == "link":
        ours.namespace.ip(f"link del {ours.name}")
    else:
        ours.socket.unlink()
    assert ours.process.wait() == 0
    assert is_gone(ours.namespace, ours.name)
    for ping in pings:
        ping.stop()


def test_down_and_up_again(lab):
    pair = Pair(lab)
    exchange(*pair.spaces(), pair.inner(1), [64])
    left = pair.left
    for _ in range(3):
        left.namespace.ip(f"link set {left.name} down", f"link set {left.name} up")
        assert left.process.is_running
    exchange_patiently(*pair.spaces(), pair.inner(1), [64])


def test_the_underlay_goes_down_and_up(lab):
    pair = Pair(lab, keepalive=1)
    with Flow(*pair.spaces(), pair.inner(1)) as flow:
        flow.goes_on()
        pair.left.namespace.ip("link set eth0 down")
        pair.left.raw("get=1\n\n")
        pair.left.namespace.ip("link set eth0 up")
        flow.goes_on()


def test_after_kill_the_name_can_be_used_again(space):
    end = End("ours", space, ["10.90.0.1/24"])
    end.process.kill()
    wait_until(lambda: end.name not in space.interfaces(), 10, "the kernel to take the device")
    assert end.socket.exists()  # nobody was left to remove it
    again = End("ours", space, ["10.90.0.1/24"], name=end.name)
    again.process.signal(signal.SIGTERM)
    assert again.process.wait() == 0
    assert is_gone(space, end.name)


def test_ends_that_come_and_go_leave_no_descriptors_or_threads(lab):
    """A hundred changes of port and peers, and the process is as large as before."""
    pair = Pair(lab)
    exchange(*pair.spaces(), pair.inner(1), [64])
    ours, theirs = pair.ends
    proc = Path(f"/proc/{ours.process.pid}")

    def count():
        return len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))

    before = count()
    for n in range(100):
        ours.raw(f"set=1\nlisten_port={40_000 + n}\n\n")
        ours.raw(f"set=1\npublic_key={n + 1:064x}\nallowed_ip=10.7.0.{n}/32\n\n")
        ours.raw(f"set=1\npublic_key={n + 1:064x}\nremove=true\n\n")
    exchange_patiently(*pair.spaces(), pair.inner(1), [64])
    wait_until(lambda: count()[0] <= before[0] and count()[1] <= before[1], 10,
               f"no more descriptors and threads than {before}")


# --- the background ----------------------------------------------------------------------------


def test_without_f_it_returns_when_ready(space):
    name = space.lab.interface("wg")
    space.lab.sockets.append(SOCKETS / f"{name}.sock")
    done = space.run(BINARY, "wireguard", name)
    try:
        assert space.run("wg", "show", name).returncode == 0
        assert name in space.interfaces()
        assert done.stdout == ""
    finally:
        space.ip(f"link del {name}")
    wait_until(lambda: is_gone(space, name), 10, "it to go")


def test_without_f_an_error_is_seen(space):
    name = space.lab.interface("wg")
    first = foreground(space, name)
    first.wait_for("waits for wg")
    done = space.run(BINARY, "wireguard", name, check=False, timeout=15)
    assert done.returncode == 1
    assert name in done.stderr and "busy" in done.stderr.lower()
    assert first.is_running


def test_a_link_that_ends_in_wireguard_is_the_drop_in(space):
    link = space.lab.directory / "slice-gateway-wireguard"
    link.symlink_to(BINARY)
    name = space.lab.interface("wg")
    space.lab.sockets.append(SOCKETS / f"{name}.sock")
    space.run(link, name)
    assert space.run("wg", "show", name).returncode == 0
    space.ip(f"link del {name}")
    wait_until(lambda: is_gone(space, name), 10, "it to go")


# --- not coming --------------------------------------------------------------------------------


def test_a_second_one_of_the_same_name(space):
    name = space.lab.interface("wg")
    first = foreground(space, name)
    first.wait_for("waits for wg")
    said = failed(foreground(space, name), "busy|in use")
    assert name in said
    assert space.run("wg", "show", name).returncode == 0 and first.is_running


def test_the_same_name_in_another_namespace(space):
    """The sockets of all namespaces share a directory: the second must not take the first's."""
    name = space.lab.interface("wg")
    first = foreground(space, name)
    first.wait_for("waits for wg")
    other = space.lab.namespace("other")
    failed(foreground(other, name), "another process is listening")
    assert name not in other.interfaces()
    assert space.run("wg", "show", name).returncode == 0 and first.is_running


def test_a_name_that_another_device_has(space):
    name = space.lab.interface("wg")
    space.ip(f"link add {name} type bridge")
    said = failed(foreground(space, name), name)
    assert "exists" in said or "busy" in said.lower()
    assert name in space.interfaces() and not (SOCKETS / f"{name}.sock").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "sixteen-bytes-16", "a:b", "é" * 8])
def test_a_name_that_is_none(space, name):
    before = space.interfaces()
    process = space.start(BINARY, "wireguard", "-f", name)
    assert process.wait(15) > 0
    assert space.interfaces() == before
    assert "Fatal error" not in process.output() and process.output().strip()


def test_no_capability(space):
    name = space.lab.interface("wg")
    said = failed(foreground(space, name, "setpriv", "--bounding-set=-net_admin",
                             "--inh-caps=-net_admin"), "not permitted|EPERM")
    assert "CAP_NET_ADMIN" in said and name in said
    assert is_gone(space, name)


def test_no_tun_device(space):
    name = space.lab.interface("wg")
    hide = "mount -t tmpfs tmpfs /dev/net && exec \"$@\""
    said = failed(foreground(space, name, "unshare", "--mount", "sh", "-c", hide, "sh"),
                  "/dev/net/tun")
    assert "modprobe tun" in said or "give the container" in said
    assert is_gone(space, name)


def test_no_room_for_the_socket(space):
    name = space.lab.interface("wg")
    hide = ("mkdir -p /run/wireguard && mount -t tmpfs -o ro tmpfs /run/wireguard && exec \"$@\"")
    said = failed(foreground(space, name, "unshare", "--mount", "sh", "-c", hide, "sh"),
                  "read-only")
    assert "/wireguard/" in said
    assert name not in space.interfaces()


def test_something_else_in_the_sockets_place(space):
    name = space.lab.interface("wg")
    path = SOCKETS / f"{name}.sock"
    SOCKETS.mkdir(exist_ok=True)
    path.write_text("precious")
    try:
        failed(foreground(space, name), "not a socket")
        assert path.read_text() == "precious"
        assert name not in space.interfaces()
    finally:
        path.unlink()


@pytest.mark.parametrize("words, code", [
    (["wireguard"], 64), (["wireguard", "a", "b"], 64), (["wireguard", "--nonsense", "a"], 64),
    (["nonsense"], 64), (["wireguard", "--help"], 0), (["--version"], 0)])
def test_usage(words, code):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done.stderr
    assert words == ["--version"] or "USAGE" in (done.stderr + done.stdout).upper()


def test_no_ipv6_on_the_host(lab):
    """Where the kernel has IPv6 turned off for a namespace, the tunnel goes over IPv4."""
    pair = Pair(lab)
    space = lab.namespace("four")
    space.sysctl(ipv6__conf__all__disable_ipv6=1)
    other = lab.namespace("other")
    space.veth(other, "eth0", "eth0")
    space.address("eth0", "10.84.0.1/24")
    other.address("eth0", "10.84.0.2/24")
    one, two = End("ours", space, ["10.91.0.1/24"]), End("theirs", other, ["10.91.0.2/24"])
    one.add_peer(two.public, ["10.91.0.2/32"], f"10.84.0.2:{two.port}", routes=False)
    two.add_peer(one.public, ["10.91.0.1/32"], f"10.84.0.1:{one.port}", routes=False)
    exchange(space, other, "10.91.0.2", [64, 1000])
    exchange(*pair.spaces(), pair.inner(1), [64])


def test_secrets_are_not_in_the_logs(lab):
    pair = Pair(lab, psk=psk())
    exchange(*pair.spaces(), pair.inner(1), [64])
    pair.left.raw("set=1\nprivate_key=" + "ab" * 31 + "zz\n\n")
    said = pair.left.process.output()
    assert pair.left.private not in said and pair.psk not in said and "abab" not in said
    assert "private_key" in said  # the refusal names the key


