"""What a stranger can send to a tunnel that looks like the first message of a handshake and is not.

All are of one size, each is different, and random where it could be anything."""

import hashlib
import random

SIZE = 148  # WireGuard's handshake initiation; the same for those who have another
COUNT = 4096  # so many, around and around
MAC = 16


def mac1(message, public):
    """WireGuard's first MAC, of what comes before it: anyone who has the receiver's public key can
    make it."""
    key = hashlib.blake2s(b"mac1----" + public).digest()
    return hashlib.blake2s(message, digest_size=MAC, key=key).digest()


def wireguard(public, is_right):
    """Handshake initiations to the owner of a public key, with its MAC1 or another, and without a
    cookie: type, sender, ephemeral key, sealed static key and timestamp, MAC1, MAC2."""
    source = random.Random(1)
    for _ in range(COUNT):
        start = b"\x01\x00\x00\x00" + source.randbytes(SIZE - 4 - 2 * MAC)
        yield start + (mac1(start, public) if is_right else source.randbytes(MAC)) + bytes(MAC)


def openvpn():
    """P_CONTROL_HARD_RESET_CLIENT_V2: a session's number, nothing acknowledged, packet 0."""
    source = random.Random(1)
    for _ in range(COUNT):
        start = bytes([7 << 3]) + source.randbytes(8) + bytes(1 + 4)
        yield start + source.randbytes(SIZE - len(start))


def nebula():
    """A header of version 1 for the first message of IX: no index yet, message 1. Ephemeral and
    static key follow in the clear, and what is to be a certificate."""
    source = random.Random(1)
    for _ in range(COUNT):
        start = bytes([1 << 4]) + bytes(3 + 4 + 7) + b"\x01"
        yield start + source.randbytes(SIZE - len(start))
