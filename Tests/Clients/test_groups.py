"""Consumer groups: members of each client, and of all, come and go; every row is read."""

import asyncio
import contextlib
import subprocess

import aiokafka
import confluent_kafka
import kafka
import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from lab import wait_until

from admin import admin_of, create_topic, quiet
from clients import Row, kcat, rows, write_confluent
from members import KINDS, RANGE, shared_out, wait_shared_out

PARTITIONS = 6
PATIENCE = 20


def values(written):
    return sorted(row.value for row in written)


def all_read(members, written):
    return lambda: len({(p, o) for m in members for p, o, _ in m.rows}) >= len(written)


def plain_rows(count, start=0):
    return [Row(n % PARTITIONS, b"k%d" % n, b"%d" % n) for n in range(start, start + count)]


def describe(cluster, group):
    return admin_of(cluster).describe_consumer_groups([group])[group].result(PATIENCE)


def committed(cluster, group, topic, partitions=PARTITIONS):
    consumer = confluent_kafka.Consumer(quiet(cluster, **{"group.id": group}))
    try:
        found = consumer.committed(
            [TopicPartition(topic, n) for n in range(partitions)], timeout=PATIENCE)
        return [place.offset for place in found]
    finally:
        consumer.close()


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_and_go(cluster, topic_in, name, kind):
    """One has all; two and three share; when one leaves the others take over, at its place."""
    topic, group = topic_in(cluster, PARTITIONS), name("group")
    written = plain_rows(120)
    write_confluent(cluster, topic, written)
    with contextlib.ExitStack() as stack:
        members = []
        for count in (1, 2, 3):
            members.append(stack.enter_context(KINDS[kind](cluster, group, [topic])))
            wait_shared_out(members, topic, PARTITIONS)
        wait_until(all_read(members, written), PATIENCE, "all rows to be read")
        write_confluent(cluster, topic, plain_rows(120, 120))
        everything = written + plain_rows(120, 120)
        wait_until(all_read(members, everything), PATIENCE, "new rows to be read")
        first = members.pop(0)
        first.stop()
        wait_shared_out(members, topic, PARTITIONS)
        write_confluent(cluster, topic, plain_rows(120, 240))
        everything += plain_rows(120, 240)
        wait_until(all_read([first, *members], everything), PATIENCE, "the last rows to be read")
        # Some clients give a partition back without a commit if they have only just begun with
        # it: what then is read twice is their doing, and what is not read at all would be ours.
        read = {value for member in [first, *members] for _, _, value in member.rows}
        assert sorted(read) == values(everything)
        found = describe(cluster, group)
        assert found.state == ConsumerGroupState.STABLE
        assert len(found.members) == 2
        assert found.coordinator.id in cluster.brokers
    wait_until(lambda: describe(cluster, group).state == ConsumerGroupState.EMPTY, PATIENCE,
               "the group to be empty")
    assert committed(cluster, group, topic) == [60] * PARTITIONS


def test_clients_of_all_kinds_in_one_group(three, topic_in, name):
    """librdkafka, kafka-python and aiokafka share a topic between them by `range`."""
    topic, group = topic_in(three, PARTITIONS), name("group")
    written = plain_rows(120)
    write_confluent(three, topic, written)
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(KINDS[kind](three, group, [topic], **RANGE[kind]))
                   for kind in KINDS]
        wait_shared_out(members, topic, PARTITIONS)
        wait_until(all_read(members, written), PATIENCE, "all rows to be read")
        found = describe(three, group)
        assert found.partition_assignor == "range"
        assert len(found.members) == 3
        members.pop(1).stop()
        wait_shared_out(members, topic, PARTITIONS)


