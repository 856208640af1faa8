"""Worlds: three clusters behind a WAN relay, or two nodes on one wire."""

import json
import os
import socket
from pathlib import Path

from .core import LabError, wait_until

CLUSTERS = ("west", "central", "east")
REPOSITORY = Path(__file__).resolve().parents[3]


def find_relay():
    """$WAN_RELAY, or what `swift build` made; release before debug."""
    if "WAN_RELAY" in os.environ:
        return Path(os.environ["WAN_RELAY"])
    for kind in ("release", "debug"):
        path = REPOSITORY / ".build" / kind / "wan-relay"
        if path.exists():
            return path
    raise LabError("no wan-relay: build it with `swift build -c release --product wan-relay`, "
                   "or name it in $WAN_RELAY")


class Relay:
    """A wan-relay in a namespace, and the lines one can say to it while it runs."""

    def __init__(self, namespace, sites, script="", mtu=1500, seed=1, tun="wan0",
                 realtime=False):
        directory = namespace.lab.directory
        config = directory / f"{namespace.name}-relay.conf"
        lines = [f"site {name} {' '.join(prefixes)}" for name, prefixes in sites.items()]
        config.write_text("\n".join([*lines, script, ""]))
        self.tun = tun
        self.path = directory / f"{namespace.name}.sock"
        self.process = namespace.start(
            find_relay(), "--config", config, "--tun", tun, "--mtu", mtu, "--seed", seed,
            "--control", self.path, *["--realtime"] * realtime, label="wan-relay")
        self.process.wait_for("^ready ")

    def say(self, line):
        """Sends one line; returns the lines before its `ok`. The change has happened then."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.path))
            control.sendall(line.encode() + b"\n")
            answer = b""
            while not (b"\n" + answer).endswith((b"\nok\n",)):
                chunk = control.recv(65536)
                if not chunk:
                    raise LabError(f"the relay went away after `{line}`: {answer.decode()}")
                answer += chunk
                if answer.startswith(b"error: ") and answer.endswith(b"\n"):
                    raise LabError(f"`{line}`: {answer.decode().strip()}")
        return answer.decode().splitlines()[:-1]

    def set(self, links, conditions):
        self.say(f"set {links} {conditions}")

    def clear(self, links="*"):
        self.say(f"clear {links}")

    def cut(self, links):
        """Nothing arrives any more when this returns, not even what was on its way."""
        self.say(f"cut {links}")

    def heal(self, links):
        self.say(f"heal {links}")

    def show(self):
        return json.loads(self.say("show json")[0])

    def stats(self):
        return json.loads(self.say("stats json")[0])

    def link_stats(self, source, destination):
        return next(link for link in self.stats()["links"]
                    if (link["from"], link["to"]) == (source, destination))


class ThreeClusters:
    """Nodes of west, central and east, each cluster with its own underlay prefix, joined only
    through the namespace `wan`:

        west: eth0 10.81.1.2/24, fd81:1::2/64     gateway .1 / ::1 in `wan`
        central: 10.81.2.2, fd81:2::2             east: 10.81.3.2, fd81:3::2

    With `nodes` > 1 there are more of each (west-2 has .3, ...), on a bridge. Endpoints have a
    namespace of their own with a loopback and nothing else.

    `realtime` keeps delays exact on a busy machine, at the expense of everybody else's time; it
    needs the machine's root."""

    def __init__(self, lab, conditions="delay 10ms", script="", mtu=1500, seed=1, nodes=1,
                 endpoints=1, clusters=CLUSTERS, realtime=False):
        self.lab = lab
        self.clusters = tuple(clusters)
        self.wan = lab.namespace("wan")
        # Default before the interfaces are made: the stricter of `all` and the interface counts.
        self.wan.sysctl(
            ipv4__ip_forward=1, ipv6__conf__all__forwarding=1,
            ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
            ipv4__conf__all__send_redirects=0, ipv4__conf__default__send_redirects=0)
        self.nodes, self.endpoints = {}, {}
        for cluster in self.clusters:
            self._add_cluster(cluster, nodes, mtu)
            for n in range(endpoints):
                name = self._numbered(f"{cluster}-pod", n)
                self.endpoints[cluster, n] = lab.namespace(name)
        sites = {cluster: self.prefixes(cluster) for cluster in self.clusters}
        self.relay = Relay(self.wan, sites, f"set * {conditions}\n{script}", mtu, seed,
                           realtime=realtime)
        self._steer()

    @staticmethod
    def _numbered(name, n):
        return name if n == 0 else f"{name}-{n + 1}"

    def prefixes(self, cluster):
        number = self.clusters.index(cluster) + 1
        return [f"10.81.{number}.0/24", f"fd81:{number}::/64"]

    def address(self, cluster, node=0, version=4):
        number = self.clusters.index(cluster) + 1
        return f"10.81.{number}.{node + 2}" if version == 4 else f"fd81:{number}::{node + 2:x}"

    def node(self, cluster, n=0):
        return self.nodes[cluster, n]

    def endpoint(self, cluster, n=0):
        return self.endpoints[cluster, n]

    def _add_cluster(self, cluster, count, mtu):
        number = self.clusters.index(cluster) + 1
        gateways = f"10.81.{number}.1", f"fd81:{number}::1"
        ports = [cluster] if count == 1 else [f"{cluster}{n + 1}" for n in range(count)]
        for n, port in enumerate(ports):
            node = self.lab.namespace(self._numbered(cluster, n))
            self.nodes[cluster, n] = node
            node.veth(self.wan, "eth0", port, mtu)
            node.address("eth0", self.address(cluster, n) + "/24",
                         self.address(cluster, n, version=6) + "/64")
            node.ip(f"route add default via {gateways[0]}",
                    f"-6 route add default via {gateways[1]}")
        if count > 1:
            self.wan.bridge(cluster, *ports, mtu=mtu)
        self.wan.address(cluster, gateways[0] + "/24", gateways[1] + "/64")

    def _steer(self):
        """What comes from a cluster goes into the relay; what comes out of the relay (iif is the
        TUN then) finds its way in the main table. The gateways' own addresses stay local."""
        tun = self.relay.tun
        # The queue of a TUN is short; the relay's own limits are the ones that should count.
        self.wan.ip(f"link set {tun} txqueuelen 10000")
        for family in ("", "-6 "):
            self.wan.ip(f"{family}route add default dev {tun} table 100",
                        *[f"{family}rule add iif {cluster} lookup 100 pref 100"
                          for cluster in self.clusters])

    def wait_until_joined(self, seconds=10):
        """Until every node reaches every other, so that neighbour look-ups disturb no count."""
        pairs = [(node, other, version) for (cluster, _), node in self.nodes.items()
                 for other in self.clusters if other != cluster for version in (4, 6)]
        for node, other, version in pairs:
            command = "ping", "-nqc1", "-W1", self.address(other, version=version)
            wait_until(lambda: node.run(*command, check=False).returncode == 0, seconds,
                       f"{node.name} to reach {command[-1]}")


class DirectPair:
    """Two nodes on one veth, without a relay: 10.82.0.1 and .2, fd82::1 and ::2."""

    def __init__(self, lab, mtu=1500, names=("left", "right")):
        self.nodes = [lab.namespace(name) for name in names]
        self.left, self.right = self.nodes
        self.left.veth(self.right, "eth0", "eth0", mtu)
        for n, node in enumerate(self.nodes):
            node.address("eth0", self.address(n) + "/24", self.address(n, version=6) + "/64")

    def address(self, node, version=4):
        return f"10.82.0.{node + 1}" if version == 4 else f"fd82::{node + 1}"
