"""A strict slice over three clusters whose nodes share one bridge, without a relay in between: what
is measured is the gateways. `west` and `east` have real gateways and five endpoints each; the
third, `far`, has a real tunnel and a gateway that is played: it tells of as many as asked."""

import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from contenders import find_gateway
from lab import LabError, WireGuardGo, wait_until
from lab.gateways import Gateway, Slice, address_of
from lab.matrix import Inside

CLUSTERS = "west", "east", "far"
TEAMS = [f"team-{n}" for n in range(10)]
PER_CLUSTER = len(TEAMS) // 2
SERVED = 9009  # the port that udpbench speaks to
FIRST_PORT = 10_000


@dataclass(frozen=True)
class Size:
    """One column of the report."""

    name: str
    policies: int  # 0: an open slice without any
    endpoints: int  # in the directory of each gateway, all clusters together

    @property
    def word(self):
        """For --only."""
        return f"{self.policies}x{self.endpoints}"

    @property
    def played(self):
        return self.endpoints - len(TEAMS)


def policies(count, turn=0):
    """So many, each of which decides something: they are spread over all pairs of ten namespaces,
    each with ports of its own. The last is that of the packets that are measured. In turn 1 and
    later two before it are others than in the turn before: they allow what `apply` waits for."""
    found = []
    for n in range(count - 1):
        pair, layer = n % 100, n // 100
        found.append({
            "name": f"p{n}", "action": "deny" if n % 7 == 3 else "allow",
            "from": {"namespaces": [TEAMS[pair // 10]]}, "to": {"namespaces": [TEAMS[pair % 10]]},
            "ports": [f"{('tcp', 'udp')[layer % 2]}/{FIRST_PORT + layer}"]})
    found.append(_served("measured", 0, PER_CLUSTER))
    if turn:
        found[-3:-1] = [_served(name, *pair) for name, pair in zip(("in-west", "in-east"),
                                                                   neighbours(turn))]
    return found


def neighbours(turn):
    """Who may speak to whom with the policies of a turn, inside each of the two clusters."""
    first = (turn - 1) % (PER_CLUSTER - 1)
    return [(first, first + 1), (PER_CLUSTER + first, PER_CLUSTER + first + 1)]


def _served(name, source, target):
    return {"name": name, "from": {"namespaces": [TEAMS[source]]},
            "to": {"namespaces": [TEAMS[target]]}, "ports": [f"udp/{SERVED}"]}


class Bridged:
    """Nodes of the clusters on one bridge, and namespaces for endpoints: what `Slice` and `Gateway`
    want of a world."""

    def __init__(self, lab):
        self.lab, self.clusters = lab, CLUSTERS
        self.middle = lab.namespace("middle")
        self.nodes = {}
        for name in CLUSTERS:
            node = self.nodes[name] = lab.namespace(name)
            node.veth(self.middle, "eth0", name)
            node.address("eth0", self.address(name) + "/24")
        self.middle.bridge("br0", *CLUSTERS)

    def node(self, cluster):
        return self.nodes[cluster]

    def address(self, cluster, version=4):
        return f"10.81.0.{CLUSTERS.index(cluster) + 1}"


class WideSlice(Slice):
    """With room for 16,000 endpoints in the third cluster."""

    @staticmethod
    def part(prefix, number):
        if number == 3 and ":" not in prefix:
            first, second, *_ = prefix.split(".")
            return f"{first}.{second}.64.0/18"
        return Slice.part(prefix, number)


class PolicyWorld:
    """`left` and `right` are the ends of what is measured: in different clusters and namespaces,
    and allowed by the last of all policies."""

    def __init__(self, lab, size):
        self.lab, self.size = lab, size
        self.clusters = Bridged(lab)
        self.version, self.turn = 1, 0
        self.slice = WideSlice(
            self.clusters, versions=(4,), namespaces=TEAMS, policies=self._policies(),
            isolation="strict" if size.policies else "open")
        self.gateways = {name: Gateway(self.clusters, name, [self.slice])
                         for name in CLUSTERS[:2]}
        for gateway in self.gateways.values():
            gateway.launch()
        for gateway in self.gateways.values():
            gateway.wait_until_ready(60)
        self.pods, self.addresses = [], []
        for n, team in enumerate(TEAMS):
            gateway = self.gateways[CLUSTERS[n // PER_CLUSTER]]
            pod = lab.namespace(f"pod-{n}")
            report = gateway.attach(self.slice, pod, "one", team)["endpoint"]
            self.pods.append(pod)
            self.addresses.append(address_of(report))
        self.left, self.right = self.pods[0], self.pods[PER_CLUSTER]
        self.address = self.addresses[PER_CLUSTER]
        if size.played > 0:
            self._play()
        self.wait_until_agreed(60)

    @property
    def pids(self):
        return [gateway.process.pid for gateway in self.gateways.values()]

    def _policies(self):
        return policies(self.size.policies, self.turn) if self.size.policies else []

    def _play(self):
        prefixes = [self.slice.part(prefix, 3) for prefix in self.slice.prefixes]
        node = self.clusters.node("far")
        key = self.slice.key_file("far").read_text().strip()
        self.tunnel = WireGuardGo(
            node, [self._first(prefix) for prefix in prefixes], port=self.slice.port, private=key,
            command=(find_gateway(), "wireguard", "-f"))
        for number, name in enumerate(CLUSTERS[:2], 1):
            self.tunnel.add_peer(
                self.slice.publics[name], [self.slice.part(p, number) for p in self.slice.prefixes],
                endpoint=f"{self.clusters.address(name)}:{self.slice.port}")
        program = Path(__file__).with_name("played_gateway.py")
        self.played = node.start(
            sys.executable, program, self.slice.name, "far", self.size.played, *prefixes, *TEAMS,
            label="played-gateway")
        self.played.wait_for("^ready$", 30)

    @staticmethod
    def _first(prefix):
        """The gateway's own address: 10.80.64.0/18 -> 10.80.64.1/32."""
        base, _ = prefix.split("/")
        return f"{base}1/128" if ":" in base else f"{base.removesuffix('.0')}.1/32"

    def wait_until_agreed(self, seconds):
        """Both gateways have the version and each other's policies, and know every endpoint."""
        expected = {name: PER_CLUSTER for name in CLUSTERS[:2]}
        if self.size.played > 0:
            expected["far"] = self.size.played

        def agreed():
            for name, gateway in self.gateways.items():
                status = gateway.status(self.slice)
                if status["manifestVersion"] != self.version:
                    return False
                heard = {peer["cluster"]: peer for peer in status.get("directory") or []
                         if peer["cluster"] in expected}
                if len(heard) != len(expected) - 1 or any(
                        peer["state"] != "fresh" or peer["endpoints"] != expected[cluster]
                        or peer.get("policyDigest") != status["policyDigest"]
                        for cluster, peer in heard.items()):
                    return False
            return True

        wait_until(agreed, seconds, f"both gateways to agree on version {self.version}")

    def prepare_turn(self):
        """A signed manifest with the next version, in which two policies are others."""
        self.turn += 1
        self.slice.policies = self._policies()
        self.slice.write_manifest(self.version + 1)
        self.slice.sign()

    def forget_connections(self):
        """Both routers' conntrack tables are emptied, as by `conntrack -F`."""
        for gateway in self.gateways.values():
            with Inside(gateway.router_namespace(self.slice).path):
                flush_conntrack()


def flush_conntrack():
    """IPCTNL_MSG_CT_DELETE without a tuple (linux/netfilter/nfnetlink_conntrack.h)."""
    netfilter, delete, request_and_ack, error = 12, 1 << 8 | 2, 1 | 4, 2
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netfilter) as netlink:
        netlink.bind((0, 0))
        netlink.settimeout(10)
        netlink.send(struct.pack("=IHHIIBBH", 20, delete, request_and_ack, 1, 0, 0, 0, 0))
        kind, code = struct.unpack_from("=4xH10xi", netlink.recv(4096))
    if kind != error or code != 0:
        raise LabError(f"conntrack was not emptied: message {kind}, {code}")
