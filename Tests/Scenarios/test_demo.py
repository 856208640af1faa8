"""`make demo` as users run it: it ends well, it notices what is wrong, and it leaves nothing
behind, however it ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import needs_root
from lab import run, wait_until
from lab.core import NETNS, NAME, start_time

DEMO = Path(__file__).parents[1] / "Lab" / "demo"
COMMAND = [sys.executable, str(DEMO)]
SECONDS = 150


@pytest.fixture(autouse=True)
def root():
    needs_root()


def left_behind(before):
    """Namespaces, temporary directories and processes of runs that are over."""
    names = {path.name for path in NETNS.glob("lab-*")} | {
        path.name for path in Path("/tmp").glob("lab-*")} | {
        path.name for path in Path("/run/wireguard").glob("lab-*")}
    litter = {name for name in names - before
              if (match := NAME.match(name)) and start_time(int(match[1])) != int(match[2])}
    return sorted(litter)


def names_now():
    return {path.name for place in ("/run/netns", "/tmp", "/run/wireguard")
            for path in Path(place).glob("lab-*")}


def processes_of(session):
    """What still runs of a session."""
    done = run("ps", "-o", "pid=,stat=,args=", "--sid", session, check=False).stdout
    return [line for line in done.splitlines() if line.split()[1][0] != "Z"]


def start(*words, before=(), output=subprocess.DEVNULL):
    return subprocess.Popen([*before, *COMMAND, *words], stdin=subprocess.DEVNULL, stdout=output,
                            stderr=subprocess.STDOUT, start_new_session=True)


def demo(tmp_path, *words, before=()):
    """The exit status, the report and what was shown."""
    report = tmp_path / "report.json"
    with open(tmp_path / "shown", "w") as shown:
        process = start(*words, "--json", str(report), before=before, output=shown)
        try:
            status = process.wait(SECONDS)
        finally:
            process.kill()
    text = (tmp_path / "shown").read_text()
    assert report.exists(), text
    return status, json.loads(report.read_text()), text


def failed_steps(report):
    return {check["step"] for check in report["checks"] if not check["holds"]}


@pytest.mark.parametrize("before", [
    pytest.param((), id="root", marks=pytest.mark.nightly),
    pytest.param(("unshare", "-Urnm"), id="user-namespace")])
def test_it_ends_well_and_leaves_nothing(tmp_path, before):
    names = names_now()
    status, report, text = demo(tmp_path, before=before)
    assert (status, report["ok"], failed_steps(report)) == (0, True, set()), text
    assert report["in_user_namespace"] == bool(before)
    assert len(report["checks"]) >= 30
    assert "\033" not in text  # plain, where it is not a terminal
    facts = report["facts"]
    assert facts["underlay_packets"]["plaintext"] == 0
    records = facts["records"]
    assert records["acknowledged"] > 10_000 and records["read"] >= records["acknowledged"]
    assert [records[what] for what in ("lost", "twice", "disorder", "damaged")] == [0] * 4
    assert facts["cut"]["acknowledged_alone"] == 0
    assert len(facts["peers"]) == 6
    assert left_behind(names) == []


@pytest.mark.parametrize("what,step", [
    ("plaintext", 6),
    pytest.param("no-cut", 7, marks=pytest.mark.nightly),
    pytest.param("no-quorum", 7, marks=pytest.mark.nightly),
    pytest.param("no-kill", 8, marks=pytest.mark.nightly),
    pytest.param("no-heal", 9, marks=pytest.mark.nightly),
    pytest.param("acks-1", 10, marks=pytest.mark.nightly),
    pytest.param("forget", 10, marks=pytest.mark.nightly),
    pytest.param("twice", 10, marks=pytest.mark.nightly),
    pytest.param("swap", 10, marks=pytest.mark.nightly),
    pytest.param("no-isolation", 11, marks=pytest.mark.nightly),
    pytest.param("litter", 13, marks=pytest.mark.nightly),
    pytest.param("error", 6, marks=pytest.mark.nightly),
])
def test_it_notices_what_is_wrong(tmp_path, what, step):
    names = names_now()
    status, report, text = demo(tmp_path, "--break", what)
    assert status == 1 and report["ok"] is False, text
    assert step in failed_steps(report) or what == "litter", text
    assert left_behind(names) == []


@pytest.mark.parametrize("missing", ["SLICE_BROKER_BIN", "KAFKA_PYTHON_SITE"])
def test_it_says_what_kafka_needs(tmp_path, missing):
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=30,
                          env={**os.environ, missing: str(tmp_path / "none")})
    assert done.returncode == 1
    assert missing in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("number,seconds", [
    pytest.param(number, round(random.Random(f"{number}/{n}").uniform(0.05, 50 if n else 14), 2),
                 marks=[pytest.mark.nightly] * (n > 0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) for n in range(5)])
def test_interrupted_at_any_moment_it_leaves_nothing(number, seconds):
    names = names_now()
    process = start()
    time.sleep(seconds)  # the moment, not a wait for something
    os.kill(process.pid, number)
    if seconds > 10:
        os.kill(process.pid, number)  # an impatient user
    # As a shell has it; or before Python had begun, by the signal itself.
    assert process.wait(60) in (128 + number, -number)
    wait_until(lambda: not processes_of(process.pid), 5, "its processes to end")
    assert left_behind(names) == []


def test_ctrl_c_reaches_everyone_and_leaves_nothing():
    """A terminal sends SIGINT to the whole group."""
    names = names_now()
    process = start()
    wait_until(lambda: names_now() - names, 20, "it to begin")
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    assert left_behind(names) == []


def test_killed_it_is_swept_by_the_next_run():
    names = names_now()
    process = start()
    wait_until(lambda: len(names_now() - names) > 9, 30, "it to have made something")
    children = run("ps", "-o", "pid=", "--ppid", process.pid).stdout.split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: left_behind(names) != [], 10, "the killed run's litter to be seen as such")
    again = start()
    wait_until(lambda: left_behind(names) == [], 20, "the next run to sweep")
    os.kill(again.pid, signal.SIGTERM)
    again.wait(60)
    assert left_behind(names) == []


def test_it_says_what_is_missing(tmp_path):
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=30,
                          env={**os.environ, "SLICE_GATEWAY_BIN": str(tmp_path / "none")})
    assert done.returncode == 1
    assert "SLICE_GATEWAY_BIN" in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_does_not_stop_the_clean_up():
    names = names_now()
    process = start(output=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    wait_until(lambda: names_now() - names, 20, "it to begin")
    os.kill(process.pid, signal.SIGTERM)
    process.wait(60)
    assert left_behind(names) == []
