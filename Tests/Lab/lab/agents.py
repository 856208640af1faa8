"""Small programs that run inside namespaces: `python3 agents.py ROLE ...`. They talk JSON."""

import argparse
import hashlib
import json
import random
import socket
import struct
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
    sent = {n: (struct.pack("!I", n) + random.Random(f"{args.seed}/{n}").randbytes(args.size))[:args.size]
            for n in range(args.count)}
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["tcp_server", "tcp_client", "udp_server", "udp_client"])
    parser.add_argument("address")
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
