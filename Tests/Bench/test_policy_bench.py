"""What the benchmark of policies makes of its numbers, its frames of the directory against the text
that describes them, and a world of it small enough for a test."""

import ipaddress
import json
import re
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Lab")]

import directory_frames as wire
import measure
import played_gateway
import policy_report
from bench import build_udpbench
from lab import DirectPair, Lab, LabError, run
from policy_figures import FIGURES, FULL, QUICK, SMALLEST, STEPS, PolicyResults
from policy_measure import PolicySession, settled
from policy_world import PER_CLUSTER, TEAMS, PolicyWorld, Size, neighbours, policies

FACTS = {"machine": {"CPU": "x"}, "complaints": [], "rounds": 2, "seed": 1, "seconds": 60,
         "plan": measure.QUICK, "date": "2000-01-01"}
FIGURE = {figure.key: figure for figure in FIGURES}
PROTOCOL = Path(__file__).resolve().parents[2] / "Docs" / "Protocol.md"


def results(*rounds, sizes=FULL):
    found = PolicyResults(sizes)
    for one in rounds:
        found.new_round()
        for name, values in one.items():
            found.add(name, values)
    return found


# Figures


def test_ratios_are_taken_within_a_round():
    large = FULL[3]
    drift = results({SMALLEST.name: {"new": 100, "here": 0.1}, large.name: {"new": 90, "here": 2}},
                    {SMALLEST.name: {"new": 50, "here": 0.2}, large.name: {"new": 45, "here": 4}})
    assert drift.ratio(FIGURE["new"], large).median == 0.9
    assert drift.ratio(FIGURE["here"], large).least == 20
    assert drift.ratio(FIGURE["there"], large) is None
    assert policy_report.ratio(drift, FIGURE["here"], large) == "20.0 (20.0 to 20.0)"
    assert policy_report.ratio(drift, FIGURE["here"], FULL[0]) == "-"


def test_page_and_charts_are_whole(tmp_path):
    values = {figure.key: 1 + n / figure.scale for n, figure in enumerate(FIGURES)}
    found = results(*[{size.name: values for size in FULL}] * 2)
    found.failures.append((2, "1,000", "apply: nobody answered"))
    path = policy_report.write(tmp_path, found, FACTS)
    page = path.read_text()
    for figure in FIGURES:
        assert page.count(f"| {figure.title} |") == 2  # the numbers, and the ratios
    assert "Not measured: round 2, 1,000: apply: nobody answered." in page
    assert "nobody answered" in policy_report.text(found, FACTS)
    for image in policy_report.CHARTS:
        assert f"({image}.svg)" in page
        drawing = (path.parent / f"{image}.svg").read_text()
        xml.dom.minidom.parseString(drawing)
        assert all(drawing.count(f">{size.name}<") for size in FULL)
    drawn = [key for _, keys in policy_report.CHARTS.values() for key in keys]
    assert sorted(drawn) == sorted(FIGURE)


def test_every_step_is_there():
    assert SMALLEST in FULL and SMALLEST in QUICK
    for step in STEPS:
        assert callable(getattr(PolicySession, step))


@pytest.mark.parametrize("count", [10, 1_000])
def test_policies_are_as_many_as_said_and_all_different(count):
    before, after = policies(count), policies(count, turn=1)
    assert len(before) == len(after) == count
    assert len({json.dumps([one["from"], one["to"], one["ports"]]) for one in before}) == count
    # Measured before and after, the last of all; asked for only after.
    assert before[-1] == after[-1] and before[-1]["ports"] == ["udp/9009"]
    changed = [two for one, two in zip(before, after) if one != two]
    assert [one["name"] for one in changed] == ["in-west", "in-east"]
    assert not any(one["ports"] == ["udp/9009"] for one in before[:-1])


def test_each_turn_allows_what_the_one_before_did_not():
    for turn in range(1, 20):
        now, then = neighbours(turn + 1), neighbours(turn)
        assert not set(now) & set(then)
        for side, (source, target) in enumerate(now):
            assert source // PER_CLUSTER == target // PER_CLUSTER == side


def test_memory_is_told_once_it_rests():
    falling = iter([40 << 20, 20 << 20, 10 << 20, 10 << 20])
    assert settled(lambda: next(falling), pause=0) == 10 << 20
    rising = iter(range(0, 1 << 50, 1 << 20))
    with pytest.raises(LabError, match="does not come to rest"):
        settled(lambda: next(rising), seconds=0.05, pause=0.01)


# The directory's frames


