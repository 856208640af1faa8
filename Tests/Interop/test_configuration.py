"""The configuration socket: stock `wg`, and requests that `wg` would never make. Each request goes
to ours and to wireguard-go, which should answer alike."""

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from ends import End, hexadecimal, psk
from lab import Lab, LabError, wait_until, wireguard_keys

KEY, PEER, OTHER = "c8" + "cc" * 30 + "4c", "11" * 32, "22" * 32
RESET = f"set=1\nprivate_key={KEY}\nreplace_peers=true\nfwmark=0\nlisten_port=51820\n\n"


@pytest.fixture(scope="module")
def both():
    with Lab() as lab:
        yield tuple(End(kind, lab.namespace(kind)) for kind in ("ours", "theirs"))


@pytest.fixture
def fresh(both):
    for end in both:
        assert end.errno(RESET) == 0
    return both


def device(key, value):
    return f"set=1\n{key}={value}\n\n"


def peer(*lines):
    return "\n".join(["set=1", f"public_key={PEER}", *lines, "\n"])


NUMBERS = ["0", "1", "65535", "65536", "4294967295", "4294967296", "-1", "", "x", "+5", "1 ", " 1",
           "0x", "007", "2.5", "99999999999999999999999"]
KEYS = ["", "zz" * 32, "a" * 63, "a" * 65, "A" * 64, "0" * 64, "0x" + "a" * 62, "a" * 63 + " "]
ENDPOINTS = ["1.2.3.4:5", "[fd00::1]:5", "1.2.3.4:0", "1.2.3.4:65535", "1.2.3.4:65536", "1.2.3.4:",
             "1.2.3.4:-1", "1.2.3.4", ":5", "", "fd00::1:5", "[fd00::1]", "[fd00::1]:",
             "[1.2.3.4]:5", "localhost:5", "1.2.3:5", "256.1.1.1:5", " 1.2.3.4:5",
             "[fe80::1%nosuch]:5", "[fd00:::1]:5", "[fd00::1:5"]
PREFIXES = ["1.2.3.4/32", "1.2.3.4/24", "0.0.0.0/0", "::/0", "fd00::1/64", "fd00::1/128",
            "::ffff:1.2.3.4/128", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/", "/24", "/", "",
            "1.2.3/24", "fd00::/129", "fe80::1%lo/64", "1.2.3.4/024", "1.2.3.4/x", "1.2.3.4/24 "]
FLAGS = ["true", "false", "1", "", "TRUE"]

REQUESTS = [
    "get=1\n\n", "set=1\n\n", "get=1\nprivate_key=\n\n", "set=1\nprivate_key\n\n", "set=1\n=\n\n",
    *[device("private_key", value) for value in KEYS],
    *[device("listen_port", value) for value in NUMBERS if value not in ("0", "1")],
    *[device("fwmark", value) for value in NUMBERS],
    *[device("replace_peers", value) for value in FLAGS],
    *[device("public_key", value) for value in KEYS],
    *[device(*line.split("=")) for line in (
        "remove=true", "update_only=true", f"preshared_key={KEY}", "endpoint=1.2.3.4:5",
        "persistent_keepalive_interval=1", "replace_allowed_ips=true", "allowed_ip=1.2.3.4/32",
        "protocol_version=1", "errno=0", "last_handshake_time_sec=1", "tx_bytes=1", "nonsense=1",
        "Private_key=1", "=1")],
    *[peer(f"remove={value}") for value in FLAGS],
    *[peer(f"update_only={value}") for value in FLAGS],
    *[peer(f"preshared_key={value}") for value in KEYS],
    *[peer(f"endpoint={value}") for value in ENDPOINTS],
    *[peer(f"persistent_keepalive_interval={value}") for value in NUMBERS],
    *[peer(f"replace_allowed_ips={value}") for value in FLAGS],
    *[peer(f"allowed_ip={value}") for value in PREFIXES],
    *[peer(f"protocol_version={value}") for value in ("1", "0", "2", "", "x")],
    *[peer(line) for line in (
        f"private_key={KEY}", "listen_port=5", "fwmark=1", "replace_peers=true", "nonsense=1", "=",
        "errno=0", "rx_bytes=0", "nothing", f"public_key={OTHER}", "public_key=x")],
    peer("update_only=true", "allowed_ip=1.2.3.4/32"),
    peer("allowed_ip=1.2.3.4/32", "remove=true"),
    peer("allowed_ip=1.2.3.4/32", "replace_allowed_ips=true", "allowed_ip=1.2.3.5/32"),
    peer("allowed_ip=10.0.0.0/8", "allowed_ip=10.0.0.0/8", "allowed_ip=10.1.2.3/8"),
    peer("allowed_ip=10.0.0.0/8", f"public_key={OTHER}", "allowed_ip=10.0.0.0/8"),
    peer("allowed_ip=10.0.0.0/8", f"public_key={PEER}", "allowed_ip=10.0.0.0/9"),
    peer("endpoint=1.1.1.1:1", "endpoint=2.2.2.2:2", "preshared_key=" + "33" * 32,
         "persistent_keepalive_interval=7", "allowed_ip=fd00::/8"),
]


