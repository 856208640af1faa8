"""What comes over the underlay and should not: forged, replayed, cut, flipped, out of order.

A message is "recorded" while a filter withholds it from the end it was meant for; so the test
holds authentic messages that nobody has seen, and decides how they arrive.
"""

import base64
import contextlib
import hashlib
import random
import socket
import threading

import pytest

from ends import End, Pair, hexadecimal, psk
from lab import wait_until
from traffic import (SPARSE_TOS, Flow, Injector, Tap, bound_udp, content, echo, exchange,
                     exchange_patiently, make_socket, receive_all, transfer, withheld)

IP_TOS, IPV6_TCLASS = 1, 67


@pytest.fixture(params=["theirs", "ours"], ids=["to-ours-from-theirs", "to-ours-from-ours"])
def pair(request, lab):
    """Messages go from the left end to the right one, which is always ours."""
    made = Pair(lab, (request.param, "ours"))
    # Batches are cut before the wire, so that a tap sees each message by itself.
    made.left.namespace.ip("link set eth0 gso_max_segs 1")
    exchange(*made.spaces(), made.inner(1), [64])
    return made


@contextlib.contextmanager
def injector(pair):
    """Writes to the right end's port what looks like it comes from the left end."""
    with Injector(pair.left.namespace, (pair.underlay(0), pair.left.port),
                  (pair.underlay(1), pair.right.port)) as made:
        yield made


def record(pair, send, count):
    """The transport messages that `send` causes, which nobody else gets to see."""
    port = pair.right.port
    with Tap(pair.right.namespace) as tap, withheld(pair.right.namespace, port):
        send()
        found = tap.wait_for(count, outgoing=False, kind=4)
    return [message for message, _, _ in found]


def record_datagrams(pair, server, contents):
    with make_socket(pair.left.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname())

        def send():
            for data in contents:
                client.send(data)

        messages = record(pair, send, len(contents))
    # A keepalive may be among them: 32 bytes.
    return [message for message in messages if len(message) > 32]


def arrivals(pair, server, count):
    """What has arrived once a fence has passed after everything else."""
    pair.fence()
    return receive_all(server, count)


@pytest.mark.parametrize("marks", [(0,), (0, SPARSE_TOS)], ids=["plain", "marked"])
def test_replayed_and_reordered_messages_arrive_once(pair, marks):
    """Whatever the DSCP says that they are."""
    sent = [content("once", 100 + n) for n in range(200)]
    with bound_udp(pair.right.namespace, pair.inner(1)) as server:
        messages = record_datagrams(pair, server, sent)
        with injector(pair) as inject:
            shuffled = random.Random(1)
            order = messages * 3
            shuffled.shuffle(order)
            for message in order:
                inject.send(message, tos=shuffled.choice(marks))
            came = arrivals(pair, server, len(sent))
            assert sorted(came) == sorted(sent)
            # And all of them again, from somewhere else: neither delivered nor roamed to.
            for message in messages:
                inject.send(message, tos=marks[-1], source=(pair.underlay(0), 9))
            exchange(*pair.spaces(), pair.inner(1), [64])
            assert arrivals(pair, server, 0) == []
    assert pair.right.peer(pair.left.public)["endpoint"] == pair.endpoint(0)
    exchange(*pair.spaces(1), pair.inner(0), [64])


