"""A cluster's gateway as far as the directory sees it: tells the others of any number of endpoints.

    played_gateway.py SLICE CLUSTER COUNT PREFIX4 PREFIX6 NAMESPACE...

Listens on the first address of both prefixes, TCP port 7946, of the network namespace it runs in.
The n-th endpoint is in the n-th of the namespaces, around and around, and has the (n + 2)-th
address of both prefixes. Facts are what each follower says that it has itself: this gateway never
knows of a newer manifest, and enforces what everybody does.
"""

import ipaddress
import selectors
import socket
import sys
import time

import directory_frames as wire

PORT = 7946
INCARNATION = 1
VERSION = 1
BEAT = 1.0  # seconds


def records(count, prefixes, namespaces):
    """In the order of their keys: by namespace, then by name."""
    found = []
    for n in range(count):
        addresses = [prefix[n + 2] for prefix in prefixes]
        namespace, name = namespaces[n % len(namespaces)], f"played-{n:05}"
        found.append(((namespace, name), wire.endpoint(namespace, name, VERSION, addresses)))
    return [record for _, record in sorted(found)]


class Follower:
    """One connection. Says everything once, and then that it is still there."""

    def __init__(self, connection, slice, cluster, items):
        self.connection, self.slice, self.cluster, self.items = connection, slice, cluster, items
        self.buffer = bytearray()
        self.facts = None

    def hear(self):
        """False when it is over."""
        try:
            data = self.connection.recv(65536)
            self.buffer += data
            for kind, content in wire.frames(self.buffer):
                self._answer(kind, content)
            return bool(data)
        except (OSError, ValueError) as error:
            print(f"{self.cluster}: {error}", file=sys.stderr, flush=True)
            return False

    def beat(self):
        if self.facts is not None:
            self._say(wire.heartbeat(VERSION, self.facts))

    def _answer(self, kind, content):
        if kind == wire.HELLO:
            hello = wire.Hello.read(content)
            if hello.slice != self.slice:
                raise ValueError(f"asked for slice {hello.slice}")
            self.facts = hello.facts
            self._say(wire.welcome(self.cluster, INCARNATION, VERSION, self.facts),
                      *wire.snapshot(VERSION, self.items))
        elif kind == wire.HEARTBEAT:
            self.facts = content[8:]
        elif kind == wire.MANIFEST_REQUEST:
            self._say(wire.no_manifest())
        elif kind == wire.REFUSAL:
            raise ValueError(f"refused for reason {content[0]}: {content[1:].decode('ascii')}")

    def _say(self, *parts):
        # The records of one follower are some hundred kilobytes: it may wait for them.
        self.connection.sendall(b"".join(parts))


def main(slice, cluster, count, prefix4, prefix6, *namespaces):
    prefixes = [ipaddress.ip_network(prefix) for prefix in (prefix4, prefix6)]
    items = records(int(count), prefixes, namespaces)
    with selectors.DefaultSelector() as selector:
        for prefix in prefixes:
            family = socket.AF_INET if prefix.version == 4 else socket.AF_INET6
            listener = socket.create_server((str(prefix[1]), PORT), family=family)
            selector.register(listener, selectors.EVENT_READ)
        print("ready", flush=True)
        followers, next_beat = {}, time.monotonic() + BEAT
        while True:
            for key, _ in selector.select(max(0, next_beat - time.monotonic())):
                follower = followers.get(key.fileobj)
                if follower is None:
                    connection, _ = key.fileobj.accept()
                    connection.settimeout(10)
                    selector.register(connection, selectors.EVENT_READ)
                    followers[connection] = Follower(connection, slice, cluster, items)
                elif not follower.hear():
                    selector.unregister(key.fileobj)
                    followers.pop(key.fileobj).connection.close()
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT
                for follower in followers.values():
                    try:
                        follower.beat()
                    except OSError:
                        pass  # its end is read next


if __name__ == "__main__":
    main(*sys.argv[1:])
