"""Brokers that stop, are killed, stand still and come back, and what clients see of it."""

import struct
import time

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic
from kafka.record.default_records import DefaultRecordBatchBuilder

from lab import wait_until
from lab.brokers import BrokerCluster

from admin import admin_of, in_sync, leader_of, partitions_of, quiet, wait_in_sync, wait_known
from clients import Row, by_partition, read, read_confluent, rows, write_confluent
from load import Load
from members import KINDS, wait_shared_out
from test_produce import produce_one
from wire import PRODUCE, Wire, text

PATIENCE = 20


@pytest.fixture(scope="module")
def fragile_cluster(session_lab):
    cluster = BrokerCluster(session_lab, 3, name="fragile")
    yield cluster
    cluster.stop()


@pytest.fixture
def fragile(fragile_cluster):
    """Three brokers whom everything may happen to: they run again afterwards."""
    yield fragile_cluster
    for broker in fragile_cluster:
        if broker.is_running:
            broker.resume()
        else:
            broker.start()


@pytest.fixture
def placed(fragile, name):
    """placed([1, 2, 3], ...) makes a topic with these replicas, a list for each partition."""
    def make(*replicas, **configs):
        topic = name()
        admin_of(fragile).create_topics([NewTopic(
            topic, len(replicas), replica_assignment=[list(one) for one in replicas],
            config={key.replace("_", "."): str(value) for key, value in configs.items()})])[
                topic].result(PATIENCE)
        wait_known(fragile, topic, len(replicas))
        return topic
    return make


def wait_isr(cluster, topic, *wanted):
    wait_until(lambda: in_sync(cluster, topic) == dict(enumerate(map(sorted, wanted))), PATIENCE,
               f"the ISR to be {wanted}")


# --- min.insync.replicas -----------------------------------------------------------------------


def test_not_enough_replicas(fragile, placed):
    """Error 19, and nothing is appended; acks=1 is another matter; all is well afterwards."""
    topic = placed([1, 2, 3], min_insync_replicas=3)
    assert produce_one(fragile, topic, b"before") == 0
    fragile[3].stop()
    wait_isr(fragile, topic, [1, 2])
    assert produce_one(fragile, topic, b"x", retries=0) == "NOT_ENOUGH_REPLICAS"
    assert produce_one(fragile, topic, b"one", acks=1) == 1
    fragile[3].start()
    wait_in_sync(fragile, topic)
    assert produce_one(fragile, topic, b"after") == 2
    assert [row.value for row in read("confluent", fragile, topic, 3)[0]] == [
        b"before", b"one", b"after"]


def test_not_enough_replicas_after_append(fragile, placed):
    """Error 20: a follower stands still, the leader drops it from the ISR, too few are left."""
    topic = placed([1, 2, 3], min_insync_replicas=3)
    assert produce_one(fragile, topic, b"before") == 0
    fragile[3].pause()
    # By way of the leader: a client that asks the one that stands still waits for it first.
    assert produce_one(fragile[1].address, topic, b"x", retries=0) == (
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND")
    fragile[3].resume()
    wait_in_sync(fragile, topic)
    # What was appended stays, and is committed when all have it.
    assert [row.value for row in read("confluent", fragile, topic, 2)[0]] == [b"before", b"x"]


def test_records_below_the_high_watermark_only(fragile, placed):
    """While a replica of the ISR has not got it, no consumer sees a record."""
    topic = placed([1, 2, 3], min_insync_replicas=3)
    assert produce_one(fragile, topic, b"before") == 0
    fragile[3].pause()
    assert produce_one(fragile[1].address, topic, b"after", acks=1) == 1
    consumer = confluent_kafka.Consumer(quiet(fragile[1].address, **{
        "group.id": "unused", "enable.partition.eof": True, "fetch.wait.max.ms": 10}))
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(PATIENCE).value() == b"before"
    assert consumer.poll(PATIENCE).error() is not None  # the end
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)[1] == 1
    fragile[3].resume()
    wait_in_sync(fragile, topic)
    message = consumer.poll(PATIENCE)
    assert message.value() == b"after"
    consumer.close()


# --- leaders -----------------------------------------------------------------------------------


def test_kill_the_leader_under_load(fragile, placed):
    """kill -9, with acks=all from an idempotent producer: none lost, none twice, in order."""
    topic = placed([1, 2, 3], [1, 3, 2], [2, 1, 3])
    with Load(fragile, topic, 3) as load:
        load.goes_on()
        fragile[1].kill()
        load.goes_on()
        assert leader_of(fragile, topic, 0).node != 1
        fragile[1].start()
        wait_in_sync(fragile, topic)
        load.goes_on()
        load.finish()


def test_a_rolling_restart_under_load(fragile, placed):
    topic = placed([1, 2, 3], [2, 3, 1], [3, 1, 2])
    with Load(fragile, topic, 3) as load:
        load.goes_on()
        for broker in fragile:
            broker.stop()
            load.goes_on()
            broker.start()
            wait_in_sync(fragile, topic)
        load.goes_on()
        load.finish()


def test_a_leader_that_stands_still_under_load(fragile, placed):
    """SIGSTOP: another leads; when it wakes it follows, and what it did not get acknowledged in
    its sleep is not there twice."""
    topic = placed([1, 2, 3], [1, 3, 2], [2, 1, 3])
    with Load(fragile, topic, 3, **{"socket.timeout.ms": 3000}) as load:
        load.goes_on()
        fragile[1].pause()
        load.goes_on()
        fragile[1].resume()
        wait_in_sync(fragile, topic)
        load.goes_on()
        load.finish()


