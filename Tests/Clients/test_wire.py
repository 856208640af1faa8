"""What a stranger says to the port: it is answered as Kafka answers, or the connection ends, and
the others are served."""

import random
import socket
import struct
import time

import kafka
import pytest

from lab import wait_until

from clients import CLIENTS, by_partition, kcat, read, rows, write
from wire import API_VERSIONS, FETCH, METADATA, PRODUCE, Wire, api_versions, compact, frame
from wire import ranges_of, text

PRODUCE_V3_EMPTY = text(None) + struct.pack(">hii", -1, 1000, 0)


def broker_of(cluster):
    return next(iter(cluster))


def serves(cluster):
    """An honest client gets its answer."""
    with Wire(broker_of(cluster)) as wire:
        assert PRODUCE in api_versions(wire)


# --- ApiVersions -------------------------------------------------------------------------------


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(one):
    """KIP-511: error 35, and the ranges, so that the client can ask again."""
    with Wire(broker_of(one)) as wire:
        for version in (5, 99, 32767):
            body = compact("raw") + compact("1") + b"\0"
            error, ranges = ranges_of(wire.ask(API_VERSIONS, version, body, flexible=True))
            assert error == 35
            assert ranges[API_VERSIONS][0] == 0
            assert ranges[API_VERSIONS][1] >= 4
        # The connection is as good as before.
        assert ranges_of(wire.ask(API_VERSIONS, 0))[0] == 0


def test_api_versions_has_a_plain_response_header_in_flexible_versions(one):
    with Wire(broker_of(one)) as wire:
        plain = api_versions(wire)
        for version in (3, 4):
            answer = wire.ask(API_VERSIONS, version, compact("raw") + compact("1") + b"\0", True)
            error, count = struct.unpack_from(">hB", answer)
            assert error == 0
            assert count - 1 == len(plain)  # with a tag buffer in the header it would be 0


@pytest.mark.parametrize("software, version", [("", "1"), ("-x", "1"), ("x", "a b")])
def test_a_client_may_not_call_itself_anything(one, software, version):
    """Kafka answers INVALID_REQUEST (42) to a software name or version that is not plain."""
    with Wire(broker_of(one)) as wire:
        answer = wire.ask(API_VERSIONS, 3, compact(software) + compact(version) + b"\0", True)
        assert struct.unpack_from(">h", answer)[0] == 42


def test_ranges_are_those_of_one_release(one):
    with Wire(broker_of(one)) as wire:
        ranges = api_versions(wire)
    # Old librdkafka takes a minimum above 0 for a broker without compression, or without groups.
    assert ranges[PRODUCE] == (0, 13)
    assert ranges[11][0] == 0
    assert ranges[FETCH][0] == 4
    assert ranges[METADATA] == (0, 13)
    served = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37,
              42, 43, 44, 45, 46, 47, 55, 57, 60, 61, 64, 74, 75}
    assert set(ranges) == served
    # Transactions, SASL, ACLs, quotas, tokens, the groups of KIP-848 and KIP-932: not yet, and
    # what is only spoken between brokers is spoken elsewhere.
    assert not set(ranges) & {4, 5, 6, 7, 17, 24, 25, 26, 28, 29, 30, 31, 36, 38, 48, 50, 52, 62,
                              63, 67, 68, 69, 76, 77}


def test_kafka_python_infers_the_release(one):
    client = kafka.KafkaAdminClient(bootstrap_servers=one.bootstrap)
    try:
        inferred = client._manager.broker_version_data.broker_version
    finally:
        client.close()
    assert inferred == (4, 1)


# --- what is not served ------------------------------------------------------------------------


@pytest.mark.parametrize("key, version", [
    (PRODUCE, 0), (PRODUCE, 2), (PRODUCE, 99), (PRODUCE, -1), (11, 10), (FETCH, 3), (METADATA, 99),
    (4, 0), (17, 1), (24, 0), (68, 0), (127, 0), (999, 0), (-1, 0), (32767, 32767),
])
def test_what_is_not_served_ends_the_connection(one, key, version):
    """Kafka can answer only what it understands: it closes. Produce below 3
    is advertised for old clients and refused all the same (KIP-896)."""
    with Wire(broker_of(one)) as wire:
        wire.send(key, version, PRODUCE_V3_EMPTY)
        assert wire.is_closed_by_peer()
    serves(one)


