"""What the benchmark makes of its numbers; nothing is measured here."""

import argparse
import json
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Lab")]

import chart
import report
from bench import arguments, build_udpbench, underlays
from contenders import Nebula, OpenVPNWithCBC
from figures import (ALL, CONTENDERS, FIGURES, MAIN, MORE_PEERS, NOTHING, OPENVPN, OURS,
                     WIREGUARD_GO, Results)
from lab import DirectPair, Lab, LabError, capture, run, tcp_transfer
from underlay import VETH, WIRE, like_a_wire, together

FIGURE = {figure.key: figure for figure in FIGURES}
FACTS = {"machine": {"CPU": "a | b"}, "versions": {}, "complaints": [], "rounds": 2, "seed": 1,
         "quick": True, "seconds": 60, "date": "2000-01-01"}


def results(*rounds):
    found = Results()
    for one in rounds:
        found.new_round()
        for name, values in one.items():
            found.add(name, values)
    return found


def test_ratios_are_taken_within_a_round_and_say_how_much_better():
    drift = results({OURS: {"tcp1": 20, "cpu": 1}, OPENVPN: {"tcp1": 10, "cpu": 4}},
                    {OURS: {"tcp1": 2, "cpu": 10}, OPENVPN: {"tcp1": 1, "cpu": 40}})
    for key, times in (("tcp1", 2), ("cpu", 4)):
        advantage = drift.advantage(FIGURE[key], OPENVPN)
        assert (advantage.least, advantage.median, advantage.most) == (times, times, times)
    assert drift.spread(OURS, "tcp1").median == 11
    assert drift.behind() == []


def test_who_carries_nothing_is_infinitely_behind():
    found = results({OURS: {"kept_right": 0.5}, OPENVPN: {"kept_right": 0.0},
                     WIREGUARD_GO: {"kept_right": 0.0}})
    assert report.times(found.advantage(FIGURE["kept_right"], OPENVPN)) == "∞"
    found = results({OURS: {"kept_right": 0.0}, OPENVPN: {"kept_right": 0.5},
                     WIREGUARD_GO: {"kept_right": 0.0}})
    assert found.advantage(FIGURE["kept_right"], OPENVPN).median == 0
    assert found.advantage(FIGURE["kept_right"], WIREGUARD_GO) is None
    assert [peer for _, peer, _ in found.behind()] == [OPENVPN]


def test_what_is_missing_or_behind_is_said():
    found = results({OURS: {"tcp1": 1e9, "idle": 2}, WIREGUARD_GO: {"tcp1": 1e9},
                     OPENVPN: {"tcp1": None, "idle": 1}}, {})
    found.failures.append((2, OPENVPN, "set-up: gone"))
    assert [(figure.key, peer) for figure, peer, _ in found.behind()] == [
        ("tcp1", WIREGUARD_GO), ("idle", OPENVPN)]
    found = {VETH: found}
    for text in (report.text(found, FACTS), report.page(found, FACTS, "")):
        assert "round 2, openvpn: set-up: gone" in text
        assert "0.50 times openvpn" in text


def test_page_and_charts_are_whole(tmp_path):
    values = {figure.key: 1 + n / figure.scale for n, figure in enumerate(FIGURES)}
    found = results(*[{name: values for name in CONTENDERS}] * 2)
    path = report.write(tmp_path, {VETH: found}, FACTS)
    page = path.read_text()
    for figure in FIGURES:
        assert page.count(f"| {figure.title} | {figure.unit} |") == 1
    assert "On a wire-like underlay" not in page
    for image in ("throughput", "cost"):
        assert f"Benchmarks/{image}.svg" in page
        xml.dom.minidom.parse(str(tmp_path / "Benchmarks" / f"{image}.svg"))
    drawn = [key for _, keys in report.CHARTS.values() for key in keys]
    assert sorted(drawn) == sorted(figure.key for figure in MAIN)


def test_what_was_measured_on_a_wire_is_in_a_table_of_its_own():
    veth = results({OURS: {"tcp1": 6e9, "rtt50": 1}, OPENVPN: {"tcp1": 1e9}})
    wire = results({OURS: {"tcp1": 3e9}, OPENVPN: {"tcp1": 4e9}})
    wire.failures.append((1, WIREGUARD_GO, "tcp: late"))
    both = {VETH: veth, WIRE: wire}
    above, below = report.page(both, FACTS, "").split("## On a wire-like underlay")
    assert "| **6.00** |" in above and "| **3.00** |" in below
    assert "0.75 times openvpn" in below and "times openvpn" not in above
    assert "round 1, wireguard-go: tcp: late" in below and "tcp: late" not in above
    assert "round-trip time, median |" not in below.split("## Machine")[0]
    above, below = report.text(both, FACTS).split("on a wire-like underlay")
    assert "6.00" in above and "0.75 times openvpn" in below


@pytest.mark.parametrize("underlay,groups,expected", [
    ("both", ["tcp", "rtt", "udp64"], {VETH: ["tcp", "rtt", "udp64"], WIRE: ["tcp", "udp64"]}),
    ("both", ["rtt"], {VETH: ["rtt"]}),
    ("veth", ["tcp"], {VETH: ["tcp"]}),
    ("wire", ["tcp", "rtt"], {WIRE: ["tcp", "rtt"]})])
def test_what_is_measured_where(underlay, groups, expected):
    assert underlays(argparse.Namespace(underlay=underlay, groups=groups)) == expected