@pytest.mark.nightly
def test_brokers_are_killed_again_and_again(fragile, placed):
    topic = placed([1, 2, 3], [2, 3, 1], [3, 1, 2])
    with Load(fragile, topic, 3) as load:
        for turn in range(30):
            broker = fragile[turn % 3 + 1]
            (broker.kill if turn % 2 else broker.stop)()
            load.goes_on()
            broker.start()
            wait_in_sync(fragile, topic)
        load.finish()


def test_the_preferred_leader_comes_back_by_itself_or_when_asked(fragile, placed):
    topic = placed([1, 2, 3])
    fragile[1].stop()
    assert leader_of(fragile, topic).node == 2
    fragile[1].start()
    wait_in_sync(fragile, topic)
    place = TopicPartition(topic, 0)
    admin_of(fragile).elect_leaders(confluent_kafka.ElectionType.PREFERRED, [place]).result(
        PATIENCE)
    wait_until(lambda: partitions_of(fragile, topic)
               and partitions_of(fragile, topic)[0].leader == 1, PATIENCE, "the first to lead")


def test_a_topic_without_a_leader_waits_for_one(fragile, placed):
    """The only replica is away: the producer waits, and goes on when it is back."""
    topic = placed([3], min_insync_replicas=1)
    write_confluent(fragile, topic, rows(10))
    fragile[3].kill()
    became = []
    producer = confluent_kafka.Producer(quiet(fragile, **{
        "enable.idempotence": True, "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.fast.interval.ms": 50}))
    producer.produce(topic, b"later", on_delivery=lambda error, message: became.append(error))
    assert producer.flush(1) == 1
    fragile[3].start()
    assert producer.flush(PATIENCE) == 0
    assert became == [None]
    assert len(read("confluent", fragile, topic, 11)[0]) == 11


# --- groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_group_outlives_its_coordinator(fragile, placed, name, how):
    """Members find the other, keep what they have, and every row is read."""
    topic, group = placed(*[[1, 2, 3], [2, 3, 1], [3, 1, 2]] * 2), name("group")
    with KINDS["confluent"](fragile, group, [topic]) as first, \
            KINDS["confluent"](fragile, group, [topic]) as second:
        wait_shared_out([first, second], topic, 6)
        write_confluent(fragile, topic, [Row(n % 6, b"k", b"%d" % n) for n in range(60)])
        coordinator = admin_of(fragile).describe_consumer_groups([group])[group].result(
            PATIENCE).coordinator.id
        getattr(fragile[coordinator], how)()
        write_confluent(fragile, topic, [Row(n % 6, b"k", b"%d" % n) for n in range(60, 120)],
                        **{"enable.idempotence": True})
        wait_until(lambda: len({row[:2] for m in (first, second) for row in m.rows}) == 120, 40,
                   "all rows to be read")
        wait_shared_out([first, second], topic, 6, 40)
        fragile[coordinator].start()
    consumer = confluent_kafka.Consumer(quiet(fragile, **{"group.id": group}))
    found = consumer.committed([TopicPartition(topic, n) for n in range(6)], timeout=PATIENCE)
    assert [place.offset for place in found] == [20] * 6
    consumer.close()


# --- one broker alone --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_is_there_after_a_restart(lab, name, how):
    """Topics and their configs, records, offsets, what producers had sent."""
    cluster = BrokerCluster(lab, 1, name="alone")
    admin = admin_of(cluster)
    topic, group, written = name(), name("group"), rows(200, 3)
    admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "-1"})])[topic].result(10)
    wait_known(cluster, topic, 3)
    with Load(cluster, topic, 3) as load:
        load.goes_on(90)
        getattr(cluster[1], how)()
        cluster[1].start()
        load.goes_on(90)
        load.finish()
    total = sum(load.sent)
    write_confluent(cluster, topic, written, "zstd")
    consumer = confluent_kafka.Consumer(quiet(cluster, **{"group.id": group}))
    consumer.commit(offsets=[TopicPartition(topic, 1, 7)], asynchronous=False)
    getattr(cluster[1], how)()
    cluster[1].start()
    wait_known(cluster, topic, 3)
    found = read_confluent(cluster, topic, total + 200, 3)
    for number, expected in by_partition(written).items():
        mine = found[number][load.sent[number]:]
        assert [(r.key, r.value, r.headers) for r in mine] == [
            (r.key, r.value, r.headers) for r in expected]
    place, = consumer.committed([TopicPartition(topic, 1)], timeout=PATIENCE)
    assert place.offset == 7
    consumer.close()
    cluster.stop()


def test_a_restart_forgets_no_producer(lab, name):
    """A batch that was acknowledged before kill -9 and is sent again afterwards is there once."""
    cluster = BrokerCluster(lab, 1, name="alone")
    topic = name()
    admin_of(cluster).create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    wait_known(cluster, topic, 1)

    def send(sequence):
        # Of now: a producer is forgotten a day after the time of its last record.
        builder = DefaultRecordBatchBuilder(2, 0, False, 42_000, 3, sequence, 1 << 20)
        builder.append(0, int(time.time() * 1000), None, b"%d" % sequence, [])
        batch = bytes(builder.build())
        with Wire(cluster[1]) as wire:
            answer = wire.ask(PRODUCE, 3, (
                text(None) + struct.pack(">hii", -1, 1000, 1) + text(topic)
                + struct.pack(">iii", 1, 0, len(batch)) + batch))
        return struct.unpack_from(">ihq", answer, 4 + 2 + len(topic) + 4)[1:]

    assert [send(n) for n in range(4)] == [(0, n) for n in range(4)]
    for how in ("kill", "stop"):
        getattr(cluster[1], how)()
        cluster[1].start()
        wait_until(lambda: send(3) == (0, 3), PATIENCE, "the same answer")
        assert send(9)[0] == 45  # OUT_OF_ORDER_SEQUENCE_NUMBER
    assert send(4) == (0, 4)
    cluster.stop()
