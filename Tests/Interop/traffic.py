"""Traffic between namespaces from within this process, every byte of it compared.

A socket belongs to the namespace that its thread was in when it was made, so a thread visits a
namespace for that long only (setns(2)).
"""

import contextlib
import ctypes
import hashlib
import os
import random
import select
import socket
import struct
import threading
import time

from lab import LabError, wait_until

CLONE_NEWNET = 0x40000000
BLOCK = 1 << 16
SPARSE_TOS = 7 << 2  # outside, of flows that send little
_libc = ctypes.CDLL(None, use_errno=True)


class Damaged(LabError):
    """Something else arrived than was sent."""


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def visiting(namespace):
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(there)
        os.close(home)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def make_socket(namespace, *words, timeout=10):
    with visiting(namespace):
        made = socket.socket(*words)
    made.settimeout(timeout)
    return made


def content(seed, size):
    return random.Random(f"{seed}/{size}").randbytes(size)


def bound_udp(namespace, address, timeout=10):
    made = make_socket(namespace, family(address), socket.SOCK_DGRAM, timeout=timeout)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    made.bind((address, 0))
    return made


# --- datagrams ---------------------------------------------------------------------------------


def exchange(source, destination, address, sizes, seed="0", tamper=None):
    """A UDP datagram of each size goes to `address` and its like comes back, both compared byte
    for byte. `tamper` is what a test of this test does to a datagram before it is sent."""
    with bound_udp(destination, address) as server, \
            make_socket(source, family(address), socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname()[:2])
        for size in sizes:
            sent = content(seed, size)
            client.send(tamper(sent) if tamper else sent)
            arrived, peer = server.recvfrom(BLOCK)
            if arrived != sent:
                raise Damaged(f"{len(arrived)} bytes arrived instead of {size}, or others")
            back = content(f"back {seed}", size)
            server.sendto(back, peer)
            if client.recv(BLOCK) != back:
                raise Damaged(f"the answer of {size} bytes came back different")


def exchange_patiently(source, destination, address, sizes, seed="0", timeout=20):
    """The same where datagrams may be lost, because queues are full or a session is between two
    lives: what is not answered is sent again."""
    with bound_udp(destination, address, timeout=0.1) as server, \
            make_socket(source, family(address), socket.SOCK_DGRAM, timeout=0.1) as client:
        client.connect(server.getsockname()[:2])
        done = threading.Event()
        expected = {content(seed, size) for size in sizes}
        strangers = []

        def answer():
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    data, peer = server.recvfrom(BLOCK)
                    if data not in expected:
                        strangers.append(data)
                    with contextlib.suppress(OSError):
                        server.sendto(data, peer)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + timeout
            for size in sizes:
                sent, came = content(seed, size), None
                while came != sent:
                    if came is not None and came not in expected:
                        raise Damaged(f"{len(came)} bytes came back that nobody sent")
                    if time.monotonic() > deadline:
                        raise LabError(f"no answer to {size} bytes in {timeout} s")
                    with contextlib.suppress(ConnectionRefusedError, OSError):
                        client.send(sent)
                    with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                        came = client.recv(BLOCK)
        finally:
            done.set()
            thread.join()
        if strangers:
            raise Damaged(f"{len(strangers)} datagrams arrived that nobody sent")


def internet_checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(source, address, sizes, seed="0", timeout=10):
    """ICMP echo requests of each size; the kernel at `address` sends the content back."""
    is_v6 = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if is_v6 else socket.IPPROTO_ICMP
    request, reply = (128, 129) if is_v6 else (8, 0)
    with make_socket(source, family(address), socket.SOCK_RAW, protocol, timeout=timeout) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        raw.connect((address, 0))
        for number, size in enumerate(sizes):
            data = content(seed, size)
            body = struct.pack("!HH", 0x5EED, number) + data
            sum_of_it = internet_checksum(struct.pack("!BBH", request, 0, 0) + body)
            # IPv6: the kernel writes the checksum.
            raw.send(struct.pack("!BBH", request, 0, 0 if is_v6 else sum_of_it) + body)
            while True:
                message = raw.recv(BLOCK)
                if not is_v6:
                    message = message[(message[0] & 15) * 4:]
                if message[0] == reply and message[4:8] == body[:4]:
                    break
            if message[4:] != body:
                raise Damaged(f"an echo of {size} bytes came back different")


# --- streams -----------------------------------------------------------------------------------


def _blocks(seed, count):
    """The same bytes for the same seed, made quickly."""
    base = random.Random(seed).randbytes(BLOCK + 4099)
    number = 0
    while count > 0:
        start = number * 977 % 4099
        yield base[start:start + min(BLOCK, count)]
        count -= BLOCK
        number += 1


def transfer(source, destination, address, count, seed="0", timeout=30, tamper=None):
    """`count` bytes over TCP; raises Damaged unless they arrive as they were sent."""
    with Stream(source, destination, address, seed=seed, timeout=timeout) as stream:
        for block in _blocks(seed, count):
            stream.send(block, tamper)
        stream.finish()