def state(end):
    """All but what was sent: ours counts what it tries to send where there is no way yet."""
    device, peers = end.get()
    return device, {key: {name: value for name, value in fields.items() if name != "tx_bytes"}
                    for key, fields in peers.items()}


def test_the_same_request_has_the_same_answer(fresh):
    """And the same consequence, where it was not refused."""
    ours, theirs = fresh
    for request in REQUESTS:
        for end in fresh:
            assert end.errno(RESET) == 0
        before = state(ours)
        answers = ours.errno(request), theirs.errno(request)
        assert answers[0] == answers[1], request
        if answers[0] == 0:
            assert state(ours) == state(theirs), request
        else:
            # Theirs keeps what came before the error.
            assert state(ours) == before, request


@pytest.mark.parametrize("request_, why", [
    (device("fwmark", "0x10"), "`wg` understands hexadecimal marks, and so do we"),
    (peer("allowed_ip=-1.2.3.4/32"), "newer: an address is taken away"),
])
def test_we_take_what_wireguard_go_does_not_yet(fresh, request_, why):
    ours, theirs = fresh
    assert (ours.errno(request_), theirs.errno(request_)) == (0, -22), why


def test_a_prefix_length_is_digits(fresh):
    ours, theirs = fresh
    request = peer("allowed_ip=1.2.3.4/+4")
    assert (ours.errno(request), theirs.errno(request)) == (-22, 0)


@pytest.mark.parametrize("request_", ["\n", "hello\n\n", "get=2\n\n", "set=0\n\n", "GET=1\n\n",
                                      " get=1\n\n", "get\n\n", "\0" * 100 + "\n\n"])
def test_what_is_no_request_ends_the_connection(fresh, request_):
    """wireguard-go hangs up; we say why and hang up."""
    ours, theirs = fresh
    assert theirs.raw(request_) == ""
    assert ours.raw(request_) == "errno=-71\n\n"
    assert state(ours) == state(theirs)


@pytest.mark.parametrize("end_of", [1, 5, 20, 60, -2, -1])
def test_a_request_cut_short_does_nothing(fresh, end_of):
    for end in fresh[:1]:  # theirs does what it has read
        before = state(end)
        request = peer("allowed_ip=1.2.3.4/32")[:end_of]
        assert end.raw(request, hang_up=True) in ("", "errno=-71\n\n")
        assert state(end) == before


def test_several_requests_on_one_connection(fresh):
    ours, _ = fresh
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(ours.socket))
        lines = client.makefile("rb")
        # All at once, byte by byte, and an error in between.
        client.sendall(b"set=1\nfwmark=7\n\nset=1\nfwmark=x\nnonsense=1\n\nget=1\n\n")
        answers = [lines.readline() for _ in range(4)]
        assert answers == [b"errno=0\n", b"\n", b"errno=-22\n", b"\n"]
        found = list(iter(lines.readline, b"\n"))
        assert b"fwmark=7\n" in found and found[-1] == b"errno=0\n"
        for byte in b"set=1\nfwmark=0\n\n":
            client.sendall(bytes([byte]))
        assert [lines.readline() for _ in range(2)] == [b"errno=0\n", b"\n"]


def test_a_line_without_end_does_not_stay(fresh):
    ours, _ = fresh
    assert ours.errno("set=1\nfwmark=" + "9" * 100_000 + "\n\n") == -5
    assert ours.errno("get=1\n\n") == 0


def test_many_clients_at_once(fresh):
    ours, _ = fresh
    clients = []
    try:
        for _ in range(32):
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.settimeout(10)
            client.connect(str(ours.socket))
            client.sendall(b"get=1\n")  # and waits
        assert ours.errno("get=1\n\n") == 0
        for client in clients:
            client.sendall(b"\n")
            assert client.recv(65536).endswith(b"errno=0\n\n")
    finally:
        for client in clients:
            client.close()


