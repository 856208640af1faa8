"""Producers: acknowledgements, sizes, idempotence, topics made unasked, what is refused."""

import asyncio

import aiokafka
import confluent_kafka
import kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from lab import wait_until
from lab.brokers import BrokerCluster

from admin import admin_of, quiet
from clients import (
    CLIENTS, Row, by_partition, kcat, read, read_confluent, rows, write, write_confluent,
    write_kafka_python)
from segments import batches, batches_of

PATIENCE = 20
# A batch of one record with neither key nor headers and a value above 8 kB: 61 bytes of header,
# then length (3), attributes, time, offset and key (1 each), length of the value (3), headers (1).
OVERHEAD = 61 + 3 + 4 + 3 + 1


def produce_one(cluster, topic, value, **conf):
    """What became of one record: its offset, or the error's name."""
    became = []
    producer = confluent_kafka.Producer(quiet(
        cluster, **{"message.max.bytes": 100_000_000, "acks": "all", **conf}))
    try:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, message:
                         became.append(error.name() if error else message.offset()))
    except KafkaException as error:
        return error.args[0].name()
    producer.flush(PATIENCE)
    return became[0]


# --- acknowledgements --------------------------------------------------------------------------


@pytest.mark.parametrize("acks", [0, 1, "all"])
@pytest.mark.parametrize("client", CLIENTS)
def test_acks(three, topic_in, client, acks):
    topic = topic_in(three, 2)
    written = rows(100, 2, writer=client)
    options = {"acks": acks}
    if client == "kafka_python":
        options["enable_idempotence"] = False
    places = write(client, three, topic, written, **options)
    if places is not None and acks != 0:
        assert len(set(places)) == len(written)
    # Without acknowledgement it may still be under way.
    found = read("confluent", three, topic, len(written), 2)
    for partition, expected in by_partition(written).items():
        assert [(r.key, r.value) for r in found[partition]] == [
            (r.key, r.value) for r in expected]


def test_replicas_are_equal(three, topic_in):
    """With acks=all every in-sync replica has the same bytes in its file."""
    topic = topic_in(three, 3)
    write_confluent(three, topic, rows(500, 3), "lz4")
    for partition in range(3):
        def equal(partition=partition):
            copies = [batches_of(broker, topic, partition) for broker in three]
            return copies[0] and copies[0] == copies[1] == copies[2]
        wait_until(equal, 10, f"the replicas of partition {partition} to be equal")


# --- sizes -------------------------------------------------------------------------------------


def test_the_largest_batch_is_taken_and_one_byte_more_is_not(one, topic_in):
    """message.max.bytes is about batches, their header included; its default is 1048588."""
    topic = topic_in(one)
    limit = 1_048_588
    assert produce_one(one, topic, b"x" * (limit - OVERHEAD)) == 0
    assert [batch.length + 12 for batch in batches(one, topic)] == [limit]
    assert produce_one(one, topic, b"x" * (limit - OVERHEAD + 1)) == "MSG_SIZE_TOO_LARGE"
    assert produce_one(one, topic, b"x" * 5_000_000) == "MSG_SIZE_TOO_LARGE"
    assert len(batches(one, topic)) == 1
    # Compressed it fits: what counts is what arrives.
    assert produce_one(one, topic, b"x" * 5_000_000, **{"compression.type": "zstd"}) == 1


def test_a_topic_may_take_less_or_more(cluster, topic_in):
    small = topic_in(cluster, max_message_bytes=200)
    assert produce_one(cluster, small, b"x" * 100) == 0
    assert produce_one(cluster, small, b"x" * 200) == "MSG_SIZE_TOO_LARGE"
    large = topic_in(cluster, max_message_bytes=10_000_000)
    assert produce_one(cluster, large, b"x" * 9_000_000) == 0


def test_kafka_python_is_told_that_a_record_is_too_large(one, topic_in):
    topic = topic_in(one, max_message_bytes=1000)
    with pytest.raises(kafka.errors.MessageSizeTooLargeError):
        write_kafka_python(one, topic, [Row(0, None, b"x" * 2000)])


