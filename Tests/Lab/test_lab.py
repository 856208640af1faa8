"""The lab's own tests, and with it the WAN relay's against real packets.

    WAN_RELAY=.build/release/wan-relay /usr/bin/python3 -m pytest Tests/Lab

Times that ping measures are compared with what the relay was told to add, within bounds that a
busy machine keeps: that checks the relay's arithmetic, it does not assert anybody's speed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from lab import (CLUSTERS, DirectPair, Lab, LabError, OpenVPNPair, ThreeClusters, WireGuardGo,
                 capture, find_relay, iperf3, ping, read_pcap, run, sweep, tcp_transfer, udp_echo,
                 wait_until)
from lab.core import NETNS
from lab.pcap import parse_ip

HERE = Path(__file__).parent
PYTHON = sys.executable


def names():
    return sorted(path.name for path in NETNS.glob("lab-*")) if NETNS.is_dir() else []


@pytest.fixture(scope="module")
def shared_world():
    with Lab() as lab:
        made = ThreeClusters(lab, seed=7)
        made.wait_until_joined()
        yield made


@pytest.fixture
def world(shared_world):
    """Three clusters on perfect wires, whatever the last test did to them."""
    shared_world.relay.clear("*")
    shared_world.relay.say("seed 7")
    yield shared_world
    shared_world.relay.clear("*")


# --- the relay ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_delay_is_added_per_direction(world, version):
    target = world.address("east", version=version)
    plain = ping(world.node("west"), target, 10).median_ms
    world.relay.set("west>east", "delay 20ms")
    one_way = ping(world.node("west"), target, 10).median_ms
    world.relay.set("east>west", "delay 30ms")
    both = ping(world.node("west"), target, 10).median_ms
    assert 19.9 <= one_way - plain + 0.5 and one_way < plain + 40
    assert 49.9 <= both - plain + 0.5 and both < plain + 80


def test_loss_has_its_ratio_and_its_seed(world):
    world.relay.set("west>east", "loss 20%")
    first = ping(world.node("west"), world.address("east"), 500, interval=0.002, patience=1)
    assert 0.13 < first.loss < 0.27
    assert world.relay.link_stats("east", "west")["dropped"]["loss"] == 0
    world.relay.say("seed 7")
    again = ping(world.node("west"), world.address("east"), 500, interval=0.002, patience=1)
    assert again.sequences == first.sequences


def test_cut_and_heal_are_per_direction(world):
    west, east = world.node("west"), world.node("east")
    with capture(east, "eth0", "icmp") as at_east, capture(west, "eth0", "icmp") as at_west:
        world.relay.cut("west>east")
        assert ping(west, world.address("east"), 3, patience=1).received == 0
        assert at_east.count(lambda p: p.is_echo_request) == 0
        # East's own requests arrive; only west's answers do not.
        assert ping(east, world.address("west"), 3, patience=1).received == 0
        at_west.wait_for(3, lambda p: p.is_echo_request and p.source == world.address("east"))
    # Others never notice.
    assert ping(west, world.address("central"), 3).received == 3
    world.relay.heal("west>east")
    assert ping(west, world.address("east"), 3).received == 3


def test_a_cut_cluster_is_alone(world):
    world.relay.cut("central")
    for version in (4, 6):
        for other in ("west", "east"):
            target = world.address("central", version=version)
            assert ping(world.node(other), target, 2, patience=1).received == 0
        assert ping(world.node("west"), world.address("east", version=version), 2).received == 2
    world.relay.heal("central")
    assert ping(world.node("central"), world.address("east"), 2).received == 2


def test_nothing_in_flight_survives_a_cut(world):
    world.relay.set("west>east", "delay 60s")
    with capture(world.node("east"), "eth0", "icmp") as seen:
        assert ping(world.node("west"), world.address("east"), 5, patience=0.2).received == 0
        assert world.relay.stats()["in_flight"]["packets"] == 5
        world.relay.cut("west>east")
        world.relay.clear("*")
        assert ping(world.node("west"), world.address("east"), 1).received == 1
        assert len(seen.wait_for(1, lambda p: p.is_echo_request)) == 1


def test_duplicates_are_seen_twice(world):
    world.relay.set("west>east", "duplicate 100%")
    with capture(world.node("east"), "eth0", "icmp") as seen:
        ping(world.node("west"), world.address("east"), 5)
        requests = seen.wait_for(10, lambda p: p.is_echo_request)
    assert [p.icmp_sequence for p in requests] == [n for n in range(1, 6) for _ in "ab"]


def test_reordering_is_seen_only_where_asked(world):
    west, east = world.node("west"), world.node("east")

    def order():
        with capture(east, "eth0", "icmp") as seen:
            ping(west, world.address("east"), 200, interval=0.002)
            return [p.icmp_sequence for p in seen.wait_for(200, lambda p: p.is_echo_request)]

    world.relay.set("*", "delay 10ms jitter 5ms normal")
    assert order() == list(range(1, 201))
    world.relay.set("west>east", "reorder 20% by 20ms")
    mixed = order()
    assert mixed != sorted(mixed) and sorted(mixed) == list(range(1, 201))


def test_rate_and_queue_bound_a_flood(world):
    world.relay.set("west>east", "rate 1mbit queue 20kB")
    with capture(world.node("east"), "eth0", "udp") as seen:
        result = udp_echo(world.node("west"), world.node("east"), world.address("east"), 100, 1000)
        requests = seen.count(lambda p: p.destination == world.address("east"))
        assert requests == len(result["received"])
    link = world.relay.link_stats("west", "east")
    assert link["dropped"]["queue"] > 0
    assert 19 <= len(result["received"]) < 100 and result["damaged"] == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("conditions, is_whole", [
    ("delay 2ms", True), ("rate 1gbit queue 2MB", True), ("rate 10mbit queue 2MB", False),
    ("loss 0.1%", False), ("reorder 1% by 1ms", False)])
def test_trains_stay_whole_unless_their_packets_may_part(world, version, conditions, is_whole):
    """What the sender's kernel hands over as one large packet counts as the packets it stands
    for, whether it crosses as one or not. At 10 Mbit/s nothing longer than 1,250 octets takes the
    wire for no more than a millisecond, so no train does."""
    world.relay.set("west>central", conditions)
    before = world.relay.link_stats("west", "central")
    with capture(world.node("central"), "eth0", "tcp") as seen:
        tcp_transfer(world.node("west"), world.node("central"), 1_000_000,
                     world.address("central", version=version))
        longest = max(len(packet.data) for packet in seen.wait_for(
            10, lambda packet: packet.source == world.address("west", version=version)))
    assert (longest > 1500) == is_whole
    after = world.relay.link_stats("west", "central")
    packets, octets = (after[f"offered_{key}"] - before[f"offered_{key}"]
                       for key in ("packets", "bytes"))
    headers = 52 if version == 4 else 72
    assert packets >= 1_000_000 / (1500 - headers)
    assert 1_000_000 + packets * headers <= octets <= packets * 1500


@pytest.mark.parametrize("version", [4, 6])
def test_content_survives_a_bad_line(world, version):
    world.relay.set("*", "delay 2ms jitter 1ms loss 1% duplicate 1% reorder 2% by 3ms")
    tcp_transfer(world.node("west"), world.node("central"), 1_000_000,
                 world.address("central", version=version), timeout=60)


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_pass_and_icmp_errors_are_real(world, version):
    west, target = world.node("west"), world.address("east", version=version)
    assert ping(west, target, 3, size=5000).received == 3
    # One smaller link on the far side: the router there says so, and the sender learns it.
    world.wan.ip("link set east mtu 1400")
    try:
        first = ping(west, target, 3, size=1450, dont_fragment=True, patience=1)
        assert first.received == 0
        assert "mtu=1400" in first.output or "mtu = 1400" in first.output
    finally:
        world.wan.ip("link set east mtu 1500")
        west.ip("route flush cache", "-6 route flush cache")


def test_addresses_are_real(world):
    with capture(world.node("east"), "eth0", "udp") as seen:
        udp_echo(world.node("west"), world.node("east"), world.address("east"), 3)
        arrived = seen.wait_for(3, lambda p: p.destination == world.address("east"))
    assert {p.source for p in arrived} == {world.address("west")}


def test_endpoints_have_nothing(world):
    for cluster in CLUSTERS:
        assert world.endpoint(cluster).interfaces() == ["lo"]
        assert world.endpoint(cluster).run("ip", "route").stdout == ""


def test_the_relay_says_what_is_wrong(world):
    for line, words in [("set west>north delay 1ms", "no site `north`"), ("fly", "expected one of"),
                        ("set * delay 1", "column 13"), ("site a 10.0.0.0/8", "config file"),
                        ("x" * 3000, "at most 1024 bytes")]:
        with pytest.raises(LabError, match=words):
            world.relay.say(line)
    assert world.relay.show()["links"][0]["delay_ns"] == 0
    assert world.relay.say("show")[0].startswith("site west 10.81.1.0/24")


def test_a_script_runs_by_itself():
    with Lab() as lab:
        world = ThreeClusters(lab, "delay 1ms", script="at 1h cut *\nin 300ms set * delay 9ms")
        delays = lambda: {link["delay_ns"] for link in world.relay.show()["links"]}
        wait_until(lambda: delays() == {9_000_000}, 10, "the script's change")
        assert [one["command"] for one in world.relay.show()["scheduled"]] == ["cut *"]


@pytest.mark.parametrize("arguments, words", [
    (["--site", "west=10.0.0.0/8"], "at least two sites"),
    (["--site", "west=10.0.0.1/8", "--site", "east=10.1.0.0/16"], "west=10.0.0.1/8"),
    (["--site", "a=10.0.0.0/8", "--site", "b=10.0.0.0/8"], "is also of site a"),
    (["--config", "/nowhere"], "cannot read /nowhere: No such file"),
    (["--mtu", "100"], "between 1280 and 65535"),
])
def test_bad_arguments_are_refused(arguments, words):
    done = run(find_relay(), "--tun", "wan0", "--check", *arguments, check=False)
    assert done.returncode != 0 and words in done.stderr


def test_bad_config_lines_are_all_named(tmp_path):
    config = tmp_path / "wan.conf"
    config.write_text("site a 10.0.0.0/8\nfly\nset * loss 2\n")
    done = run(find_relay(), "--tun", "wan0", "--check", "--config", config, check=False)
    assert done.returncode != 0
    assert f"{config}: line 2, column 1" in done.stderr
    assert f"{config}: line 3, column 12" in done.stderr


def test_the_relay_stops_cleanly_and_two_do_not_share_a_socket():
    with Lab() as lab:
        world = ThreeClusters(lab)
        second = world.wan.start(
            find_relay(), "--config", world.lab.directory / "wan-relay.conf", "--tun", "wan1",
            "--control", world.relay.path)
        assert second.wait() != 0 and "a relay runs there" in second.output()
        world.relay.process.signal(signal.SIGTERM)
        assert world.relay.process.wait() == 0
        assert "write errors 0" in world.relay.process.output()
        assert not world.relay.path.exists()
        assert "wan0" not in world.wan.interfaces()


# --- the lab -----------------------------------------------------------------------------------


def test_everything_goes_on_failure():
    with pytest.raises(ZeroDivisionError) as failure:
        with Lab() as lab:
            namespace = lab.namespace("a")
            process = namespace.start("sh", "-c", "echo hello; sleep 1000 & sleep 1000")
            process.wait_for("hello")
            1 / 0
    assert not [name for name in names() if name.startswith(lab.prefix)]
    assert not process.is_running and not lab.directory.exists()
    assert "hello" in "\n".join(failure.value.__notes__)


HOLDER = textwrap.dedent("""
    import sys, time
    from lab import Lab
    with Lab() as lab:
        child = lab.namespace("held").start("sh", "-c", "sleep 1001 & echo here; wait")
        child.wait_for("here")
        print(lab.prefix, child.pid, lab.directory, flush=True)
        time.sleep(1000)
