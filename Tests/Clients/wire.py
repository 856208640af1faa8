"""A connection to a broker without a client: frames by hand."""

import contextlib
import itertools
import socket
import struct

API_VERSIONS, PRODUCE, FETCH, METADATA = 18, 0, 1, 3


def text(value):
    return struct.pack(">h", -1) if value is None else (
        struct.pack(">h", len(value)) + value.encode())


def compact(value):
    return bytes([len(value) + 1]) + value.encode()


class Wire(contextlib.AbstractContextManager):
    """One connection."""

    def __init__(self, broker, seconds=10, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect((broker.host, broker.port))
        self.numbers = itertools.count(7)

    def __exit__(self, *_):
        self.socket.close()

    def send(self, key, version, body=b"", flexible=False, number=None):
        """Header version 1, or 2 with no tags; tells the correlation id."""
        number = next(self.numbers) if number is None else number
        header = struct.pack(">hhi", key, version, number) + text("raw")
        self.raw(frame(header + (b"\0" if flexible else b"") + body))
        return number

    def raw(self, data):
        self.socket.sendall(data)

    def receive(self, expected=None):
        """The next frame without its length and correlation id."""
        size, = struct.unpack(">i", self.exactly(4))
        data = self.exactly(size)
        if expected is not None:
            assert struct.unpack_from(">i", data)[0] == expected
        return data[4:]

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError(f"closed after {len(data)} of {count} bytes")
            data += more
        return bytes(data)

    def ask(self, key, version, body=b"", flexible=False):
        return self.receive(self.send(key, version, body, flexible))

    def is_closed_by_peer(self):
        """Waits for the end of the connection; an answer before it is a failure."""
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        assert data == b"", "an answer"
        return True


def frame(data):
    return struct.pack(">i", len(data)) + data


def api_versions(wire):
    """API key -> (lowest, highest), by version 0."""
    return ranges_of(wire.ask(API_VERSIONS, 0))[1]


def ranges_of(body):
    """Error code and ranges of an ApiVersions response in version 0."""
    error, count = struct.unpack_from(">hi", body)
    entries = [struct.unpack_from(">hhh", body, 6 + 6 * n) for n in range(count)]
    assert len(body) == 6 + 6 * count
    return error, {key: (lowest, highest) for key, lowest, highest in entries}
