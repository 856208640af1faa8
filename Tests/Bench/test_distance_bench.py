"""What the benchmark over distances makes of its numbers, and that its worlds are what they say."""

import json
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Lab")]

import distance_report
from distance_figures import (BARE, DISTANCES, FIGURES, PATHS, RATE, SLICE, STREAMS, Distance,
                              DistanceResults, Stream, most)
from distance_measure import measure_stream, record_values, stream_values
from distance_world import StreamWorld
from lab import Lab, LabError, ping
from machine import Watch

FACTS = {"machine": {"CPU": "x"}, "complaints": [], "rounds": 2, "pairs": 2, "record_seconds": 6,
         "seed": 1, "seconds": 60, "date": "2000-01-01"}


def results(*rounds):
    found = DistanceResults()
    for one in rounds:
        found.new_round()
        for path, values in one.items():
            found.add(path, values)
    return found


def said(bits_per_second, congestion="cubic"):
    return {"end": {"sum_received": {"bits_per_second": bits_per_second},
                    "sender_tcp_congestion": congestion}}


def test_ratios_are_taken_within_a_pair():
    found = results({BARE: {"p50_10": 0.010}, SLICE: {"p50_10": 0.0102}},
                    {BARE: {"p50_10": 0.020}, SLICE: {"p50_10": 0.0204}},
                    {SLICE: {"p50_10": 0.9}}, {BARE: {"p50_10": 0.9}})
    spread = found.ratio("p50_10")
    assert spread.count == 2 and abs(spread.median - 1.02) < 1e-9
    assert found.ratio("p99_10") is None
    assert [figure.key for figure in found.measured()] == ["p50_10"]


@pytest.mark.parametrize("ours, verdict", [
    (0.01049, "+4.9% through the slice, within 5%"),
    (0.01060, "+6.0% through the slice, not within 5%"),
    (0.00900, "-10.0% through the slice, within 5%")])
def test_it_says_whether_the_goal_is_met(ours, verdict):
    found = results({BARE: {"p99_10": 0.010}, SLICE: {"p99_10": ours}})
    assert distance_report.answers(found) == [f"Kafka record, 10 ms, 99th percentile: {verdict}"]


def test_it_says_how_far_a_path_was_filled():
    found = results({BARE: {"tcp100_filled": 0.999}, SLICE: {"tcp100_filled": 0.985}})
    assert distance_report.answers(found) == [
        "TCP, 100 ms: one stream through the slice fills 98.5% of the path, "
        "without the slice 99.9%"]


def test_the_page_has_every_figure_and_what_is_missing(tmp_path):
    values = {figure.key: 1 / figure.scale for figure in FIGURES}
    found = results({path: values for path in PATHS}, {BARE: values})
    found.failures.append((2, SLICE, "TCP, 10 ms: gone"))
    page = distance_report.write(tmp_path, found, {**FACTS, "complaints": ["too loud"]}).read_text()
    for figure in FIGURES:
        assert page.count(f"| {figure.title} | {figure.unit} |") == 1
    for text in (page, distance_report.text(found, FACTS)):
        assert "Not measured: round 2, through the slice: TCP, 10 ms: gone" in text
    assert "The machine was not quiet: too loud." in page
    assert "was quiet" not in page


def test_the_keys_of_figures_are_those_that_are_measured():
    keys = set()
    report = said(9e8)
    for stream in STREAMS:
        keys |= set(stream_values(stream, report, 1, 1, 0.5))
    for distance in DISTANCES:
        keys |= set(record_values(distance, '{"p50": 0.001, "p99": 0.002}'))
    assert keys == {figure.key for figure in FIGURES}


def test_a_stream_fills_what_the_relay_delivered():
    stream = Stream("tcp10", 0.010, 0, 1, 4)
    report = said(9e8)
    values = stream_values(stream, report, 4, RATE / 8 * 4 * 0.75, 0.5)
    assert values == {"tcp10": 9e8, "tcp10_filled": 0.75, "tcp10_busy": 0.5}
    assert stream.queue == 1_250_000
    with pytest.raises(LabError, match="no route"):
        stream_values(stream, {"error": "no route"}, 4, 1, 0.5)
    with pytest.raises(LabError, match="cubic"):
        stream_values(stream, said(9e8, "bbr"), 4, 1, 0.5)


def test_what_headers_leave():
    """1,448 of 1,500 bytes; 1,368 of the 1,480 that a packet of 1,420 becomes."""
    assert [round(most(path) / 1e6, 1) for path in PATHS] == [965.3, 924.3]


def test_loss_and_distance_bound_a_stream():
    stream = Stream("loss100", 0.100, 0.001, 1, 4)
    assert [round(stream.expected(path) / 1e6, 1) for path in PATHS] == [4.5, 4.2]
    found = results({BARE: {"loss100": 0.9 * stream.expected(BARE)},
                     SLICE: {"loss100": 0.8 * stream.expected(SLICE)}})
    assert distance_report.answers(found) == [
        "TCP, 100 ms, 0.1% lost: the stream reaches 0.80 of what Mathis' formula gives for its "
        "segments through the slice, without the slice 0.90"]


@pytest.mark.parametrize("shares, patience, kept, complaints", [
    ([0.9, 0.5, 0.01], 60, 0.01, 0), ([0.9, 0.5, 0.01], 0, 0.9, 1), ([0.01], 0, 0.01, 0)])
def test_it_waits_for_a_quiet_machine_as_long_as_it_may(monkeypatch, shares, patience, kept,
                                                        complaints):
    watch = Watch()
    watch.load = 0
    looks = iter(shares)
    monkeypatch.setattr(watch, "look", lambda: watch.busy.append(next(looks)))
    watch.wait(patience)
    assert watch.busy == [kept]
    assert sum("looks between" in line for line in watch.complaints()) == complaints


def test_a_producer_without_an_acknowledgement_is_no_figure():
    with pytest.raises(LabError, match="acknowledged"):
        record_values(Distance("0", 0), '{"p50": -1.0, "p99": -1.0}')
    with pytest.raises(ValueError):
        record_values(Distance("0", 0), "")


@pytest.fixture(scope="module")
def world():
    with Lab() as lab:
        yield StreamWorld(lab)


@pytest.mark.parametrize("path", PATHS)
def test_both_paths_lead_over_the_same_wire(world, path):
    """As far away as is said, no faster than is said, and through the relay."""
    stream = Stream("tcp10", 0.010, 0, warm_up=1, seconds=1)
    world.relay.set("*", stream.conditions)
    near, _, address = world.ends[path]
    assert 10 <= min(ping(near, address, count=10).times_ms) < 20
    values, details = measure_stream(world, stream, path)
    json.dumps(details)
    assert 0.05 < values["tcp10_filled"] <= 1.01
    # What is left of what was delivered for TCP: the rest are headers.
    assert values["tcp10"] == pytest.approx(
        values["tcp10_filled"] * most(path), rel=0.2) and values["tcp10"] < 0.97 * RATE
    assert details["wire"]["dropped"]["loss"] == 0


def test_what_one_stream_learns_is_forgotten(world):
    for near, far, _ in world.ends.values():
        for end in (near, far):
            assert end.run("ip", "tcp_metrics", "show").stdout == ""
