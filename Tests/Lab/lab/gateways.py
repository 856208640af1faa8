"""Slices over a world of clusters: owner and keys, signed manifest, a gateway in each cluster, and
endpoints attached to it. Everything is done with slicectl, as its users do."""

import http.client
import json
import os
import signal
import socket
from pathlib import Path

from .core import LabError, Namespace, run, wait_until
from .topology import REPOSITORY

PROGRAMS = {"slice-gateway": "SLICE_GATEWAY_BIN", "slicectl": "SLICECTL_BIN"}


def find_program(name):
    """$SLICE_GATEWAY_BIN or $SLICECTL_BIN, or what `swift build` made; release before debug."""
    variable = PROGRAMS[name]
    if variable in os.environ:
        path = Path(os.environ[variable])
        if not path.exists():
            raise LabError(f"${variable} names {path}, which is not there")
        return path
    for kind in ("release", "debug"):
        path = REPOSITORY / ".build" / kind / name
        if path.exists():
            return path
    raise LabError(f"no {name}: build it with `swift build -c release --product {name}`, or name "
                   f"it in ${variable}")


def slicectl(*words, check=True, input=None, timeout=60):
    """Runs slicectl to its end (no daemon needed: keys and manifests)."""
    return run(find_program("slicectl"), *words, check=check, input=input, timeout=timeout)


class Slice:
    """One slice: the owner's key, a key per gateway, the manifest and its signature.

    `told` is called with the words of every slicectl command before it runs. With `from_template`
    slicectl writes the manifest too."""

    PREFIXES = "10.80.0.0/16", "fd00:80::/48"

    def __init__(self, world, name="payments", port=51820, prefixes=PREFIXES, versions=(4, 6),
                 namespaces=("kafka",), told=None, from_template=False, isolation="open",
                 policies=(), services=(), regions=None, more=""):
        self.world, self.name, self.port, self.prefixes = world, name, port, prefixes
        # Namespaces are names, or all of their fields; policies and services are the manifest's.
        self.namespaces, self.isolation = namespaces, isolation
        self.policies, self.services = list(policies), list(services)
        self.regions = regions or {}
        self.more = more  # lines put behind what slicectl writes
        self.told = told or (lambda words: None)
        self.directory = world.lab.directory / f"slice-{name}"
        self.directory.mkdir()
        self.owner_file = self.directory / "owner.key"
        self.manifest = self.directory / f"{name}.yaml"
        self.owner = self.make_key(self.owner_file, owner=True)
        self.publics = {}
        for cluster in world.clusters:
            self.publics[cluster] = self.make_key(self.key_file(cluster))
        # An IPv4 and an IPv6 underlay address each, preferred in the order of `versions`.
        self.underlay = {
            cluster: [self._at(world.address(cluster, version=version), port)
                      for version in versions]
            for cluster in world.clusters}
        if from_template:
            self.make_manifest()
        else:
            self.write_manifest()
        self.sign()

    def make_manifest(self):
        """What `slicectl slice new` makes of it: one underlay endpoint per gateway."""
        words = ["--name", self.name, "--port", self.port]
        for prefix in self.prefixes:
            words += ["--prefix", prefix]
        for number, cluster in enumerate(self.world.clusters, 1):
            words += ["--cluster", f"{cluster}=region-{number},{self.publics[cluster]},"
                      f"{self.underlay[cluster][0]}"]
        for namespace in self.namespaces:
            words += ["--namespace", namespace]
        if self.isolation == "strict":
            words.append("--strict")
        self.ctl("slice", "new", *words, "--output", self.manifest)
        if self.more:
            with open(self.manifest, "a") as file:
                file.write(self.more)

    @staticmethod
    def _at(address, port):
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def key_file(self, cluster):
        return self.directory / f"{cluster}.key"

    def ctl(self, *words, **options):
        self.told(words)
        return slicectl(*words, **options)

    def make_key(self, path, owner=False):
        """A new private key in a file that only its owner may read; returns its public half."""
        self.ctl("keygen", *["--owner"] * owner, "--output", path)
        return slicectl("pubkey", path).stdout.strip()

    def text(self, version=1, **changes):
        """The manifest, unsigned. `changes` are lines put under `spec:`."""
        lines = ["apiVersion: slice-gateway.dev/v1alpha1", "kind: Slice", "metadata:",
                 f"  name: {self.name}", "spec:", f"  version: {version}",
                 f"  isolation: {self.isolation}",
                 f"  port: {self.port}", "  prefixes:",
                 *[f'    - "{prefix}"' for prefix in self.prefixes],
                 *[f"  {key}: {value}" for key, value in changes.items()], "  clusters:"]
        for number, cluster in enumerate(self.world.clusters, 1):
            endpoints = ", ".join(f'"{one}"' for one in self.underlay[cluster])
            region = self.regions.get(cluster, f"region-{number}")
            lines += [f"    - name: {cluster}", f"      region: {region}",
                      "      prefixes:",
                      *[f'        - "{self.part(prefix, number)}"' for prefix in self.prefixes],
                      "      gateways:", f"        - name: gw-{cluster}",
                      f"          publicKey: {self.publics[cluster]}",
                      f"          endpoints: [{endpoints}]"]
        lists = {"namespaces": [one if isinstance(one, dict) else {"name": one}
                                for one in self.namespaces],
                 "policies": self.policies, "services": self.services}
        for key, items in lists.items():
            if items:
                # JSON is YAML.
                lines += [f"  {key}:", *[f"    - {json.dumps(one)}" for one in items]]
        return "\n".join([*lines, ""])

    @staticmethod
    def part(prefix, number):
        """10.80.0.0/16 -> 10.80.2.0/24; fd00:80::/48 -> fd00:80:0:2::/64."""
        base, length = prefix.split("/")
        if ":" in base:
            return f"{base.removesuffix('::')}:0:{number}::/64"
        first, second, *_ = base.split(".")
        return f"{first}.{second}.{number}.0/24"

    def write_manifest(self, version=1, **changes):
        self.manifest.write_text(self.text(version, **changes))

    def sign(self, path=None):
        self.ctl("slice", "sign", path or self.manifest, "--key", self.owner_file)

    def config_entry(self, cluster, manifest=None, **more):
        entry = {"manifest": str(manifest or self.manifest), "owner": self.owner,
                 "privateKeyFile": str(self.key_file(cluster)), **more}
        return entry


