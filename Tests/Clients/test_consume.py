"""Consumers: where they begin, seek, pause, what an empty topic is, and who serves them."""

import asyncio
import itertools
import json
import time

import aiokafka
import confluent_kafka
import kafka
import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, TopicPartition

from lab import wait_until

from admin import admin_of, partitions_of, quiet, wait_known
from clients import CLIENTS, Row, by_partition, kcat, read, rows, write_confluent

PATIENCE = 20
START = 1_700_000_000_000


def consumer_of(cluster, **conf):
    return confluent_kafka.Consumer(quiet(cluster, **{
        "group.id": "unused", "enable.auto.commit": False, "fetch.wait.max.ms": 50,
        "enable.partition.eof": True, **conf}))


def take(consumer, count, partition=None):
    """So many offsets from a librdkafka consumer, the ends of partitions left out."""
    offsets = []
    deadline = time.monotonic() + PATIENCE
    while len(offsets) < count:
        assert time.monotonic() < deadline, f"{len(offsets)} of {count} came"
        message = consumer.poll(0.1)
        if message is None or message.error():
            assert message is None or message.error().code() == KafkaError._PARTITION_EOF
            continue
        if partition is None or message.partition() == partition:
            offsets.append(message.offset())
    return offsets


@pytest.fixture
def consumer(cluster):
    made = consumer_of(cluster)
    yield made
    made.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_an_empty_topic(cluster, topic_in, client):
    """There is nothing to read, that is soon known, and what comes then is read."""
    topic = topic_in(cluster)
    if client == "kcat":
        assert kcat(cluster, "-C", "-t", topic, "-o", "beginning", "-e", "-q").stdout == b""
    elif client == "kafka_python":
        reader = kafka.KafkaConsumer(
            topic, bootstrap_servers=cluster.bootstrap.split(","), consumer_timeout_ms=200,
            fetch_max_wait_ms=50, auto_offset_reset="earliest")
        assert list(reader) == []
        assert reader.end_offsets([kafka.TopicPartition(topic, 0)]) == {
            kafka.TopicPartition(topic, 0): 0}
        reader.close()
    elif client == "aiokafka":
        async def look():
            reader = aiokafka.AIOKafkaConsumer(
                topic, bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest",
                fetch_max_wait_ms=50)
            await reader.start()
            try:
                return await reader.getmany(timeout_ms=200)
            finally:
                await reader.stop()
        assert asyncio.run(asyncio.wait_for(look(), PATIENCE)) == {}
    consumer = consumer_of(cluster)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consumer.poll(PATIENCE).error().code() == KafkaError._PARTITION_EOF
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 0)
    write_confluent(cluster, topic, rows(3))
    assert take(consumer, 3) == [0, 1, 2]
    consumer.close()


def test_seek(cluster, topic_in, consumer):
    topic = topic_in(cluster)
    write_confluent(cluster, topic, rows(100), **{"batch.num.messages": 7})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert take(consumer, 3) == [0, 1, 2]
    for place in (90, 5, 6, 99, 0, 50):
        consumer.seek(TopicPartition(topic, 0, place))
        count = min(3, 100 - place)
        assert take(consumer, count) == list(range(place, place + count))
    consumer.seek(TopicPartition(topic, 0, OFFSET_END))
    write_confluent(cluster, topic, [Row(0, b"k", b"last")])
    assert take(consumer, 1) == [100]


def test_seek_with_kafka_python(three, topic_in):
    topic = topic_in(three)
    write_confluent(three, topic, rows(100), **{"batch.num.messages": 7})
    place = kafka.TopicPartition(topic, 0)
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=three.bootstrap.split(","), fetch_max_wait_ms=50,
        consumer_timeout_ms=PATIENCE * 1000)
    consumer.assign([place])
    for where in (90, 5, 99, 0):
        consumer.seek(place, where)
        assert next(consumer).offset == where
    consumer.seek_to_end(place)
    assert consumer.position(place) == 100
    assert consumer.beginning_offsets([place]) == {place: 0}
    assert consumer.end_offsets([place]) == {place: 100}
    consumer.close()


