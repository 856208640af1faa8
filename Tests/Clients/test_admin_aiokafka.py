"""aiokafka's admin client, which speaks nearly only the plain encodings."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from lab import wait_until

from admin import wait_known
from clients import read, rows, write_confluent
from members import KINDS, wait_shared_out

PATIENCE = 20


def ask(cluster, work):
    async def go():
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()
    return asyncio.run(asyncio.wait_for(go(), PATIENCE))


def errors(response):
    """Topic -> error code, of the answers that tell it in this order."""
    return {one[0]: one[1] for one in response.topic_errors}


def test_create_describe_delete(cluster, name):
    topic, replicas = name(), min(3, len(cluster.brokers))

    async def create(admin):
        new = [NewTopic(topic, 2, replicas, topic_configs={"retention.ms": "777"})]
        return (await admin.create_topics(new, validate_only=True),
                await admin.create_topics(new), await admin.create_topics(new))
    checked, made, again = ask(cluster, create)
    assert (errors(checked), errors(made), errors(again)) == ({topic: 0}, {topic: 0}, {topic: 36})
    wait_known(cluster, topic, 2)

    async def look(admin):
        return await admin.list_topics(), await admin.describe_topics([topic])
    names, (found,) = ask(cluster, look)
    assert topic in names
    assert found["error_code"] == 0 and not found["is_internal"]
    assert [len(p["replicas"]) for p in found["partitions"]] == [replicas] * 2

    async def delete(admin):
        return await admin.delete_topics([topic]), await admin.delete_topics([topic])
    gone, again = ask(cluster, delete)
    assert dict(gone.topic_error_codes) == {topic: 0}
    assert dict(again.topic_error_codes) == {topic: 3}


@pytest.mark.parametrize("partitions, replicas, error", [(1, 4, 38), (0, 1, 37)])
def test_why_a_topic_cannot_be_made(three, name, partitions, replicas, error):
    topic = name()
    answer = ask(three, lambda admin: admin.create_topics([NewTopic(topic, partitions, replicas)]))
    assert errors(answer) == {topic: error}


def test_partitions_grow(three, topic_in):
    topic = topic_in(three)
    answer = ask(three, lambda admin: admin.create_partitions({topic: NewPartitions(3)}))
    assert errors(answer) == {topic: 0}
    wait_known(three, topic, 3)


def test_configs(three, topic_in):
    topic = topic_in(three, retention_ms=5000)

    def values():
        async def look(admin):
            return await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        answer, = ask(three, look)
        error, _, kind, found, entries = answer.resources[0]
        assert (error, kind, found) == (0, 2, topic)
        return {entry[0]: entry[1] for entry in entries}
    assert values()["retention.ms"] == "5000"

    async def alter(admin):
        return await admin.alter_configs([ConfigResource(
            ConfigResourceType.TOPIC, topic, {"segment.bytes": "1048576"})])
    for answer in ask(three, alter):
        assert all(one[0] == 0 for one in answer.resources)
    # AlterConfigs takes back what it does not name.
    wait_until(lambda: (values()["segment.bytes"], values()["retention.ms"]) == (
        "1048576", "604800000"), PATIENCE, "the change")


def test_broker_configs(three):
    async def look(admin):
        return await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "2")])
    answer, = ask(three, look)
    entries = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert entries["node.id"] == "2"
    assert entries["broker.rack"] == "cluster-2"


def test_groups(cluster, topic_in, name):
    topic, group = topic_in(cluster, 2), name("group")
    write_confluent(cluster, topic, rows(20, 2))
    with KINDS["aiokafka"](cluster, group, [topic]) as member:
        wait_shared_out([member], topic, 2)
        wait_until(lambda: len(member.rows) == 20, PATIENCE, "all rows")

        async def look(admin):
            return await admin.list_consumer_groups(), await admin.describe_consumer_groups([group])
        listed, (described,) = ask(cluster, look)
        assert group in {one[0] for one in listed}
        error, found, state, kind, protocol, members, *_ = described.groups[0]
        assert (error, found, state, kind, len(members)) == (0, group, "Stable", "consumer", 1)
        assert protocol == "roundrobin"
    offsets = ask(cluster, lambda admin: admin.list_consumer_group_offsets(group))
    assert {place: found.offset for place, found in offsets.items()} == {
        TopicPartition(topic, 0): 10, TopicPartition(topic, 1): 10}


def test_records_are_deleted(cluster, topic_in):
    topic = topic_in(cluster)
    write_confluent(cluster, topic, rows(20))
    place = TopicPartition(topic, 0)
    answer = ask(cluster, lambda admin: admin.delete_records({place: RecordsToDelete(15)}))
    assert answer == {place: 15}
    assert [row.offset for row in read("kafka_python", cluster, topic, 5)[0]] == [
        15, 16, 17, 18, 19]


def test_describe_cluster(cluster):
    found = ask(cluster, lambda admin: admin.describe_cluster())
    assert found["cluster_id"] == cluster.cluster_id
    assert found["controller_id"] in cluster.brokers
    assert {(b["node_id"], b["port"], b["rack"]) for b in found["brokers"]} == {
        (b.node, b.port, b.rack) for b in cluster}
