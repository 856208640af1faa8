"""Asks one broker, from beside it, what it takes for the truth: who leads which partition, who is
in sync, who leads the quorum. One line of JSON for each answer.

It speaks the protocol by hand, for a client would ask whichever broker it likes."""

import argparse
import json
import socket
import struct
import sys
import time

METADATA, DESCRIBE_QUORUM = 3, 55


class Reader:
    """Kafka's plain and compact encodings."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.number("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def array(self, one):
        return [one() for _ in range(self.number("i"))]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def compact_text(self):
        length = self.varint() - 1
        self.at += length
        return self.data[self.at - length:self.at].decode()


def text(words):
    return struct.pack(">h", len(words)) + words.encode()


class Broker:
    """One connection, made again when it broke."""

    def __init__(self, address, seconds):
        host, port = address.rsplit(":", 1)
        self.address, self.seconds = (host.strip("[]"), int(port)), seconds
        self.socket, self.correlation = None, 0

    def ask(self, key, version, body, flexible=False):
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self.address, timeout=self.seconds)
            self.correlation += 1
            header = struct.pack(">hhi", key, version, self.correlation) + text("watch")
            frame = header + (b"\0" if flexible else b"") + body
            self.socket.sendall(struct.pack(">i", len(frame)) + frame)
            size, = struct.unpack(">i", self.exactly(4))
            data = self.exactly(size)
        except OSError:
            self.socket = None
            raise
        return Reader(data[5 if flexible else 4:])

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionResetError("closed")
            data += more
        return data

    def partitions(self, topic):
        """Metadata v7: [partition, leader, leader epoch, replicas, in sync]."""
        body = struct.pack(">i", 1) + text(topic) + b"\0"  # do not create it
        answer = self.ask(METADATA, 7, body)
        answer.number("i")  # throttle time
        answer.array(lambda: (answer.number("i"), answer.text(), answer.number("i"),
                              answer.text()))
        answer.text()
        answer.number("i")

        def partition():
            answer.number("h")
            index, leader, epoch = (answer.number("i") for _ in range(3))
            replicas, in_sync, _ = (answer.array(lambda: answer.number("i")) for _ in range(3))
            return [index, leader, epoch, replicas, in_sync]

        def one():
            answer.number("h")
            answer.text()
            answer.number("b")
            return answer.array(partition)

        return sorted(answer.array(one)[0])

    def quorum(self):
        """DescribeQuorum v0: (leader, epoch) of the metadata log, or None."""
        name = "__cluster_metadata"
        body = b"\x02" + bytes([len(name) + 1]) + name.encode() + b"\x02" + bytes(4) + b"\0\0\0"
        answer = self.ask(DESCRIBE_QUORUM, 0, body, flexible=True)
        if answer.number("h") != 0 or answer.varint() != 2:
            return None
        answer.compact_text()
        if answer.varint() != 2:
            return None
        answer.number("i")
        if answer.number("h") != 0:
            return None
        return [answer.number("i"), answer.number("i")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("broker")
    parser.add_argument("topic")
    parser.add_argument("--interval", type=float, default=0.1)
    args = parser.parse_args()
    broker = Broker(args.broker, seconds=1)
    while True:
        seen = {}
        # Asked apart: without a quorum a broker still has its metadata.
        for what, ask in (("partitions", lambda: broker.partitions(args.topic)),
                          ("quorum", broker.quorum)):
            try:
                seen[what] = ask()
            except (OSError, struct.error, IndexError, UnicodeDecodeError) as error:
                seen.setdefault("errors", {})[what] = f"{type(error).__name__}: {error}"
        print(json.dumps({"at": time.monotonic(), **seen}), flush=True)
        time.sleep(args.interval)


if __name__ == "__main__":
    sys.exit(main())
