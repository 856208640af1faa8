#!/usr/bin/python3
"""A second opinion on the handshake, written from the WireGuard paper and nothing else.

It shares no code with the product: BLAKE2s is hashlib's, HMAC is hmac's, X25519 and
ChaCha20-Poly1305 are those of the "cryptography" package, XChaCha20 is built here from the
ChaCha20 block function.

    wireguard_reference.py generate   prints the transcripts that handshake.txt holds
    wireguard_reference.py check      makes them again, compares with handshake.txt, and checks
                                      the reference with itself over random keys
    wireguard_reference.py verify     reads transcripts on standard input, checks every field
"""

import hashlib
import hmac
import os
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WIREGUARD = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
# Any other string will do here; it shows that the construction is really mixed in.
OTHER = b"Noise_IKpsk2_25519_AESGCM_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"

TRANSCRIPTS = pathlib.Path(__file__).with_name("handshake.txt")


# The primitives, named as in section 5.4 of the paper


def hash_(data):
    return hashlib.blake2s(data).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def kdf(n, key, data):
    def hmac_(k, m):
        return hmac.new(k, m, hashlib.blake2s).digest()

    secret, out, last = hmac_(key, data), [], b""
    for i in range(1, n + 1):
        last = hmac_(secret, last + bytes([i]))
        out.append(last)
    return out