class Gateway:
    """A slice-gateway daemon in a cluster's node, with a state directory and an admin socket of
    its own, and slicectl speaking to it."""

    def __init__(self, world, cluster, slices=(), settings=None, name=None):
        self.world, self.cluster, self.node = world, cluster, world.node(cluster)
        lab = world.lab
        self.name = name or cluster
        self.directory = lab.directory / f"gw-{self.name}"
        self.directory.mkdir()
        self.state = self.directory / "state"
        self.socket = self.directory / "admin.sock"
        self.config = self.directory / "gateway.conf"
        self.netns_files = self.directory / "netns"
        # The lab removes and sweeps what begins with its own prefix.
        self.namespace_prefix = f"{lab.prefix}-{self.name[:2]}-"
        self.process = None
        self.write_config(slices, **(settings or {}))

    def write_config(self, slices, **settings):
        """JSON is YAML."""
        self.slice_count = len(slices)
        document = {
            "cluster": self.cluster, "stateDirectory": str(self.state),
            "adminSocket": str(self.socket), "namespacePrefix": self.namespace_prefix,
            **settings,
            "slices": [one.config_entry(self.cluster) if isinstance(one, Slice) else one
                       for one in slices]}
        self.config.write_text(json.dumps(document, indent=1) + "\n")

    def launch(self, env=None, before=()):
        """Starts the daemon, as an argument of the command `before`, and does not wait."""
        # `wg` would look for slices in /run/wireguard, `ip netns exec` for files in /etc/netns; a
        # lab leaves the machine's alone.
        self.process = self.node.start(
            *before, find_program("slice-gateway"), "--config", self.config,
            label="slice-gateway",
            env={"SLICE_GATEWAY_WG_SOCKETS": str(self.directory / "wg"),
                 "SLICE_GATEWAY_NETNS_FILES": str(self.netns_files), **(env or {})})
        return self.process

    def start(self, seconds=20):
        self.launch()
        self.wait_until_ready(seconds)
        return self

    def wait_until_ready(self, seconds=20):
        def answers():
            if not self.process.is_running:
                raise LabError(f"the gateway of {self.name} ended with "
                               f"{self.process.popen.returncode}:\n{self.process.tail()}")
            done = self.ctl("--json", "status", check=False)
            # Nobody listens yet; or the slices of gateway.conf are still being looked at.
            return (done.returncode == 0
                    and len(json.loads(done.stdout)["slices"]) == self.slice_count)

        wait_until(answers, seconds, f"the gateway of {self.name} to answer")

    def stop(self):
        return self.process.stop(10)

    def kill(self):
        """kill -9, of the daemon only."""
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def ctl(self, *words, check=True, timeout=60):
        """slicectl at this gateway's socket."""
        return slicectl("--socket", self.socket, *words, check=check, timeout=timeout)

    def ask(self, *words):
        """slicectl --json: the answer as Python has it."""
        return json.loads(self.ctl("--json", *words).stdout)

    def api(self, method, path, body=None, timeout=60):
        """One request of the admin interface, without slicectl in between: status and JSON."""
        connection = http.client.HTTPConnection("gateway", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(str(self.socket))
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def explain(self, slice, queries):
        """What the gateway's policies say of many (from, to, port) at once."""
        status, answer = self.api(
            "POST", f"/v1/slices/{getattr(slice, 'name', slice)}/policies/explain",
            {"queries": [{"from": a, "to": b, "port": port} for a, b, port in queries]})
        if status != 200:
            raise LabError(f"explain: {status} {answer}")
        return answer["answers"]

    def status(self, slice=None):
        report = self.ask("status")
        if slice is None:
            return report
        return next(one for one in report["slices"] if one["name"] == getattr(slice, "name", slice))

    def router(self, slice):
        """The name of a slice's router namespace, as `ip netns` has it."""
        return self.namespace_prefix + getattr(slice, "name", slice)

    def router_namespace(self, slice):
        """That namespace, to look into. It is the gateway's, and the lab did not make it."""
        seen = object.__new__(Namespace)
        seen.lab, seen.name = self.world.lab, f"{self.name}-router"
        seen.full_name = self.router(slice)
        return seen

    def attach(self, slice, endpoint, name, namespace="kafka", labels=None):
        """Attaches a lab namespace; returns what slicectl says of it, as JSON. What is started in
        it from now on finds the slice's names."""
        resolv_conf = self.netns_files / endpoint.full_name / "resolv.conf"
        reply = self.ask("attach", slice.name, f"{namespace}/{name}", "--netns", endpoint.full_name,
                        *[word for key, value in (labels or {}).items()
                          for word in ("--label", f"{key}={value}")])
        endpoint.resolv_conf = resolv_conf if resolv_conf.exists() else None
        return reply

    def detach(self, slice, name, namespace="kafka"):
        return self.ask("detach", slice.name, f"{namespace}/{name}")

    def has_sessions(self, slice):
        peers = self.status(slice)["peers"]
        return bool(peers) and all(peer["hasSession"] for peer in peers)


def address_of(endpoint_report, version=4):
    """The address of an attached endpoint, without a prefix length."""
    for address in endpoint_report["addresses"]:
        address = address.split("/")[0]
        if (":" in address) == (version == 6):
            return address
    raise LabError(f"no IPv{version} address in {endpoint_report}")


class SliceWorld:
    """Three clusters, a gateway in each, slices with an endpoint in each cluster: the n-th slice
    has the n-th endpoint namespace of every cluster. It names everything for tests:

        world.endpoint("west"), world.address("east", version=6), world.gateway("west")
    """

    def __init__(self, lab, world, slices=None, names=("payments",), settings=None,
                 join=True):
        self.lab, self.clusters = lab, world
        self.slices = slices or [
            Slice(world, name, 51820 + n) for n, name in enumerate(names)]
        self.gateways = {cluster: Gateway(world, cluster, self.slices, settings)
                         for cluster in world.clusters}
        self.reports = {}
        for gateway in self.gateways.values():
            gateway.launch()
        for gateway in self.gateways.values():
            gateway.wait_until_ready()
        for n, one in enumerate(self.slices):
            for cluster in world.clusters:
                self.attach(cluster, n)
        if join:
            self.wait_until_joined()

    @property
    def relay(self):
        return self.clusters.relay

    def node(self, cluster):
        return self.clusters.node(cluster)

    def gateway(self, cluster):
        return self.gateways[cluster]

    def endpoint(self, cluster, n=0):
        return self.clusters.endpoint(cluster, n)

    def attach(self, cluster, n=0):
        reply = self.gateways[cluster].attach(
            self.slices[n], self.endpoint(cluster, n), f"broker-{cluster}")
        self.reports[cluster, n] = reply
        return reply

    def report(self, cluster, n=0):
        reply = self.reports[cluster, n]
        return reply.get("endpoint", reply)

    def interface(self, cluster, n=0):
        return self.report(cluster, n)["interface"]

    def address(self, cluster, n=0, version=4):
        return address_of(self.report(cluster, n), version)

    def wait_until_joined(self, seconds=20):
        """Until every endpoint reaches every other of its slice."""
        for n, _ in enumerate(self.slices):
            for source in self.clusters.clusters:
                for target in self.clusters.clusters:
                    if source == target:
                        continue
                    for version in (4, 6):
                        address = self.address(target, n, version)
                        wait_until(
                            lambda: self.endpoint(source, n).run(
                                "ping", "-nqc1", "-W1", address, check=False).returncode == 0,
                            seconds, f"{source} to reach {address} in slice {n}")