""")


def start_holder():
    holder = subprocess.Popen([PYTHON, "-c", HOLDER], cwd=HERE, stdout=subprocess.PIPE, text=True)
    prefix, child, directory = holder.stdout.readline().split()
    assert f"{prefix}-held" in names()
    return holder, prefix, int(child), Path(directory)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_goes_on_a_signal(number):
    holder, prefix, child, directory = start_holder()
    holder.send_signal(number)
    holder.wait(20)
    assert f"{prefix}-held" not in names()
    assert not is_alive(child) and not directory.exists()


def test_sweep_removes_what_a_killed_run_left_and_nothing_else():
    killed, prefix, child, directory = start_holder()
    living, other_prefix, other_child, other_directory = start_holder()
    foreign = f"other-{os.getpid()}"
    run("ip", "netns", "add", foreign)
    try:
        killed.kill()
        killed.wait()
        wait_until(lambda: not is_alive(child), 5, "the child to go with its parent")
        assert f"{prefix}-held" in names() and directory.exists()
        removed = run(PYTHON, "-m", "lab", "sweep", env={"PYTHONPATH": str(HERE)}).stdout
        assert f"removed {prefix}-held\n" in removed and other_prefix not in removed
        assert f"{prefix}-held" not in names() and not directory.exists()
        assert f"{other_prefix}-held" in names() and other_directory.exists()
        assert is_alive(other_child) and (NETNS / foreign).exists()
    finally:
        run("ip", "netns", "del", foreign)
        living.terminate()
        living.wait(20)
    assert sweep() == []


def test_waiting_says_what_it_waited_for():
    with pytest.raises(LabError, match="waited 0.05 s in vain: the moon"):
        wait_until(lambda: False, 0.05, "the moon")
    with Lab() as lab, pytest.raises(LabError, match="ended with 3 before it said"):
        lab.start(["sh", "-c", "exit 3"]).wait_for("never")


def test_pcap_reader_takes_every_truncation():
    with Lab() as lab:
        pair = DirectPair(lab)
        with capture(pair.left, "eth0") as seen:
            ping(pair.left, pair.address(1), 2)
            ping(pair.left, pair.address(1, version=6), 2, size=3000)
            udp_echo(pair.left, pair.right, pair.address(1), 2)
            seen.wait_for(4, lambda p: p.is_udp)
        data = seen.path.read_bytes()
        packets = read_pcap(data)
        assert sum(p.is_echo_request and p.source == "10.82.0.1" for p in packets) == 2
        assert sum(p.is_fragment and p.destination == "fd82::2" for p in packets) == 6
    whole = len(packets)
    assert all(len(read_pcap(data[:n])) <= whole for n in range(len(data)))
    for packet in packets:
        for n in range(len(packet.data)):
            parse_ip(packet.data[:n])


# --- tunnels and measurements ------------------------------------------------------------------


def test_direct_pair_mtu_and_iperf3():
    with Lab() as lab:
        pair = DirectPair(lab, mtu=9000)
        assert ping(pair.left, pair.address(1), 2, size=8900, dont_fragment=True).received == 2
        result = iperf3(pair.left, pair.right, pair.address(1), seconds=1)
        assert result["end"]["sum_received"]["bytes"] > 0


def test_wireguard_go_over_the_relay(world):
    west = WireGuardGo(world.node("west"), ["10.84.0.1/24", "fd84::1/64"])
    east = WireGuardGo(world.node("east"), ["10.84.0.2/24", "fd84::2/64"])
    try:
        east.add_peer(west.public, ["10.84.0.1/32", "fd84::1/128"])
        west.add_peer(east.public, ["10.84.0.2/32", "fd84::2/128"],
                      endpoint=f"{world.address('east')}:{east.port}")
        assert ping(world.node("west"), "10.84.0.2", 3).received == 3
        assert ping(world.node("east"), "fd84::1", 3).received == 3
        assert west.handshake_age(east.public) > 0
        tcp_transfer(world.node("west"), world.node("east"), 1_000_000, "10.84.0.2")
    finally:
        west.stop()
        east.stop()
    assert not west.socket.exists() and not east.socket.exists()


def test_openvpn_pair():
    with Lab() as lab:
        pair = DirectPair(lab)
        vpn = OpenVPNPair(pair.left, pair.right, pair.address(0))
        assert ping(pair.right, vpn.addresses[0], 3).received == 3
        tcp_transfer(pair.right, pair.left, 1_000_000, vpn.addresses[0])
        assert "AES-256-GCM" in vpn.client.output()


# --- without root ------------------------------------------------------------------------------

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
UNPRIVILEGED = textwrap.dedent("""
    import os
    from lab import *
    enter_user_namespace()
    with Lab() as lab:
        world = ThreeClusters(lab, "delay 5ms")
        world.wait_until_joined()
        assert ping(world.node("west"), world.address("east"), 3).received == 3
        with capture(world.node("east"), "eth0", "icmp") as seen:
            ping(world.node("west"), world.address("east"), 2)
            seen.wait_for(2, lambda p: p.is_echo_request)
        tcp_transfer(world.node("west"), world.node("east"), 100_000, world.address("east"))
    assert not [name for name in os.listdir("/run/netns") if name.startswith("lab-")]
    print("well")