def test_members_without_a_common_assignor_are_refused(one, topic_in, name):
    topic, group = topic_in(one, 2), name("group")
    with KINDS["confluent"](one, group, [topic], **RANGE["confluent"]) as member:
        wait_shared_out([member], topic, 2)
        consumer = confluent_kafka.Consumer(quiet(one, **{
            "group.id": group, "partition.assignment.strategy": "roundrobin"}))
        consumer.subscribe([topic])
        message = consumer.poll(PATIENCE)
        assert message.error().code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL
        consumer.close()
        assert shared_out([member], topic, 2)


def test_cooperative_members_keep_what_they_have(three, topic_in, name):
    """KIP-429: who joins takes some partitions; the others are never given up."""
    topic, group = topic_in(three, PARTITIONS), name("group")
    written = plain_rows(60)
    write_confluent(three, topic, written)
    conf = {"partition.assignment.strategy": "cooperative-sticky"}
    with KINDS["confluent"](three, group, [topic], **conf) as first:
        wait_shared_out([first], topic, PARTITIONS)
        with KINDS["confluent"](three, group, [topic], **conf) as second:
            wait_shared_out([first, second], topic, PARTITIONS)
            with KINDS["confluent"](three, group, [topic], **conf) as third:
                wait_shared_out([first, second, third], topic, PARTITIONS)
                assert describe(three, group).partition_assignor == "cooperative-sticky"
                # First gave up 3, then 1, and never all of its partitions.
                assert sum(map(len, first.revocations)) == 4
                assert sum(map(len, second.revocations)) == 1
            wait_shared_out([first, second], topic, PARTITIONS)
        wait_shared_out([first], topic, PARTITIONS)
        wait_until(all_read([first, second, third], written), PATIENCE, "all rows")
        assert not first.losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_static_member_that_returns_disturbs_nobody(three, topic_in, name, kind):
    """KIP-345: a restart within the session is no rebalance; the same partitions come back."""
    topic, group = topic_in(three, PARTITIONS), name("group")
    option = {"confluent": "group.instance.id"}.get(kind, "group_instance_id")
    with KINDS[kind](three, group, [topic], **{option: "a"}) as stays:
        first = KINDS[kind](three, group, [topic], **{option: "b"})
        with first:
            wait_shared_out([stays, first], topic, PARTITIONS)
            had, rebalances = set(first.owned), len(stays.assignments)
        assert {m.group_instance_id for m in describe(three, group).members} == {"a", "b"}
        with KINDS[kind](three, group, [topic], **{option: "b"}) as again:
            wait_until(lambda: again.owned == had, PATIENCE, "the same partitions")
            assert len(stays.assignments) == rebalances
            assert len(describe(three, group).members) == 2


def test_the_second_of_one_name_fences_the_first(one, topic_in, name):
    """FENCED_INSTANCE_ID for who had the name before."""
    topic, group = topic_in(one, 2), name("group")
    conf = {"group.instance.id": "only"}
    first = KINDS["confluent"](one, group, [topic], **conf)
    wait_shared_out([first], topic, 2)
    with KINDS["confluent"](one, group, [topic], **conf) as second:
        wait_shared_out([second], topic, 2)
        wait_until(lambda: first.errors, PATIENCE, "the first to be fenced")
        assert "fenced" in first.errors.pop().str()
        first.stop()


def test_a_member_that_falls_silent_is_left_out(one, topic_in, name):
    """No heartbeat within the session: the others get its partitions."""
    topic, group = topic_in(one, 2), name("group")
    with KINDS["confluent"](one, group, [topic]) as stays:
        wait_shared_out([stays], topic, 2)
        # One that polls never again is asked to leave by its own library after this time.
        silent = confluent_kafka.Consumer(quiet(one, **{
            "group.id": group, "session.timeout.ms": 1000, "max.poll.interval.ms": 1000}))
        silent.subscribe([topic])
        wait_until(lambda: silent.poll(0.05) or len(silent.assignment()) == 1, PATIENCE, "a share")
        wait_until(lambda: shared_out([stays], topic, 2), PATIENCE, "all partitions")
        silent.close()


