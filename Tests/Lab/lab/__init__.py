"""Small networks of network namespaces for demo, scenarios, interop tests and benchmarks.

Standard library and the usual Debian tools only. Packets stay inside namespaces that this
package made; every process and namespace is gone when the `with` block is.

    with Lab() as lab:
        world = ThreeClusters(lab)
        world.relay.set("*", "delay 10ms")
        print(ping(world.node("west"), world.address("east")).median_ms)
"""

from .core import AGENTS, Lab, LabError, Namespace, Process, run, sweep, wait_until
from .pcap import Capture, Packet, capture, read_pcap
from .topology import CLUSTERS, DirectPair, Relay, ThreeClusters, find_relay
from .traffic import Ping, iperf3, ping, reaches, tcp_transfer, udp_echo
from .userns import enter_user_namespace
from .vpn import OpenVPNPair, WireGuardGo, wireguard_keys

__all__ = [
    "AGENTS", "CLUSTERS", "Capture", "DirectPair", "Lab", "LabError", "Namespace", "OpenVPNPair",
    "Packet", "Ping", "Process", "Relay", "ThreeClusters", "WireGuardGo", "capture",
    "enter_user_namespace", "find_relay", "iperf3", "ping", "reaches", "read_pcap", "run", "sweep",
    "tcp_transfer", "udp_echo", "wait_until", "wireguard_keys",
]
