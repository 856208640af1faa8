"""librdkafka's admin client: topics, configs, groups, records, the cluster."""

import confluent_kafka
import pytest
from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic,
    OffsetSpec, ResourceType)

from lab import wait_until

from admin import admin_of, in_sync, kafka_error, partitions_of, wait_known
from clients import Row, by_partition, read, rows, write_confluent
from members import KINDS, wait_shared_out

PATIENCE = 20


def made(cluster, *topics, **options):
    """Topic -> None, or the error's name."""
    futures = admin_of(cluster).create_topics(list(topics), operation_timeout=10, **options)
    return {topic: kafka_error(future.result, PATIENCE) if future.exception(PATIENCE) else None
            for topic, future in futures.items()}


# --- topics ------------------------------------------------------------------------------------


def test_create_describe_delete(cluster, name):
    topic, replicas = name(), min(3, len(cluster.brokers))
    assert made(cluster, NewTopic(topic, 3, replicas, config={"retention.ms": "5000"})) == {
        topic: None}
    wait_known(cluster, topic, 3)
    found = admin_of(cluster).describe_topics(
        TopicCollection([topic]))[topic].result(PATIENCE)
    assert (found.name, found.is_internal, len(found.partitions)) == (topic, False, 3)
    assert str(found.topic_id) not in ("", "AAAAAAAAAAAAAAAAAAAAAA")
    for number, partition in enumerate(found.partitions):
        assert partition.id == number
        assert partition.leader.id == partition.replicas[0].id
        assert len({node.id for node in partition.replicas}) == replicas
        assert len({node.rack for node in partition.replicas}) == replicas
        assert {n.id for n in partition.isr} == {n.id for n in partition.replicas}
    admin_of(cluster).delete_topics([topic], operation_timeout=10)[topic].result(PATIENCE)
    wait_until(lambda: topic not in admin_of(cluster).list_topics(timeout=5).topics, PATIENCE,
               "the topic to be gone")
    gone = admin_of(cluster).describe_topics(TopicCollection([topic]))[topic]
    assert kafka_error(gone.result, PATIENCE) == "UNKNOWN_TOPIC_OR_PART"
    again = admin_of(cluster).delete_topics([topic])[topic]
    assert kafka_error(again.result, PATIENCE) == "UNKNOWN_TOPIC_OR_PART"


def test_a_topic_made_again_is_empty(three, name):
    topic = name()
    assert made(three, NewTopic(topic, 1, 3)) == {topic: None}
    wait_known(three, topic, 1)
    write_confluent(three, topic, rows(50))
    admin_of(three).delete_topics([topic], operation_timeout=10)[topic].result(PATIENCE)
    # The name is free as soon as the deletion is answered.
    assert made(three, NewTopic(topic, 1, 3)) == {topic: None}
    wait_known(three, topic, 1)
    write_confluent(three, topic, [Row(0, b"new", b"life")])
    assert read("kafka_python", three, topic, 1) == by_partition([Row(0, b"new", b"life")])


def test_why_a_topic_cannot_be_made(one, topic_in, name):
    there = topic_in(one)
    what = {
        NewTopic(there, 1, 1): "TOPIC_ALREADY_EXISTS",
        NewTopic(name(), 1, 2): "INVALID_REPLICATION_FACTOR",
        NewTopic(name(), 0, 1): "INVALID_PARTITIONS",
        NewTopic("a/b", 1, 1): "TOPIC_EXCEPTION",
        NewTopic("x" * 250, 1, 1): "TOPIC_EXCEPTION",
        NewTopic("..", 1, 1): "TOPIC_EXCEPTION",
        NewTopic(there.replace("-", "_"), 1, 1): None,
        NewTopic(name(), 1, 1, config={"no.such.config": "1"}): "INVALID_CONFIG",
        NewTopic(name(), 1, 1, config={"retention.ms": "soon"}): "INVALID_CONFIG",
        NewTopic(name(), 1, 1, config={"cleanup.policy": "burn"}): "INVALID_CONFIG",
        NewTopic(name(), 1, replica_assignment=[[7]]): "INVALID_REPLICA_ASSIGNMENT",
        NewTopic(name(), 1, replica_assignment=[[1, 1]]): "INVALID_REPLICA_ASSIGNMENT",
    }
    assert made(one, *what) == {topic.topic: error for topic, error in what.items()}


def test_topics_whose_metrics_would_have_one_name_collide(one, name):
    """A dot and an underscore are the same in a metric's name: INVALID_TOPIC_EXCEPTION."""
    stem = name().replace("-", ".")
    assert made(one, NewTopic(stem, 1, 1)) == {stem: None}
    assert made(one, NewTopic(stem.replace(".", "_"), 1, 1)) == {
        stem.replace(".", "_"): "TOPIC_EXCEPTION"}