@pytest.mark.parametrize("reader", CLIENTS)
def test_records_larger_than_a_fetch_are_read(three, topic_in, reader):
    """KIP-74: the first batch comes whole, however little was asked for."""
    topic = topic_in(three, max_message_bytes=10_000_000)
    written = [Row(0, b"%d" % n, bytes([n]) * 5_000_000) for n in range(4)]
    write_confluent(three, topic, written, **{"message.max.bytes": 10_000_000})
    assert [row.value for row in read(reader, three, topic, 4)[0]] == [
        row.value for row in written]


# --- idempotence -------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["confluent", "kafka_python", "aiokafka"])
def test_idempotent_producers(cluster, topic_in, client):
    """Several batches in flight; each producer has its id, its sequences count from 0."""
    topic = topic_in(cluster, 2)
    option = {"confluent": {"enable.idempotence": True, "batch.num.messages": 20,
                            "max.in.flight": 5},
              "kafka_python": {"enable_idempotence": True, "batch_size": 2000},
              "aiokafka": {"enable_idempotence": True, "max_batch_size": 4000}}[client]
    written = rows(300, 2, largest=200, writer=client)
    write(client, cluster, topic, written, **option)
    write(client, cluster, topic, written, **option)  # started again: another id
    assert read("confluent", cluster, topic, 600, 2) == by_partition(written + written)
    for partition in range(2):
        found = batches(cluster, topic, partition)
        producers = {}
        for batch in found:
            assert batch.producer_id >= 0 and batch.producer_epoch == 0
            expected = producers.get(batch.producer_id, 0)
            assert batch.base_sequence == expected
            producers[batch.producer_id] = expected + batch.count
        assert sorted(producers.values()) == [150, 150]
        assert len(found) > 4


def test_producer_ids_are_unique(three, topic_in):
    topic = topic_in(three)
    for _ in range(6):
        write_confluent(three, topic, rows(2), **{"enable.idempotence": True})
    assert len({batch.producer_id for batch in batches(three, topic)}) == 6


def test_a_batch_sent_twice_is_there_once(one, topic_in):
    """What a producer does whose answer was lost: the first answer is given again (KIP-98)."""
    import struct
    from kafka.record.default_records import DefaultRecordBatchBuilder
    from wire import PRODUCE, Wire, text
    topic = topic_in(one)

    def batch(sequence, producer=77_000, epoch=0):
        builder = DefaultRecordBatchBuilder(2, 0, False, producer, epoch, sequence, 1 << 20)
        builder.append(0, 1_700_000_000_000, b"key", b"%d" % sequence, [])
        return bytes(builder.build())

    def send(wire, data):
        answer = wire.ask(PRODUCE, 3, (
            text(None) + struct.pack(">hii", -1, 1000, 1) + text(topic)
            + struct.pack(">iii", 1, 0, len(data)) + data))
        _, error, offset = struct.unpack_from(">ihq", answer, 4 + 2 + len(topic) + 4)
        return error, offset

    with Wire(next(iter(one))) as wire:
        for number in range(7):
            assert send(wire, batch(number)) == (0, number)
        for number in range(2, 7):  # the last five are remembered
            assert send(wire, batch(number)) == (0, number)
        assert send(wire, batch(1))[0] in (45, 46)  # older: DUPLICATE or OUT_OF_ORDER
        assert send(wire, batch(9))[0] == 45  # OUT_OF_ORDER_SEQUENCE_NUMBER
        assert send(wire, batch(0, epoch=1)) == (0, 7)
        assert send(wire, batch(7))[0] == 47  # INVALID_PRODUCER_EPOCH
        assert send(wire, batch(3, producer=88_000))[0] in (0, 59)  # unknown to this log
    assert [row.value for row in read("confluent", one, topic, 8)[0]][:8] == [
        b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"0"]


# --- transactions are not there yet ------------------------------------------------------------


