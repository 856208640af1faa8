"""The stretched Kafka of the demo, the applications that use it, and what is known of both while
they run."""

import collections
import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

from lab import LabError
from lab.brokers import BrokerCluster
from lab.topology import REPOSITORY
from ledger import acknowledged_by, percentile, read_by

HERE = Path(__file__).parent
TOPIC, GROUP, PARTITIONS = "transfers", "auditors", 6
# What clients of a stretched cluster should be told. librdkafka asks every 5 minutes who leads, or
# when something fails; a request that is on its way to a cluster that is cut off fails after 60 s.
FRESH = {"topic.metadata.refresh.interval.ms": "1000"}
PRODUCER = dict(FRESH)
CONSUMER = {**FRESH, "session.timeout.ms": "6000", "auto.commit.interval.ms": "1000"}


def clients_site():
    """The folder with confluent-kafka, or None."""
    named = os.environ.get("KAFKA_PYTHON_SITE")
    folder = Path(named) if named else REPOSITORY / ".build-python"
    return folder if (folder / "confluent_kafka").is_dir() else None


def parsed(line):
    """None for what is not JSON: what libraries say."""
    try:
        return json.loads(line) if line.startswith(b"{") else None
    except ValueError:
        return None


class Tail:
    """What a process has said in JSON since one last asked."""

    def __init__(self, process):
        self.process, self.position, self.rest = process, 0, b""

    def fresh(self):
        with open(self.process.log_path, "rb") as file:
            file.seek(self.position)
            data = file.read()
        self.position += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [said for line in lines if (said := parsed(line)) is not None]


@dataclasses.dataclass
class Partition:
    leader: int
    epoch: int
    replicas: list
    in_sync: list


