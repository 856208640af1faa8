"""Independent tunnels to test and measure against: Debian's wireguard-go and openvpn."""

import time
import socket
from pathlib import Path

from .core import run, wait_until

SOCKETS = Path("/var/run/wireguard")


def wireguard_keys():
    """A private and a public key."""
    private = run("wg", "genkey").stdout.strip()
    return private, run("wg", "pubkey", input=private + "\n").stdout.strip()


class WireGuardGo:
    """One WireGuard interface of wireguard-go (or of a `command` with the same manners, which is
    given the interface's name) in a namespace, driven by stock `wg`."""

    def __init__(self, namespace, addresses=(), port=0, mtu=1420, private=None, name=None,
                 command=("wireguard-go", "-f"), log_level="error"):
        self.namespace = namespace
        self.name = name or namespace.lab.interface("wg")
        self.private, self.public = (private, run("wg", "pubkey", input=private).stdout.strip()) \
            if private else wireguard_keys()
        self.socket = SOCKETS / f"{self.name}.sock"
        namespace.lab.sockets.append(self.socket)
        self.process = namespace.start(
            *command, self.name, label=f"{Path(str(command[0])).name}-{self.name}",
            env={"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": log_level})
        wait_until(self._is_up, 10, f"{self.name} to be configurable:\n{self.process.tail()}",
                   longest_pause=0.005)
        self.set("private-key", self._secret("key", self.private), "listen-port", port)
        namespace.ip(f"link set {self.name} mtu {mtu} up")
        namespace.address(self.name, *addresses)

    def _is_up(self):
        if not self.process.is_running:
            self.process.wait_for("configurable")  # raises with what it said
        # Not with `wg`: it removes a socket file at which it is refused, as between the other's
        # bind(2) and listen(2).
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return self.wg("show", self.name, check=False).returncode == 0

    def _secret(self, what, value):
        path = self.namespace.lab.directory / f"{self.name}.{what}"
        path.touch(mode=0o600)
        path.write_text(value + "\n")
        return path

    def wg(self, *words, **options):
        return self.namespace.run("wg", *words, **options)

    def set(self, *words):
        return self.wg("set", self.name, *words)

    @property
    def port(self):
        return int(self.wg("show", self.name, "listen-port").stdout)

    def add_peer(self, public, allowed, endpoint=None, preshared=None, keepalive=None, routes=True):
        words = ["peer", public, "allowed-ips", ",".join(allowed)]
        if endpoint:
            words += ["endpoint", endpoint]
        if preshared:
            words += ["preshared-key", self._secret("psk", preshared)]
        if keepalive:
            words += ["persistent-keepalive", keepalive]
        self.set(*words)
        if routes:
            self.namespace.ip(*[f"route replace {prefix} dev {self.name}" for prefix in allowed])

    def handshake_age(self, public):
        """The time of the latest handshake with a peer, in Unix seconds; 0 if none."""
        lines = self.wg("show", self.name, "latest-handshakes").stdout.splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == public)

    def stop(self):
        return self.process.stop()


class OpenVPNPair:
    """Two openvpn processes that trust each other's self-signed certificate: UDP, AES-256-GCM.
    Tunnel addresses 10.83.0.1 (server) and 10.83.0.2 (client)."""

    def __init__(self, server, client, server_address, port=1194, mtu=1500, options=(),
                 log_pause=0.1):
        self.addresses = "10.83.0.1", "10.83.0.2"
        directory = server.lab.directory
        prints = [self._certificate(directory, name) for name in ("ovpn-server", "ovpn-client")]
        common = ["openvpn", "--dev", "tun0", "--dev-type", "tun", "--proto", "udp", "--port", port,
                  "--data-ciphers", "AES-256-GCM", "--auth", "none", "--tun-mtu", mtu,
                  "--disable-dco", "--verb", "3", *options]
        self.started = time.monotonic()  # the certificates are made once, before
        self.server = server.start(
            *common, "--tls-server", "--dh", "none", "--local", server_address,
            "--ifconfig", *self.addresses,
            *self._identity(directory, "ovpn-server", prints[1]), label="openvpn-server")
        # The server says nothing more before a client comes.
        self.server.wait_for("UDPv. link remote|UDPv. link local", longest_pause=log_pause)
        self.client = client.start(
            *common, "--tls-client", "--nobind", "--remote", server_address,
            "--ifconfig", *reversed(self.addresses),
            *self._identity(directory, "ovpn-client", prints[0]), label="openvpn-client")
        for process in (self.server, self.client):
            process.wait_for("Initialization Sequence Completed", 20, log_pause)

    @staticmethod
    def _certificate(directory, name):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-sha256", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.crt")
        out = run("openssl", "x509", "-noout", "-fingerprint", "-sha256",
                  "-in", directory / f"{name}.crt").stdout
        return out.split("=", 1)[1].strip()

    @staticmethod
    def _identity(directory, name, fingerprint):
        return ["--cert", directory / f"{name}.crt", "--key", directory / f"{name}.key",
                "--peer-fingerprint", fingerprint]

    def stop(self):
        self.client.stop()
        self.server.stop()