def test_a_killed_member_is_left_out(one, topic_in, name):
    """kill -9 of the process: its session ends without a word."""
    topic, group = topic_in(one, 2), name("group")
    with KINDS["confluent"](one, group, [topic]) as stays:
        wait_shared_out([stays], topic, 2)
        other = subprocess.Popen(
            ["kcat", "-b", one.bootstrap, "-X", "session.timeout.ms=1500", "-X",
             "heartbeat.interval.ms=300", "-G", group, topic],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: len(stays.owned) == 1, PATIENCE, "the other to have its share")
        finally:
            other.kill()
            other.wait()
        wait_shared_out([stays], topic, 2)


def test_kcat_in_a_group(three, topic_in, name):
    """The old librdkafka's balanced consumer, and the offsets it leaves behind."""
    topic, group = topic_in(three, PARTITIONS), name("group")
    write_confluent(three, topic, plain_rows(60))
    said = kcat(three, "-G", group, "-X", "auto.offset.reset=earliest", "-c", 60, "-q",
                "-f", "%s\n", topic).stdout.split()
    assert sorted(said) == values(plain_rows(60))
    assert committed(three, group, topic) == [10] * PARTITIONS


def test_a_group_follows_a_topic_that_grows(one, topic_in, name):
    topic, group = topic_in(one, 2), name("group")
    with KINDS["confluent"](one, group, [topic]) as member:
        wait_shared_out([member], topic, 2)
        admin_of(one).create_partitions([NewPartitions(topic, 4)])[topic].result(PATIENCE)
        wait_shared_out([member], topic, 4)


def test_a_group_by_pattern_follows_new_topics(one, topic_in, name):
    stem, group = name("stem"), name("group")
    create_topic(one, f"{stem}-a")
    with KINDS["confluent"](one, group, [f"^{stem}-.*"]) as member:
        wait_until(lambda: member.owned == {(f"{stem}-a", 0)}, PATIENCE, "the first topic")
        create_topic(one, f"{stem}-b")
        wait_until(lambda: member.owned == {(f"{stem}-a", 0), (f"{stem}-b", 0)}, PATIENCE,
                   "the second topic")


# --- offsets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["confluent", "kafka_python", "aiokafka"])
@pytest.mark.parametrize("writer", ["confluent", "kafka_python", "aiokafka"])
def test_offsets_that_one_commits_are_read_by_the_others(three, topic_in, name, writer, reader):
    topic, group = topic_in(three, 2), name("group")
    write_confluent(three, topic, rows(20, 2))
    # librdkafka's binding sends a zero at the end of the text, and reads on until it finds one.
    text = "" if reader == "confluent" else "three"
    for step in ({0: (3, text), 1: (7, "")}, {0: (10, text * 2)}):
        COMMIT[writer](three, group, topic, step)
        found = FETCH[reader](three, group, topic)
        assert {n: offset for n, (offset, _) in found.items()} == {0: step[0][0], 1: 7}
        assert found[0][1].rstrip("\0") == step[0][1]


def commit_confluent(cluster, group, topic, offsets):
    consumer = confluent_kafka.Consumer(quiet(cluster, **{"group.id": group}))
    for answer in consumer.commit(asynchronous=False, offsets=[
            TopicPartition(topic, n, offset, metadata) for n, (offset, metadata)
            in offsets.items()]):
        assert answer.error is None
    consumer.close()


def fetch_confluent(cluster, group, topic):
    consumer = confluent_kafka.Consumer(quiet(cluster, **{"group.id": group}))
    found = consumer.committed([TopicPartition(topic, n) for n in range(2)], timeout=PATIENCE)
    consumer.close()
    return {place.partition: (place.offset, place.metadata or "") for place in found}


def commit_kafka_python(cluster, group, topic, offsets):
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=cluster.bootstrap.split(","), group_id=group, enable_auto_commit=False)
    consumer.assign([kafka.TopicPartition(topic, n) for n in range(2)])
    try:
        consumer.commit({
            kafka.TopicPartition(topic, n): kafka.OffsetAndMetadata(offset, metadata, -1)
            for n, (offset, metadata) in offsets.items()})
    finally:
        consumer.close()