def aead(key, counter, plain, data):
    return ChaCha20Poly1305(key).encrypt(bytes(4) + struct.pack("<Q", counter), plain, data)


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha section 2.2: twenty rounds, no final addition."""
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key)
                 + struct.unpack("<4I", nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            v = state[z] ^ state[x]
            state[z] = (v << turn | v >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(state[:4] + state[12:]))


def xaead(key, nonce, plain, data):
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return cipher.encrypt(bytes(4) + nonce[16:], plain, data)


def public(private):
    key = X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(private, peer):
    return X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(peer))


# One handshake


def handshake(t):
    """Fills in the outputs of a transcript whose inputs are given."""
    si, sr, ei, er = t["si"], t["sr"], t["ei"], t["er"]
    pub_si, pub_sr, pub_ei, pub_er = map(public, (si, sr, ei, er))

    # 5.4.2
    c = hash_(t["construction"])
    h = hash_(hash_(c + IDENTIFIER) + pub_sr)
    (c,) = kdf(1, c, pub_ei)
    h = hash_(h + pub_ei)
    c, k = kdf(2, c, dh(ei, pub_sr))
    static = aead(k, 0, pub_si, h)
    h = hash_(h + static)
    c, k = kdf(2, c, dh(si, pub_sr))
    stamp = aead(k, 0, t["timestamp"], h)
    h = hash_(h + stamp)
    first = b"\1\0\0\0" + t["ii"] + pub_ei + static + stamp
    first += mac(hash_(b"mac1----" + pub_sr), first)

    # 5.4.3
    (c,) = kdf(1, c, pub_er)
    h = hash_(h + pub_er)
    (c,) = kdf(1, c, dh(er, pub_ei))
    (c,) = kdf(1, c, dh(er, pub_si))
    c, tau, k = kdf(3, c, t["psk"])
    h = hash_(h + tau)
    nothing = aead(k, 0, b"", h)
    second = b"\2\0\0\0" + t["ir"] + t["ii"] + pub_er + nothing
    second += mac(hash_(b"mac1----" + pub_si), second)

    # 5.4.5
    send_i, send_r = kdf(2, c, b"")

    # 5.4.7: the responder asks for a cookie after the first message
    cookie = mac(t["secret"], t["source"])
    sealed = xaead(hash_(b"cookie--" + pub_sr), t["nonce"], cookie, first[116:132])
    reply = b"\3\0\0\0" + t["ii"] + t["nonce"] + sealed

    t["initiation"] = first + bytes(16)
    t["initiation2"] = first + mac(cookie, first)
    t["response"] = second + bytes(16)
    t["cookiereply"] = reply
    t["sendi"] = send_i
    t["sendr"] = send_r
    # 5.4.6: one packet of the initiator, with a counter that fills all eight bytes
    t["packet"] = (b"\4\0\0\0" + t["ir"] + t["counter"]
                   + aead(send_i, struct.unpack("<Q", t["counter"])[0], t["payload"], b""))
    return t


INPUTS = ("construction", "si", "sr", "ei", "er", "psk", "ii", "ir", "timestamp", "secret",
          "source", "nonce", "counter", "payload")
OUTPUTS = ("initiation", "initiation2", "response", "cookiereply", "sendi", "sendr", "packet")


def from_stream(stream, construction=WIREGUARD, psk=True, payload=64):
    """A transcript whose inputs are cut from a stream of bytes."""
    t = {"construction": construction}
    for name, size in (("si", 32), ("sr", 32), ("ei", 32), ("er", 32), ("psk", 32), ("ii", 4),
                       ("ir", 4), ("timestamp", 12), ("secret", 32), ("source", 6),
                       ("nonce", 24), ("counter", 8), ("payload", payload)):
        t[name] = stream(size)
    for name in ("si", "sr", "ei", "er"):
        key = bytearray(t[name])
        key[0] &= 248
        key[31] = key[31] & 127 | 64
        t[name] = bytes(key)
    if not psk:
        t["psk"] = bytes(32)
    return handshake(t)


def fixed():
    """The checked-in transcripts: inputs are hashes of a label and a counter."""
    def stream(label):
        left = b""
        n = 0

        def take(size):
            nonlocal left, n
            while len(left) < size:
                left += hash_(b"%s %d" % (label, n))
                n += 1
            out, left = left[:size], left[size:]
            return out
        return take

    yield from_stream(stream(b"one"))
    yield from_stream(stream(b"two"), psk=False)
    yield from_stream(stream(b"three"), construction=OTHER)
    yield from_stream(stream(b"four"), payload=0)
    for i in range(12):
        yield from_stream(stream(b"more %d" % i), psk=i % 3 != 0, payload=16 * i)


def show(t):
    return " ".join("%s=%s" % (name, t[name].hex()) for name in INPUTS + OUTPUTS)


def read(line):
    return {k: bytes.fromhex(v) for k, v in (field.split("=", 1) for field in line.split())}


def verify(lines):
    """Every output of every transcript must follow from its inputs."""
    count = 0
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line:
            continue
        given = read(line)
        missing = set(INPUTS + OUTPUTS) - set(given)
        if missing:
            sys.exit("line %d: no %s" % (number, ", ".join(sorted(missing))))
        made = handshake({name: given[name] for name in INPUTS})
        for name in OUTPUTS:
            if made[name] != given[name]:
                sys.exit("line %d: %s differs" % (number, name))
        count += 1
    if count == 0:
        sys.exit("no transcripts")
    return count


def self_check(rounds):
    """Primitives against published vectors, and that a changed byte is noticed."""
    # RFC 7693 appendix B
    assert hash_(b"abc").hex().startswith("508c5e8c327c14e2e1a72ba34eeb452f")
    # draft-irtf-cfrg-xchacha section 2.2.1
    assert hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")).hex() \
        .startswith("82413b4227b27bfed30e42508a877d73")
    for i in range(rounds):
        t = from_stream(os.urandom, psk=i % 2 == 0)
        verify([show(t)])
        packet = bytearray(t["packet"])
        ChaCha20Poly1305(t["sendi"]).decrypt(
            bytes(4) + t["counter"], bytes(packet[16:]), b"")
        packet[-1] ^= 1
        try:
            ChaCha20Poly1305(t["sendi"]).decrypt(
                bytes(4) + t["counter"], bytes(packet[16:]), b"")
        except InvalidTag:
            continue
        sys.exit("a forged packet was opened")


def main():
    mode = sys.argv[1] if len(sys.argv) == 2 else ""
    if mode == "generate":
        for t in fixed():
            print(show(t))
    elif mode == "check":
        made = [show(t) for t in fixed()]
        held = TRANSCRIPTS.read_text().split("\n")
        held = [line for line in held if line]
        if made != held:
            sys.exit("%s is not what this reference makes" % TRANSCRIPTS.name)
        self_check(50)
        print("ok: %d transcripts" % len(made))
    elif mode == "verify":
        print("ok: %d transcripts" % verify(sys.stdin))
    else:
        sys.exit(__doc__)


main()
