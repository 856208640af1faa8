"""Where the three brokers of the benchmark and its client are: on loopback, or in endpoints of a
slice that joins three clusters."""

import shutil
from pathlib import Path

from lab import CLUSTERS, LabError, ThreeClusters, run
from lab.brokers import BrokerCluster
from lab.gateways import SliceWorld

LOOPBACK, SLICE, DISTANT = "loopback", "slice", "slice, 10 ms apart"
DELAYS = {SLICE: "delay 0ms", DISTANT: "delay 10ms"}


def build_client(directory):
    """kafkabench, from its C source and librdkafka."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LabError("no C compiler for kafkabench.c (Debian package gcc)")
    program = Path(directory) / "kafkabench"
    source = Path(__file__).with_name("kafkabench.c")
    run(compiler, "-std=gnu11", "-O2", "-Wall", "-pthread", "-o", program, source, "-lrdkafka")
    return program


class Place:
    """Three brokers, each a controller too, with default settings, a rack each. `client` runs a
    command beside broker 1."""

    def __init__(self, lab, name, properties=None):
        self.lab, self.name, self.world = lab, name, None
        if name == LOOPBACK:
            self.kafka = BrokerCluster(lab, 3, properties=properties, start=False)
            return
        self.world = SliceWorld(lab, ThreeClusters(lab, DELAYS[name], endpoints=2))
        self.neighbour = self.world.endpoint(CLUSTERS[0], 1)
        self.world.gateway(CLUSTERS[0]).attach(self.world.slices[0], self.neighbour, "client")
        self.kafka = BrokerCluster(
            lab, 3, properties=properties, start=False,
            places=[(self.world.endpoint(one), self.world.address(one)) for one in CLUSTERS])

    def run(self, *command, **options):
        """To its end, where the client is."""
        if self.world is None:
            return run(*command, **options)
        return self.neighbour.run(*command, **options)

    def start(self, *command, label):
        if self.world is None:
            return self.lab.start(command, label=label)
        return self.neighbour.start(*command, label=label)

    def cut(self, node):
        """The cluster of a broker loses its way to all others."""
        self.world.relay.cut(CLUSTERS[node - 1])
