"""The four clients behind two verbs: write rows to a topic, read a topic's rows."""

import asyncio
import dataclasses
import random
import subprocess

import aiokafka
import confluent_kafka
import kafka
from confluent_kafka import OFFSET_BEGINNING

from admin import quiet

CLIENTS = ("confluent", "kafka_python", "aiokafka", "kcat")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PATIENCE = 20


@dataclasses.dataclass(frozen=True)
class Row:
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    timestamp: int = 1_700_000_000_000
    offset: int | None = None

    def numbered(self, offset):
        return dataclasses.replace(self, offset=offset)


def rows(count, partitions=1, seed=1, largest=2000, writer="confluent"):
    """Rows of all shapes that the writer can say. kcat's are of text and have the same headers."""
    plain, is_free = writer == "kcat", writer == "confluent"
    chance = random.Random(seed)
    letters = b"abcdefghijklmnopqrstuvwxyz "
    made = []
    for number in range(count):
        key = None if number % 7 == 3 else b"key-%d" % chance.randrange(50)
        value = b"%d:" % number
        size = chance.randrange(largest)
        if plain:
            value += bytes(chance.choices(letters, k=size))
            headers = (("writer", b"kcat"), ("seed", b"%d" % seed))
        else:
            # Half of it can be compressed.
            value += chance.randbytes(size // 2) + b"\0" * (size // 2)
            headers = tuple((f"h{n}", chance.randbytes(n)) for n in range(number % 4))
            if number % 5 == 1:
                headers += (("h0", None if is_free else b""), ("", b"no name"))
            if number % 11 == 5 and (is_free or key is not None):
                value = None
            if number % 13 == 6:
                value, key = b"", b""
        made.append(Row(number % partitions, key, value, headers, 1_700_000_000_000 + number * 7))
    return made


def by_partition(written):
    """What a reader must find: partition -> rows with their offsets, from 0."""
    found = {}
    for row in written:
        part = found.setdefault(row.partition, [])
        part.append(row.numbered(len(part)))
    return found


# --- writing -----------------------------------------------------------------------------------


def write(client, cluster, topic, written, codec="none", **options):
    return globals()[f"write_{client}"](cluster, topic, written, codec, **options)


def write_confluent(cluster, topic, written, codec="none", **conf):
    producer = confluent_kafka.Producer(quiet(
        cluster, **{"compression.type": codec, "linger.ms": 5, "acks": "all", **conf}))
    errors, places = [], []

    def delivered(error, message):
        if error is not None:
            errors.append(error)
        else:
            places.append((message.partition(), message.offset()))

    for row in written:
        producer.produce(topic, row.value, row.key, partition=row.partition,
                         headers=list(row.headers), timestamp=row.timestamp,
                         on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0
    assert not errors, errors[:3]
    return places


def write_kafka_python(cluster, topic, written, codec="none", **conf):
    producer = kafka.KafkaProducer(
        bootstrap_servers=cluster.bootstrap.split(","),
        compression_type=None if codec == "none" else codec, linger_ms=5, **conf)
    try:
        sent = [producer.send(topic, row.value, row.key, list(row.headers), row.partition,
                              row.timestamp) for row in written]
        producer.flush(PATIENCE)
        done = [future.get(PATIENCE) for future in sent]
        return [(one.partition, one.offset) for one in done]
    finally:
        producer.close(5)


def write_aiokafka(cluster, topic, written, codec="none", **conf):
    async def go():
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap,
            compression_type=None if codec == "none" else codec,
            **{"acks": "all", "linger_ms": 5, **conf})
        await producer.start()
        try:
            sent = [await producer.send(topic, row.value, row.key, row.partition, row.timestamp,
                                        list(row.headers)) for row in written]
            done = [await one for one in sent]
            if conf.get("acks") == 0:
                return None  # it is told nothing
            return [(one.partition, one.offset) for one in done]
        finally:
            await producer.stop()

    return asyncio.run(asyncio.wait_for(go(), PATIENCE * 2))


def write_kcat(cluster, topic, written, codec="none", **conf):
    """Key and value from lines; a partition at a time, as kcat takes one per run."""
    for partition in sorted({row.partition for row in written}):
        mine = [row for row in written if row.partition == partition]
        lines = b"".join((row.key or b"") + b"\t" + row.value + b"\n" for row in mine)
        kcat(cluster, "-P", "-t", topic, "-p", partition, "-K", "\t", "-Z", "-z", codec,
             *[word for key, value in mine[0].headers
               for word in ("-H", f"{key}={value.decode()}")],
             *[word for key, value in conf.items()
               for word in ("-X", f"{key.replace('_', '.')}={value}")], input=lines)
    return None


def kcat(cluster, *words, input=b"", check=True):
    done = subprocess.run(
        ["kcat", "-b", cluster.bootstrap, "-X", "broker.address.family=v4",
         *map(str, words)], input=input, capture_output=True, timeout=PATIENCE)
    if check:
        assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done


# --- reading -----------------------------------------------------------------------------------


def read(client, cluster, topic, count, partitions=1, **options):
    """The first `count` rows of a topic, by partition."""
    found = globals()[f"read_{client}"](cluster, topic, count, partitions, **options)
    assert sum(map(len, found.values())) == count
    return found


def read_confluent(cluster, topic, count, partitions=1, **conf):
    consumer = confluent_kafka.Consumer(quiet(
        cluster, **{"group.id": "unused", "enable.auto.commit": False, "check.crcs": True,
                    "fetch.wait.max.ms": 100, **conf}))
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, n, OFFSET_BEGINNING)
                         for n in range(partitions)])
        found, left = {}, count
        while left > 0:
            messages = consumer.consume(min(left, 500), PATIENCE)
            assert messages, f"{left} rows of {count} did not come"
            for message in messages:
                assert message.error() is None, message.error()
                found.setdefault(message.partition(), []).append(confluent_row(message))
            left -= len(messages)
        return found
    finally:
        consumer.close()


