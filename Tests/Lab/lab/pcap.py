"""Capturing with tcpdump, and reading what it wrote."""

import contextlib
import ipaddress
import shutil
import struct
import sys
from dataclasses import dataclass

from .core import AGENTS, wait_until
from .userns import in_user_namespace

# Link types of https://www.tcpdump.org/linktypes.html and how long their headers are.
ETHERNET, RAW, COOKED, COOKED2 = 1, 101, 113, 276
HEADER = {ETHERNET: 14, RAW: 0, 12: 0, COOKED: 16, COOKED2: 20}


@dataclass(frozen=True)
class Packet:
    """An IP packet: what tests ask for, and all its bytes from the IP header on."""

    time: float
    source: str
    destination: str
    protocol: int
    hops: int
    traffic_class: int
    is_fragment: bool
    source_port: int | None
    destination_port: int | None
    icmp_type: int | None
    icmp_sequence: int | None
    payload: bytes  # of the transport header on
    data: bytes

    @property
    def is_udp(self):
        return self.protocol == 17

    @property
    def is_tcp(self):
        return self.protocol == 6

    @property
    def is_echo_request(self):
        return (self.protocol, self.icmp_type) in {(1, 8), (58, 128)}

    @property
    def is_echo_reply(self):
        return (self.protocol, self.icmp_type) in {(1, 0), (58, 129)}


def parse_ip(data, time=0.0):
    """None for what is not IP or too short to be."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        header = (data[0] & 15) * 4
        length = int.from_bytes(data[2:4], "big")
        fragment = int.from_bytes(data[6:8], "big")
        is_fragment, is_first = fragment & 0x3FFF != 0, fragment & 0x1FFF == 0
        hops, protocol, traffic_class = data[8], data[9], data[1]
        source, destination = ipaddress.ip_address(data[12:16]), ipaddress.ip_address(data[16:20])
    elif len(data) >= 40 and data[0] >> 4 == 6:
        header, length = 40, 40 + int.from_bytes(data[4:6], "big")
        protocol, hops = data[6], data[7]
        traffic_class = (data[0] & 15) << 4 | data[1] >> 4
        source, destination = ipaddress.ip_address(data[8:24]), ipaddress.ip_address(data[24:40])
        is_fragment, is_first = protocol == 44, True
        if is_fragment and len(data) >= 48:
            protocol, header = data[40], 48
            is_first = int.from_bytes(data[42:44], "big") & 0xFFF8 == 0
    else:
        return None
    # A segmentation-offload packet may say 0; Ethernet padding is cut off.
    data = data[:length] if length else data
    payload = data[header:]
    ports, icmp = (None, None), (None, None)
    if is_first and protocol in (6, 17) and len(payload) >= 4:
        ports = struct.unpack("!HH", payload[:4])
    if is_first and protocol in (1, 58) and len(payload) >= 8:
        icmp = payload[0], int.from_bytes(payload[6:8], "big")
    return Packet(time, str(source), str(destination), protocol, hops, traffic_class, is_fragment,
                  *ports, *icmp, payload, data)


def read_pcap(data):
    """The IP packets of a capture file's bytes (pcap, either byte order, us or ns). A record that
    is not whole ends the list: tcpdump may be writing it."""
    if len(data) < 24:
        return []
    for order in "<>":
        magic, *_, link = struct.unpack(order + "IHHiIII", data[:24])
        if magic in (0xA1B2C3D4, 0xA1B23C4D):
            break
    else:
        raise ValueError("not a pcap file")
    link &= 0xFFFF
    if link not in HEADER:
        raise ValueError(f"link type {link} is not known here")
    unit = 1e-9 if magic == 0xA1B23C4D else 1e-6
    packets, offset = [], 24
    while offset + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from(order + "IIII", data, offset)
        frame = data[offset + 16:offset + 16 + kept]
        if len(frame) < kept:
            break
        offset += 16 + kept
        packet = parse_ip(frame[HEADER[link]:], seconds + fraction * unit)
        if packet is not None:
            packets.append(packet)
    return packets


class Capture:
    """What crosses an interface while it runs."""

    def __init__(self, namespace, interface, expression=""):
        directory = namespace.lab.directory
        number = len(list(directory.iterdir()))
        self.path = directory / f"{namespace.name}-{interface}-{number}.pcap"
        if in_user_namespace() or shutil.which("tcpdump") is None:
            command = [sys.executable, AGENTS, "capture", interface, "--output", self.path,
                       "--expression", expression]
        else:
            # -Z root: the lab's directory is root's.
            command = ["tcpdump", "-Z", "root", "--immediate-mode", "-U", "-n", "-s", "0",
                       "-B", "8192", "-i", interface, "-w", self.path,
                       *([expression] if expression else [])]
        self.process = namespace.start(*command, label=f"capture-{interface}")
        self.process.wait_for("listening on")

    def packets(self, wanted=lambda packet: True):
        """What was captured so far."""
        return [packet for packet in read_pcap(self.path.read_bytes()) if wanted(packet)]

    def count(self, wanted=lambda packet: True):
        return len(self.packets(wanted))

    def wait_for(self, count, wanted=lambda packet: True, seconds=10):
        """Waits until so many were seen and returns them."""
        wait_until(lambda: self.count(wanted) >= count, seconds,
                   f"{count} packets in {self.path.name}")
        return self.packets(wanted)

    def stop(self):
        return self.process.stop()


@contextlib.contextmanager
def capture(namespace, interface, expression=""):
    """A running Capture; it can be read during and after the block."""
    running = Capture(namespace, interface, expression)
    try:
        yield running
    finally:
        running.stop()