def test_the_socket_is_roots(both):
    ours, _ = both
    mode = ours.socket.stat()
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o600
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            socket.socket(socket.AF_UNIX).connect(str(ours.socket))
            os._exit(0)
        except PermissionError:
            os._exit(42)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


# --- wg(8) -------------------------------------------------------------------------------------


def alike(both, *words, **options):
    """What `wg` says of both, each name replaced."""
    said = []
    for end in both:
        done = end.wg(*[end.name if word == "IF" else word for word in words], **options)
        said.append(done.stdout.replace(end.name, "IF"))
    return said


def sorted_peers(text):
    return sorted("\n".join(sorted(part.splitlines())) for part in text.split("\n\n"))


def set_up(both):
    """The same configuration for both by `wg set`, every word of it; the peers' keys."""
    one, two, secret = wireguard_keys()[1], wireguard_keys()[1], psk()
    for end in both:
        end.set("fwmark", "0xca6c", "listen-port", "51821")
        end.set("peer", one, "preshared-key", end.preshared_file(secret), "endpoint",
                "192.0.2.1:7", "persistent-keepalive", "25", "allowed-ips",
                "10.1.0.0/16,10.2.3.4/32,fd01::/64")
        end.set("peer", two, "endpoint", "[2001:db8::1]:8", "persistent-keepalive", "off",
                "allowed-ips", "")
    return one, two, secret


def test_wg_set_and_show(fresh):
    one, two, secret = set_up(fresh)
    for form in ("public-key", "private-key", "listen-port", "fwmark", "peers",
                 "preshared-keys", "endpoints", "latest-handshakes", "persistent-keepalive"):
        ours, theirs = alike(fresh, "show", "IF", form)
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines()), form
        assert ours.strip()
    ours, theirs = (
        {words[0]: set(words[1:]) for words in map(str.split, text.splitlines())}
        for text in alike(fresh, "show", "IF", "allowed-ips"))
    assert ours == theirs
    assert ours[one] == {"10.1.0.0/16", "10.2.3.4/32", "fd01::/64"} and ours[two] == {"(none)"}
    ours, theirs = (re.sub(" *transfer: .*\n", "", text) for text in alike(fresh, "show", "IF"))
    assert sorted_peers(ours) == sorted_peers(theirs)
    assert "endpoint: 192.0.2.1:7" in ours and "fwmark: 0xca6c" in ours
    (ours, peers), (theirs, _) = fresh[0].dump(), fresh[1].dump()
    assert ours == theirs and ours[2:] == ["51821", "0xca6c"] and set(peers) == {one, two}
    assert fresh[0].peer(one)["psk"] == secret
    assert fresh[0].name in fresh[0].wg("show", "interfaces").stdout.split()


def test_wg_showconf_setconf_addconf_syncconf(fresh, tmp_path):
    one, two, secret = set_up(fresh)
    ours, theirs = alike(fresh, "showconf", "IF")
    assert sorted_peers(ours) == sorted_peers(theirs)
    shown = tmp_path / "shown.conf"
    shown.write_text(ours)
    for end in fresh:
        end.errno(RESET)
        assert end.get()[1] == {}
        end.wg("setconf", end.name, shown)
    again = alike(fresh, "showconf", "IF")
    assert sorted_peers(again[0]) == sorted_peers(again[1]) == sorted_peers(ours)

    third = wireguard_keys()[1]
    (tmp_path / "add.conf").write_text(
        f"[Peer]\nPublicKey = {third}\nAllowedIPs = 10.3.0.0/16, fd03::/64\n"
        f"[Peer]\nPublicKey = {two}\nAllowedIPs = 10.4.0.0/16\n")
    for end in fresh:
        end.wg("addconf", end.name, tmp_path / "add.conf")
    assert set(fresh[0].get()[1]) == {hexadecimal(key) for key in (one, two, third)}
    assert state(fresh[0]) == state(fresh[1])

    (tmp_path / "sync.conf").write_text(
        f"[Interface]\nListenPort = 51822\n"
        f"[Peer]\nPublicKey = {one}\nAllowedIPs = 10.9.0.0/16\nPersistentKeepalive = 5\n"
        f"[Peer]\nPublicKey = {third}\nPresharedKey = {secret}\nEndpoint = 192.0.2.9:9\n")
    for end in fresh:
        end.wg("syncconf", end.name, tmp_path / "sync.conf")
    device, peers = fresh[0].get()
    assert state(fresh[0]) == state(fresh[1])
    assert device["listen_port"] == "51822"
    assert set(peers) == {hexadecimal(one), hexadecimal(third)}
    assert peers[hexadecimal(one)]["allowed_ip"] == {"10.9.0.0/16"}
    assert peers[hexadecimal(third)]["endpoint"] == "192.0.2.9:9"