def test_validate_only_makes_nothing(three, name):
    topic = name()
    assert made(three, NewTopic(topic, 4, 3), validate_only=True) == {topic: None}
    assert made(three, NewTopic(topic, 4, 4), validate_only=True) == {
        topic: "INVALID_REPLICATION_FACTOR"}
    assert topic not in admin_of(three).list_topics(timeout=5).topics


def test_replicas_where_one_wants_them(three, name):
    topic = name()
    wanted = [[2, 1], [3, 2, 1], [1]]
    assert made(three, NewTopic(topic, 3, replica_assignment=wanted)) in (
        {topic: None}, {topic: "INVALID_REPLICA_ASSIGNMENT"})
    even = [[2, 1], [3, 2], [1, 3]]
    topic = name()
    assert made(three, NewTopic(topic, 3, replica_assignment=even)) == {topic: None}
    wait_known(three, topic, 3)
    assert [p.replicas for _, p in sorted(partitions_of(three, topic).items())] == even


def test_partitions_grow_and_do_not_shrink(three, topic_in):
    topic = topic_in(three, 2)

    def grow(count, **options):
        future = admin_of(three).create_partitions(
            [NewPartitions(topic, count, **options)])[topic]
        return kafka_error(future.result, PATIENCE) if future.exception(PATIENCE) else None

    write_confluent(three, topic, rows(20, 2))
    assert grow(5) is None
    wait_known(three, topic, 5)
    assert grow(5) == "INVALID_PARTITIONS"
    assert grow(3) == "INVALID_PARTITIONS"
    assert grow(6, replica_assignment=[[1, 2, 3]]) is None
    assert grow(7, replica_assignment=[[9]]) == "INVALID_REPLICA_ASSIGNMENT"
    wait_known(three, topic, 6)
    found = partitions_of(three, topic)
    assert all(len(p.replicas) == 3 for p in found.values())
    assert found[5].replicas == [1, 2, 3]
    write_confluent(three, topic, [Row(5, b"k", b"new")])
    nobody = admin_of(three).create_partitions([NewPartitions("nobody", 3)])["nobody"]
    assert kafka_error(nobody.result, PATIENCE) == "UNKNOWN_TOPIC_OR_PART"


# --- configs -----------------------------------------------------------------------------------


def configs(cluster, kind, name):
    resource = ConfigResource(kind, name)
    return admin_of(cluster).describe_configs([resource])[resource].result(PATIENCE)


def alter(cluster, kind, name, *changes, **options):
    """An error's name, or None. A change is (operation, name, value)."""
    resource = ConfigResource(kind, name, incremental_configs=[
        ConfigEntry(key, value, incremental_operation=operation)
        for operation, key, value in changes])
    future = admin_of(cluster).incremental_alter_configs([resource], **options)[resource]
    return kafka_error(future.result, PATIENCE) if future.exception(PATIENCE) else None


SET, DELETE = AlterConfigOpType.SET, AlterConfigOpType.DELETE
APPEND, SUBTRACT = AlterConfigOpType.APPEND, AlterConfigOpType.SUBTRACT