@pytest.mark.parametrize("version", [0, 1])
def test_a_group_is_joined_as_long_ago(one, version):
    """JoinGroup as Kafka 0.9 and 0.10.1 had it, which Kafka serves to this day."""
    metadata = b"a subscription"
    body = (text(f"old-{version}") + struct.pack(">i", 10_000)
            + (struct.pack(">i", 10_000) if version else b"") + text("") + text("consumer")
            + struct.pack(">i", 1) + text("range") + struct.pack(">i", len(metadata)) + metadata)
    with Wire(broker_of(one)) as wire:
        def joined():
            wire.ask(10, 0, text(f"old-{version}"))  # FindCoordinator makes the topic
            answer = wire.ask(11, version, body)
            # While the coordinator is found, or loads: 14, 15, 16.
            return answer if struct.unpack_from(">h", answer)[0] not in (14, 15, 16) else None
        answer = wait_until(joined, 20, "the coordinator")
    error, generation, size = struct.unpack_from(">hih", answer)
    assert (error, generation, answer[8:8 + size]) == (0, 1, b"range")
    rest = answer[8 + size:]
    size, = struct.unpack_from(">h", rest)
    leader, rest = rest[2:2 + size], rest[2 + size:]
    # It leads, is the only member, and gets its metadata back.
    assert size > 0 and rest == (
        text(leader.decode()) + struct.pack(">i", 1) + text(leader.decode())
        + struct.pack(">i", len(metadata)) + metadata)


def test_produce_to_nothing_is_answered(one):
    with Wire(broker_of(one)) as wire:
        assert wire.ask(PRODUCE, 3, PRODUCE_V3_EMPTY) == struct.pack(">ii", 0, 0)


@pytest.mark.parametrize("acks", [2, -2, 3])
def test_unheard_of_acks_are_refused(one, topic_in, acks):
    """INVALID_REQUIRED_ACKS (21) for every partition."""
    topic = topic_in(one)
    body = (text(None) + struct.pack(">hii", acks, 1000, 1) + text(topic)
            + struct.pack(">iii", 1, 0, 0))
    with Wire(broker_of(one)) as wire:
        answer = wire.ask(PRODUCE, 3, body)
    at = 4 + 2 + len(topic) + 4
    assert struct.unpack_from(">ih", answer, at) == (0, 21)


@pytest.mark.parametrize("trouble", ["crc", "magic 1", "short", "count", "no records"])
def test_records_that_are_none_are_refused(one, topic_in, trouble):
    """CORRUPT_MESSAGE (2), UNSUPPORTED_FOR_MESSAGE_FORMAT (43), INVALID_RECORD (87), or for noise
    with the transactional bit INVALID_TXN_STATE (48): and nothing is in the log."""
    from kafka.record.default_records import DefaultRecordBatchBuilder
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    builder.append(0, 0, b"key", b"value", [])
    batch = bytearray(builder.build())
    if trouble == "crc":
        batch[-1] ^= 1
    elif trouble == "magic 1":
        batch[16] = 1
    elif trouble == "short":
        batch = batch[:-3]
    elif trouble == "count":
        batch[57:61] = struct.pack(">i", 7)
        from kafka.record.util import calc_crc32c
        batch[17:21] = struct.pack(">I", calc_crc32c(bytes(batch[21:])))
    elif trouble == "no records":
        batch = bytearray(random.Random(3).randbytes(90))
    topic = topic_in(one)
    body = (text(None) + struct.pack(">hii", -1, 1000, 1) + text(topic)
            + struct.pack(">iii", 1, 0, len(batch)) + bytes(batch))
    with Wire(broker_of(one)) as wire:
        answer = wire.ask(PRODUCE, 3, body)
    at = 4 + 2 + len(topic) + 4
    partition, error = struct.unpack_from(">ih", answer, at)
    assert error in (2, 43, 48, 87), error
    written = rows(3)
    write("confluent", one, topic, written)
    assert read("confluent", one, topic, 3) == by_partition(written)


# --- noise -------------------------------------------------------------------------------------


def test_random_bytes_harm_nobody(one):
    chance = random.Random(11)
    for number in range(100):
        with Wire(broker_of(one)) as wire:
            noise = chance.randbytes(chance.randrange(1, 300))
            try:
                wire.raw(noise if number % 2 else frame(noise))
                wire.socket.shutdown(socket.SHUT_WR)
                while wire.socket.recv(65536):
                    pass
            except OSError:
                pass  # the broker was done with it first
    serves(one)


def test_bent_requests_harm_nobody(one):
    """Frames that begin as every request there is, with a body of noise."""
    chance = random.Random(12)
    with Wire(broker_of(one)) as wire:
        ranges = api_versions(wire)
    for key, (lowest, highest) in sorted(ranges.items()):
        for version in range(lowest, highest + 1):
            with Wire(broker_of(one)) as wire:
                body = chance.randbytes(chance.randrange(0, 60))
                wire.send(key, version, body)
                wire.socket.shutdown(socket.SHUT_WR)
                try:
                    while wire.socket.recv(65536):
                        pass
                except OSError:
                    pass
    serves(one)