def test_wg_set_takes_things_away(fresh):
    one, two, _ = set_up(fresh)
    for end in fresh:
        end.set("peer", one, "preshared-key", "/dev/null", "persistent-keepalive", "0",
                "allowed-ips", "")
        end.set("fwmark", "off", "peer", two, "remove")
        end.set("peer", two, "remove")
    assert state(fresh[0]) == state(fresh[1])
    found = fresh[0].peer(one)
    assert (found["psk"], found["allowed"], found["keepalive"]) == ("(none)", "(none)", "off")
    for end in fresh:
        end.set("private-key", "/dev/null")
    assert state(fresh[0]) == state(fresh[1])
    assert fresh[0].dump()[0][:2] == ["(none)", "(none)"]


def test_a_prefix_moves_to_the_last_who_was_given_it(fresh):
    one, two, _ = set_up(fresh)
    for end in fresh:
        end.set("peer", two, "allowed-ips", "10.1.0.0/16")
    assert state(fresh[0]) == state(fresh[1])
    assert fresh[0].get()[1][hexadecimal(one)]["allowed_ip"] == {"10.2.3.4/32", "fd01::/64"}


def test_a_peer_with_our_own_key_is_not_made(fresh):
    own = fresh[0].wg("show", fresh[0].name, "public-key").stdout.strip()
    for end in fresh:
        end.set("peer", own, "allowed-ips", "10.0.0.0/8")
    assert fresh[0].get()[1] == {} == fresh[1].get()[1]


def test_wg_set_a_port_in_use(fresh):
    """The error is `wg`'s own words, and the old port still works."""
    for end in fresh:
        holder = end.namespace.start("socat", "-u", "UDP6-RECV:51999", "-")
        try:
            wait_until(lambda: ":CB1F" in open(f"/proc/{holder.pid}/net/udp6").read(), 10, "socat")
            done = end.wg("set", end.name, "listen-port", "51999", "fwmark", "9", check=False)
            assert done.returncode != 0
            assert "Address already in use" in done.stderr
        finally:
            holder.stop()
    ours = fresh[0]
    assert ours.port == 51820 and "fwmark" not in ours.get()[0]
    ours.set("listen-port", "51999")
    assert ours.port == 51999


def test_a_port_given_back_can_be_had_again(fresh):
    """At once, and by others: nothing of the old one stays open."""
    ours, _ = fresh
    first = ours.port
    for _ in range(5):
        for port in (40_001, first, 40_002, first):
            assert ours.errno(device("listen_port", port)) == 0
    ours.set("listen-port", "40003")
    table = Path(f"/proc/{ours.process.pid}/net/udp6")

    def ports():
        lines = table.read_text().splitlines()[1:]
        return {int(line.split()[1].rsplit(":", 1)[1], 16) for line in lines}

    wait_until(lambda: ports() == {40_003}, 10, "one port to be left")


def test_a_thousand_peers_and_their_prefixes(fresh, tmp_path):
    ours, theirs = fresh
    lines = []
    for n in range(1000):
        lines += [f"public_key={n + 1:064x}", f"preshared_key={n + 7:064x}",
                  f"endpoint=192.0.2.{n % 256}:{n + 1}", f"persistent_keepalive_interval=0"]
        lines += [f"allowed_ip=10.{n // 250}.{n % 250}.{16 * m}/28" for m in range(8)]
        lines += [f"allowed_ip=fd00:{n:x}::/{64 + n % 65}"]
    request = "\n".join(["set=1", "replace_peers=true", *lines, "\n"])
    for end in fresh:
        assert end.errno(request) == 0
    assert state(ours) == state(theirs)
    assert len(ours.dump()[1]) == 1000
    conf = tmp_path / "all.conf"
    conf.write_text(ours.wg("showconf", ours.name).stdout)
    ours.wg("syncconf", ours.name, conf)
    assert state(ours) == state(theirs)
    assert ours.errno("set=1\nreplace_peers=true\n\n") == 0 and ours.get()[1] == {}


def test_errors_of_wg_are_words(fresh):
    with pytest.raises(LabError, match="No such device|Unable to access"):
        fresh[0].wg("show", "nosuch0")
