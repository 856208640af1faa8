"""Who reaches whom, asked with real packets: every pair of many namespaces at once.

One process holds sockets in all of the namespaces, so that hundreds of pairs, protocols and ports
are tried in one short window. What arrives is seen at the receiver (UDP, by a token) or by the
sender's own eyes (a connection, an echo's reply)."""

import ctypes
import errno
import os
import select
import socket
import struct
import time
from collections import namedtuple

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# transport: tcp, udp, icmp, or `fragments`, which is UDP in more than one fragment.
Trial = namedtuple("Trial", "source target version transport port")


class Inside:
    """With this the calling thread makes its sockets in another network namespace."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.old = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._enter(os.open(self.path, os.O_RDONLY))

    def __exit__(self, *_):
        self._enter(self.old)

    @staticmethod
    def _enter(descriptor):
        try:
            if _libc.setns(descriptor, CLONE_NEWNET) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
        finally:
            os.close(descriptor)


def _family(version):
    return socket.AF_INET if version == 4 else socket.AF_INET6


class Place:
    """One namespace and its overlay addresses, {4: ..., 6: ...}."""

    def __init__(self, name, path, addresses):
        self.name, self.path, self.addresses = name, path, addresses
        self.listeners, self.receivers = [], []

    def listen(self, ports):
        with Inside(self.path):
            for version, address in self.addresses.items():
                for port in ports:
                    tcp = socket.socket(_family(version), socket.SOCK_STREAM)
                    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tcp.bind((address, port))
                    tcp.listen(256)
                    udp = socket.socket(_family(version), socket.SOCK_DGRAM)
                    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                    udp.bind((address, port))
                    for one in (tcp, udp):
                        one.setblocking(False)
                    self.listeners.append(tcp)
                    self.receivers.append(udp)

    def close(self):
        for one in self.listeners + self.receivers:
            one.close()
        self.listeners, self.receivers = [], []


class Matrix:
    """Places that listen on `ports`. Use as a context manager."""

    LARGE = 3000  # more than one fragment at every usual MTU

    def __init__(self, places, ports):
        self.places = {place.name: place for place in places}
        self.ports = tuple(ports)
        self._number = 0

    def __enter__(self):
        for place in self.places.values():
            place.listen(self.ports)
        return self

    def __exit__(self, *_):
        for place in self.places.values():
            place.close()

    def every_trial(self, versions=(4, 6), pairs=None):
        """All ordered pairs; every port by TCP and UDP, an echo, and a fragmented datagram."""
        names = sorted(self.places)
        return [Trial(source, target, version, transport, port)
                for source, target in pairs or [(a, b) for a in names for b in names if a != b]
                for version in versions
                if version in self.places[source].addresses
                and version in self.places[target].addresses
                for transport, port in [*[("tcp", p) for p in self.ports],
                                        *[("udp", p) for p in self.ports],
                                        ("fragments", self.ports[0]), ("icmp", 0)]]

    def reached(self, trials, window=1.5, quiet=0.25):
        """The trials that got through. Waits `window` seconds at most, and less if nothing new
        comes for `quiet` after everything was sent."""
        sent, held, connecting, pings = {}, [], {}, {}
        arrived = set()
        for place, mine in self._by_source(trials):
            with Inside(place.path):
                for trial in mine:
                    self._number += 1
                    sent[self._number] = trial
                    one = self._send(place, trial, self._number)
                    held.append(one)
                    if one.fileno() < 0:
                        continue
                    if trial.transport == "tcp":
                        connecting[one.fileno()] = (one, trial)
                    elif trial.transport == "icmp":
                        pings[one.fileno()] = (one, trial, self._number)
        poll = select.epoll()
        for fd in connecting:
            poll.register(fd, select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP)
        for fd in pings:
            poll.register(fd, select.EPOLLIN)
        receivers = {one.fileno(): one for place in self.places.values()
                     for one in place.receivers}
        for fd in receivers:
            poll.register(fd, select.EPOLLIN)
        end = time.monotonic() + window
        last = time.monotonic()
        while len(arrived) < len(trials):
            now = time.monotonic()
            rest = min(end - now, last + quiet - now)
            if rest <= 0:
                break
            for fd, _ in poll.poll(rest):
                before = len(arrived)
                if fd in connecting:
                    one, trial = connecting.pop(fd)
                    poll.unregister(fd)
                    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        arrived.add(trial)
                elif fd in pings:
                    self._hear(pings[fd], arrived)
                elif fd in receivers:
                    self._receive(receivers[fd], sent, arrived)
                if len(arrived) > before:
                    last = time.monotonic()
        poll.close()
        for one in held:
            one.close()
        for place in self.places.values():
            for listener in place.listeners:
                self._hang_up(listener)
        return arrived

    def _by_source(self, trials):
        found = {}
        for trial in trials:
            found.setdefault(trial.source, []).append(trial)
        return [(self.places[name], mine) for name, mine in found.items()]

    def _send(self, place, trial, number):
        own, target = (self.places[name].addresses[trial.version]
                       for name in (trial.source, trial.target))
        family = _family(trial.version)
        if trial.transport == "tcp":
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
            # No TIME_WAIT: the next round may use the same ports.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.setblocking(False)
            one.bind((own, 0))
            if one.connect_ex((target, trial.port)) not in (0, errno.EINPROGRESS):
                one.close()  # no route: it knows at once
        elif trial.transport == "icmp":
            protocol = socket.IPPROTO_ICMP if trial.version == 4 else socket.IPPROTO_ICMPV6
            one = socket.socket(family, socket.SOCK_RAW, protocol)
            one.setblocking(False)
            one.bind((own, 0))
            kind = 8 if trial.version == 4 else 128
            message = struct.pack("!BBHHH", kind, 0, 0, number & 0xFFFF, 1) + b"matrix!!"
            if trial.version == 4:
                message = message[:2] + struct.pack("!H", _checksum(message)) + message[4:]
            _quietly(one.sendto, message, (target, 0))
        else:
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.bind((own, 0))
            size = self.LARGE if trial.transport == "fragments" else 64
            _quietly(one.sendto, struct.pack("!Q", number).ljust(size, b"."),
                     (target, trial.port))
        return one

    def _receive(self, receiver, sent, arrived):
        for _ in range(4096):
            try:
                data = receiver.recv(8192)
            except OSError:
                return
            trial = sent.get(struct.unpack("!Q", data[:8])[0]) if len(data) >= 8 else None
            if trial is not None:
                arrived.add(trial)

    @staticmethod
    def _hear(entry, arrived):
        one, trial, number = entry
        for _ in range(4096):
            try:
                data = one.recv(4096)
            except OSError:
                return
            if trial.version == 4:
                data = data[(data[0] & 15) * 4:]
            reply = 0 if trial.version == 4 else 129
            if len(data) >= 8 and data[0] == reply and data[4:6] == struct.pack(
                    "!H", number & 0xFFFF):
                arrived.add(trial)

    @staticmethod
    def _hang_up(listener):
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            one.close()


def _quietly(call, *arguments):
    """What the kernel refuses at once did not get through, and that is all there is to it."""
    try:
        call(*arguments)
    except OSError:
        pass


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
