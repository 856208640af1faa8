"""Retention and compaction, as brokers that run do them by themselves."""

import contextlib

import confluent_kafka
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from admin import create_topic, quiet
from lab import wait_until
from lab.brokers import BrokerCluster
from segments import directory

PATIENCE = 30
SEGMENT = 1_048_576


@pytest.fixture(scope="module", params=[1, 3], ids=["one broker", "three brokers"])
def eager(request, session_lab):
    """Brokers that look after their logs all the time."""
    return BrokerCluster(session_lab, request.param, name=f"eager{request.param}", properties={
        "log.cleaner.backoff.ms": 100, "log.retention.check.interval.ms": 100,
        "log.segment.delete.delay.ms": 0, "log.cleaner.min.cleanable.ratio": "0.01"})


def fill(cluster, topic, rows, timestamp=0):
    """Keys and values; nothing is left to batch at the end."""
    producer = Producer(quiet(cluster, **{"linger.ms": 5, "acks": "all"}))
    failed = []
    for key, value in rows:
        producer.produce(topic, value, key, partition=0, timestamp=timestamp,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0 and failed == []


def read(cluster, topic):
    """Every record of partition 0: (offset, key, value)."""
    consumer = Consumer(quiet(cluster, **{
        "group.id": "reads", "enable.auto.commit": False, "enable.partition.eof": True,
        "auto.offset.reset": "earliest"}))
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found, ended = [], []

        def whole():
            for message in consumer.consume(1000, 0.2):
                if message.error() is None:
                    found.append((message.offset(), message.key(), message.value()))
                else:
                    assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
                    ended.append(True)
            return ended
        wait_until(whole, PATIENCE, f"the end of {topic}")
        return found
    finally:
        consumer.close()


def ends(cluster, topic):
    consumer = Consumer(quiet(cluster, **{"group.id": "ends"}))
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)
    finally:
        consumer.close()


def segments(broker, topic):
    return sorted(path.name for path in directory(broker, topic, 0).glob("*.log"))


def size(broker, topic):
    """Bytes of records; files come and go meanwhile."""
    total = 0
    for path in directory(broker, topic, 0).glob("*.log"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def replicas(cluster, topic):
    return [node for node in cluster if directory(node, topic, 0).is_dir()]


def test_retention_by_size(eager, name):
    topic = name()
    create_topic(eager, topic, 1, len(eager.brokers), **{
        "segment.bytes": SEGMENT, "retention.bytes": 2 * SEGMENT})
    fill(eager, topic, ((None, b"%06d" % n + b"." * 10_000) for n in range(800)))
    for node in replicas(eager, topic):
        wait_until(lambda: len(segments(node, topic)) <= 4, PATIENCE,
                   f"broker {node.node} to drop what is too much")
    low, high = ends(eager, topic)
    assert high == 800 and 400 < low < 700
    found = read(eager, topic)
    assert [offset for offset, _, _ in found] == list(range(low, 800))
    assert all(value.startswith(b"%06d" % offset) for offset, _, value in found)


def test_retention_by_time(eager, name):
    """Records of long ago go at once, all but those in the segment that is written to."""
    topic = name()
    create_topic(eager, topic, 1, len(eager.brokers), **{"segment.bytes": SEGMENT})
    fill(eager, topic, ((None, b"old" + b"." * 10_000) for _ in range(300)),
         timestamp=1_600_000_000_000)
    wait_until(lambda: ends(eager, topic)[0] == 300, PATIENCE, "the old records to go")
    fill(eager, topic, [(None, b"new")])
    assert [value for _, _, value in read(eager, topic)] == [b"new"]
    for node in replicas(eager, topic):
        wait_until(lambda: len(segments(node, topic)) == 1, PATIENCE, "old files to go")


def test_a_change_of_retention_takes_effect(eager, name):
    topic = name()
    create_topic(eager, topic, 1, len(eager.brokers), **{
        "segment.bytes": SEGMENT, "retention.ms": -1})
    fill(eager, topic, ((None, b"old" + b"." * 10_000) for _ in range(300)),
         timestamp=1_600_000_000_000)
    assert ends(eager, topic) == (0, 300)
    eager.ctl("configs", "set", "topic", topic, "retention.ms=1000")
    wait_until(lambda: ends(eager, topic)[0] == 300, PATIENCE, "the old records to go")


def test_compaction(eager, name):
    """Of every key the last record, at its own offset; on every replica."""
    topic = name()
    create_topic(eager, topic, 1, len(eager.brokers), **{
        "segment.bytes": SEGMENT, "cleanup.policy": "compact", "delete.retention.ms": 0,
        "min.cleanable.dirty.ratio": "0.01"})
    rows = [(b"key-%d" % (n % 7), b"%06d" % n + b"." * 5000) for n in range(1000)]
    rows[990] = (b"gone", b"for now")
    fill(eager, topic, rows)
    # What is active is not compacted: a tombstone, and as much as closes the segment with it.
    fill(eager, topic, [(b"gone", None)])
    fill(eager, topic, ((b"key-0", b"more" + b"." * 5000) for _ in range(400)))
    for node in replicas(eager, topic):
        wait_until(lambda: size(node, topic) < 3_000_000, PATIENCE,
                   f"broker {node.node} to compact its replica")

    def compacted():
        found = read(eager, topic)
        keys = [key for _, key, _ in found]
        return found if all(keys.count(b"key-%d" % n) == 1 for n in range(1, 7)) else None
    found = wait_until(compacted, PATIENCE, "every key to be there once")
    last = {key: (offset, value) for offset, (key, value) in enumerate(rows)}
    last[b"gone"] = (1000, None)
    assert all((offset, value) == last[key] for offset, key, value in found if key != b"key-0")
    assert ends(eager, topic) == (0, 1401)

    # A tombstone stays for one pass at least, and goes with one after its time.
    def is_forgotten():
        fill(eager, topic, ((b"key-0", b"more" + b"." * 5000) for _ in range(250)))
        return b"gone" not in [key for _, key, _ in read(eager, topic)]
    wait_until(is_forgotten, PATIENCE, "the tombstone to go", longest_pause=2)