def test_what_sends_or_receives_together_is_recognized():
    assert together("""Features for eth0:
tx-checksumming: on
tcp-segmentation-offload: on
\ttx-tcp-segmentation: on
\ttx-tcp6-segmentation: off
generic-receive-offload: on
large-receive-offload: off [fixed]
rx-gro-hw: on [fixed]
tx-gso-list: on
receive-hashing: on
""") == ["tcp-segmentation-offload", "tx-tcp-segmentation", "generic-receive-offload", "rx-gro-hw",
         "tx-gso-list"]
    with pytest.raises(LabError, match="said nothing about segmentation: no such device"):
        together("no such device")


def test_on_a_wire_no_packet_is_larger_than_the_mtu():
    largest = {}
    with Lab() as lab:
        for underlay in (VETH, WIRE):
            one = DirectPair(lab, names=(f"{underlay}-left", f"{underlay}-right"))
            if underlay == WIRE:
                for node in one.nodes:
                    like_a_wire(node, "eth0")
            with capture(one.right, "eth0", "tcp") as seen:
                tcp_transfer(one.left, one.right, 1_000_000, one.address(1))
                seen.wait_for(20)
            largest[underlay] = max(len(packet.data) for packet in seen.packets())
    assert largest[VETH] > 1500 and largest[WIRE] == 1500


def test_an_offload_that_stays_is_told():
    class Stubborn:
        def run(self, *words):
            assert words[1:] in [("-k", "eth0"), ("-K", "eth0", "rx-gro-hw", "off")]
            return argparse.Namespace(stdout="tx-udp-segmentation: off\nrx-gro-hw: on [fixed]\n")

    with pytest.raises(LabError, match="eth0 is not like a wire: rx-gro-hw cannot be turned off"):
        like_a_wire(Stubborn(), "eth0")


def test_more_peers_have_columns_of_their_own(tmp_path):
    found = Results(ALL)
    found.new_round()
    for n, name in enumerate(ALL):
        found.add(name, {"tcp1": 1e9 * 2**n})
    page = report.write(tmp_path, {VETH: found}, FACTS).read_text()
    assert "| x wireguard-go | x openvpn | x openvpn, CBC | x nebula |" in page
    assert "| 8.00 | 16.0 | 32.0 | 64.0 | 128 | 0.12 | 0.06 | 0.03 | 0.02 |" in page
    assert "0.02 times nebula" in page and "--data-ciphers AES-256-CBC" in page
    drawing = (tmp_path / "Benchmarks/throughput.svg").read_text()
    assert "nebula" in drawing and len(set(chart.COLOURS)) >= len(ALL)
    page = report.page({VETH: results({})}, FACTS, "")
    assert "nebula |" not in page and "CBC" not in page.split("## Again")[0]


@pytest.mark.parametrize("words,more", [
    ([], []), (["--all-peers"], list(MORE_PEERS)), (["--only", "tcp,nebula"], ["nebula"])])
def test_more_peers_are_measured_if_asked_for(monkeypatch, words, more):
    monkeypatch.setattr(sys, "argv", ["bench.py", *words])
    assert [name for name in arguments().contenders if name in MORE_PEERS] == more


@pytest.mark.parametrize("kind,device,mtu,said", [
    (OpenVPNWithCBC, "tun0", 1300, "Data Channel: cipher 'AES-256-CBC', auth 'SHA256'"),
    (Nebula, "nebula", 1420, "Handshake message received")])
def test_more_peers_are_what_the_page_says(tmp_path, kind, device, mtu, said):
    with Lab() as lab:
        one = kind(lab, build_udpbench(tmp_path))  # has answered through the tunnel
        assert len(one.pids) == 2
        for node in one.left, one.right:
            assert f"mtu {mtu} " in node.run("ip", "link", "show", device).stdout
        for process in one.processes:
            assert said in process.output()


def test_a_bar_beyond_the_tunnels_is_cut_and_keeps_its_number():
    found = results({OURS: {"tcp1": 1e9}, NOTHING: {"tcp1": 50e9}})
    drawing = chart.draw("x", [FIGURE["tcp1"]], found)
    widths = [float(part.split('"')[0]) for part in drawing.split('" width="')[2:]]
    assert max(widths) <= chart.WIDTH and "50.0 →" in drawing


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Lab() as lab:
        one = DirectPair(lab)
        program = build_udpbench(tmp_path_factory.mktemp("udpbench"))
        yield [program, *[node.path for node in one.nodes], one.address(1)]


def probe(pair, role, *words):
    return json.loads(run(pair[0], role, *pair[1:], *words).stdout)


def test_datagrams_are_counted(pair):
    probe(pair, "first", 5)
    flow = probe(pair, "flow", 64, 1000, 0.2)
    assert 0 < flow["sent"] <= 201 and flow["received"] == flow["sent"]
    assert not any(flow[key] for key in ("reordered", "duplicated", "foreign", "refused"))
    pong = probe(pair, "pong", 64, 400, 5)
    assert pong["rounds"] == 300 and 0 < pong["p50"] <= pong["p99"] <= pong["max"]


def test_lost_datagrams_are_missed(pair):
    """The far end drops every other packet of what it is sent."""
    far = ["nsenter", f"--net={pair[2]}", "--", "nft"]
    rules = ("add table ip t", "add chain ip t c { type filter hook input priority 0; }",
             "add rule ip t c udp dport 9009 numgen inc mod 2 == 0 drop")
    run(*far, "; ".join(rules))
    try:
        flow = probe(pair, "flow", 64, 1000, 0.2)
    finally:
        run(*far, "delete table ip t")
    assert flow["received"] == flow["sent"] // 2
    assert flow["reordered"] == flow["duplicated"] == 0


@pytest.mark.parametrize("words", [[], ["flow"], ["what", "a", "b", "127.0.0.1", "1", "1", "1"],
                                   ["pong", "/nowhere", "/nowhere", "127.0.0.1", "64", "200", "1"]])
def test_wrong_words_are_refused(pair, words):
    done = subprocess.run([pair[0], *words], capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr
