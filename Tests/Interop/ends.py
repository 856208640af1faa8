"""The two implementations, and two of them joined by a wire."""

import base64
import os
import socket
from pathlib import Path

from lab import DirectPair, WireGuardGo, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SLICE_GATEWAY_BIN", REPOSITORY / ".build/release/slice-gateway"))
COMMANDS = {
    "ours": (BINARY, "wireguard", "-f"),
    # With three queues, and so from three ports.
    "spread": (BINARY, "wireguard", "-f", "--queues", "3"),
    "theirs": ("wireguard-go", "-f"),
}
MTU = 1420


def hexadecimal(key):
    """A key of `wg` as the configuration protocol writes it."""
    return base64.b64decode(key).hex()


def psk():
    return base64.b64encode(os.urandom(32)).decode()


class End(WireGuardGo):
    """One WireGuard interface, ours or theirs."""

    def __init__(self, kind, namespace, addresses=(), **options):
        if kind != "theirs" and not BINARY.exists():
            raise FileNotFoundError(
                f"{BINARY}: build it with `swift build -c release --product slice-gateway`, or "
                "name another in SLICE_GATEWAY_BIN")
        self.kind = kind
        super().__init__(namespace, addresses, command=COMMANDS[kind], log_level="debug",
                         **options)

    @property
    def lab(self):
        return self.namespace.lab

    def raw(self, request, hang_up=False):
        """What the configuration socket says to these bytes; `hang_up`: nothing comes after."""
        if isinstance(request, str):
            request = request.encode()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.socket))
            client.sendall(request)
            if hang_up:
                client.shutdown(socket.SHUT_WR)
            answer = b""
            while not answer.endswith(b"\n\n"):
                try:
                    block = client.recv(65536)
                except ConnectionResetError:
                    break
                if not block:
                    break
                answer += block
        return answer.decode()

    def errno(self, request, **options):
        """The number at the end of the answer; None if there was no answer."""
        lines = self.raw(request, **options).splitlines()
        numbers = [line.removeprefix("errno=") for line in lines if line.startswith("errno=")]
        return int(numbers[-1]) if numbers else None

    def get(self):
        """(interface keys, {public key: {key: value, "allowed_ip": set}})"""
        device, peers, here = {}, {}, None
        for line in self.raw("get=1\n\n").split("\n\n")[0].splitlines():
            key, value = line.split("=", 1)
            if key == "errno":
                device[key] = value
            elif key == "public_key":
                here = peers.setdefault(value, {"allowed_ip": set()})
            elif here is None:
                device[key] = value
            elif key == "allowed_ip":
                here[key].add(value)
            else:
                here[key] = value
        return device, peers

    def dump(self, *peer):
        """`wg show dump`: the interface's fields and those of each peer by its key."""
        first, *rest = [line.split("\t") for line in
                        self.wg("show", self.name, "dump").stdout.splitlines()]
        return first, {fields[0]: fields[1:] for fields in rest}

    def peer(self, public):
        names = ("psk", "endpoint", "allowed", "handshake", "received", "sent", "keepalive")
        return dict(zip(names, self.dump()[1][public]))

    def private_file(self, key):
        return self._secret(f"key-{hexadecimal(key)[:8]}", key)

    def preshared_file(self, key):
        return self._secret(f"psk-{hexadecimal(key)[:8]}", key)


class Pair:
    """Two ends on one wire. Underlay 10.82.0.1 and .2, fd82::1 and ::2 on eth0; inside 10.90.0.1
    and .2, fd90::1 and ::2. `initiator` (0, 1 or both): who knows where the other is, and so who
    has to begin."""

    def __init__(self, lab, kinds=("ours", "theirs"), outer=4, psk=None, initiator=None,
                 keepalive=None, mtu=MTU, underlay_mtu=1500):
        self.lab = lab
        self.wire = DirectPair(lab, mtu=underlay_mtu)
        self.outer = outer
        self.ends = [
            End(kind, node, [f"10.90.0.{n + 1}/24", f"fd90::{n + 1}/64"], mtu=mtu)
            for n, (kind, node) in enumerate(zip(kinds, self.wire.nodes))]
        self.left, self.right = self.ends
        self.psk = psk
        for n in (0, 1):
            knows = initiator in (None, n)
            self.introduce(n, endpoint=self.endpoint(1 - n) if knows else None,
                           keepalive=keepalive)

    def introduce(self, n, preshared=False, **options):
        """Tells end `n` of the other one."""
        self.ends[n].add_peer(
            self.ends[1 - n].public, self.allowed(1 - n), routes=False,
            preshared=self.psk if preshared is False else preshared, **options)

    @staticmethod
    def allowed(n):
        return [f"10.90.0.{n + 1}/32", f"fd90::{n + 1}/128"]

    @staticmethod
    def inner(n, version=4):
        return f"10.90.0.{n + 1}" if version == 4 else f"fd90::{n + 1}"

    def underlay(self, n):
        return self.wire.address(n, self.outer)

    def endpoint(self, n):
        host = self.underlay(n)
        return f"[{host}]:{self.ends[n].port}" if ":" in host else f"{host}:{self.ends[n].port}"

    def spaces(self, n=0):
        """The namespaces, that of end `n` first."""
        return self.ends[n].namespace, self.ends[1 - n].namespace

    def fence(self):
        """Returns when all that was sent to either end over the wire has been looked at: the way
        of packets answers in order, and so does the side that handshakes wait for."""
        from traffic import exchange
        exchange(*self.spaces(), self.inner(1), [64])
        for end in self.ends:
            end.raw("get=1\n\n")

    def wait_for_handshake(self, n=0, seconds=15, after=0):
        public = self.ends[1 - n].public
        return wait_until(
            lambda: (age := self.ends[n].handshake_age(public)) > after and age, seconds,
            f"{self.ends[n].name} to have a handshake")
