"""The contenders, each set up the same way: two namespaces, one veth, MTU 1500 outside and 1420
inside, one peer, IPv4."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import initiations
from figures import (LIMIT, NEBULA, NOTHING, OPENVPN, OPENVPN_CBC, OURS, OURS_AES,
                     WIREGUARD_GO)
from lab import DirectPair, LabError, OpenVPNPair, WireGuardGo, run
from underlay import VETH, WIRE, like_a_wire

REPOSITORY = Path(__file__).resolve().parents[2]
OUTER_MTU, INNER_MTU = 1500, 1420


def find_gateway():
    """$SLICE_GATEWAY_BIN, or what the build made."""
    if "SLICE_GATEWAY_BIN" in os.environ:
        return Path(os.environ["SLICE_GATEWAY_BIN"])
    for folder in (".build-static", ".build"):
        path = REPOSITORY / folder / "release" / "slice-gateway"
        if path.exists():
            return path
    raise LabError("no slice-gateway: `make build`, or name it in $SLICE_GATEWAY_BIN")


class Contender:
    """A tunnel that is up and has answered once. `address` is the far end's, inside the tunnel."""

    def __init__(self, lab, udpbench, underlay=VETH):
        self.lab = lab
        self.udpbench = udpbench
        self.pair = DirectPair(lab, mtu=OUTER_MTU)
        self.left, self.right = self.pair.nodes
        if underlay == WIRE:
            for node in self.pair.nodes:
                like_a_wire(node, "eth0")
        started = self.start()
        run(udpbench, "first", self.left.path, self.right.path, self.address, 10)
        self.start_seconds = time.monotonic() - started
        self.pids = [process.pid for process in self.processes]

    def warm_up(self):
        """What must be before bulk is carried."""

    def another(self):
        """The far end's address in another tunnel between the same two, of processes of its own;
        None where two are not measured."""
        return None

    def bogus(self):
        """What a stranger can send to `port` of the far end, by the kind of it."""
        return {}


class NoTunnel(Contender):
    processes = ()

    def start(self):
        self.address = self.pair.address(1)
        return time.monotonic()

    def another(self):
        return self.address  # there is but one way


class WireGuard(Contender):
    command = ("wireguard-go", "-f")

    def start(self):
        started = time.monotonic()
        ends = self.join("10.83.0")
        self.processes = [end.process for end in ends]
        self.address = "10.83.0.2"
        self.public, self.port = base64.b64decode(ends[1].public), ends[1].port
        return started

    def join(self, network):
        ends = [WireGuardGo(node, [f"{network}.{n + 1}/24"], mtu=INNER_MTU, command=self.command)
                for n, node in enumerate(self.pair.nodes)]
        for n, end in enumerate(ends):
            other = ends[1 - n]
            end.add_peer(other.public, [f"{network}.{2 - n}/32"],
                         endpoint=f"{self.pair.address(1 - n)}:{other.port}")
        return ends

    def another(self):
        self.join("10.84.0")
        address = "10.84.0.2"
        run(self.udpbench, "first", self.left.path, self.right.path, address, 10)
        return address

    def bogus(self):
        return {"wrong": initiations.wireguard(self.public, False),
                "right": initiations.wireguard(self.public, True)}  # the worse is last


class Ours(WireGuard):
    def start(self):
        self.command = (find_gateway(), "wireguard", "-f")
        return super().start()


class OursWithAES(WireGuard):
    def start(self):
        self.command = (find_gateway(), "wireguard", "-f", "--cipher", "aes-256-gcm")
        return super().start()


