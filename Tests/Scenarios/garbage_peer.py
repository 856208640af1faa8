"""A peer that answers every handshake with what looks like an answer and is none:
`garbage_peer.py ADDRESS PORT`."""

import random
import socket
import sys


def answers(message, source):
    """To an initiation with the sender's index: a response, a cookie reply and data addressed to
    that index, all with noise inside; the message itself; and cut and stretched ones."""
    index = message[4:8]
    response = b"\x02\0\0\0" + source.randbytes(4) + index + source.randbytes(80)
    yield response
    yield response[:-1]
    yield response + b"\0"
    yield b"\x03\0\0\0" + index + source.randbytes(56)
    yield b"\x04\0\0\0" + index + bytes(8) + source.randbytes(48)
    yield b"\x04\0\0\0" + index + b"\xff" * 8 + source.randbytes(16)
    yield message
    yield b""
    yield source.randbytes(1400)


def main(address, port):
    source = random.Random(7)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind((address, int(port)))
        print("ready", flush=True)
        count = 0
        while True:
            message, peer = one.recvfrom(65535)
            for answer in answers(message, source):
                one.sendto(answer, peer)
            count += 1
            print("answered", count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