def fetch_kafka_python(cluster, group, topic):
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=cluster.bootstrap.split(","), group_id=group, enable_auto_commit=False)
    found = {n: consumer.committed(kafka.TopicPartition(topic, n), metadata=True)
             for n in range(2)}
    consumer.close()
    return {n: (place.offset, place.metadata) for n, place in found.items()}


def commit_aiokafka(cluster, group, topic, offsets):
    aiokafka_consumer(cluster, group, topic, lambda consumer: consumer.commit({
        aiokafka.TopicPartition(topic, n): place for n, place in offsets.items()}))


def fetch_aiokafka(cluster, group, topic):
    """It tells offsets without their metadata; those are asked for below its surface."""
    async def look(consumer):
        places = {aiokafka.TopicPartition(topic, n) for n in range(2)}
        return await consumer._coordinator.fetch_committed_offsets(places)
    return {place.partition: (found.offset, found.metadata)
            for place, found in aiokafka_consumer(cluster, group, topic, look).items()}


def aiokafka_consumer(cluster, group, topic, work):
    async def go():
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=cluster.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition(topic, n) for n in range(2)])
        try:
            return await work(consumer)
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(go(), PATIENCE))


COMMIT = {"confluent": commit_confluent, "kafka_python": commit_kafka_python,
          "aiokafka": commit_aiokafka}
FETCH = {"confluent": fetch_confluent, "kafka_python": fetch_kafka_python,
         "aiokafka": fetch_aiokafka}


def test_commits_without_waiting(one, topic_in, name):
    topic, group = topic_in(one), name("group")
    answers = []
    consumer = confluent_kafka.Consumer(quiet(one, **{
        "group.id": group, "on_commit": lambda error, places: answers.append((error, places))}))
    for offset in range(1, 51):
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=True)
    wait_until(lambda: consumer.poll(0.01) or len(answers) >= 50, PATIENCE, "fifty answers")
    assert all(error is None and places[0].error is None for error, places in answers)
    consumer.close()
    assert committed(one, group, topic, 1) == [50]


def test_what_was_never_committed_has_no_offset(one, topic_in, name):
    assert committed(one, name("group"), topic_in(one), 1) == [confluent_kafka.OFFSET_INVALID]


def test_a_stranger_cannot_commit_for_a_group_with_members(one, topic_in, name):
    """UNKNOWN_MEMBER_ID, as Kafka gives it."""
    topic, group = topic_in(one), name("group")
    with KINDS["confluent"](one, group, [topic]) as member:
        wait_shared_out([member], topic, 1)
        with pytest.raises(KafkaException) as raised:
            commit_confluent(one, group, topic, {0: (5, "")})
        assert raised.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID


def test_metadata_of_an_offset_has_a_limit(one, topic_in, name):
    """OFFSET_METADATA_TOO_LARGE beyond 4096 bytes."""
    topic, group = topic_in(one), name("group")
    commit_kafka_python(one, group, topic, {0: (1, "m" * 4096)})
    with pytest.raises(kafka.errors.OffsetMetadataTooLargeError):
        commit_kafka_python(one, group, topic, {0: (2, "m" * 4097)})
    assert committed(one, group, topic, 1) == [1]


def test_every_broker_knows_the_coordinator(three, topic_in, name):
    topic, seen = topic_in(three), set()
    for group in [name("group") for _ in range(8)]:
        commit_kafka_python(three, group, topic, {0: (1, "")})
        found = set()
        for broker in three:
            admin = AdminClient(quiet(broker.address))
            found.add(admin.describe_consumer_groups([group])[group].result(
                PATIENCE).coordinator.id)
        assert len(found) == 1
        seen |= found
    assert len(seen) > 1
