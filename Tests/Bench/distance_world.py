"""Places that are far apart, the same relay between them with and without the slice."""

from pathlib import Path

from distance_figures import BARE, SLICE
from lab import CLUSTERS, LabError, ThreeClusters
from lab.brokers import BrokerCluster
from lab.gateways import SliceWorld

# What one connection may hold: twice what 100 ms and a queue as long take at 1 Gbit/s. The kernel's
# own limit for sending, 4 MB, is 30 ms of it.
LARGEST_WINDOW = 64 << 20
# Three partitions of three replicas, so that every broker leads one.
ASSIGNMENT = "1:2:3,2:3:1,3:1:2"
TOPIC = "records"


class StreamWorld:
    """Two clusters. `ends[path]` are the sender's and receiver's namespaces and the receiver's
    address: the nodes themselves, or endpoints of a slice whose gateways run in those nodes."""

    def __init__(self, lab):
        self.clusters = ThreeClusters(lab, "delay 0ms", clusters=CLUSTERS[::2])
        self.slice = SliceWorld(lab, self.clusters)
        self.relay = self.clusters.relay
        self.near, self.far = self.clusters.clusters
        self.ends = {
            BARE: (self.clusters.node(self.near), self.clusters.node(self.far),
                   self.clusters.address(self.far)),
            SLICE: (self.slice.endpoint(self.near), self.slice.endpoint(self.far),
                    self.slice.address(self.far))}
        for near, far, _ in self.ends.values():
            for end in (near, far):
                # What one stream has learnt of the path must not help or harm the next.
                end.sysctl(ipv4__tcp_no_metrics_save=1,
                           ipv4__tcp_rmem=f'"4096 131072 {LARGEST_WINDOW}"',
                           ipv4__tcp_wmem=f'"4096 65536 {LARGEST_WINDOW}"')

    def wire(self):
        """What the relay knows of the way to the receiver."""
        return self.relay.link_stats(self.near, self.far)


class KafkaWorld:
    """Three clusters, and over them two Kafkas that know nothing of each other, a broker of each in
    every cluster: one in the nodes, one in endpoints of a slice. Each has a client in a
    namespace of its own beside broker 1."""

    def __init__(self, lab):
        self.lab = lab
        self.clusters = ThreeClusters(lab, "delay 0ms", nodes=2, endpoints=2)
        self.slice = SliceWorld(lab, self.clusters)
        self.relay = self.clusters.relay
        neighbour = self.slice.endpoint(CLUSTERS[0], 1)
        self.slice.gateway(CLUSTERS[0]).attach(self.slice.slices[0], neighbour, "client")
        self.clients = {BARE: self.clusters.node(CLUSTERS[0], 1), SLICE: neighbour}
        self.kafkas = {
            BARE: self.brokers("bare", [(self.clusters.node(one), self.clusters.address(one))
                                        for one in CLUSTERS]),
            SLICE: self.brokers("slice", [(self.slice.endpoint(one), self.slice.address(one))
                                          for one in CLUSTERS])}
        for kafka in self.kafkas.values():
            kafka.ctl("topics", "create", TOPIC, "--assignment", ASSIGNMENT, "--config",
                      "min.insync.replicas=2")
            kafka.wait_in_sync(TOPIC)

    def brokers(self, name, places):
        return BrokerCluster(self.lab, 3, name=name, places=places)

    def produce(self, path, client, seconds, *settings):
        """1,000 records of 100 bytes a second; what the client says."""
        done = self.clients[path].run(
            Path(client), "produce", self.kafkas[path].bootstrap, TOPIC, 100, 1000, seconds,
            *settings, check=False, timeout=seconds + 60)
        if done.returncode != 0 or not done.stdout.startswith("{"):
            raise LabError(f"kafkabench {path}: {(done.stderr or done.stdout).strip()}")
        return done.stdout