@pytest.mark.parametrize("length", [-1, -2**31, 2**31 - 1, 104_857_601])
def test_a_length_beyond_reason_ends_the_connection(one, length):
    with Wire(broker_of(one)) as wire:
        wire.raw(struct.pack(">i", length) + b"\0" * 20)
        assert wire.is_closed_by_peer()
    serves(one)


def test_a_claimed_length_costs_no_memory(one):
    """Fifty connections say that 100 MB are coming."""
    broker = broker_of(one)
    before = broker.resident_bytes()
    wires = [Wire(broker) for _ in range(50)]
    try:
        for wire in wires:
            wire.raw(struct.pack(">i", 100_000_000) + b"\0" * 1000)
        serves(one)
        assert broker.resident_bytes() - before < 64 << 20
    finally:
        for wire in wires:
            wire.__exit__()


def test_half_a_request_waits_and_harms_nobody(one):
    whole = frame(struct.pack(">hhi", API_VERSIONS, 0, 5) + text("raw"))
    with Wire(broker_of(one)) as wire:
        for byte in whole[:-1]:
            wire.raw(bytes([byte]))
        serves(one)
        wire.raw(whole[-1:])
        assert ranges_of(wire.receive(5))[0] == 0


def test_many_requests_in_one_piece_are_answered_in_order(one):
    with Wire(broker_of(one)) as wire:
        wire.raw(b"".join(
            frame(struct.pack(">hhi", API_VERSIONS, n % 3, n) + text("raw")) for n in range(500)))
        for number in range(500):
            wire.receive(number)


def fetch_v4(topic, offset=0, wait_ms=500, most=50 << 20):
    return (struct.pack(">iiiib", -1, wait_ms, 1, most, 0) + struct.pack(">i", 1) + text(topic)
            + struct.pack(">iiqi", 1, 0, offset, most))


def test_a_slow_reader_holds_up_only_itself(one, topic_in):
    topic = topic_in(one)
    written = rows(400, largest=50_000)
    write("confluent", one, topic, written)
    broker = broker_of(one)
    slow = [Wire(broker, receive_buffer=4096) for _ in range(20)]
    before = broker.resident_bytes()
    try:
        for wire in slow:
            for _ in range(20):
                wire.send(FETCH, 4, fetch_v4(topic))
        for client in CLIENTS:
            assert read(client, one, topic, len(written))[0][-1].offset == len(written) - 1
        # 400 answers of 10 MB would be 4 GB.
        assert broker.resident_bytes() - before < 200 << 20
        # And it gets what it asked for, when it reads.
        assert len(slow[0].receive()) > sum(len(row.value or b"") for row in written)
    finally:
        for wire in slow:
            wire.__exit__()


def test_two_thousand_idle_connections(one, topic_in):
    broker = broker_of(one)
    before = broker.resident_bytes()
    idle = [Wire(broker) for _ in range(2000)]
    try:
        topic = topic_in(one)
        written = rows(500)
        write("confluent", one, topic, written)
        assert read("kafka_python", one, topic, 500)[0][-1].offset == 499
        kcat(one, "-L")
        assert (broker.resident_bytes() - before) / 2000 < 50_000
        for wire in idle[::100]:
            api_versions(wire)
    finally:
        for wire in idle:
            wire.__exit__()


def test_connections_that_come_and_go_leave_nothing(one):
    from pathlib import Path
    broker = broker_of(one)
    files = Path(f"/proc/{broker.process.pid}/fd")
    before = len(list(files.iterdir()))
    for number in range(300):
        with Wire(broker) as wire:
            if number % 3 == 0:
                api_versions(wire)
            elif number % 3 == 1:
                wire.raw(b"\0\0")
    wait_until(lambda: len(list(files.iterdir())) <= before + 3, 10, "descriptors to be closed")


def test_a_fetch_that_waits_ends_with_its_connection(one, topic_in):
    """A client that goes away while its fetch waits is forgotten, and a fetch that waits is
    answered when its time has come."""
    topic = topic_in(one)
    with Wire(broker_of(one)) as gone:
        gone.send(FETCH, 4, fetch_v4(topic, wait_ms=60_000))
    with Wire(broker_of(one)) as wire:
        start = time.monotonic()
        wire.ask(FETCH, 4, fetch_v4(topic, wait_ms=300))
        assert 0.29 <= time.monotonic() - start < 5
