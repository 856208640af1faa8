"""The directory's frames as Docs/Protocol.md, section 10.1, has them: written from that text, and
so a check of it. What a writer says, and as much of a follower's words as a writer has to read."""

import ipaddress
import struct
from dataclasses import dataclass

(HELLO, WELCOME, SNAPSHOT_BEGIN, SNAPSHOT_ITEMS, SNAPSHOT_END, DELTA, HEARTBEAT, MANIFEST_REQUEST,
 MANIFEST_BEGIN, MANIFEST_BYTES, REFUSAL) = range(1, 12)
MAGIC, PROTOCOL = b"SLDR", 1
FACTS = 8 + 32 + 32
MOST = 65_536


def frame(kind, *parts):
    content = bytes([kind]) + b"".join(parts)
    return struct.pack("!I", len(content)) + content


def frames(buffer):
    """Takes the whole frames off a bytearray: (type, content)."""
    while len(buffer) >= 4:
        length, = struct.unpack_from("!I", buffer)
        if not 1 <= length <= MOST:
            raise ValueError(f"a frame of {length} bytes")
        if len(buffer) < 4 + length:
            return
        content = bytes(buffer[4:4 + length])
        del buffer[:4 + length]
        yield content[0], content[1:]


def text(word):
    encoded = word.encode("ascii")
    if len(encoded) > 255:
        raise ValueError(f"too long: {word}")
    return bytes([len(encoded)]) + encoded


def number(value):
    return struct.pack("!Q", value)


def endpoint(namespace, name, since, addresses, labels=None):
    """Key and value of an endpoint's record."""
    found = {address.version: address for address in map(ipaddress.ip_address, addresses)}
    families = sum({4: 1, 6: 2}[version] for version in found)
    words = sorted((labels or {}).items(), key=lambda pair: pair[0].encode())
    return b"".join([
        b"\1", text(namespace), text(name), number(since), bytes([families]),
        *[found[version].packed for version in sorted(found)],
        bytes([len(words)]), *[text(word) for pair in words for word in pair]])


def hello(slice, cluster, incarnation, known, facts):
    """`known`: incarnation and version of what it has of the writer."""
    return frame(HELLO, MAGIC, bytes([PROTOCOL]), text(slice), text(cluster),
                 *map(number, (incarnation, *known)), facts)


def welcome(cluster, incarnation, version, facts):
    return frame(WELCOME, bytes([PROTOCOL]), text(cluster), number(incarnation), number(version),
                 facts)


def snapshot(version, items):
    """All records, in the order of their keys: several frames."""
    yield frame(SNAPSHOT_BEGIN, number(version))
    part, size = [], 0
    for item in items:
        if size + len(item) > MOST // 2:
            yield frame(SNAPSHOT_ITEMS, *part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    if part:
        yield frame(SNAPSHOT_ITEMS, *part)
    yield frame(SNAPSHOT_END, number(version))


def delta(before, after, *changed, more=False):
    """`changed` are records as they are now."""
    return frame(DELTA, number(before), number(after), bytes([more]),
                 *[b"\1" + item for item in changed])


def heartbeat(version, facts):
    return frame(HEARTBEAT, number(version), facts)


def no_manifest():
    return frame(MANIFEST_BEGIN, number(0), bytes(32), struct.pack("!I", 0))


@dataclass(frozen=True)
class Hello:
    slice: str
    cluster: str
    facts: bytes

    @staticmethod
    def read(content):
        if content[:5] != MAGIC + bytes([PROTOCOL]):
            raise ValueError("another greeting")
        words, place = [], 5
        for _ in range(2):
            length = content[place]
            words.append(content[place + 1:place + 1 + length].decode("ascii"))
            place += 1 + length
        facts = content[place + 24:]
        if len(facts) != FACTS:
            raise ValueError("a hello of another length")
        return Hello(*words, facts)
