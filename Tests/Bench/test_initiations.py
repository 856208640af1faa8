"""What a stranger sends, and how much of a stream is left beside it."""

import base64
import hashlib
import re
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Lab")]

import initiations
import report
from bench import build_udpbench
from contenders import Nebula, NoTunnel, OpenVPN, WireGuard
from figures import OPENVPN, OURS, STRANGER, STRANGERS, WIREGUARD_GO, Results
from lab import Lab, capture, run
from measure import QUICK, Session
from stranger import ADDRESS, NOBODY, RATE, Stranger, TCPStream
from test_bench import FACTS
from underlay import VETH

TRANSCRIPTS = Path(__file__).parents[1] / "NoiseTests/reference/handshake.txt"


@pytest.fixture(scope="module")
def udpbench(tmp_path_factory):
    return build_udpbench(tmp_path_factory.mktemp("tools"))


def test_mac1_is_that_of_recorded_handshakes():
    for line in TRANSCRIPTS.read_text().splitlines()[:3]:
        fields = dict(word.split("=") for word in line.split())
        message = bytes.fromhex(fields["initiation"])
        private = base64.b64encode(bytes.fromhex(fields["sr"])).decode()
        public = base64.b64decode(run("wg", "pubkey", input=private).stdout)
        assert len(message) == initiations.SIZE
        assert initiations.mac1(message[:-32], public) == message[-32:-16]


@pytest.mark.parametrize("is_right", [True, False])
def test_initiations_are_all_different_and_of_one_kind(is_right):
    public = hashlib.sha256(b"anyone").digest()
    found = list(initiations.wireguard(public, is_right))
    assert len(found) == len(set(found)) == initiations.COUNT
    for one in found:
        assert len(one) == initiations.SIZE and one[:4] == b"\1\0\0\0" and one[-16:] == bytes(16)
        assert (one[-32:-16] == initiations.mac1(one[:-32], public)) == is_right


def test_wireguard_go_says_what_is_wrong_with_each(udpbench):
    """An independent implementation tells the two kinds apart."""
    class Verbose(WireGuard):
        command = ("env", "LOG_LEVEL=verbose", "wireguard-go", "-f")

    with Lab() as lab:
        one = Verbose(lab, udpbench)
        assert one.another(), "in a whole run there is a second tunnel by now"
        stranger, far = Stranger(one), lab.processes[1]
        assert "invalid" not in far.output()
        with stranger.sending(one.bogus()["wrong"], one.port, rate=100):
            far.wait_for("Received packet with invalid mac1")
        assert "Received invalid initiation" not in far.output()
        with stranger.sending(one.bogus()["right"], one.port, rate=100):
            far.wait_for(f"Received invalid initiation message from {ADDRESS}")


@pytest.mark.parametrize("kind,far,said", [
    (OpenVPN, "server", f"TLS: Initial packet from .*{re.escape(ADDRESS)}"),
    (Nebula, "right", f"Failed unmarshal handshake message.*stage:1.*{re.escape(ADDRESS)}")])
def test_others_take_what_they_get_for_a_handshake(udpbench, kind, far, said):
    with Lab() as lab:
        one = kind(lab, udpbench)
        receiver = next(process for process in lab.processes if far in process.label)
        with Stranger(one).sending(one.bogus()["right"], one.port, rate=100):
            receiver.wait_for(said)


def test_what_was_sent_is_what_arrives(udpbench):
    with Lab() as lab:
        one = NoTunnel(lab, udpbench)
        stranger = Stranger(one)
        datagrams = [bytes([n]) * initiations.SIZE for n in range(100)]
        with capture(one.right, "eth1", f"udp port {NOBODY}") as seen:
            with stranger.sending(datagrams, NOBODY, rate=1000) as load:
                seen.wait_for(250)
            packets = seen.wait_for(load["sent"])
        assert load["refused"] == 0 and load["cpu"] > 0 and len(packets) == load["sent"]
        assert load["sent"] / load["seconds"] < 1100
        assert [packet.payload[8:] for packet in packets] == [
            datagrams[n % 100] for n in range(len(packets))]