class Stream:
    """A TCP connection with a receiver of its own that hashes what comes."""

    def __init__(self, source, destination, address, seed="0", timeout=30):
        self.timeout = timeout
        self.sent = self.received = 0
        self._sent_hash, self._received_hash = hashlib.sha256(), hashlib.sha256()
        self._ended = threading.Event()
        self._failure = None
        with make_socket(destination, family(address), socket.SOCK_STREAM,
                         timeout=timeout) as server:
            server.bind((address, 0))
            server.listen(1)
            self.client = make_socket(source, family(address), socket.SOCK_STREAM,
                                      timeout=timeout)
            self.client.connect(server.getsockname()[:2])
            self.connection, _ = server.accept()
        self.connection.settimeout(timeout)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self):
        try:
            while block := self.connection.recv(1 << 18):
                self._received_hash.update(block)
                self.received += len(block)
        except OSError as error:
            self._failure = error
        self._ended.set()

    def send(self, block, tamper=None):
        self._sent_hash.update(block)
        self.client.sendall(tamper(block) if tamper else block)
        self.sent += len(block)

    def finish(self):
        self.client.shutdown(socket.SHUT_WR)
        if not self._ended.wait(self.timeout) or self._failure:
            raise LabError(f"{self.received} of {self.sent} bytes came, then {self._failure}")
        if self._received_hash.digest() != self._sent_hash.digest():
            raise Damaged(f"{self.received} of {self.sent} bytes came, or others")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.close()
        self.connection.close()
        self._thread.join(self.timeout)


class Flow:
    """A TCP connection that is kept busy (not full) from construction to `finish`."""

    def __init__(self, source, destination, address, seed="flow", pause=0.002, piece=4096):
        self.stream = Stream(source, destination, address, seed)
        self._stop = threading.Event()
        self._failure = None
        self._pause, self._piece, self._seed = pause, piece, seed
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        try:
            for block in _blocks(self._seed, 1 << 40):
                for start in range(0, len(block), self._piece):
                    self.stream.send(block[start:start + self._piece])
                    if self._stop.wait(self._pause):
                        return
        except OSError as error:
            self._failure = error

    def goes_on(self, count=200_000, seconds=20):
        """Waits until so many more bytes than now have arrived."""
        goal = self.stream.received + count
        wait_until(lambda: self._failure or self.stream.received >= goal, seconds,
                   "the flow to go on")
        assert self._failure is None, self._failure

    def finish(self):
        self._stop.set()
        self._thread.join(30)
        assert self._failure is None, self._failure
        self.stream.finish()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        try:
            if kind is None:
                self.finish()
        finally:
            self._stop.set()
            self.stream.__exit__()


def many_flows(jobs):
    """Runs functions at the same time; raises the first error of any."""
    errors = []

    def guard(job):
        try:
            job()
        except BaseException as error:  # noqa: BLE001: a thread's end must not go unseen
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive(), "a flow did not end"
    if errors:
        raise errors[0]


# --- the wire ----------------------------------------------------------------------------------


class Tap:
    """What arrives on and leaves an interface, as IP packets, seen before any filter."""

    def __init__(self, namespace, interface="eth0"):
        self.packets = []
        self.socket = make_socket(namespace, socket.AF_PACKET, socket.SOCK_DGRAM, 0, timeout=0)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self.socket.bind((interface, 3))  # ETH_P_ALL

    def drain(self):
        while select.select([self.socket], [], [], 0)[0]:
            data, (_, _, kind, _, _) = self.socket.recvfrom(1 << 17)
            self.packets.append((kind == socket.PACKET_OUTGOING, data))
        return self

    def messages(self, outgoing, kind=None):
        """(message, source, TOS) of WireGuard's UDP datagrams in one direction, by type."""
        self.drain()
        found = []
        for way, packet in self.packets:
            message = wireguard_message(packet)
            if way == outgoing and message and kind in (None, message[0][0]):
                found.append(message)
        return found

    def wait_for(self, count, outgoing, kind=None, seconds=10):
        wait_until(lambda: len(self.messages(outgoing, kind)) >= count, seconds,
                   f"{count} messages of type {kind}")
        return self.messages(outgoing, kind)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()


def wireguard_message(packet):
    if packet[0] >> 4 == 4 and packet[9] == 17:
        header, tos, source = (packet[0] & 15) * 4, packet[1], socket.inet_ntoa(packet[12:16])
        end = int.from_bytes(packet[2:4], "big")
    elif packet[0] >> 4 == 6 and packet[6] == 17:
        header, tos = 40, (packet[0] & 15) << 4 | packet[1] >> 4
        source = socket.inet_ntop(socket.AF_INET6, packet[8:24])
        end = 40 + int.from_bytes(packet[4:6], "big")
    else:
        return None
    message = packet[header + 8:end]
    if len(message) < 4 or message[0] not in (1, 2, 3, 4) or message[1:4] != b"\0\0\0":
        return None
    return message, (source, int.from_bytes(packet[header:header + 2], "big")), tos


class Injector:
    """Sends UDP over IPv4 from any source address and port, out of a namespace."""

    def __init__(self, namespace, source, destination):
        self.source, self.destination = source, destination
        self.raw = make_socket(namespace, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)

    def send(self, message, tos=0, source=None):
        (source_host, source_port) = source or self.source
        (host, port) = self.destination
        udp = struct.pack("!HHHH", source_port, port, 8 + len(message), 0) + message
        # The kernel fills in length, identification and checksum (raw(7)).
        header = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 0, 0, 0, 64, 17, 0,
                             socket.inet_aton(source_host), socket.inet_aton(host))
        self.raw.sendto(header + udp, (host, 0))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.raw.close()


@contextlib.contextmanager
def withheld(namespace, port):
    """UDP to `port` reaches the interface, and a tap on it, but nobody behind it."""
    rules = (f"table inet withheld {{ chain input {{ type filter hook input priority -300; "
             f"udp dport {port} drop; }}; }}")
    namespace.run("nft", "-f", "-", input=rules)
    try:
        yield
    finally:
        namespace.run("nft", "delete", "table", "inet", "withheld")


def receive_all(server, count, seconds=10):
    """Waits for `count` datagrams and then takes whatever else is there."""
    found = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        server.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            found.append(server.recv(BLOCK))
        except TimeoutError:
            raise LabError(f"{len(found)} of {count} datagrams in {seconds} s") from None
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(server.recv(BLOCK))
    server.settimeout(seconds)
    return found
