"""One Kafka cluster over three physical ones: brokers and workers in namespaces that are attached
to a slice, gateways between them, and a relay that holds every packet for 10 ms."""

import itertools
import json
import os
import struct
import sys
import time
from pathlib import Path

from lab import CLUSTERS, LabError, ThreeClusters, wait_until
from lab.brokers import BrokerCluster
from lab.gateways import SliceWorld, address_of

WORKER = Path(__file__).with_name("worker.py")
TOPIC = "history"
PARTITIONS = 6
DELAY = "delay 10ms"


class Worker:
    """A process of worker.py that goes on until it is told to end."""

    def __init__(self, stretched, cluster, role, name, *words):
        self.name, self.path = name, stretched.lab.directory / f"{name}.jsonl"
        self.process = stretched.workers[cluster].start(
            sys.executable, WORKER, role, stretched.kafka.bootstrap, TOPIC, "--name", name,
            "--history", self.path, "--partitions", PARTITIONS, *words, label=name,
            env=stretched.environment)

    @property
    def progress(self):
        """What it said last."""
        *_, last = ["{}", *self.process.output().splitlines()]
        try:
            return json.loads(last)
        except ValueError:
            return {}  # half a line

    def check(self):
        if not self.process.is_running:
            raise LabError(f"{self.name} ended with {self.process.popen.returncode}:\n"
                           f"{self.process.tail()}")
        said = self.process.output()
        if '"fatal"' in said:
            raise LabError(f"{self.name} cannot go on:\n{self.process.tail()}")

    def end(self):
        self.process.signal(15)

    def join(self, seconds):
        if self.process.wait(seconds) != 0:
            raise LabError(f"{self.name} failed:\n{self.process.tail()}")
        return self.progress