def test_transactions_fail_cleanly(one, name):
    """TRANSACTIONAL_ID_AUTHORIZATION_FAILED is what makes every client stop at once."""
    producer = confluent_kafka.Producer(quiet(one, **{"transactional.id": "t"}))
    with pytest.raises(KafkaException) as raised:
        producer.init_transactions(PATIENCE)
    error = raised.value.args[0]
    assert error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert error.fatal() and "transactions are not supported" in error.str()

    producer = kafka.KafkaProducer(bootstrap_servers=one.bootstrap, transactional_id="t")
    with pytest.raises(kafka.errors.TransactionalIdAuthorizationFailedError):
        producer.init_transactions()
    producer.close(0)

    async def start():
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=one.bootstrap, transactional_id="t")
        try:
            await producer.start()
        finally:
            await producer.stop()
    with pytest.raises(aiokafka.errors.TransactionalIdAuthorizationFailed):
        asyncio.run(asyncio.wait_for(start(), PATIENCE))

    topic = name()
    write_confluent(one, topic, rows(3))
    assert len(read("confluent", one, topic, 3)[0]) == 3


# --- topics made unasked -----------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_topics_are_made_when_first_written_to(three, name, client):
    topic = name()
    written = rows(20, writer=client)
    write(client, three, topic, written)
    assert len(read("confluent", three, topic, 20)[0]) == 20
    found = admin_of(three).list_topics(topic).topics[topic]
    assert {number: len(p.replicas) for number, p in found.partitions.items()} == {0: 3}


@pytest.fixture(scope="module")
def strict(session_lab):
    return BrokerCluster(session_lab, 1, name="strict", properties={
        "auto.create.topics.enable": "false"})


def test_topics_are_not_made_if_that_is_off(strict, name):
    topic = name()
    assert produce_one(strict, topic, b"x", **{
        "message.timeout.ms": 2000, "topic.metadata.propagation.max.ms": 500,
        "topic.metadata.refresh.fast.interval.ms": 100}) in (
        "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "_MSG_TIMED_OUT")
    producer = kafka.KafkaProducer(bootstrap_servers=strict.bootstrap, max_block_ms=1000)
    with pytest.raises(kafka.errors.KafkaTimeoutError):
        producer.send(topic, b"x").get(5)
    producer.close(0)
    assert topic not in admin_of(strict).list_topics().topics


def test_consumers_do_not_make_topics_unless_they_ask(one, name):
    topic = name()
    consumer = confluent_kafka.Consumer(quiet(one, **{
        "group.id": name("group"), "allow.auto.create.topics": False}))
    consumer.subscribe([topic])
    message = consumer.poll(PATIENCE)
    assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    consumer.close()
    assert topic not in admin_of(one).list_topics().topics


@pytest.mark.parametrize("bad", ["a/b", "with space", "x" * 250, "..", "ü"])
def test_names_no_topic_can_have(one, bad):
    assert produce_one(one, bad, b"x", **{
        "message.timeout.ms": 3000, "topic.metadata.refresh.fast.interval.ms": 100}) in (
        "TOPIC_EXCEPTION", "_UNKNOWN_TOPIC", "_MSG_TIMED_OUT", "_UNKNOWN_PARTITION")
    assert bad not in admin_of(one).list_topics().topics


# --- timestamps --------------------------------------------------------------------------------


def test_the_log_may_give_the_time(one, topic_in):
    topic = topic_in(one, message_timestamp_type="LogAppendTime")
    written = rows(10)
    write_confluent(one, topic, written)
    found = read_confluent(one, topic, 10)[0]
    assert len({row.timestamp for row in found}) == 1
    assert found[0].timestamp > 1_750_000_000_000
    again = read("kafka_python", one, topic, 10)[0]
    assert [row.timestamp for row in again] == [row.timestamp for row in found]


def test_a_time_too_far_ahead_is_refused(one, topic_in):
    """message.timestamp.after.max.ms is an hour: INVALID_TIMESTAMP."""
    topic = topic_in(one)
    ahead = [Row(0, None, b"x", (), 4_000_000_000_000)]
    with pytest.raises(AssertionError, match="timestamp"):
        write_confluent(one, topic, ahead)


def test_compacted_topics_want_keys(one, topic_in):
    """INVALID_RECORD for a record without a key."""
    topic = topic_in(one, cleanup_policy="compact")
    assert produce_one(one, topic, b"x") == "INVALID_RECORD"
    write_confluent(one, topic, [Row(0, b"k", b"v")])


def test_a_flushed_topic(three, topic_in):
    """flush.messages=1: acknowledged is on the disks."""
    topic = topic_in(three, flush_messages=1)
    written = rows(50)
    write_confluent(three, topic, written)
    assert read("confluent", three, topic, 50) == by_partition(written)