""")


def run_unprivileged(*before):
    # Both must be readable and executable by anybody, which a home directory may not be.
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        run("cp", "-rL", HERE / "lab", directory)
        run("cp", "-L", find_relay(), directory)
        run("chmod", "-R", "a+rX", directory)
        script = Path(directory) / "script.py"
        script.write_text(UNPRIVILEGED)
        return run(*before, PYTHON, script, check=False, timeout=120, env={
            "PYTHONPATH": directory, "WAN_RELAY": f"{directory}/wan-relay", "TMPDIR": "/tmp",
            "PYTHONDONTWRITEBYTECODE": "1"})


@pytest.mark.parametrize("before", [
    ["unshare", "-Urnm"],
    NOBODY,
], ids=["unshare", "nobody"])
def test_without_root(before):
    probe = run(*NOBODY, "unshare", "-Urnm", "test", "-w", "/dev/net/tun", check=False)
    if probe.returncode != 0:
        pytest.skip("user namespaces or /dev/net/tun are not open to ordinary users here")
    before_names = names()
    done = run_unprivileged(*before)
    assert done.stdout.strip() == "well", done.stderr
    assert names() == before_names


def test_without_root_or_tun_it_says_so():
    # A private /dev/net without the device, for this command alone.
    done = run_unprivileged(
        "unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /dev/net && exec \"$@\"", "sh",
        *NOBODY)
    assert done.returncode == 1 and "/dev/net/tun is missing" in done.stderr