@pytest.mark.parametrize("offset, reset, first", [
    (500, "earliest", 20), (500, "latest", None), (3, "earliest", 20), (3, "latest", None)])
def test_offsets_out_of_range(cluster, topic_in, offset, reset, first):
    """Beyond the end or deleted: the consumer begins where it is told to."""
    topic = topic_in(cluster)
    write_confluent(cluster, topic, rows(40))
    place = TopicPartition(topic, 0, 20)
    admin_of(cluster).delete_records([place])[place].result(PATIENCE)
    consumer = consumer_of(cluster, **{"auto.offset.reset": reset})
    consumer.assign([TopicPartition(topic, 0, offset)])
    if first is None:
        assert consumer.poll(PATIENCE).error().code() == KafkaError._PARTITION_EOF
        write_confluent(cluster, topic, [Row(0, b"k", b"v")])
        first = 40
    assert take(consumer, 1) == [first]
    consumer.close()


def test_offsets_out_of_range_may_be_an_error(one, topic_in):
    consumer = consumer_of(one, **{"auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic_in(one), 0, 7)])
    assert consumer.poll(PATIENCE).error().code() == KafkaError._AUTO_OFFSET_RESET
    consumer.close()


def test_pause(cluster, topic_in, consumer):
    """A paused partition is not read, the other is; resumed it goes on where it was."""
    topic = topic_in(cluster, 2)
    write_confluent(cluster, topic, rows(40, 2))
    both = [TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(2)]
    consumer.assign(both)
    consumer.pause([TopicPartition(topic, 0)])
    assert take(consumer, 20, partition=1) == list(range(20))
    write_confluent(cluster, topic, [Row(1, b"k", b"v")])
    seen = []
    while not seen or seen[-1] != (1, 20):
        message = consumer.poll(PATIENCE)
        if not message.error():
            seen.append((message.partition(), message.offset()))
    assert seen == [(1, 20)]
    consumer.resume([TopicPartition(topic, 0)])
    assert take(consumer, 20, partition=0) == list(range(20))


def test_pause_with_aiokafka_and_kafka_python(three, topic_in):
    topic = topic_in(three, 2)
    write_confluent(three, topic, rows(40, 2))

    async def go():
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=three.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50)
        await consumer.start()
        places = [aiokafka.TopicPartition(topic, n) for n in range(2)]
        consumer.assign(places)
        consumer.pause(places[0])
        first = [await consumer.getone() for _ in range(20)]
        consumer.resume(places[0])
        second = [await consumer.getone() for _ in range(20)]
        await consumer.stop()
        return first, second

    first, second = asyncio.run(asyncio.wait_for(go(), PATIENCE))
    assert [(m.partition, m.offset) for m in first] == [(1, n) for n in range(20)]
    assert [(m.partition, m.offset) for m in second] == [(0, n) for n in range(20)]

    consumer = kafka.KafkaConsumer(
        bootstrap_servers=three.bootstrap.split(","), auto_offset_reset="earliest",
        fetch_max_wait_ms=50, consumer_timeout_ms=PATIENCE * 1000)
    places = [kafka.TopicPartition(topic, n) for n in range(2)]
    consumer.assign(places)
    consumer.pause(places[1])
    assert [(m.partition, m.offset) for m in itertools.islice(consumer, 20)] == [
        (0, n) for n in range(20)]
    consumer.close()


@pytest.mark.parametrize("client", ["confluent", "kafka_python", "aiokafka", "kcat"])
def test_offsets_by_time(cluster, topic_in, client):
    topic = topic_in(cluster)
    for turn in range(5):
        write_confluent(cluster, topic, [
            Row(0, b"k", b"v", (), START + 1000 * turn + n) for n in range(10)])
    asked = {START - 1: 0, START + 5: 5, START + 10: 10, START + 1003: 13, START + 4009: 49,
             START + 4010: None}
    assert {time: by_time(client, cluster, topic, time) for time in asked} == asked


def by_time(client, cluster, topic, time):
    if client == "confluent":
        consumer = consumer_of(cluster)
        found, = consumer.offsets_for_times([TopicPartition(topic, 0, time)], timeout=PATIENCE)
        consumer.close()
        return None if found.offset == OFFSET_END else found.offset
    if client == "kcat":
        said = kcat(cluster, "-Q", "-t", f"{topic}:0:{time}").stdout.split()
        return None if said[-1] == b"-1" else int(said[-1])
    if client == "kafka_python":
        place = kafka.TopicPartition(topic, 0)
        consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.bootstrap.split(","))
        found = consumer.offsets_for_times({place: time})[place]
        consumer.close()
    else:
        place = aiokafka.TopicPartition(topic, 0)

        async def go():
            consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap)
            await consumer.start()
            try:
                return (await consumer.offsets_for_times({place: time}))[place]
            finally:
                await consumer.stop()
        found = asyncio.run(asyncio.wait_for(go(), PATIENCE))
    return None if found is None else found.offset


