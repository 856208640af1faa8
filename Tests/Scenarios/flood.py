"""Sends bogus handshakes at a gateway, from inside a namespace:
`flood.py ADDRESS PORT PUBLIC-KEY-IN-BASE64 KIND SECONDS`. Kinds: `random` (148 bytes of noise),
`mac1` (with the right first MAC, so that it costs the gateway a Curve25519), `garbage` (every
type, every length)."""

import base64
import hashlib
import os
import random
import socket
import struct
import sys
import time


def initiation(public, source):
    """Type 1 with a MAC1 that holds (WireGuard paper 5.4.4); all else is noise."""
    body = b"\x01\0\0\0" + source.randbytes(112)
    key = hashlib.blake2s(b"mac1----" + public).digest()
    mac1 = hashlib.blake2s(body, key=key, digest_size=16).digest()
    return body + mac1 + bytes(16)


def garbage(source):
    kind = source.choice([0, 1, 2, 3, 4, 5, 255])
    return struct.pack("<I", kind) + source.randbytes(source.choice(
        [0, 1, 28, 60, 88, 91, 144, 145, 1200, 1428]))


def main(address, port, key, kind, seconds):
    public, source = base64.b64decode(key), random.Random(1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(16)]
    for one in sockets:
        one.setblocking(False)
        one.connect((address, int(port)))
    make = {"random": lambda: b"\x01\0\0\0" + source.randbytes(144),
            "mac1": lambda: initiation(public, source), "garbage": lambda: garbage(source)}[kind]
    sent, until = 0, time.monotonic() + float(seconds)
    print("ready", flush=True)
    while time.monotonic() < until:
        for one in sockets:
            for _ in range(16):
                try:
                    one.send(make())
                    sent += 1
                except OSError:
                    pass
        time.sleep(0.001)
    print("sent", sent, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