class Workload:
    """`places` are cluster -> (lab namespace, address, host name); applications are in the
    namespaces `clients`."""

    def __init__(self, lab, places, clients, mark, rate, size, acks="all", fault=None):
        self.lab, self.places, self.clients, self.mark = lab, places, clients, mark
        self.rate, self.size, self.acks, self.fault = rate, size, acks, fault
        self.names = list(places)
        self.nodes = {name: n for n, name in enumerate(self.names, 1)}
        self.brokers = None
        self.watchers, self.producers, self.consumers, self.tails = {}, {}, {}, {}
        self.views = {}  # cluster -> the last answer of its broker
        self.produced, self.consumed = {}, {}  # cluster -> the last report
        self.sent_before = {}  # cluster -> the report before it
        self.samples = collections.deque()  # (at, cluster, latencies)
        self.reads = collections.deque()  # (at, cluster, records)
        self.history = collections.Counter()  # half second -> acknowledged
        self.ends, self.read_ends = collections.Counter(), collections.Counter()
        self.troubles = []
        self.unreachable, self.killed = set(), set()  # clusters, as the story has it
        self.started = time.monotonic()
        self.on_news, self.is_ending = lambda: None, False

    # --- starting and ending -------------------------------------------------------------------

    def start_brokers(self):
        """Returns how many seconds each took until it served."""
        self.brokers = BrokerCluster(
            self.lab, len(self.names),
            properties={"offsets.topic.num.partitions": 50, "group.min.session.timeout.ms": 6000},
            places=[self.places[name][:2] for name in self.names], racks=self.names, start=False,
            host_names=[self.places[name][2] for name in self.names])
        started, ready = {}, {}
        for name in self.names:
            started[name] = time.monotonic()
            self.broker(name).start(wait=False)

        def all_ready():
            for name in self.names:
                if name not in ready and "is ready" in self.broker(name).process.output():
                    ready[name] = time.monotonic() - started[name]
            return len(ready) == len(self.names)

        if not self.wait(all_ready, 20):
            raise LabError("not all brokers became ready")
        return ready

    def broker(self, name):
        return self.brokers[self.nodes[name]]

    def name_of(self, node):
        return next((name for name, n in self.nodes.items() if n == node), None)

    def watch(self):
        for name in self.names:
            self.watchers[name] = self.places[name][0].start(
                sys.executable, HERE / "watch.py", self.broker(name).address, TOPIC,
                label="watch")
            self.tails["watch", name] = Tail(self.watchers[name])

    def worker(self, role, name, *words, settings=(), label=None):
        command = [sys.executable, HERE / "worker.py", role, self.brokers.bootstrap, TOPIC,
                   "--name", name, *words]
        for key, value in dict(settings).items():
            command += ["--set", f"{key}={value}"]
        return self.clients[name].start(*command, label=label or role, env=self.environment())

    @staticmethod
    def environment():
        return {"PYTHONPATH": str(clients_site()), "PYTHONDONTWRITEBYTECODE": "1"}

    def create_topic(self, name):
        """From a cluster; returns what went wrong, or None."""
        process = self.worker("create", name)
        process.wait(30)
        said = Tail(process).fresh()
        return None if said and "created" in said[-1] else (
            said[-1].get("error") if said else process.tail())

    def start_clients(self):
        for number, name in enumerate(self.names):
            self.consumers[name] = self.worker(
                "consume", name, "--group", GROUP, "--rack", name, "--ledger",
                self.read_file(name), settings=CONSUMER)
            self.tails["consume", name] = Tail(self.consumers[name])
        for number, name in enumerate(self.names):
            more = ["--fault", self.fault] if self.fault and number == 0 else []
            settings = dict(PRODUCER)
            if self.acks != "all":
                settings |= {"acks": self.acks, "enable.idempotence": "false"}
            self.producers[name] = self.worker(
                "produce", name, "--rate", self.rate, "--size", self.size, "--mark", self.mark,
                "--ledger", self.acknowledged_file(name), *more, settings=settings)
            self.tails["produce", name] = Tail(self.producers[name])

    def acknowledged_file(self, name):
        return self.lab.directory / f"acknowledged-{name}"

    def read_file(self, name):
        return self.lab.directory / f"read-{name}"

    def stop_producers(self, seconds=30):
        """When this returns, every record was acknowledged or given up."""
        return self._stop(self.producers, seconds)

    def stop_consumers(self, seconds=30):
        return self._stop(self.consumers, seconds)

    def _stop(self, processes, seconds):
        self.is_ending = True
        for process in processes.values():
            process.signal(signal.SIGTERM)
        return self.wait(lambda: not any(one.is_running for one in processes.values()), seconds)

    def kill_clients(self):
        """For when nobody minds any more what is on its way."""
        for process in [*self.producers.values(), *self.consumers.values()]:
            process.kill()

    def stop_watching(self):
        for process in self.watchers.values():
            process.kill()

    # --- what is known -------------------------------------------------------------------------

    def poll(self):
        for (role, name), tail in self.tails.items():
            for said in tail.fresh():
                getattr(self, f"_{role}")(name, said)
        old = time.monotonic() - 3
        for recent in (self.samples, self.reads):
            while recent and recent[0][0] < old:
                recent.popleft()

    def _watch(self, name, said):
        before = self.views.get(name, {})
        said["is_silent"] = "partitions" not in said
        # What it said last of its partitions stands until it says something else.
        self.views[name] = {"partitions": before.get("partitions"), **said}

    def _produce(self, name, said):
        if "fatal" in said:
            self.troubles.append(f"producer in {name}: {said['fatal']}")
        if "latencies" not in said:
            return
        self.sent_before[name] = self.produced.get(name)
        self.produced[name] = said
        self.samples.append((said["at"], name, said["latencies"]))
        self.history[int(said["at"] * 2)] += len(said["latencies"])
        for partition, end in said["ends"].items():
            self.ends[int(partition)] = max(self.ends[int(partition)], end)

    def _consume(self, name, said):
        if "fatal" in said:
            self.troubles.append(f"consumer in {name}: {said['fatal']}")
        if "consumed" not in said:
            return
        before = self.consumed.get(name, {}).get("consumed", 0)
        self.consumed[name] = said
        self.reads.append((said["at"], name, said["consumed"] - before))
        for partition, end in said["ends"].items():
            self.read_ends[int(partition)] = max(self.read_ends[int(partition)], end)

    def partitions(self):
        """partition -> Partition: the newest epoch counts, and in it what the leader says."""
        best = {}
        for name, view in self.views.items():
            for index, leader, epoch, replicas, in_sync in view.get("partitions") or []:
                rank = (epoch, leader == self.nodes[name] and not view["is_silent"])
                if index not in best or rank > best[index][0]:
                    best[index] = (rank, Partition(leader, epoch, replicas, in_sync))
        return {index: one for index, (_, one) in sorted(best.items())}

    def controller(self, among=None):
        """The cluster whose controller leads the quorum, as the newest epoch has it; or None."""
        seen = [(view["quorum"][1], view["quorum"][0]) for name, view in self.views.items()
                if view.get("quorum") and view["quorum"][0] > 0
                and (among is None or name in among)]
        return self.name_of(max(seen)[1]) if seen else None

    def leads(self, name):
        return sum(one.leader == self.nodes[name] for one in self.partitions().values())

    def in_sync(self, name):
        return sum(self.nodes[name] in one.in_sync for one in self.partitions().values())

    def is_whole(self):
        partitions = self.partitions().values()
        return bool(partitions) and all(
            one.leader > 0 and len(one.in_sync) == len(one.replicas) for one in partitions)

    def is_flowing(self, names=None):
        """Whether each of these producers gets acknowledgements as fast as it sends, nearly."""
        return all(self.rate_of(self.samples, name) > 0.7 * self.rate
                   and self.waiting(name) < self.rate / 2 for name in names or self.names)

    def waiting(self, name):
        """Records of a producer that are neither acknowledged nor given up."""
        said = self.produced.get(name)
        return said["sent"] - said["acknowledged"] - said["failed"] if said else 0

    def rate_of(self, recent, name=None, seconds=1.0):
        """A second ends with the newest report."""
        counts = [(at, count if isinstance(count, int) else len(count))
                  for at, who, count in recent if name in (None, who)]
        newest = max((at for at, _ in counts), default=0)
        if newest < time.monotonic() - 1.5:
            return 0
        return sum(count for at, count in counts if at > newest - seconds + 0.02) / seconds

    def latency(self, without=(), seconds=1.0):
        """(p50, p99) of the last second, in milliseconds."""
        since = time.monotonic() - seconds
        values = sorted(value for at, name, values in self.samples
                        if at > since and name not in without for value in values)
        return percentile(values, 0.5), percentile(values, 0.99)

    def acknowledged_total(self, names=None):
        return sum(self.produced.get(name, {}).get("acknowledged", 0)
                   for name in names or self.names)

    def lag(self):
        """Acknowledged and not read yet by anyone of the group."""
        return sum(max(0, end - self.read_ends[partition])
                   for partition, end in self.ends.items())

    def assigned(self, names=None):
        return sum(len(self.consumed.get(name, {}).get("assigned", []))
                   for name in names or self.names)

    # --- the books -----------------------------------------------------------------------------

    def acknowledged(self):
        return [one for name in self.names
                for one in acknowledged_by(name, self.acknowledged_file(name))]

    def group_reads(self):
        return [read_by(self.read_file(name)) for name in self.names]

    # --- waiting -------------------------------------------------------------------------------

    def wait(self, predicate, seconds):
        """Keeps what is known fresh until the predicate holds; its answer, or None when the time
        is up."""
        deadline = time.monotonic() + seconds
        while True:
            self.poll()
            self.look_for_the_dead()
            self.on_news()
            answer = predicate()
            if answer or time.monotonic() >= deadline:
                return answer or None
            time.sleep(0.02)

    def look_for_the_dead(self):
        processes = [self.broker(name).process for name in self.names
                     if self.brokers and name not in self.killed]
        if not self.is_ending:
            processes += [*self.producers.values(), *self.consumers.values()]
        for process in processes:
            if process is not None and not process.is_running:
                raise LabError(f"{process.label} ended by itself with "
                               f"{process.popen.returncode}:\n{process.tail(5)}")

    def go_on(self, seconds):
        self.wait(lambda: False, seconds)

    def clock(self):
        return time.monotonic() - self.started

    # --- for the eyes --------------------------------------------------------------------------

    def state(self, name):
        """(words, tint)"""
        if name in self.killed:
            return "× killed", "bad"
        if name in self.unreachable:
            return "× cut off", "bad"
        if self.views.get(name, {}).get("is_silent"):
            return "○ silent", "warn"
        return "● up", "good"

    def sent_rate(self, name):
        before, now = self.sent_before.get(name), self.produced.get(name)
        if not before or now["at"] <= before["at"] or now["at"] < time.monotonic() - 1.5:
            return 0
        return (now["sent"] - before["sent"]) / (now["at"] - before["at"])

    def spark(self, bars, count):
        """Records acknowledged in each of the last half seconds."""
        last = int(time.monotonic() * 2) - 1
        expected = max(1.0, self.rate * len(self.names) / 2)
        heights = [min(1.0, self.history[at] / expected)
                   for at in range(last - count + 1, last + 1)]
        return "".join(bars[round(height * (len(bars) - 1))] for height in heights)
