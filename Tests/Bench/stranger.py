"""A third node beside a tunnel's two: it reaches the far end, and sends what anyone could. And the
stream between the two that suffers."""

import contextlib
import json
import signal
import time

import initiations
from lab import wait_until
from machine import CONGESTION_CONTROL

RATE = 100_000
NOBODY = 9009  # at the far end: where udpbench has a socket that it never reads
MOST_SECONDS = 120  # if nobody ends it
ADDRESS, GATEWAY = "10.85.0.2", "10.85.0.1"  # no network of a tunnel's (contenders.py)


class Stranger:
    def __init__(self, contender):
        self.contender = contender
        self.node = contender.lab.namespace("stranger")
        contender.right.veth(self.node, "eth1", "eth0")
        contender.right.address("eth1", f"{GATEWAY}/24")
        self.node.address("eth0", f"{ADDRESS}/24")
        self.address = contender.pair.address(1)
        self.node.ip(f"route add {self.address} via {GATEWAY}")

    @contextlib.contextmanager
    def sending(self, datagrams, port, rate=RATE):
        """Sends during the block; gives what udpbench says of it, once the block has ended."""
        one = self.contender
        path = one.lab.directory / "datagrams"
        path.write_bytes(b"".join(datagrams))
        sender = one.lab.start(
            [one.udpbench, "offer", self.node.path, one.right.path, self.address, initiations.SIZE,
             rate, MOST_SECONDS, path, port], label="stranger")
        found = {}
        try:
            sender.wait_for("^sending$", longest_pause=0.01)
            yield found
            sender.signal(signal.SIGTERM)
            sender.wait(10)
            found.update(json.loads(sender.output().splitlines()[-1]))
        finally:
            sender.stop()


class TCPStream:
    """From end to end of a tunnel, as long as the block is."""

    def __init__(self, contender):
        self.process = contender.lab.start(
            [contender.udpbench.with_name("tcpbench"), contender.left.path, contender.right.path,
             contender.address, CONGESTION_CONTROL], label="tcpbench")

    def __enter__(self):
        self.process.wait_for("^connected$", 20, 0.01)
        return self

    def __exit__(self, kind, error, trace):
        self.process.stop()

    def rate(self, seconds):
        """Bits a second that arrive during the next `seconds`."""
        start = self._received()
        time.sleep(seconds)  # the measurement itself
        end = self._received()
        return (end["received"] - start["received"]) * 8 / (end["at"] - start["at"])

    def _received(self):
        def lines():
            return self.process.output().splitlines()

        told = len(lines())
        self.process.signal(signal.SIGUSR1)
        wait_until(lambda: len(lines()) > told and self.process.output().endswith("\n"), 10,
                   f"tcpbench to count; it said:\n{self.process.tail()}", 0.005)
        return json.loads(lines()[told])