def examples():
    """The two examples of the protocol's section 10.1, without what is said beside the bytes."""
    section = PROTOCOL.read_text().split("### 10.1 Frames")[1].split("### 10.2")[0]
    for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE):
        content = b""
        for line in block.splitlines():
            groups = re.match(r"(?:(?:[0-9a-f]{2})(?: [0-9a-f]{2})*(?:  |$))*",
                              line.strip() + "  ")[0]
            content += bytes.fromhex(groups)
            missing = re.search(r"\((\d+) bytes of", line)
            content += bytes(int(missing[1])) if missing else b""
        yield content


def test_frames_are_those_of_the_protocol():
    greeting, change = examples()
    facts = wire.number(7) + bytes(64)
    assert wire.hello("pay", "west", 5, (0, 0), facts) == greeting
    record = wire.endpoint("kafka", "b0", 13, ["10.80.1.2"], {"role": "broker"})
    assert wire.delta(12, 13, record) == change
    assert wire.Hello.read(greeting[5:]) == wire.Hello("pay", "west", facts)


def test_frames_are_taken_off_a_stream_as_they_come():
    stream = wire.heartbeat(3, bytes(72)) + wire.no_manifest()
    for cut in range(len(stream)):
        buffer = bytearray(stream[:cut])
        found = list(wire.frames(buffer))
        buffer += stream[cut:]
        found += wire.frames(buffer)
        assert [kind for kind, _ in found] == [wire.HEARTBEAT, wire.MANIFEST_BEGIN]
        assert not buffer
    with pytest.raises(ValueError):
        list(wire.frames(bytearray(b"\0\1\0\1")))
    with pytest.raises(ValueError):
        wire.Hello.read(b"SLDR\2")


def test_a_snapshot_has_every_record_and_no_frame_is_too_long():
    prefixes = [ipaddress.ip_network("10.80.64.0/18"), ipaddress.ip_network("fd00:80:0:3::/64")]
    items = played_gateway.records(3_000, prefixes, TEAMS)
    assert len(set(items)) == 3_000
    parts = list(wire.snapshot(1, items))
    assert parts[0][4] == wire.SNAPSHOT_BEGIN and parts[-1][4] == wire.SNAPSHOT_END
    assert len(parts) > 4 and max(map(len, parts)) <= wire.MOST
    assert b"".join(part[5:] for part in parts[1:-1]) == b"".join(items)


# With a kernel


@pytest.fixture(scope="module")
def udpbench(tmp_path_factory):
    return build_udpbench(tmp_path_factory.mktemp("udpbench"))


def test_each_datagram_comes_from_a_port_of_its_own(udpbench):
    """As the far end sees it: a set remembers the source ports."""
    with Lab() as lab:
        pair = DirectPair(lab)
        right = pair.right

        def ports(role):
            right.run("nft", "add table ip t; delete table ip t; add table ip t; "
                      "add set ip t s { type inet_service; flags dynamic; size 65535; }; "
                      "add chain ip t c { type filter hook input priority 0; }; "
                      "add rule ip t c update @s { udp sport }")
            flow = json.loads(run(udpbench, role, pair.left.path, right.path, pair.address(1), 64,
                                  2_000, 0.2).stdout)
            assert 0 < flow["sent"] <= 401 and flow["received"] == flow["sent"]
            assert not any(flow[key] for key in ("reordered", "duplicated", "foreign", "refused"))
            listed = json.loads(right.run("nft", "-j", "list set ip t s").stdout)["nftables"]
            return flow["sent"], len(next(one["set"]["elem"] for one in listed if "set" in one))

        sent, seen = ports("ports")
        assert seen == sent
        assert ports("flow")[1] == 1


def test_a_played_cluster_is_believed_and_packets_are_measured(udpbench):
    size = Size("x", 20, 60)
    said = {}
    with Lab() as lab:
        world = PolicyWorld(lab, size)
        for gateway in world.gateways.values():
            far = [one for one in gateway.ask("directory", world.slice.name)["endpoints"]
                   if one["cluster"] == "far"]
            assert len(far) == 50 and {one["namespace"] for one in far} == set(TEAMS)
            assert {"10.80.64.2", "fd00:80:0:3::2"} <= {
                address.split("/")[0] for one in far for address in one["addresses"]}
        session = PolicySession(world, udpbench, measure.QUICK, said.__setitem__)
        assert session.probe("first", 10)["at"] > 0
        flow = session.probe("flow", 64, 1_000, 0.2)
        ports = session.probe("ports", 64, 1_000, 0.2)
        assert flow["received"] > 0 and ports["received"] > 0
        # One conversation is decided once, whatever its length; of the others each is.
        reports = world.gateways["west"].status(world.slice)["policies"]
        decided = next(one["decided"] for one in reports if one["name"] == "measured")
        assert ports["received"] < decided <= ports["sent"] + 2
        for turn in (1, 2):
            said.clear()
            session.apply()
            assert 0 < said["here"] and 0 < said["there"] and world.version == turn + 1
        session.memory()
    assert said["rest"] <= said["peak"] and "kernel" in said