def confluent_row(message):
    return Row(message.partition(), message.key(), message.value(),
               tuple(message.headers() or ()), message.timestamp()[1], message.offset())


def read_kafka_python(cluster, topic, count, partitions=1, **conf):
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=cluster.bootstrap.split(","), auto_offset_reset="earliest",
        fetch_max_wait_ms=100, consumer_timeout_ms=PATIENCE * 1000, **conf)
    try:
        consumer.assign([kafka.TopicPartition(topic, n) for n in range(partitions)])
        found = {}
        for number, message in enumerate(consumer, 1):
            found.setdefault(message.partition, []).append(kafka_python_row(message))
            if number == count:
                break
        return found
    finally:
        consumer.close()


def kafka_python_row(message):
    return Row(message.partition, message.key, message.value, tuple(message.headers),
               message.timestamp, message.offset)


def read_aiokafka(cluster, topic, count, partitions=1, **conf):
    async def go():
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest",
            enable_auto_commit=False, fetch_max_wait_ms=100, **conf)
        await consumer.start()
        try:
            consumer.assign([aiokafka.TopicPartition(topic, n) for n in range(partitions)])
            found = {}
            for _ in range(count):
                message = await consumer.getone()
                found.setdefault(message.partition, []).append(kafka_python_row(message))
            return found
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(go(), PATIENCE))


def read_kcat(cluster, topic, count, partitions=1):
    """Without the headers, which kcat prints so that they cannot be told apart."""
    said = kcat(cluster, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X",
                "check.crcs=true", "-X", "fetch.wait.max.ms=100",
                "-f", "%p %o %T %K %S\n%k%s\n").stdout
    found = {}
    at = 0
    while at < len(said):
        end = said.index(b"\n", at)
        partition, offset, timestamp, key, value = said[at:end].split(b" ")
        at, sizes = end + 1, (int(key), int(value))
        parts = []
        for size in sizes:
            parts.append(None if size < 0 else said[at:at + size])
            at += max(0, size)
        assert said[at:at + 1] == b"\n"
        at += 1
        found.setdefault(int(partition), []).append(
            Row(int(partition), *parts, (), int(timestamp), int(offset)))
    return found
