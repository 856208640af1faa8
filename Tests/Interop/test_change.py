"""Changes while traffic flows: the connection that was there before is there afterwards."""

import socket

import pytest

from ends import End, Pair, hexadecimal, psk
from lab import wait_until, wireguard_keys
from traffic import Flow, Tap, exchange, exchange_patiently, make_socket

OURS, THEIRS = 0, 1
SIDES = pytest.mark.parametrize("side", [OURS, THEIRS], ids=["ours-changes", "theirs-changes"])


@pytest.fixture(params=[4, 6], ids=["over-v4", "over-v6"])
def outer(request):
    return request.param


def flows(pair):
    """One connection each way, so that neither side only listens."""
    return (Flow(*pair.spaces(0), pair.inner(1, 4), seed="there"),
            Flow(*pair.spaces(1), pair.inner(0, 6), seed="back"))


def move(pair, n, new):
    """End `n` has another address on the underlay, and the old one is gone."""
    space, old = pair.ends[n].namespace, pair.underlay(n)
    length = 64 if ":" in new else 24
    space.sysctl(ipv4__conf__eth0__promote_secondaries=1)  # or the new one goes with the old
    space.address("eth0", f"{new}/{length}")
    space.ip(f"{'-6 ' if ':' in new else ''}address del {old}/{length} dev eth0")


@SIDES
def test_roaming_to_another_address(lab, side, outer):
    pair = Pair(lab, outer=outer, keepalive=1)
    mover, other = pair.ends[side], pair.ends[1 - side]
    new = "10.82.0.77" if outer == 4 else "fd82::77"
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        back.goes_on()
        move(pair, side, new)
        if mover.kind == "theirs":
            # wireguard-go sends from the address it was last reached at, until it binds anew or
            # starts another handshake.
            mover.set("listen-port", mover.port)
        there.goes_on()
        back.goes_on()
        expected = f"[{new}]:{mover.port}" if outer == 6 else f"{new}:{mover.port}"
        wait_until(lambda: other.peer(mover.public)["endpoint"] == expected, 10, "the new endpoint")


@SIDES
def test_another_port(lab, side, outer):
    pair = Pair(lab, outer=outer, keepalive=1)
    mover, other = pair.ends[side], pair.ends[1 - side]
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        for port in (40_000, 40_001, 40_000):
            mover.set("listen-port", port)
            assert mover.port == port
            there.goes_on()
            back.goes_on()
            wait_until(lambda: other.peer(mover.public)["endpoint"].endswith(f":{port}"), 10,
                       "the new endpoint")


def test_both_roam_in_turn(lab):
    pair = Pair(lab, ("ours", "ours"), keepalive=1)
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        move(pair, 0, "10.82.0.71")
        there.goes_on()
        back.goes_on()
        move(pair, 1, "10.82.0.72")
        there.goes_on()
        back.goes_on()


def test_from_ipv4_to_ipv6(lab):
    """The endpoint is set to the other family while it is in use."""
    pair = Pair(lab)
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        pair.outer = 6

        def both_moved():
            """What was on its way over IPv4 moves our end back: then it is told again."""
            if pair.left.peer(pair.right.public)["endpoint"] != pair.endpoint(1):
                pair.left.set("peer", pair.right.public, "endpoint", pair.endpoint(1))
                return False
            return pair.right.peer(pair.left.public)["endpoint"] == pair.endpoint(0)

        wait_until(both_moved, 10, "both ends to use IPv6")
        there.goes_on()
        back.goes_on()


@SIDES
def test_a_peer_is_removed_and_added_again(lab, side):
    pair = Pair(lab, psk=psk(), keepalive=1)
    here, other = pair.ends[side], pair.ends[1 - side]
    there, back = flows(pair)
    with there, back:
        for _ in range(2):
            there.goes_on()
            here.set("peer", other.public, "remove")
            assert other.public not in here.dump()[1]
            pair.introduce(side, endpoint=pair.endpoint(1 - side), keepalive=1)
            there.goes_on()
            back.goes_on()
    # What was counted began anew with the peer.
    assert int(here.peer(other.public)["received"]) < int(other.peer(here.public)["sent"])


