"""Speaks DNS to a gateway from inside an endpoint, as no tool does.

    dns_client.py malformed ADDRESS PORT ZONE
    dns_client.py load ADDRESS PORT NAME TYPE RATE SECONDS
    dns_client.py watch ADDRESS PORT RATE SECONDS NAME...
    dns_client.py upstream ADDRESS PORT NAME ADDRESS

The first sends what is wrong in every way, over UDP and TCP, and exits with 1 if the gateway says
anything but what it must. The second asks at a rate, and prints one line of JSON: how many were
sent and answered, the answers' codes and numbers of records, and latencies in milliseconds.
The third asks for the addresses of each name in turn, once more where no answer came, and prints
how often each name was answered how. The last is a resolver elsewhere, which knows one name, and
prints what it is asked.
"""

import collections
import json
import select
import socket
import struct
import sys
import time

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}
OPT = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)


def name(text):
    labels = [label.encode() for label in text.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(text, kind="A", klass=1):
    return name(text) + struct.pack("!HH", TYPES[kind], klass)


def message(rest, number=0x4711, flags=0x0100, counts=(1, 0, 0, 0)):
    return struct.pack("!HHHHHH", number, flags, *counts) + rest


def malformed(zone):
    """(what, bytes, the code that must come back, or None where nothing may)."""
    good = question(zone, "SOA")
    a = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + b"\1\2\3\4"
    whole = message(good + OPT, counts=(1, 0, 0, 1))
    yield from (("cut to %d bytes" % n, whole[:n], None if n < 12 else FORMERR)
                for n in range(1, len(whole)))
    yield "an answer", message(good, flags=0x8180), None
    yield "an answer to an update", message(good, flags=0xa800), None
    yield "no question", message(b"", counts=(0, 0, 0, 0)), FORMERR
    yield "two questions", message(good * 2, counts=(2, 0, 0, 0)), FORMERR
    yield "65535 questions", message(good, counts=(65535, 0, 0, 0)), FORMERR
    yield "65535 additional records", message(good, counts=(1, 0, 0, 65535)), FORMERR
    yield "an answer in a query", message(good + a, counts=(1, 1, 0, 0)), FORMERR
    yield "bytes behind", message(good + b"\0"), FORMERR
    yield "a pointer to itself", message(b"\xc0\x0c\0\1\0\1"), FORMERR
    yield "a pointer ahead", message(b"\xc0\x10\0\1\0\1\0\0"), FORMERR
    yield "a pointer into the header", message(b"\xc0\x02\0\1\0\1"), FORMERR
    yield "pointers in a ring", message(b"\1a\xc0\x10\1b\xc0\x0c\0\1\0\1"), FORMERR
    yield "a label of kind 01", message(b"\x41a\0\0\1\0\1"), FORMERR
    yield "a label of kind 10", message(b"\x81a\0\0\1\0\1"), FORMERR
    yield "a label longer than the rest", message(b"\x3fa\0\0\1\0\1"), FORMERR
    yield "a name of 257 bytes", message((b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"), FORMERR
    yield "two OPT records", message(good + OPT * 2, counts=(1, 0, 0, 2)), FORMERR
    yield "an OPT record of a name", message(good + b"\1a" + OPT, counts=(1, 0, 0, 1)), FORMERR
    for kind in range(1, 16):
        yield ("operation %d" % kind, message(good, flags=kind << 11), NOTIMP)
    yield "class CH", message(question("version.bind", "TXT", 3)), REFUSED
    yield "class ANY", message(question(zone, "SOA", 255)), REFUSED
    yield "AXFR", message(name(zone) + struct.pack("!HH", 252, 1)), REFUSED
    yield "IXFR", message(name(zone) + struct.pack("!HH", 251, 1)), REFUSED
    yield "the root's name servers", message(question(".", "NS"), flags=0), REFUSED
    yield "2048 zeros", bytes(2048), FORMERR
    yield "2048 ones", b"\xff" * 2048, None
    yield "EDNS version 7", message(
        good + struct.pack("!BHHIH", 0, 41, 1232, 7 << 16, 0), counts=(1, 0, 0, 1)), NOERROR


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def check(what, sent, got, code, problems):
    if code is None and got is None:
        return
    if got is None or code is None:
        problems.append(f"{what}: {'no answer' if got is None else 'answered'}")
    elif got[:2] != sent[:2] or not got[2] & 0x80 or got[3] & 15 != code:
        problems.append(f"{what}: {got.hex()} is not code {code}")


def check_malformed(address, port, zone):
    problems, count = [], 0
    with socket.socket(family(address), socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        for what, sent, code in malformed(zone):
            one.send(sent)
            ready = select.select([one], [], [], 5 if code is not None else 0.05)[0]
            check(what, sent, one.recv(65535) if ready else None, code, problems)
            count += 1
    for what, sent, code in malformed(zone):
        check(what + " (TCP)", sent, exchange(address, port, sent), code, problems)
        count += 1
    problems += check_streams(address, port, zone)
    return count, problems


def receive(one):
    """One message, or None at the end."""
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
        more = one.recv(65535)
        if not more:
            return None
        data += more
    return data[2:]


def exchange(address, port, sent):
    with socket.create_connection((address, port), timeout=5) as one:
        one.sendall(struct.pack("!H", len(sent)) + sent)
        try:
            return receive(one)
        except ConnectionResetError:
            return None


def check_streams(address, port, zone):
    """Byte by byte; many in one piece, the last without an end of the stream; too long."""
    problems = []
    good = message(question(zone, "SOA"))
    framed = struct.pack("!H", len(good)) + good
    with socket.create_connection((address, port), timeout=5) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed:
            one.send(bytes([byte]))
        check("byte by byte", good, receive(one), NOERROR, problems)
    with socket.create_connection((address, port), timeout=5) as one:
        one.sendall(framed * 200)
        one.shutdown(socket.SHUT_WR)
        stream = b""
        while True:
            more = one.recv(65535)
            if not more:
                break
            stream += more
        size = 2 + struct.unpack("!H", stream[:2])[0] if stream else 1
        if len(stream) != 200 * size:
            problems.append(f"200 in one piece: {len(stream)} bytes of answers")
    for length in (4097, 65535):
        with socket.create_connection((address, port), timeout=5) as one:
            one.sendall(struct.pack("!H", length))
            try:
                if one.recv(1) != b"":
                    problems.append(f"a message of {length} bytes is answered")
            except ConnectionResetError:
                pass
    return problems


def load(address, port, text, kind, rate, seconds):
    codes, records, latencies = collections.Counter(), collections.Counter(), []
    sent_at = {}
    sent = 0
    with socket.socket(family(address), socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        start = time.monotonic()
        end = start + seconds
        while True:
            now = time.monotonic()
            if now > end + 1 or (now > end and not sent_at):
                break
            for _ in range(16):
                if now >= end or sent >= (now - start) * rate:
                    break
                number = sent % 65536
                sent_at[number] = time.monotonic()
                one.send(message(question(text, kind) + OPT, number, counts=(1, 0, 0, 1)))
                sent += 1
            while select.select([one], [], [], 0 if sent < (now - start) * rate else 0.0005)[0]:
                got = one.recv(65535)
                number, flags, _, answers = struct.unpack("!HHHH", got[:8])
                begun = sent_at.pop(number, None)
                if begun is not None:
                    latencies.append((time.monotonic() - begun) * 1000)
                    codes[flags & 15] += 1
                    records[answers] += 1
    latencies.sort()
    return {
        "sent": sent, "answered": len(latencies), "codes": codes, "records": records,
        "median": latencies[len(latencies) // 2] if latencies else None,
        "p99": latencies[len(latencies) * 99 // 100] if latencies else None,
    }


def after_name(data, place):
    while data[place]:
        if data[place] & 0xC0:
            return place + 2
        place += 1 + data[place]
    return place + 1


def answer_of(data):
    """The code, or the IPv4 addresses, as one word."""
    flags, _, answers = struct.unpack("!HHH", data[2:8])
    if flags & 15:
        return {NXDOMAIN: "NXDOMAIN", SERVFAIL: "SERVFAIL"}.get(flags & 15, f"code {flags & 15}")
    place = after_name(data, 12) + 4
    found = []
    for _ in range(answers):
        place = after_name(data, place)
        kind, _, _, length = struct.unpack("!HHIH", data[place:place + 10])
        place += 10
        if kind == TYPES["A"]:
            found.append(socket.inet_ntoa(data[place:place + length]))
        place += length
    return " ".join(sorted(found)) or "nothing"


def watch(address, port, rate, seconds, texts):
    """Each question has a second, then another one."""
    states = {text: collections.Counter() for text in texts}
    pending = {}  # by number: when it was sent, the name, whether it was sent before
    sent = retried = missing = 0
    with socket.socket(family(address), socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        start = time.monotonic()
        while True:
            now = time.monotonic()
            is_over = now >= start + seconds
            if is_over and not pending:
                break
            while not is_over and sent < (now - start) * rate:
                number, text = sent % 65536, texts[sent % len(texts)]
                pending[number] = now, text, False
                one.send(message(question(text) + OPT, number, counts=(1, 0, 0, 1)))
                sent += 1
            for number, (began, text, again) in list(pending.items()):
                # In the order in which they were sent, or nearly.
                if began > now - 1:
                    break
                del pending[number]
                if again:
                    missing += 1
                    continue
                retried += 1
                pending[number] = now, text, True
                one.send(message(question(text) + OPT, number, counts=(1, 0, 0, 1)))
            while select.select([one], [], [], 0.0005)[0]:
                got = one.recv(65535)
                number, = struct.unpack("!H", got[:2])
                if number in pending:
                    states[pending.pop(number)[1]][answer_of(got)] += 1
    return {"sent": sent, "retried": retried, "missing": missing, "states": states}


def upstream(address, port, known, answer):
    with socket.socket(family(address), socket.SOCK_DGRAM) as one:
        one.bind((address, port))
        print("ready", flush=True)
        while True:
            asked, source = one.recvfrom(65535)
            end = after_name(asked, 12) + 4
            labels, place = [], 12
            while asked[place]:
                labels.append(asked[place + 1:place + 1 + asked[place]].decode())
                place += 1 + asked[place]
            text = ".".join(labels).lower()
            print(f"asked for {text}", flush=True)
            is_known = text == known
            head = struct.pack("!HHHHHH", *struct.unpack("!H", asked[:2]),
                               0x8180 | (NOERROR if is_known else NXDOMAIN), 1, is_known, 0, 0)
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(answer)
            one.sendto(head + asked[12:end] + (record if is_known else b""), source)


def main(arguments):
    kind, address, port = arguments[0], arguments[1], int(arguments[2])
    if kind == "malformed":
        count, problems = check_malformed(address, port, arguments[3])
        for problem in problems:
            print(problem)
        print(f"{count} messages, {len(problems)} problems")
        return 1 if problems else 0
    if kind == "watch":
        rate, seconds, *texts = arguments[3:]
        print(json.dumps(watch(address, port, float(rate), float(seconds), texts)))
        return 0
    if kind == "upstream":
        upstream(address, port, *arguments[3:])
    text, record, rate, seconds = arguments[3:7]
    print(json.dumps(load(address, port, text, record, float(rate), float(seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