def test_a_stream_counts_what_arrives(udpbench):
    """The far end takes no more than 20 Mbit/s."""
    with Lab() as lab:
        one = NoTunnel(lab, udpbench)
        one.left.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "20mbit", "burst",
                     "16kb", "limit", "100kb")
        with TCPStream(one) as stream:
            stream.rate(0.3)
            rate = stream.rate(0.5)
            assert 10e6 < rate < 20.5e6
            one.left.ip("link set eth0 down")
            stream.rate(0.2)
            assert stream.rate(0.2) == 0  # and it ends all the same
        assert stream.process.popen.returncode == 0


def test_shares_are_of_the_same_contender(monkeypatch):
    """8 Gbit/s undisturbed, 6 beside what nobody reads, 4.5 under the wrong MAC1, 3 the right."""
    rates = iter([7e9, 6e9, 4.5e9, 3e9, 9e9])

    class Stream:
        def __init__(self, contender):
            self.started = False

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def rate(self, seconds):
            self.started, was = True, self.started
            return next(rates) if was else None

    class Sender:
        def __init__(self, contender):
            pass

        def sending(self, datagrams, port):
            class Load(dict):
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    self.update(sent=300, seconds=3, cpu=0.75, to=(datagrams, port))

            return Load()

    class Fake:
        port = 51820

        def bogus(self):
            return {"wrong": ["w"], "right": ["r"]}

    monkeypatch.setattr("measure.Stranger", Sender)
    monkeypatch.setattr("measure.TCPStream", Stream)
    session = Session(Fake(), None, QUICK, lambda key, value: None)
    session.initiations()
    assert session.values == {
        "undisturbed": 8e9, "kept_nobody": 0.75, "kept_right": 0.375, "kept_wrong": 0.5625,
        "fair_right": 0.5, "fair_wrong": 0.75,
        **{f"sent_{kind}": 100 for kind in STRANGERS},
        **{f"used_{kind}": 0.25 for kind in STRANGERS}}
    sent = {kind: session.details[f"stranger, {kind}"]["to"] for kind in STRANGERS}
    assert sent == {"nobody": (["r"], NOBODY), "wrong": (["w"], 51820), "right": (["r"], 51820)}


def test_the_page_says_what_is_left_and_who_was_spared():
    found = Results()
    found.new_round()
    every = {figure.key: 0.5 for figure in STRANGER}
    full = {f"sent_{kind}": RATE for kind in STRANGERS}
    found.add(OURS, {**every, **full, "fair_right": 0.9})
    found.add(WIREGUARD_GO, {**every, **full, "fair_right": 0.1, "sent_right": 0.6 * RATE})
    found.add(OPENVPN, {"kept_right": 0.6, "sent_right": RATE})
    page = report.page({VETH: found}, FACTS, "")
    table = page.split("## Under handshakes that are none")[1].split("## Machine")[0]
    assert "| % of beside nobody's | **90.0** | - | - | 10.0 | - | - | 9.00 | - |" in table
    assert "| kpps | **100** | - | - | 60.0 | 100 | - | - | - |" in table  # nobody wins in that
    assert "wireguard-go was sent 60 kpps only (MAC1 right)" in table
    assert "openvpn was sent" not in table and f"{OURS} was sent" not in table
    assert "0.83 times openvpn" in table
    assert "MAC1" not in page.split("## Under handshakes")[0]
    text = report.text({VETH: found}, FACTS)
    assert "wireguard-go was sent 60 kpps only" in text and "% of beside nobody's" in text
    found.rounds[0] = {OURS: {"tcp1": 1e9}}
    assert "Under handshakes" not in report.page({VETH: found}, FACTS, "")
