"""Sends UDP with sources that are not this namespace's: `spoof.py DESTINATION COUNT SOURCE...`."""

import ipaddress
import socket
import struct
import sys

PORT = 4999


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def datagram(source, destination, payload):
    """An IP packet with UDP inside, all of it ours."""
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", PORT, PORT, length, 0) + payload
    pseudo = a + b + struct.pack("!II", length, 17) + udp
    udp = udp[:6] + struct.pack("!H", checksum(pseudo)) + udp[8:]
    if len(a) == 4:
        # The kernel fills in the header's checksum and identification.
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0) + a + b + udp
    return struct.pack("!IHBB", 6 << 28, length, 17, 64) + a + b + udp


def main(destination, count, *sources):
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as one:
        for source in sources:
            for _ in range(int(count)):
                one.sendto(datagram(source, destination, b"not mine"), (destination, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
