"""Kafka clusters of slice-broker: formatted, started, watched, killed and taken down."""

import json
import os
import random
import signal
import socket
from pathlib import Path

from .core import LabError, run, wait_until
from .topology import REPOSITORY


def broker_program():
    """$SLICE_BROKER_BIN, or what `swift build` made; release before debug."""
    if "SLICE_BROKER_BIN" in os.environ:
        path = Path(os.environ["SLICE_BROKER_BIN"])
        if not path.exists():
            raise LabError(f"$SLICE_BROKER_BIN names {path}, which is not there")
        return path
    for kind in ("release", "debug"):
        path = REPOSITORY / ".build" / kind / "slice-broker"
        if path.exists():
            return path
    raise LabError("no slice-broker: build it with `swift build -c release --product "
                   "slice-broker`, or name it in $SLICE_BROKER_BIN")


def free_ports(count):
    """Ports of loopback that nobody listens on. All are held until all are found.

    Below those that the kernel hands to whoever connects: a broker that was stopped would not
    find its port free, or a client that tries it again and again would meet itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    held = []
    try:
        while len(held) < count:
            one = socket.socket()
            try:
                one.bind(("127.0.0.1", random.randrange(10_000, max(11_000, lowest))))
            except OSError:
                one.close()
                continue
            held.append(one)
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Broker:
    """One node: its properties file, its data directory and, at times, its process."""

    def __init__(self, cluster, node, host, port, controller_port, rack, roles, extra, namespace):
        self.cluster, self.node, self.rack, self.namespace = cluster, node, rack, namespace
        self.host, self.port, self.controller_port = host, port, controller_port
        self.directory = cluster.lab.directory / f"{cluster.name}-{node}"
        self.data = self.directory / "data"
        self.data.mkdir(parents=True)
        self.file = self.directory / "broker.properties"
        self.roles, self.extra = roles, dict(extra)
        self.process = None

    @property
    def name(self):
        """What others call its host."""
        return self.cluster.host_names.get(self.node, self.host)

    @property
    def address(self):
        return f"{self.name}:{self.port}"

    def properties(self):
        # A name has an address of each family: the broker is at all of them.
        host = self.host if self.name == self.host else ""
        listeners = []
        if "broker" in self.roles:
            listeners.append(f"PLAINTEXT://{host}:{self.port}")
        if "controller" in self.roles:
            listeners.append(f"CONTROLLER://{host}:{self.controller_port}")
        advertised = {}
        if self.name != self.host and "broker" in self.roles:
            advertised["advertised.listeners"] = f"PLAINTEXT://{self.name}:{self.port}"
        return {
            **advertised,
            "node.id": self.node,
            "process.roles": ",".join(self.roles),
            "controller.quorum.voters": self.cluster.voters(),
            "listeners": ",".join(listeners),
            "broker.rack": self.rack,
            "log.dir": self.data,
            **self.cluster.properties,
            **self.extra,
        }

    def write_properties(self):
        self.file.write_text("".join(f"{k}={v}\n" for k, v in self.properties().items()))

    def format(self, *words, check=True):
        return run(broker_program(), "format", "--config", self.file, "--cluster-id",
                   self.cluster.cluster_id, *words, check=check)

    def start(self, wait=True):
        command = [broker_program(), "start", "--config", self.file]
        label = f"{self.cluster.name}-{self.node}"
        if self.namespace is None:
            self.process = self.cluster.lab.start(command, label=label)
        else:
            self.process = self.namespace.start(*command, label=label)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        self.process.wait_for(r"is ready", seconds, longest_pause=0.02)

    @property
    def is_running(self):
        return self.process is not None and self.process.is_running

    def stop(self, seconds=20):
        """SIGTERM: a controlled shutdown."""
        self.process.signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        if status != 0:
            raise LabError(f"{self.process.label} ended with {status}:\n{self.process.tail()}")

    def kill(self):
        """SIGKILL."""
        self.process.kill()

    def pause(self):
        """Until every thread has stopped: the signal goes to one, and the others run on until that
        one has had its turn, on a machine that is busy for a while."""
        self.process.signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")

        def stopped():
            try:
                return {(one / "stat").read_text().rsplit(")", 1)[1].split()[0]
                        for one in tasks.iterdir()} <= set("TtZX")
            except OSError:
                return not self.is_running  # a thread, or all of it, has just ended
        wait_until(stopped, 10, f"{self.process.label} to stand still")

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LabError(f"{self.process.label} has no VmRSS")


class BrokerCluster:
    """Nodes that are broker and controller both, numbered from 1, one rack each (`racks`, or a
    name made up).

    Without `places` they listen on loopback; with it, node n listens at (namespace, address)
    `places[n - 1]` on the usual ports; `host_names` are what others call these addresses."""

    DEFAULTS = {
        "offsets.topic.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 100,
    }

    def __init__(self, lab, count=1, name="kafka", properties=None, places=None, racks=None,
                 start=True, host_names=()):
        self.lab, self.name = lab, name
        self.host_names = dict(enumerate(host_names, 1))
        replicas = min(3, count)
        self.properties = {
            **self.DEFAULTS,
            "offsets.topic.replication.factor": replicas,
            "default.replication.factor": replicas,
            "min.insync.replicas": 2 if count >= 3 else 1,
            **(properties or {}),
        }
        self.brokers = {}
        ports = free_ports(2 * count) if places is None else [9092, 9093] * count
        self.places = places or [(None, "127.0.0.1")] * count
        self._addresses = {
            n: (self.places[n - 1][1], ports[2 * n - 2], ports[2 * n - 1])
            for n in range(1, count + 1)}
        self.cluster_id = run(broker_program(), "random-uuid").stdout.strip()
        racks = racks or [f"cluster-{n}" for n in range(1, count + 1)]
        for node, (host, port, controller) in self._addresses.items():
            broker = Broker(self, node, host, port, controller, racks[node - 1],
                            ["broker", "controller"], {}, self.places[node - 1][0])
            broker.write_properties()
            broker.format()
            self.brokers[node] = broker
        if start:
            self.start()

    def voters(self):
        return ",".join(f"{n}@{self.host_names.get(n, host)}:{controller}"
                        for n, (host, _, controller) in self._addresses.items())

    def start(self):
        for broker in self.brokers.values():
            broker.start(wait=False)
        for broker in self.brokers.values():
            broker.wait_ready()

    def __getitem__(self, node):
        return self.brokers[node]

    def __iter__(self):
        return iter(self.brokers.values())

    @property
    def bootstrap(self):
        return ",".join(broker.address for broker in self.brokers.values())

    def stop(self):
        for broker in self.brokers.values():
            if broker.is_running:
                broker.process.signal(signal.SIGTERM)
        for broker in self.brokers.values():
            if broker.process is not None:
                broker.process.wait(20)

    def ctl(self, *words, via=None, check=True, timeout=60):
        """Runs slice-broker's client side against the cluster and returns what it did."""
        broker = via or next(b for b in self.brokers.values() if b.is_running)
        command = [broker_program(), *words, "--bootstrap-server", broker.address]
        if broker.namespace is not None:
            return broker.namespace.run(*command, check=check, timeout=timeout)
        return run(*command, check=check, timeout=timeout)

    def ctl_json(self, *words, **options):
        return json.loads(self.ctl(*words, "--json", **options).stdout)

    def describe(self, topic):
        """The partitions of a topic as slice-broker tells them."""
        return self.ctl_json("topics", "describe", topic)["partitions"]

    def wait_in_sync(self, topic, seconds=20):
        """Until every partition has a leader and all its replicas in sync."""
        def whole():
            return all(p["leader"] >= 0 and sorted(p["isr"]) == sorted(p["replicas"])
                       for p in self.describe(topic))
        wait_until(whole, seconds, f"all replicas of {topic} to be in sync")