@SIDES
def test_another_private_key(lab, side):
    pair = Pair(lab, keepalive=1)
    here, other = pair.ends[side], pair.ends[1 - side]
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        old = here.public
        here.private, here.public = wireguard_keys()
        here.set("private-key", here.private_file(here.private))
        assert here.wg("show", here.name, "public-key").stdout.strip() == here.public
        other.set("peer", old, "remove")
        pair.introduce(1 - side, endpoint=pair.endpoint(side), keepalive=1)
        there.goes_on()
        back.goes_on()


def test_another_preshared_key(lab):
    """The session that is there lives on; the next handshake needs both to have the new one."""
    pair = Pair(lab, psk=psk())
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        new = psk()
        for n in (0, 1):
            pair.ends[n].set("peer", pair.ends[1 - n].public, "preshared-key",
                             pair.ends[n].preshared_file(new))
            there.goes_on()
            back.goes_on()
    assert pair.left.peer(pair.right.public)["psk"] == new
    # A fresh start of theirs makes a handshake with it.
    before = pair.left.get()[1][hexadecimal(pair.right.public)]["last_handshake_time_nsec"]
    pair.right.set("peer", pair.left.public, "remove")
    pair.introduce(1, preshared=new, endpoint=pair.endpoint(0), keepalive=25)
    wait_until(lambda: pair.left.get()[1][hexadecimal(pair.right.public)]
               ["last_handshake_time_nsec"] != before, 15, "a handshake")
    exchange_patiently(*pair.spaces(), pair.inner(1), [64])


@SIDES
def test_one_end_starts_anew(lab, side):
    """It is killed, and comes again with the same keys and port, as after a crash."""
    pair = Pair(lab, keepalive=1)
    old = pair.ends[side]
    there, back = flows(pair)
    with there, back:
        there.goes_on()
        port = old.port
        old.process.kill()
        wait_until(lambda: old.name not in old.namespace.interfaces(), 10, "the device to go")
        old.socket.unlink(missing_ok=True)
        pair.ends[side] = End(old.kind, old.namespace, private=old.private, port=port, addresses=[
            f"10.90.0.{side + 1}/24", f"fd90::{side + 1}/64"])
        pair.introduce(side, endpoint=pair.endpoint(1 - side), keepalive=1)
        there.goes_on()
        back.goes_on()


def test_allowed_ips_change_under_traffic(lab):
    pair = Pair(lab)
    there, back = flows(pair)
    with there, back:
        for n in range(50):
            pair.left.set("peer", pair.right.public, "allowed-ips",
                          f"10.90.0.2/32,fd90::2/128,10.{n}.0.0/24")
        there.goes_on()
        back.goes_on()
        # Taken away and given back: nothing arrives meanwhile, everything afterwards.
        pair.left.set("peer", pair.right.public, "allowed-ips", "10.1.1.1/32")
        pair.left.set("peer", pair.right.public, "allowed-ips", "10.90.0.2/32,fd90::2/128")
        there.goes_on()
        back.goes_on()


def test_the_whole_configuration_is_set_again_and_again(lab, tmp_path):
    """`wg syncconf` of what is there already disturbs nobody."""
    pair = Pair(lab, psk=psk(), keepalive=25)
    there, back = flows(pair)
    conf = tmp_path / "same.conf"
    with there, back:
        there.goes_on()
        conf.write_text(pair.left.wg("showconf", pair.left.name).stdout)
        when = pair.left.handshake_age(pair.right.public)
        for _ in range(20):
            pair.left.wg("syncconf", pair.left.name, conf)
        there.goes_on()
        back.goes_on()
        assert pair.left.handshake_age(pair.right.public) == when