def test_a_waiting_fetch_is_answered_when_something_comes(three, topic_in):
    """Not when its time is over: the broker wakes it."""
    topic = topic_in(three)
    consumer = consumer_of(three, **{"fetch.wait.max.ms": 15_000, "socket.timeout.ms": 60_000})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    write_confluent(three, topic, rows(2))
    assert take(consumer, 2) == [0, 1]
    start = time.monotonic()
    write_confluent(three, topic, [Row(0, b"k", b"v")])
    assert take(consumer, 1) == [2]
    assert time.monotonic() - start < 10
    consumer.close()


def test_many_partitions_by_one_consumer(three, topic_in):
    """Fetch sessions: incremental fetches of a hundred partitions of which few have news."""
    partitions = 100
    topic = topic_in(three, partitions)
    written = rows(300, partitions, largest=100)
    write_confluent(three, topic, written)
    for client in ("confluent", "kafka_python", "aiokafka"):
        assert read(client, three, topic, 300, partitions).keys() == set(range(partitions))
    consumer = consumer_of(three, **{"enable.partition.eof": False})
    consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(partitions)])
    take(consumer, 300)
    for partition in (7, 93, 7):
        write_confluent(three, topic, [Row(partition, b"k", b"news")])
        message = consumer.poll(PATIENCE)
        assert (message.partition(), message.value()) == (partition, b"news")
    consumer.close()


# --- the nearest replica -----------------------------------------------------------------------


@pytest.mark.parametrize("rack", [1, 2, 3])
def test_the_broker_of_the_rack_serves(three, name, rack):
    """KIP-392: a consumer that tells its rack is sent to the replica there."""
    from confluent_kafka.admin import NewTopic
    topic = name()
    admin_of(three).create_topics([NewTopic(topic, 1, replica_assignment=[[1, 2, 3]])])[
        topic].result(PATIENCE)
    wait_known(three, topic, 1)
    written = rows(50)
    write_confluent(three, topic, written)
    serving = []

    def look(text):
        partition = json.loads(text)["topics"].get(topic, {}).get("partitions", {}).get("0")
        if partition:
            serving.append(partition["broker"])

    consumer = consumer_of(three, stats_cb=look, **{
        "client.rack": three[rack].rack, "statistics.interval.ms": 50,
        "enable.partition.eof": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert take(consumer, 50) == list(range(50))

    def served():
        consumer.poll(0.05)
        return serving and serving[-1] == rack
    wait_until(served, PATIENCE, f"broker {rack} to serve")
    write_confluent(three, topic, [Row(0, b"k", b"v")])
    assert take(consumer, 1) == [50]
    assert partitions_of(three, topic)[0].leader == 1
    consumer.close()
    for client, option in (("kafka_python", "client_rack"), ("aiokafka", "client_rack")):
        found = read(client, three, topic, 51, **{option: three[rack].rack})[0]
        assert [row.value for row in found][:50] == [row.value for row in written]


def test_a_rack_without_a_replica_is_served_by_the_leader(three, topic_in):
    topic = topic_in(three)
    written = rows(20)
    write_confluent(three, topic, written)
    found = read("confluent", three, topic, 20, **{"client.rack": "elsewhere"})
    assert found == by_partition(written)