class OursWithoutCipher(WireGuard):
    """What the loop could carry if ciphers cost nothing (see nullcipher.c)."""

    is_warm = False

    def start(self):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not Path("/usr/include/intel-ipsec-mb.h").exists():
            raise LabError("no header of IPsec-MB (Debian package libipsec-mb-dev)")
        source = Path(__file__).with_name("nullcipher.c")
        run(compiler, "-O2", "-Wall", "-shared", "-fPIC", source, "-o",
            self.lab.directory / "libIPSec_MB.so.1")
        self.command = ("env", f"LD_LIBRARY_PATH={self.lab.directory}", find_gateway(),
                        "wireguard", "-f")
        return super().start()

    def bogus(self):
        return {}  # its handshakes are those of the others

    def warm_up(self):
        """Each thread takes the library at its first batch or after 1,000 packets, and does not
        understand one that has not: a TCP would wait for packets that are refused. Datagrams
        pass until all have it."""
        if self.is_warm:
            return
        ends = (self.left, self.right, "10.83.0.2"), (self.right, self.left, "10.83.0.1")
        for whole in (False, True):
            for source, sink, address in ends:
                seen = json.loads(run(self.udpbench, "flow", source.path, sink.path, address, 64,
                                      20_000, 0.05 if whole else 0.5).stdout)
                if whole and seen["received"] < seen["sent"] / 2:
                    raise LabError(f"the ends do not understand each other: {seen}")
        self.is_warm = True

    def another(self):
        return None  # its threads would have to be warmed up too


class OpenVPN(Contender):
    mtu, options = INNER_MTU, ()

    def start(self):
        tunnel = OpenVPNPair(self.right, self.left, self.pair.address(1), mtu=self.mtu,
                             options=self.options, log_pause=0.005)
        self.processes, self.port = [tunnel.client, tunnel.server], 1194
        self.address = tunnel.addresses[0]
        return tunnel.started

    def bogus(self):
        return {"right": initiations.openvpn()}


class OpenVPNWithCBC(OpenVPN):
    mtu, options = 1300, ("--data-ciphers", "AES-256-CBC", "--auth", "SHA256")


class Nebula(Contender):
    """Two hosts that one CA has signed and that know each other's address: no lighthouse."""

    port = 4242

    def start(self):
        directory = self.lab.directory
        ca = ["-ca-crt", directory / "ca.crt", "-ca-key", directory / "ca.key"]
        run("nebula-cert", "ca", "-name", "bench", "-out-crt", ca[1], "-out-key", ca[3])
        inner = "10.83.0.1", "10.83.0.2"
        for n, node in enumerate(self.pair.nodes):
            files = directory / f"{node.name}.crt", directory / f"{node.name}.key"
            run("nebula-cert", "sign", *ca, "-name", node.name, "-ip", f"{inner[n]}/24",
                "-out-crt", files[0], "-out-key", files[1])
            other = f"{self.pair.address(1 - n)}:{self.port}"
            everyone = [{"port": "any", "proto": "any", "host": "any"}]
            # JSON is YAML.
            (directory / f"{node.name}.yml").write_text(json.dumps({
                "pki": dict(zip(("ca", "cert", "key"), map(str, (ca[1], *files)))),
                "static_host_map": {inner[1 - n]: [other]},
                "lighthouse": {"am_lighthouse": False, "hosts": []},
                "listen": {"host": "0.0.0.0", "port": self.port},
                "tun": {"dev": "nebula", "mtu": INNER_MTU},
                "firewall": {"outbound": everyone, "inbound": everyone}}))
        started = time.monotonic()  # the certificates are made once, before
        self.processes = [node.start("nebula", "-config", directory / f"{node.name}.yml")
                          for node in self.pair.nodes]
        for process in self.processes:
            process.wait_for("Nebula interface is active", longest_pause=0.005)
        self.address = inner[1]
        return started

    def bogus(self):
        return {"right": initiations.nebula()}


KINDS = {OURS: Ours, OURS_AES: OursWithAES, LIMIT: OursWithoutCipher,
         WIREGUARD_GO: WireGuard, OPENVPN: OpenVPN, OPENVPN_CBC: OpenVPNWithCBC, NEBULA: Nebula,
         NOTHING: NoTunnel}


def versions(contenders):
    """What each contender says that it is."""
    def first_line(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return "?"
        return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0].strip()

    def package(name):
        done = run("dpkg-query", "-W", "-f", "${Version}", name, check=False)
        return done.stdout.strip() or "?"

    ssl = re.search(r"OpenSSL [\d.]+\w*", run("openvpn", "--version", check=False).stdout)
    return {
        OURS: first_line(str(find_gateway()), "--version"),
        WIREGUARD_GO: package("wireguard-go"),
        OPENVPN: package("openvpn") + (f" with {ssl[0]}" if ssl else ""),
        **({NEBULA: package("nebula")} if NEBULA in contenders else {}),
        "iperf3": package("iperf3"),
    }