def test_what_is_older_than_the_window_is_refused(pair):
    sent = [content("old", 100 + n) for n in range(3)]
    with bound_udp(pair.right.namespace, pair.inner(1)) as server:
        messages = record_datagrams(pair, server, sent)
        # 17,000 more: our window is 16,128, Linux's half of that.
        with make_socket(pair.left.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(170):
                for _ in range(100):
                    client.sendto(b"more", server.getsockname())
                assert receive_all(server, 100) == [b"more"] * 100
        with injector(pair) as inject:
            for message in messages:
                inject.send(message)
        assert arrivals(pair, server, 0) == []


def test_flipped_bits_are_refused(pair):
    sent = [content("flip", 97)]
    with bound_udp(pair.right.namespace, pair.inner(1)) as server:
        [message] = record_datagrams(pair, server, sent)
        with injector(pair) as inject:
            for bit in range(len(message) * 8):
                damaged = bytearray(message)
                damaged[bit // 8] ^= 1 << bit % 8
                inject.send(bytes(damaged))
                if bit % 128 == 127:
                    echo(pair.left.namespace, pair.inner(1), [8])
            assert arrivals(pair, server, 0) == []
            # The window was not moved by any of it.
            inject.send(message)
            assert arrivals(pair, server, 1) == sent


def test_truncated_and_lengthened_messages_are_refused(pair):
    sent = [content("cut", 97)]
    with bound_udp(pair.right.namespace, pair.inner(1)) as server:
        [message] = record_datagrams(pair, server, sent)
        with injector(pair) as inject:
            for length in range(len(message)):
                inject.send(message[:length])
            for more in (1, 15, 16, 17, 1000):
                inject.send(message + bytes(more))
            assert arrivals(pair, server, 0) == []
            inject.send(message)
            assert arrivals(pair, server, 1) == sent


def test_rubbish_that_claims_to_be_sparse(pair):
    """A stream and others' packets get through beside more of it than is asked for."""
    source, stop = random.Random(6), threading.Event()

    def flood():
        with injector(pair) as inject:
            while not stop.is_set():
                for kind in (1, 4, 4, 4):
                    rubbish = bytes([kind, 0, 0, 0]) + source.randbytes(60)
                    inject.send(rubbish, tos=SPARSE_TOS, source=(pair.underlay(0), 9))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        transfer(*pair.spaces(), pair.inner(1), 5_000_000)
        exchange_patiently(*pair.spaces(), pair.inner(1), [64, 1300])
    finally:
        stop.set()
        thread.join()
    pair.fence()


def test_rubbish_is_ignored(pair):
    source = random.Random(5)
    with injector(pair) as inject:
        for kind in range(256):
            inject.send(bytes([kind]))
            inject.send(bytes([kind, 0, 0, 0]))
            inject.send(bytes([kind, 0, 0, 0]) + source.randbytes(source.randrange(1400)))
        for length in (1, 16, 31, 32, 33, 64, 91, 92, 93, 147, 148, 149):
            for kind in (1, 2, 3, 4):
                inject.send(bytes([kind, 0, 0, 0]) + bytes(max(0, length - 4)))
                inject.send(bytes([kind, 0, 0, 1]) + source.randbytes(max(0, length - 4)))
        pair.fence()
    assert pair.right.process.is_running


@pytest.fixture(params=["theirs", "ours"], ids=["from-theirs", "from-ours"])
def recorded_handshake(request, lab):
    """A pair of which the left end has begun a handshake that arrived nowhere."""
    pair = Pair(lab, (request.param, "ours"), initiator=0, psk=psk())
    with Tap(pair.right.namespace) as tap, withheld(pair.right.namespace, pair.right.port), \
            make_socket(pair.left.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"knock", (pair.inner(1), 9))
        (message, _, _), *_ = tap.wait_for(1, outgoing=False, kind=1)
    assert len(message) == 148
    return pair, message


def test_initiations_flipped_cut_and_replayed(recorded_handshake):
    pair, message = recorded_handshake
    with injector(pair) as inject, Tap(pair.right.namespace) as tap:
        for bit in range(len(message) * 8):
            damaged = bytearray(message)
            damaged[bit // 8] ^= 1 << bit % 8
            # MAC2 is not looked at when there is no load.
            if bit < (148 - 16) * 8:
                inject.send(bytes(damaged))
        for length in range(len(message)):
            inject.send(message[:length])
        inject.send(message + b"\0")
        settle(pair)
        # Under load a cookie reply (type 3) may have been sent, never a response.
        assert tap.messages(outgoing=True, kind=2) == []
        assert pair.right.handshake_age(pair.left.public) == 0

    with Tap(pair.right.namespace) as tap:
        # The load may be over or not: knocking again brings a fresh one through in the end.
        exchange_patiently(*pair.spaces(), pair.inner(1), [64])
        settle(pair)
        done = len(tap.messages(outgoing=True, kind=2))
        before = pair.right.get()[1][hexadecimal(pair.left.public)]
        with injector(pair) as inject:
            for port in (pair.left.port, 9):
                for _ in range(20):
                    inject.send(message, source=(pair.underlay(0), port))
        pair.fence()
        after = pair.right.get()[1][hexadecimal(pair.left.public)]
        assert len(tap.messages(outgoing=True, kind=2)) == done
        for key in ("last_handshake_time_sec", "last_handshake_time_nsec", "endpoint"):
            assert before[key] == after[key]
    exchange(*pair.spaces(1), pair.inner(0), [64])


def settle(pair):
    """The right end has taken everything from its socket, and its control side has seen it."""
    def is_empty():
        with open(f"/proc/{pair.right.process.pid}/net/udp6") as table:
            lines = [line.split() for line in table if f":{pair.right.port:04X} " in line]
        return lines and all(fields[4].endswith(":00000000") for fields in lines)

    wait_until(is_empty, 10, "the socket to be read empty")
    for _ in range(2):
        pair.right.raw("get=1\n\n")


@pytest.mark.parametrize("peer", ["theirs", "ours"])
def test_responses_flipped_cut_and_replayed(lab, peer):
    """Ours begins and is told rubbish; the true answer is still accepted afterwards."""
    pair = Pair(lab, (peer, "ours"), initiator=1, psk=psk())
    left, right = pair.ends
    with Tap(right.namespace) as tap, \
            make_socket(right.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
        with withheld(right.namespace, right.port):
            client.sendto(b"knock", (pair.inner(0), 9))
            (response, _, _), *_ = tap.wait_for(1, outgoing=False, kind=2)
        assert len(response) == 92
        with injector(pair) as inject:
            for bit in range((92 - 16) * 8):
                damaged = bytearray(response)
                damaged[bit // 8] ^= 1 << bit % 8
                inject.send(bytes(damaged))
            for length in range(len(response)):
                inject.send(response[:length])
            settle(pair)
            assert right.handshake_age(left.public) == 0
            assert tap.messages(outgoing=True, kind=4) == []
            # Under load, the true one is first answered by a cookie reply and ignored.
            with contextlib.suppress(ConnectionRefusedError):
                wait_until(lambda: inject.send(response) or right.handshake_age(left.public),
                           20, "the true response to be taken")
            when = right.get()[1][hexadecimal(left.public)]["last_handshake_time_nsec"]
            for _ in range(20):
                inject.send(response)
        settle(pair)
        assert right.get()[1][hexadecimal(left.public)]["last_handshake_time_nsec"] == when
    exchange_patiently(*pair.spaces(), pair.inner(1), [64])


# --- who may say what --------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_a_spoofed_inner_source_does_not_arrive(pair, version):
    stranger = "10.90.0.77" if version == 4 else "fd90::77"
    left, right = pair.ends
    left.namespace.address(left.name, stranger + ("/32" if version == 4 else "/128"))
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with bound_udp(right.namespace, pair.inner(1, version)) as server, \
            make_socket(left.namespace, family, socket.SOCK_DGRAM) as honest, \
            make_socket(left.namespace, family, socket.SOCK_DGRAM) as liar, \
            Tap(right.namespace, right.name) as inside:
        liar.bind((stranger, 0))
        honest.bind((pair.inner(0, version), 0))
        for n in range(20):
            liar.sendto(b"spoofed", server.getsockname()[:2])
            honest.sendto(b"honest", server.getsockname()[:2])
        assert arrivals(pair, server, 20) == [b"honest"] * 20
        assert not [packet for _, packet in inside.drain().packets if b"spoofed" in packet]


def test_the_longest_prefix_owns_the_address(lab):
    """Two of theirs behind one of ours: /24 and inside it a /32, as senders and receivers."""
    hub = lab.namespace("hub")
    ours = End("ours", hub, ["10.90.0.1/24"])
    ends = []
    for n, (allowed, inner) in enumerate([("10.90.0.0/24", "10.90.0.2"),
                                          ("10.90.0.3/32", "10.90.0.3")]):
        space = lab.namespace(f"spoke{n}")
        hub.veth(space, f"eth{n}", "eth0")
        hub.address(f"eth{n}", f"10.82.{n}.1/24")
        space.address("eth0", f"10.82.{n}.2/24")
        end = End("theirs", space, [f"{inner}/24", "10.90.0.3/32", "10.90.0.4/32"])
        end.add_peer(ours.public, ["10.90.0.1/32"], f"10.82.{n}.1:{ours.port}", routes=False)
        ours.add_peer(end.public, [allowed], f"10.82.{n}.2:{end.port}", routes=False)
        ends.append(end)
    first, second = ends
    for end, address in ((first, "10.90.0.2"), (second, "10.90.0.3"), (first, "10.90.0.4")):
        exchange(hub, end.namespace, address, [100])
    with bound_udp(hub, "10.90.0.1") as server:
        def say(end, source, text):
            with make_socket(end.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((source, 0))
                client.sendto(text, server.getsockname())
                client.sendto(text, server.getsockname())

        say(first, "10.90.0.3", b"no")
        say(second, "10.90.0.4", b"no")
        say(second, "10.90.0.3", b"yes")
        say(first, "10.90.0.4", b"yes")
        for end, address in ((first, "10.90.0.2"), (second, "10.90.0.3")):
            exchange(hub, end.namespace, address, [100])
        assert receive_all(server, 4) == [b"yes"] * 4
    # Without the /32, the /24 is all there is.
    ours.set("peer", second.public, "remove")
    exchange(hub, first.namespace, "10.90.0.3", [100])


@pytest.mark.parametrize("ours_begins", [True, False], ids=["ours-begins", "theirs-begins"])
@pytest.mark.parametrize("wrong", ["our-key-of-them", "their-key-of-us", "psk", "one-sided-psk"])
def test_wrong_keys_make_no_session(lab, wrong, ours_begins):
    pair = Pair(lab, initiator=0 if ours_begins else 1, psk=psk())
    ours, theirs = pair.ends
    right_psk, begins = pair.psk, 0 if ours_begins else 1
    stranger = End("theirs", lab.namespace("stranger")).public
    endpoint = pair.endpoint(1 - begins)
    if wrong == "our-key-of-them":
        ours.set("peer", theirs.public, "remove")
        ours.add_peer(stranger, pair.allowed(1), endpoint if ours_begins else None, routes=False)
    elif wrong == "their-key-of-us":
        theirs.set("peer", ours.public, "remove")
        theirs.add_peer(stranger, pair.allowed(0), None if ours_begins else endpoint,
                        routes=False)
    else:
        ours.set("peer", theirs.public, "preshared-key",
                 ours.preshared_file(psk()) if wrong == "psk" else "/dev/null")
    beginner = pair.ends[begins]
    with Tap(beginner.namespace) as tap, \
            make_socket(beginner.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"knock", (pair.inner(1 - begins), 9))
        tap.wait_for(1, outgoing=True, kind=1)
        if "psk" in wrong:
            tap.wait_for(1, outgoing=False, kind=2)
        for _ in range(3):
            for end in pair.ends:
                end.raw("get=1\n\n")
        assert tap.messages(True, 4) == [] and tap.messages(False, 4) == []
        if "psk" not in wrong:
            assert tap.messages(False, 2) == []
        handshakes = [fields[3] for fields in beginner.dump()[1].values()]
        assert set(handshakes) == {"0"}

    # Put right, they talk.
    if wrong == "our-key-of-them":
        ours.set("peer", stranger, "remove")
    elif wrong == "their-key-of-us":
        theirs.set("peer", stranger, "remove")
    for n in (0, 1):
        pair.ends[n].set("peer", pair.ends[1 - n].public, "remove")
        pair.introduce(n, preshared=right_psk,
                       endpoint=pair.endpoint(1 - n) if n == begins else None)
    exchange_patiently(*pair.spaces(begins), pair.inner(1 - begins), [64, 1000])


# --- congestion --------------------------------------------------------------------------------


def tos_client(namespace, version, tos):
    client = make_socket(namespace, socket.AF_INET if version == 4 else socket.AF_INET6,
                         socket.SOCK_DGRAM)
    level, option = (0, IP_TOS) if version == 4 else (41, IPV6_TCLASS)
    client.setsockopt(level, option, tos)
    return client


def tos_server(namespace, address):
    server = bound_udp(namespace, address)
    level, option = (41, 66) if ":" in address else (0, 13)  # IPV6_RECVTCLASS, IP_RECVTOS
    server.setsockopt(level, option, 1)
    return server


def received_tos(server):
    data, control, _, _ = server.recvmsg(2000, 200)
    [(_, _, value)] = control
    return data, value[0]


@pytest.mark.parametrize("outer", [4, 6], ids=["over-v4", "over-v6"])
@pytest.mark.parametrize("version", [4, 6], ids=["inner-v4", "inner-v6"])
@pytest.mark.parametrize("other", ["theirs", "ours"])
def test_ecn_passes_and_dscp_stays_inside(lab, other, version, outer):
    """RFC 6040 section 4.1. The DSCP outside says that the flow is sparse, and nothing else."""
    pair = Pair(lab, ("ours", other), outer)
    exchange(*pair.spaces(), pair.inner(1), [64])
    for start in (0, 1):
        source, destination = pair.spaces(start)
        with tos_server(destination, pair.inner(1 - start, version)) as server:
            for dscp in (0, 46):
                for ecn in range(4):
                    tos = dscp << 2 | ecn
                    with tos_client(source, version, tos) as client, Tap(source) as tap:
                        client.sendto(b"%d" % tos * 20, server.getsockname()[:2])
                        assert received_tos(server) == (b"%d" % tos * 20, tos)
                        [(_, _, outside)] = [m for m in tap.wait_for(1, True, 4)
                                             if len(m[0]) > 32]
                    if pair.ends[start].kind == "ours":
                        assert outside == SPARSE_TOS | ecn


@pytest.mark.parametrize("version", [4, 6], ids=["inner-v4", "inner-v6"])
def test_congestion_outside_is_seen_inside(pair, version):
    """RFC 6040 figure 4: CE reaches a sender that understands it; for one that does not, the
    packet is lost."""
    def record_one(tos, text):
        with tos_client(pair.left.namespace, version, tos) as client:
            return record(pair, lambda: client.sendto(text, server.getsockname()[:2]), 1)[-1]

    with tos_server(pair.right.namespace, pair.inner(1, version)) as server, \
            injector(pair) as inject:
        for ecn in (1, 2, 3):
            text = b"capable %d, marked" % ecn
            inject.send(record_one(46 << 2 | ecn, text), tos=3)
            assert received_tos(server) == (text, 46 << 2 | 3)
        inject.send(record_one(0, b"not capable, marked"), tos=3)
        # ECT(1) outside is taken over where ECT(0) is inside; other bits outside mean nothing.
        inject.send(record_one(2, b"capable, other"), tos=1)
        assert received_tos(server) == (b"capable, other", 1)
        inject.send(record_one(46 << 2, b"plain"), tos=0xB8)
        assert received_tos(server) == (b"plain", 46 << 2)


def test_struct_of_the_injector_is_what_the_kernel_sends(lab):
    """The tests above are worth nothing if their packets do not arrive at all."""
    left, right = lab.namespace("left"), lab.namespace("right")
    left.veth(right, "eth0", "eth0")
    left.address("eth0", "10.82.0.1/24")
    right.address("eth0", "10.82.0.2/24")
    with tos_server(right, "10.82.0.2") as server, \
            Injector(left, ("10.82.0.1", 4242), server.getsockname()) as inject:
        inject.send(b"hello", tos=2)
        data, control, _, source = server.recvmsg(100, 100)
        assert (data, source, control[0][2][0]) == (b"hello", ("10.82.0.1", 4242), 2)


def bogus_initiation(public, source):
    """Nobody's handshake, with the MAC1 that anyone can compute who knows the responder's public
    key (paper 5.4.4): it has to be looked at."""
    key = hashlib.blake2s(b"mac1----" + base64.b64decode(public)).digest()
    message = b"\1\0\0\0" + source.randbytes(112)
    mac1 = hashlib.blake2s(message, key=key, digest_size=16).digest()
    return message + mac1 + bytes(16)


@pytest.mark.parametrize("peer", ["theirs", "ours"])
def test_a_flood_of_handshakes_while_a_transfer_runs(lab, peer):
    """Cookies come into play, the transfer lives, and who answers the cookie gets a session."""
    pair = Pair(lab, (peer, "ours"), keepalive=1)
    source = random.Random(11)
    messages = [bogus_initiation(pair.right.public, source) for _ in range(2000)]
    stop = threading.Event()

    def flood(inject):
        while not stop.is_set():
            for n, message in enumerate(messages):
                with contextlib.suppress(OSError):
                    inject.send(message, source=("10.82.0.66", 1024 + n))

    pair.left.namespace.address("eth0", "10.82.0.66/32")  # the replies have somewhere to go
    with Flow(*pair.spaces(), pair.inner(1)) as flow, injector(pair) as inject, \
            Tap(pair.right.namespace) as tap:
        flow.goes_on()
        thread = threading.Thread(target=flood, args=(inject,), daemon=True)
        thread.start()
        try:
            cookies = tap.wait_for(1, outgoing=True, kind=3)
            assert {len(message) for message, _, _ in cookies} == {64}
            flow.goes_on()
            before = pair.right.get()[1][hexadecimal(pair.left.public)]
            pair.left.set("peer", pair.right.public, "remove")
            pair.introduce(0, endpoint=pair.endpoint(1), keepalive=1)
            wait_until(lambda: pair.right.get()[1][hexadecimal(pair.left.public)]
                       ["last_handshake_time_nsec"] != before["last_handshake_time_nsec"],
                       40, "a handshake under load")
        finally:
            stop.set()
            thread.join()
        flow.goes_on()
    assert pair.right.handshake_age(pair.left.public) > 0