class Stretched:
    def __init__(self, lab, properties=None):
        self.lab = lab
        self.world = SliceWorld(lab, ThreeClusters(lab, DELAY, endpoints=2))
        self.workers = {}
        gateway_of, slice = self.world.gateway, self.world.slices[0]
        self.worker_addresses = {}
        for cluster in CLUSTERS:
            self.workers[cluster] = self.world.endpoint(cluster, 1)
            reply = gateway_of(cluster).attach(slice, self.workers[cluster], f"worker-{cluster}")
            self.worker_addresses[cluster] = address_of(reply.get("endpoint", reply))
        self.environment = {"PYTHONPATH": os.environ["KAFKA_PYTHON_SITE"]}
        self.kafka = BrokerCluster(
            lab, 3, places=[(self.world.endpoint(one), self.world.address(one))
                            for one in CLUSTERS], properties=properties)
        self.faults = open(lab.directory / "faults.jsonl", "w", buffering=1)
        self.running = []
        self.ended, self.still, self.cuts = set(), set(), set()

    # --- questions -----------------------------------------------------------------------------

    def ask(self, role, cluster="west", bootstrap=None, check=True):
        done = self.workers[cluster].run(
            sys.executable, WORKER, role, bootstrap or self.kafka.bootstrap, TOPIC,
            "--partitions", PARTITIONS, env=self.environment, check=check)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def leader(self, partition=0):
        """The node that leads, as the others say."""
        def known():
            said = self.ask("leaders", check=False)
            return said and said["leaders"][str(partition)]
        node = wait_until(lambda: (known() or 0) > 0 and known(), 20, "a leader")
        return node

    def wait_in_sync(self, seconds=60):
        def whole():
            said = self.ask("leaders", check=False)
            return said and all(one > 0 for one in said["leaders"].values()) and all(
                one == [1, 2, 3] for one in said["in_sync"].values())
        wait_until(whole, seconds, "all replicas to be in sync")

    # --- faults --------------------------------------------------------------------------------

    def note(self, what):
        # `at` is for whoever holds it beside a broker's log.
        line = {"t": time.monotonic(), "at": time.time(), "kind": "fault", "what": what,
                "majority": self.has_majority()}
        self.faults.write(json.dumps(line) + "\n")

    def has_majority(self):
        """Whether two nodes run and reach each other."""
        up = {1, 2, 3} - self.ended - self.still
        return any(not self.cuts & {a, b, f"{a}>{b}", f"{b}>{a}"} for a, b in
                   itertools.combinations([self.cluster_of(node) for node in up], 2))

    def cluster_of(self, node):
        return CLUSTERS[node - 1]

    def kill(self, *nodes):
        self.ended |= set(nodes)
        self.note(f"kill -9 of {said(nodes)}")
        for node in nodes:
            self.kafka[node].process.signal(9)
        for node in nodes:
            self.kafka[node].process.wait()

    def start(self, *nodes):
        self.ended -= set(nodes)
        self.note(f"start of {said(nodes)}")
        for node in nodes:
            self.kafka[node].start(wait=False)

    def stop(self, node):
        self.ended.add(node)
        self.note(f"SIGTERM to {said([node])}")
        self.kafka[node].stop()

    def pause(self, *nodes):
        self.still |= set(nodes)
        self.note(f"SIGSTOP to {said(nodes)}")
        for node in nodes:
            self.kafka[node].pause()

    def resume(self, *nodes):
        self.still -= set(nodes)
        self.note(f"SIGCONT to {said(nodes)}")
        for node in nodes:
            self.kafka[node].resume()

    def cut(self, *links):
        self.cuts |= set(links)
        self.note(f"cut of {' and '.join(links)}")
        for link in links:
            self.world.relay.cut(link)

    def weather(self, links, conditions):
        self.note(f"{links}: {conditions}")
        self.world.relay.set(links, conditions)

    def heal(self):
        self.cuts.clear()
        self.note("heal")
        self.world.relay.set("*", DELAY)
        self.world.relay.heal("*")

    # --- the workload --------------------------------------------------------------------------

    def begin(self, rate):
        """An idempotent sender in each cluster and a plain one, a group of a reader in each
        cluster, and a reader by itself in two."""
        self.begun = time.monotonic()
        for n, cluster in enumerate(CLUSTERS, 1):
            self.run(cluster, "send", f"send-{cluster}", "--rate", rate)
            self.run(cluster, "read", f"group-{cluster}", "--group", "readers",
                     "--rack", f"cluster-{n}")
        self.run("central", "send", "plain-central", "--rate", rate, "--plain")
        self.run("west", "read", "alone-west", "--rack", "cluster-1")
        self.run("east", "read", "alone-east")

    def run(self, cluster, role, name, *words):
        self.running.append(Worker(self, cluster, role, name, *words))

    def senders(self):
        return [one for one in self.running if "send" in one.process.command]

    def readers(self):
        return [one for one in self.running if "read" in one.process.command]

    def settle(self):
        """Until records are acknowledged and read."""
        def going():
            self.check()
            return all(one.progress.get("acknowledged", 0) > 100 for one in self.senders()) and all(
                one.progress.get("ends") for one in self.readers() if "alone" in one.name)
        wait_until(going, 30, "the workload to get going")

    def check(self):
        for one in self.running:
            one.check()

    def has_lasted(self, seconds):
        return time.monotonic() - self.begun >= seconds

    def last(self, seconds):
        """Lets a fault last, while all workers live."""
        until = time.monotonic() + seconds

        def over():
            self.check()
            return time.monotonic() >= until
        wait_until(over, seconds + 30, "time to pass")

    def finish(self):
        """Ends the workload: everything that was sent has ended, every reader has read all of it.
        Tells the paths of the histories."""
        for one in self.senders():
            one.end()
        for one in self.senders():
            progress = one.join(60)
            assert progress["waiting"] == 0, f"{one.name} has records under way: {progress}"
        self.wait_in_sync()
        ends = self.ask("ends")["ends"]
        group = [one for one in self.readers() if "group" in one.name]

        def read_all():
            for one in self.readers():
                one.check()
            reached = {}
            for one in group:
                for partition, end in one.progress.get("ends", {}).items():
                    reached[partition] = max(reached.get(partition, 0), end)
            places = [one.progress.get("ends", {}) for one in self.readers() if one not in group]
            return all(place == ends for place in [*places, reached])
        try:
            wait_until(read_all, 60, f"the readers to reach {ends}")
        except LabError as late:
            late.add_note("\n".join(f"{one.name}: {one.progress}" for one in self.readers()))
            late.add_note(self.kafka.ctl("groups", "describe", "readers", check=False).stdout)
            raise
        for one in self.readers():
            one.end()
        for one in self.readers():
            one.join(20)
        self.faults.close()
        return [*[one.path for one in self.running], self.lab.directory / "faults.jsonl"]

    # --- on the disks --------------------------------------------------------------------------

    def logs(self, node):
        """Partition -> the bytes of its log, of a broker that has ended."""
        found = {}
        for partition in range(PARTITIONS):
            segments = sorted((self.kafka[node].data / f"{TOPIC}-{partition}").glob("*.log"))
            found[partition] = b"".join(one.read_bytes() for one in segments)
        return found


def said(nodes):
    return " and ".join(f"broker {node} ({CLUSTERS[node - 1]})" for node in nodes)


def batches(log):
    """(first offset, last offset, the producer's epoch, a description) of every batch in the bytes
    of a log."""
    at = 0
    while at + 61 <= len(log):
        base, length, epoch = struct.unpack_from(">qii", log, at)
        last, = struct.unpack_from(">i", log, at + 23)
        producer, producer_epoch, sequence, count = struct.unpack_from(">qhii", log, at + 43)
        yield base, base + last, producer_epoch, (
            f"offsets {base} to {base + last}: leader epoch {epoch}, producer {producer} epoch "
            f"{producer_epoch} sequence {sequence}, {count} records")
        at += 12 + length