def test_topic_configs(cluster, topic_in):
    topic, kind = topic_in(cluster, retention_ms=600_000), ResourceType.TOPIC
    found = configs(cluster, kind, topic)
    assert found["retention.ms"].value == "600000"
    assert found["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert not found["retention.ms"].is_default
    assert found["segment.bytes"].value == "1073741824"
    assert found["segment.bytes"].is_default
    assert found["cleanup.policy"].value == "delete"
    assert found["compression.type"].value == "producer"
    # What the broker's file says is the topics' default.
    expected = "2" if len(cluster.brokers) == 3 else "1"
    assert found["min.insync.replicas"].value == expected

    assert alter(cluster, kind, topic, (SET, "segment.bytes", "1048576"),
                 (DELETE, "retention.ms", None), (APPEND, "cleanup.policy", "compact")) is None

    def changed():
        now = configs(cluster, kind, topic)
        return (now["segment.bytes"].value, now["retention.ms"].value,
                set(now["cleanup.policy"].value.split(","))) == (
            "1048576", "604800000", {"delete", "compact"})
    wait_until(changed, PATIENCE, "the broker to tell of the new values")
    assert alter(cluster, kind, topic, (SUBTRACT, "cleanup.policy", "delete")) is None
    wait_until(lambda: configs(cluster, kind, topic)["cleanup.policy"].value == "compact",
               PATIENCE, "the policy to be compact alone")


def test_configs_that_cannot_be(one, topic_in):
    topic, kind = topic_in(one), ResourceType.TOPIC
    assert alter(one, kind, topic, (SET, "segment.bytes", "much")) == "INVALID_CONFIG"
    assert alter(one, kind, topic, (SET, "no.such.config", "1")) == "INVALID_CONFIG"
    assert alter(one, kind, topic, (APPEND, "segment.bytes", "1")) == "INVALID_CONFIG"
    assert alter(one, kind, "nobody", (SET, "segment.bytes", "1048576")) == "UNKNOWN_TOPIC_OR_PART"
    assert alter(one, kind, topic, (SET, "retention.ms", "77"), validate_only=True) is None
    found = configs(one, kind, topic)
    assert found["segment.bytes"].is_default and found["retention.ms"].is_default
    resource = ConfigResource(kind, "nobody")
    future = admin_of(one).describe_configs([resource])[resource]
    assert kafka_error(future.result, PATIENCE) == "UNKNOWN_TOPIC_OR_PART"


def test_a_change_takes_effect(three, topic_in):
    """max.message.bytes of a topic, from now on and on every leader."""
    topic = topic_in(three, 3)
    large = [Row(n, None, b"x" * 5000) for n in range(3)]
    write_confluent(three, topic, large)
    assert alter(three, ResourceType.TOPIC, topic, (SET, "max.message.bytes", "1000")) is None

    def refused(row):
        try:
            write_confluent(three, topic, [row])
        except AssertionError as error:
            assert "MSG_SIZE_TOO_LARGE" in str(error)
            return True
        return False
    for row in large:
        wait_until(lambda row=row: refused(row), PATIENCE, "the new limit")


def test_broker_configs(three):
    kind = ResourceType.BROKER
    found = configs(three, kind, "2")
    assert found["node.id"].value == "2"
    assert found["node.id"].is_read_only
    assert found["node.id"].source == ConfigSource.STATIC_BROKER_CONFIG.value
    assert found["broker.rack"].value == "cluster-2"
    assert found["num.partitions"].is_default
    assert alter(three, kind, "2", (SET, "node.id", "7")) in ("INVALID_CONFIG", "INVALID_REQUEST")
    assert alter(three, kind, "2", (SET, "message.max.bytes", "2000000")) is None
    try:
        wait_until(lambda: configs(three, kind, "2")["message.max.bytes"].value == "2000000",
                   PATIENCE, "the new value")
        assert configs(three, kind, "2")["message.max.bytes"].source == (
            ConfigSource.DYNAMIC_BROKER_CONFIG.value)
        assert configs(three, kind, "3")["message.max.bytes"].value == "1048588"
    finally:
        assert alter(three, kind, "2", (DELETE, "message.max.bytes", None)) is None
    wait_until(lambda: configs(three, kind, "2")["message.max.bytes"].value == "1048588",
               PATIENCE, "the old value")


# --- groups ------------------------------------------------------------------------------------


def test_groups(cluster, topic_in, name):
    topic, group = topic_in(cluster, 2), name("group")
    admin = admin_of(cluster)
    write_confluent(cluster, topic, rows(20, 2))

    def listed():
        found = admin.list_consumer_groups().result(PATIENCE)
        assert not found.errors
        return {one.group_id: one for one in found.valid}

    with KINDS["confluent"](cluster, group, [topic]) as member:
        wait_shared_out([member], topic, 2)
        assert listed()[group].state.name == "STABLE"
        assert not listed()[group].is_simple_consumer_group
        found = admin.describe_consumer_groups([group])[group].result(PATIENCE)
        one, = found.members
        assert one.client_id == "rdkafka"
        assert one.host.strip("/") == "127.0.0.1"
        assert [(p.topic, p.partition) for p in one.assignment.topic_partitions] == [
            (topic, 0), (topic, 1)]
        busy = admin.delete_consumer_groups([group])[group]
        assert kafka_error(busy.result, PATIENCE) == "NON_EMPTY_GROUP"
        wait_until(lambda: len(member.rows) == 20, PATIENCE, "all rows")
    offsets = offsets_of(cluster, group)
    assert offsets == {(topic, 0): 10, (topic, 1): 10}
    states = admin.list_consumer_groups(
        states={confluent_kafka.ConsumerGroupState.EMPTY}).result(PATIENCE)
    assert group in {one.group_id for one in states.valid}
    admin.alter_consumer_group_offsets([confluent_kafka.ConsumerGroupTopicPartitions(
        group, [TopicPartition(topic, 0, 4)])])[group].result(PATIENCE)
    assert offsets_of(cluster, group) == {(topic, 0): 4, (topic, 1): 10}
    admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert group not in listed()
    assert offsets_of(cluster, group) == {}
    gone = admin.delete_consumer_groups([group])[group]
    assert kafka_error(gone.result, PATIENCE) == "GROUP_ID_NOT_FOUND"


def offsets_of(cluster, group):
    found = admin_of(cluster).list_consumer_group_offsets(
        [confluent_kafka.ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE)
    return {(p.topic, p.partition): p.offset for p in found.topic_partitions}


# --- records and offsets -----------------------------------------------------------------------


def offset(cluster, topic, spec, partition=0):
    place = TopicPartition(topic, partition)
    return admin_of(cluster).list_offsets({place: spec})[place].result(PATIENCE)


def test_records_are_deleted(cluster, topic_in):
    topic = topic_in(cluster)
    written = rows(100)
    write_confluent(cluster, topic, written)

    def delete(before):
        place = TopicPartition(topic, 0, before)
        future = admin_of(cluster).delete_records([place])[place]
        return (kafka_error(future.result, PATIENCE) if future.exception(PATIENCE)
                else future.result().low_watermark)

    assert delete(40) == 40
    assert offset(cluster, topic, OffsetSpec.earliest()).offset == 40
    assert read("kafka_python", cluster, topic, 60)[0] == by_partition(written)[0][40:]
    assert delete(10) == 40
    assert delete(101) == "OFFSET_OUT_OF_RANGE"
    assert delete(confluent_kafka.OFFSET_END) == 100
    assert offset(cluster, topic, OffsetSpec.earliest()).offset == 100
    assert offset(cluster, topic, OffsetSpec.latest()).offset == 100


def test_offsets_of_every_kind(cluster, topic_in):
    topic = topic_in(cluster)
    assert offset(cluster, topic, OffsetSpec.latest()).offset == 0
    assert offset(cluster, topic, OffsetSpec.max_timestamp()).offset == -1
    start = 1_700_000_000_000
    # The youngest is not the last, batches have several records.
    times = [0, 10, 20, 50, 40, 30, 60, 60, 200, 100]
    for turn in (times[:5], times[5:]):
        write_confluent(cluster, topic, [Row(0, b"k", b"v", (), start + t) for t in turn])
    assert offset(cluster, topic, OffsetSpec.earliest()).offset == 0
    assert offset(cluster, topic, OffsetSpec.latest()).offset == 10
    youngest = offset(cluster, topic, OffsetSpec.max_timestamp())
    assert (youngest.offset, youngest.timestamp) == (8, start + 200)
    for wanted, place in ((0, 0), (1, 1), (20, 2), (21, 3), (45, 3), (50, 3), (51, 6), (60, 6),
                          (61, 8), (150, 8), (200, 8)):
        found = offset(cluster, topic, OffsetSpec.for_timestamp(start + wanted))
        assert (found.offset, found.timestamp) == (place, start + times[place]), wanted
    assert offset(cluster, topic, OffsetSpec.for_timestamp(start + 201)).offset == -1


# --- the cluster -------------------------------------------------------------------------------


def test_describe_cluster(cluster):
    found = admin_of(cluster).describe_cluster().result(PATIENCE)
    assert found.cluster_id == cluster.cluster_id
    assert {(n.id, n.host, n.port, n.rack) for n in found.nodes} == {
        (b.node, b.host, b.port, b.rack) for b in cluster}
    assert found.controller.id in cluster.brokers
    assert admin_of(cluster).list_topics(timeout=5).cluster_id == cluster.cluster_id


def test_elections_of_leaders(three, name):
    """The preferred replica leads already: ELECTION_NOT_NEEDED."""
    topic = name()
    assert made(three, NewTopic(topic, 1, replica_assignment=[[2, 1, 3]])) == {topic: None}
    wait_known(three, topic, 1)
    for kind, error in ((ElectionType.PREFERRED, "ELECTION_NOT_NEEDED"),
                        (ElectionType.UNCLEAN, "ELECTION_NOT_NEEDED")):
        answer = admin_of(three).elect_leaders(kind, [TopicPartition(topic, 0)]).result(PATIENCE)
        assert {place: what.name() for place, what in answer.items()} == {
            TopicPartition(topic, 0): error}
    nobody = TopicPartition("nobody", 0)
    answer = admin_of(three).elect_leaders(ElectionType.PREFERRED, [nobody]).result(PATIENCE)
    assert answer[nobody].name() == "UNKNOWN_TOPIC_OR_PART"
    assert in_sync(three, topic) == {0: [1, 2, 3]}


def test_what_is_not_there_yet_is_told_so(one):
    """ACLs and SCRAM: the client finds no such API, and says so at once."""
    from confluent_kafka.admin import AclBindingFilter, AclOperation, AclPermissionType
    from confluent_kafka.admin import ResourcePatternType
    every = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None,
                             AclOperation.ANY, AclPermissionType.ANY)
    with pytest.raises(KafkaException) as raised:
        admin_of(one).describe_acls(every).result(PATIENCE)
    assert raised.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE
    with pytest.raises(KafkaException) as raised:
        admin_of(one).describe_user_scram_credentials(["x"])["x"].result(PATIENCE)
    assert raised.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE
