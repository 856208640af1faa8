"""Real brokers over a real slice, killed, stopped and cut off while clients send and read: what
the clients saw must be what a log that loses nothing could have answered."""

import os
import random
import shutil
from pathlib import Path

import pytest

from history import History, check, figures, verdict
from lab import CLUSTERS, LabError
from lab.gateways import find_program
from stretched import PARTITIONS, Stretched, batches

NIGHTLY_SECONDS = 600


@pytest.fixture
def stretched(lab):
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    try:
        find_program("slice-gateway")
        find_program("slicectl")
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
    made = Stretched(lab)
    made.ask("create")
    made.wait_in_sync()
    return made


def judge(stretched, capsys):
    """Ends the workload, and looks at the history and at the disks."""
    history = History.load(stretched.finish())
    with capsys.disabled():
        print(f"\n{figures(history).text()}")
    words = verdict(history)
    stretched.kafka.stop()
    logs = [stretched.logs(node) for node in (1, 2, 3)]
    assert words is None, "\n".join([words, *on_disk(history, logs)])
    unsure = [one.value for one in history.sends.values() if one.once and one.outcome != "ok"]
    assert not unsure, f"idempotent sends that were not acknowledged: {unsure[:10]}"
    # A new epoch would be a client's answer to a broker that has forgotten it.
    for partition in range(PARTITIONS):
        begun = [text for *_, epoch, text in batches(logs[0][partition]) if epoch > 0]
        assert not begun, f"partition {partition}: {begun[:3]}"
    for partition in range(PARTITIONS):
        assert logs[0][partition] == logs[1][partition] == logs[2][partition], (
            f"the replicas of partition {partition} differ: "
            f"{[len(one[partition]) for one in logs]} bytes")
    return history


def on_disk(history, logs):
    """What stands at the places that do not hold."""
    places = sorted({place for one in check(history) for place in one.places})
    for partition, offset in places[:20]:
        for node, log in enumerate(logs, 1):
            for first, last, _, text in batches(log[partition]):
                if first <= offset <= last:
                    yield f"broker {node}, partition {partition}, {text}"


def test_faults_one_after_the_other(stretched, capsys):
    """A leader killed; a broker stopped in its tracks, which must not go on as if it led; a cluster
    cut off and its broker killed there; all brokers killed at once."""
    stretched.begin(rate=110)
    stretched.settle()
    leader = stretched.leader(0)
    stretched.kill(leader)
    stretched.last(3)
    stretched.start(leader)
    stretched.last(4)
    leader = stretched.leader(1)
    stretched.pause(leader)
    stretched.last(5)
    stretched.resume(leader)
    stretched.last(4)
    leader = stretched.leader(2)
    stretched.cut(stretched.cluster_of(leader))
    stretched.last(3)
    stretched.kill(leader)
    stretched.last(2)
    stretched.heal()
    stretched.last(2)
    stretched.start(leader)
    stretched.last(4)
    stretched.kill(1, 2, 3)
    stretched.start(1, 2, 3)
    stretched.last(6)
    judge(stretched, capsys)


class Trouble:
    """Faults by chance, from a seed. Each is undone before the next begins."""

    def __init__(self, stretched, seed):
        self.stretched, self.chance = stretched, random.Random(seed)

    def nodes(self, count=1):
        return self.chance.sample([1, 2, 3], count)

    def a_while(self, least=0.5, most=8.0):
        self.stretched.last(self.chance.uniform(least, most))

    def killed(self):
        nodes = self.nodes(self.chance.choice([1, 1, 1, 2, 3]))
        self.stretched.kill(*nodes)
        self.a_while(0, 6)
        self.stretched.start(*nodes)

    def killed_again(self):
        """While it recovers."""
        node, = self.nodes()
        for _ in range(self.chance.randrange(2, 5)):
            self.stretched.kill(node)
            self.stretched.start(node)
            self.a_while(0, 1)

    def stopped(self):
        node, = self.nodes()
        self.stretched.stop(node)
        self.a_while()
        self.stretched.start(node)

    def paused(self):
        nodes = self.nodes(self.chance.choice([1, 1, 2, 3]))
        self.stretched.pause(*nodes)
        self.a_while(0.2, 10)
        self.stretched.resume(*nodes)

    def cut(self):
        self.stretched.cut(self.stretched.cluster_of(*self.nodes()))
        self.a_while(0.5, 12)
        self.stretched.heal()

    def all_apart(self):
        self.stretched.cut(*CLUSTERS)
        self.a_while(0.5, 6)
        self.stretched.heal()

    def half_cut(self):
        """One direction of one link, or one link."""
        one, other = self.chance.sample(CLUSTERS, 2)
        links = [f"{one}>{other}", f"{other}>{one}"]
        self.stretched.cut(*links[:self.chance.choice([1, 2])])
        self.a_while(0.5, 12)
        self.stretched.heal()

    def bad_weather(self):
        self.stretched.weather("*", self.chance.choice(
            ["delay 10ms loss 3%", "delay 50ms", "delay 100ms loss 1%"]))
        self.a_while(3, 12)
        self.stretched.heal()

    def cut_and_killed(self):
        node, = self.nodes()
        victim, = self.nodes()
        self.stretched.cut(self.stretched.cluster_of(node))
        self.a_while(0, 5)
        self.stretched.kill(victim)
        self.a_while(0, 4)
        first, second = self.chance.sample(
            [self.stretched.heal, lambda: self.stretched.start(victim)], 2)
        first()
        self.a_while(0, 4)
        second()

    def paused_and_cut(self):
        node, = self.nodes()
        self.stretched.pause(node)
        self.a_while(0, 3)
        self.stretched.cut(self.stretched.cluster_of(*self.nodes()))
        self.a_while(0, 4)
        self.stretched.resume(node)
        self.a_while(0, 4)
        self.stretched.heal()

    KINDS = [killed, killed, killed_again, stopped, paused, paused, cut, cut, all_apart, half_cut,
             bad_weather, cut_and_killed, cut_and_killed, paused_and_cut]

    def next(self):
        self.chance.choice(self.KINDS)(self)


@pytest.mark.nightly
def test_faults_by_chance(stretched, capsys):
    seed = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(1 << 32)))
    with capsys.disabled():
        print(f"\nagain with FAULT_SEED={seed}")
    trouble = Trouble(stretched, seed)
    stretched.begin(rate=110)
    try:
        stretched.settle()
        seconds = float(os.environ.get("FAULT_SECONDS", NIGHTLY_SECONDS))
        while not stretched.has_lasted(seconds):
            trouble.next()
            trouble.a_while(1, 8)
        judge(stretched, capsys)
    finally:
        if "FAULT_KEEP" in os.environ:
            keep(stretched, Path(os.environ["FAULT_KEEP"]))


def keep(stretched, folder):
    """Everything that anybody wrote: logs of all processes and histories of all workers."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in stretched.lab.directory.iterdir():
        if path.suffix in (".log", ".jsonl"):
            shutil.copy2(path, folder)
