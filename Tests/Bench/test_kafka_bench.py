"""What the benchmark of Kafka makes of its numbers, and that its client can be built."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Lab")]

import kafka_report
from kafka_bench import Run
from kafka_figures import FIGURES, REFERENCE, STEPS
from kafka_measure import Measure
from kafka_places import LOOPBACK, SLICE, build_client

FACTS = {"machine": {"CPU": "x"}, "complaints": [], "rounds": 2, "seconds": 6, "taken": 90,
         "date": "2000-01-01"}


def results(**values):
    run = Run(SimpleNamespace(places=[LOOPBACK, SLICE]), None)
    for place, figures in values.items():
        run.values[place].update(figures)
    return run


def test_a_ratio_says_how_much_better():
    run = results(loopback={"large": [80_000, 100_000], "p99": [0.005, 0.005]})
    figures = {figure.key: figure for figure in FIGURES}
    assert kafka_report.times(run, figures["large"], LOOPBACK) == "2.00"
    assert kafka_report.times(run, figures["p99"], LOOPBACK) == "10.00"
    assert kafka_report.times(run, figures["rest"], LOOPBACK) == "-"


def test_the_page_has_every_figure_that_was_measured(tmp_path):
    values = {figure.key: [REFERENCE.get(figure.key, 1)] for figure in FIGURES}
    run = results(loopback=values, slice={"p50": [0.0015]})
    run.failures.append("slice, cut: nobody answered")
    page = kafka_report.write(tmp_path, run, FACTS).read_text()
    for figure in FIGURES:
        assert f"| {figure.title} |" in page
    assert "Not measured: slice, cut: nobody answered." in page
    assert "1.50" in page
    assert "1.00" in kafka_report.text(run, FACTS)


def test_every_step_is_there():
    for step in STEPS:
        assert callable(getattr(Measure, step))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return build_client(tmp_path_factory.mktemp("client"))


@pytest.mark.parametrize("words", [
    [], ["produce"], ["consume", "127.0.0.1:1", "t", "1"], ["what", "a", "b", "c", "d", "e"]])
def test_the_client_says_what_it_wants(client, words):
    done = subprocess.run([client, *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "kafkabench produce" in done.stderr


def test_the_client_names_a_setting_that_is_unknown(client):
    done = subprocess.run(
        [client, "produce", "127.0.0.1:1", "t", "10", "0", "1", "no.such.setting=1"],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "no.such.setting" in done.stderr
