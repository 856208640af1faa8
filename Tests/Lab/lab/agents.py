"""Small programs that run inside namespaces: `python3 agents.py ROLE ...`. They talk JSON."""

import argparse
import ctypes
import hashlib
import json
import random
import socket
import struct
import subprocess
import sys
import time

BLOCK = 1 << 16


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(kind, address, port):
    server = socket.socket(family(address), kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    print("ready", server.getsockname()[1], flush=True)
    return server


def blocks(seed, count):
    """The same bytes for the same seed."""
    source = random.Random(seed)
    while count > 0:
        yield source.randbytes(BLOCK)[:count]
        count -= BLOCK


def tcp_server(args):
    """Answers every connection with the number and the hash of the bytes it sent."""
    server = listen(socket.SOCK_STREAM, args.address, args.port)
    server.listen()
    while True:
        connection, _ = server.accept()
        digest, count = hashlib.sha256(), 0
        with connection:
            while block := connection.recv(BLOCK):
                digest.update(block)
                count += len(block)
            connection.sendall(f"{count} {digest.hexdigest()}\n".encode())


def tcp_client(args):
    digest = hashlib.sha256()
    started = time.monotonic()
    with socket.create_connection((args.address, args.port), timeout=args.timeout) as connection:
        for block in blocks(args.seed, args.bytes):
            digest.update(block)
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(BLOCK), b"")).decode().split()
    print(json.dumps({
        "received": int(answer[0]) if answer else 0,
        "matches": answer == [str(args.bytes), digest.hexdigest()],
        "seconds": time.monotonic() - started}))


def udp_server(args):
    """Sends every datagram back."""
    server = listen(socket.SOCK_DGRAM, args.address, args.port)
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)


def udp_client(args):
    """Sends numbered datagrams of the given size and reports which came back unchanged."""
    def datagram(n):
        return struct.pack("!I", n) + random.Random(f"{args.seed}/{n}").randbytes(args.size - 4)

    sent = {n: datagram(n) for n in range(args.count)}
    back, damaged = [], 0
    with socket.socket(family(args.address), socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        client.connect((args.address, args.port))

        def receive(until):
            nonlocal damaged
            while len(set(back)) < args.count and (left := until - time.monotonic()) > 0:
                client.settimeout(left)
                try:
                    data = client.recv(65535)
                except TimeoutError:
                    return
                except ConnectionRefusedError:
                    continue
                n = struct.unpack("!I", data[:4])[0] if len(data) >= 4 else -1
                if sent.get(n) == data:
                    back.append(n)
                else:
                    damaged += 1

        for n, data in sent.items():
            try:
                client.send(data)
            except ConnectionRefusedError:
                client.send(data)
            receive(time.monotonic() + args.interval)
        receive(time.monotonic() + args.timeout)
    print(json.dumps({"sent": args.count, "received": back, "damaged": damaged}))


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def capture(args):
    """Writes what crosses an interface to a pcap file, for where tcpdump cannot run: it insists on
    setgroups(2), which a user namespace forbids. It still compiles the expression."""
    if args.address == "any":
        return capture_any(args)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:  # nothing yet
        tap.bind((args.address, 0))
        kind = tap.getsockname()[3]
        is_ethernet = kind in (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK
        if args.expression:
            compiled = subprocess.run(
                ["tcpdump", "-ddd", "-y", "EN10MB" if is_ethernet else "RAW", args.expression],
                capture_output=True, text=True, check=True).stdout.splitlines()[1:]
            code = b"".join(struct.pack("=HBBI", *map(int, line.split())) for line in compiled)
            buffer = ctypes.create_string_buffer(code)
            program = _Program(len(compiled), ctypes.addressof(buffer))
            tap.setsockopt(socket.SOL_SOCKET, 26, bytes(program))  # SO_ATTACH_FILTER
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        with open(args.output, "wb", buffering=0) as out:
            link = 1 if is_ethernet else 101
            out.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, link))
            tap.bind((args.address, 3))  # ETH_P_ALL: from here on, and through the filter
            print("listening on", args.address, flush=True)
            while True:
                frame, origin = tap.recvfrom(1 << 18)
                # A loopback shows everything going out and coming in: once is enough.
                if kind == 772 and origin[2] == socket.PACKET_OUTGOING:
                    continue
                seconds, rest = divmod(time.time_ns(), 10**9)
                out.write(struct.pack("=IIII", seconds, rest, len(frame), len(frame)) + frame)


def capture_any(args):
    """Every interface that there is or will be, without link headers."""
    if args.expression:
        sys.exit("an expression needs an interface: its link headers differ")
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        with open(args.output, "wb", buffering=0) as out:
            out.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 101))
            print("listening on any", flush=True)
            while True:
                packet, origin = tap.recvfrom(1 << 18)
                if origin[3] == 772 and origin[2] == socket.PACKET_OUTGOING:
                    continue
                seconds, rest = divmod(time.time_ns(), 10**9)
                out.write(struct.pack("=IIII", seconds, rest, len(packet), len(packet)) + packet)


def main():
    parser = argparse.ArgumentParser()
    roles = ["tcp_server", "tcp_client", "udp_server", "udp_client", "capture"]
    parser.add_argument("role", choices=roles)
    parser.add_argument("address", help="or, for capture, an interface")
    parser.add_argument("--output")
    parser.add_argument("--expression", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--interval", type=float, default=0.0)
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--seed", default="0")
    args = parser.parse_args()
    if args.role.startswith("udp") and args.size < 4:
        parser.error("--size must be at least 4")
    globals()[args.role](args)


if __name__ == "__main__":
    sys.exit(main())