def test_the_mtu_changes(lab):
    pair = Pair(lab)
    there, back = flows(pair)
    with there, back:
        for mtu in (1300, 1280, 1420):
            for end in pair.ends:
                end.namespace.ip(f"link set {end.name} mtu {mtu}")
            exchange_patiently(*pair.spaces(), pair.inner(1), range(mtu - 45, mtu - 27))
        there.goes_on()
        back.goes_on()


def test_traffic_lives_while_status_is_asked(lab):
    pair = Pair(lab)
    there, back = flows(pair)
    with there, back:
        for _ in range(500):
            assert pair.left.errno("get=1\n\n") == 0
        there.goes_on()
        back.goes_on()


def test_the_firewall_mark_steers_the_underlay(lab):
    """A rule sends what has no mark into a black hole."""
    pair = Pair(lab)
    space = pair.left.namespace
    exchange(*pair.spaces(), pair.inner(1), [64])
    space.ip("rule add pref 10 fwmark 0x77 lookup main",
             "rule add pref 20 to 10.82.0.2 prohibit")
    with Tap(space) as tap, make_socket(space, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"lost", (pair.inner(1), 9))
        for _ in range(2):
            pair.left.raw("get=1\n\n")
        assert [m for m in tap.messages(outgoing=True, kind=4) if len(m[0]) > 32] == []
    pair.left.set("fwmark", "0x77")
    assert pair.left.wg("show", pair.left.name, "fwmark").stdout == "0x77\n"
    exchange_patiently(*pair.spaces(), pair.inner(1), [64, 1000])
    # It stays with the socket when the port changes.
    pair.left.set("listen-port", "40000")
    exchange_patiently(*pair.spaces(), pair.inner(1), [64, 1000])
    pair.left.set("fwmark", "0")
    assert "fwmark" not in pair.left.get()[0]


@pytest.mark.parametrize("side", [0, 1], ids=["from-ours", "from-theirs"])
def test_persistent_keepalives_are_seen(lab, side):
    """An idle tunnel says something by itself, again and again: empty messages of 32 bytes."""
    pair = Pair(lab, initiator=side)
    end, other = pair.ends[side], pair.ends[1 - side]
    with Tap(end.namespace) as tap:
        end.set("peer", other.public, "persistent-keepalive", "1")
        found = tap.wait_for(3, outgoing=True, kind=4, seconds=15)
        assert [len(message) for message, _, _ in found] == [32] * len(found)
        counters = [int.from_bytes(message[8:16], "little") for message, _, _ in found]
        assert counters == sorted(set(counters))
    assert int(other.peer(end.public)["handshake"]) > 0
    end.set("peer", other.public, "persistent-keepalive", "off")
    assert end.peer(other.public)["keepalive"] == "off"


def test_both_begin_at_once(lab):
    """Crossing handshakes settle on a session that both use."""
    for n in range(5):
        pair = Pair(lab, ("ours", "theirs")) if n == 0 else pair
        for k in (0, 1):
            pair.ends[k].set("peer", pair.ends[1 - k].public, "remove")
        for k in (0, 1):
            pair.introduce(k, endpoint=pair.endpoint(1 - k), keepalive=25)
        for k in (0, 1):
            exchange_patiently(*pair.spaces(k), pair.inner(1 - k), [64, 1000])


def test_a_peer_that_is_not_there_costs_nothing(lab):
    """Packets for a silent peer wait, bounded, while another one is served."""
    pair = Pair(lab)
    silent = wireguard_keys()[1]
    pair.left.add_peer(silent, ["10.98.0.0/16"], "10.82.0.99:9")
    with make_socket(pair.left.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
        for n in range(3000):
            client.sendto(b"x" * 1000, ("10.98.0.1", 9))
        # What was sent for nobody may have filled the queue: one of these may be lost.
        exchange_patiently(*pair.spaces(), pair.inner(1), [64, 1000])
    assert pair.left.process.is_running
