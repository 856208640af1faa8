"""kafka-python's admin client: what librdkafka's does not have, and the same told differently."""

import kafka
import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, MemberToRemove

from lab import wait_until

from admin import partitions_of, wait_in_sync, wait_known
from clients import Row, by_partition, read, rows, write_confluent
from members import KINDS, wait_shared_out
from segments import batches

PATIENCE = 20


@pytest.fixture(scope="module")
def clients():
    """Admin clients, one for each cluster."""
    made = {}
    yield lambda cluster: made.setdefault(cluster.name, None) or made.update({
        cluster.name: KafkaAdminClient(bootstrap_servers=cluster.bootstrap.split(","))
    }) or made[cluster.name]
    for client in made.values():
        client.close()


@pytest.fixture
def admin(cluster, clients):
    return clients(cluster)


@pytest.fixture
def admin3(three, clients):
    return clients(three)


# --- topics ------------------------------------------------------------------------------------


def test_create_describe_delete(cluster, admin, name):
    topic, replicas = name(), min(3, len(cluster.brokers))
    admin.create_topics({topic: {
        "num_partitions": 2, "replication_factor": replicas, "configs": {"retention.ms": "777"}}})
    wait_known(cluster, topic, 2)
    found, = admin.describe_topics([topic])
    assert found["name"] == topic
    assert [p["partition_index"] for p in sorted(
        found["partitions"], key=lambda p: p["partition_index"])] == [0, 1]
    assert all(len(p["isr_nodes"]) == replicas for p in found["partitions"])
    assert topic in admin.list_topics()
    with pytest.raises(kafka.errors.TopicAlreadyExistsError):
        admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}})
    admin.delete_topics([topic])
    wait_until(lambda: topic not in admin.list_topics(), PATIENCE, "the topic to be gone")
    with pytest.raises(kafka.errors.UnknownTopicOrPartitionError):
        admin.delete_topics([topic])


def test_partitions_by_cursor(three, admin3, topic_in):
    """DescribeTopicPartitions: a page at a time."""
    topic = topic_in(three, 7)
    seen, cursor, pages = [], None, 0
    while True:
        page = admin3.describe_topic_partitions([topic], response_partition_limit=3, cursor=cursor)
        pages += 1
        for one in page["topics"]:
            assert one["name"] == topic
            seen += [p["partition_index"] for p in one["partitions"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == list(range(7))
    assert pages == 3


def test_partitions_grow(three, admin3, topic_in):
    topic = topic_in(three)
    admin3.create_partitions({topic: 3}, validate_only=True)
    assert len(partitions_of(three, topic)) == 1
    admin3.create_partitions({topic: 3})
    wait_known(three, topic, 3)
    with pytest.raises(kafka.errors.InvalidPartitionsError):
        admin3.create_partitions({topic: 2})


# --- configs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("incremental", [True, False])
def test_topic_configs(three, admin3, topic_in, incremental):
    """IncrementalAlterConfigs, and AlterConfigs, which takes back what it does not name."""
    topic = topic_in(three, retention_ms=5000)

    def changed():
        found = admin3.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {key: value["value"] for key, value in found["topic"][topic].items()
                if "TOPIC" in str(value.get("config_source", value.get("source"))).upper()}
    assert changed() == {"retention.ms": "5000"}
    admin3.alter_configs([ConfigResource(
        ConfigResourceType.TOPIC, topic, {"segment.bytes": "1048576"})], incremental=incremental)
    wait_until(lambda: "segment.bytes" in changed(), PATIENCE, "the change")
    assert changed() == {"retention.ms": "5000", "segment.bytes": "1048576"}
    admin3.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": None})],
                         incremental=incremental)
    wait_until(lambda: changed() == {"segment.bytes": "1048576"}, PATIENCE, "the change")


def test_config_resources(three, admin3, topic_in):
    topic = topic_in(three)
    found = admin3.list_config_resources()
    assert topic in found["topic"]
    assert {"1", "2", "3"} <= set(found["broker"])


def test_synonyms(three, admin3, topic_in):
    """Where a value comes from: the topic, all brokers, the broker's file, the default."""
    topic = topic_in(three, min_insync_replicas=1)
    found = admin3.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic)], include_synonyms=True,
        config_filter="all")["topic"][topic]["min.insync.replicas"]
    assert [(s["name"], s["value"]) for s in found["synonyms"]] == [
        ("min.insync.replicas", value) for value in "1221"]


# --- groups ------------------------------------------------------------------------------------


def test_groups(cluster, admin, topic_in, name):
    topic, group = topic_in(cluster, 2), name("group")
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    write_confluent(cluster, topic, rows(20, 2))
    with KINDS["kafka_python"](cluster, group, [topic]) as member:
        wait_shared_out([member], topic, 2)
        found = admin.describe_groups([group])[group]
        assert found["group_state"] == "Stable"
        assert found["protocol_data"] == "range"
        assert len(found["members"]) == 1
        assert group in {one["group_id"] for one in admin.list_groups(states_filter=["Stable"])}
        assert group not in {one["group_id"] for one in admin.list_groups(states_filter=["Empty"])}
        assert group in {one["group_id"] for one in admin.list_groups(types_filter=["classic"])}
        # Nobody may take away the offsets of what is read just now.
        assert admin.delete_group_offsets(group, [first])[first] is (
            kafka.errors.GroupSubscribedToTopicError)
        wait_until(lambda: len(member.rows) == 20, PATIENCE, "all rows")
    assert offsets(admin, group) == {first: 10, second: 10}
    admin.alter_group_offsets(group, {first: kafka.OffsetAndMetadata(3, "three", -1)})
    assert offsets(admin, group) == {first: 3, second: 10}
    assert admin.delete_group_offsets(group, [first])[first] is kafka.errors.NoError
    assert offsets(admin, group) == {second: 10}
    assert group in {one["group_id"] for one in admin.list_groups(states_filter=["Empty"])}
    admin.delete_groups([group])
    assert group not in {one["group_id"] for one in admin.list_groups()}
    assert offsets(admin, group) == {}


def offsets(admin, group):
    return {place: found.offset for place, found in admin.list_group_offsets(group)[group].items()}


def test_offsets_of_many_groups_at_once(three, admin3, topic_in, name):
    topic = topic_in(three)
    place = TopicPartition(topic, 0)
    groups = [name("group") for _ in range(9)]
    for number, group in enumerate(groups):
        admin3.alter_group_offsets(group, {place: kafka.OffsetAndMetadata(number, "", -1)})
    found = admin3.list_group_offsets({group: [place] for group in groups})
    assert [found[group][place].offset for group in groups] == list(range(9))


@pytest.mark.parametrize("by", ["member id", "instance id"])
def test_members_are_removed(three, admin3, topic_in, name, by):
    """LeaveGroup on behalf of another (KIP-571)."""
    topic, group = topic_in(three, 2), name("group")
    conf = {"group_instance_id": "gone"} if by == "instance id" else {}
    with KINDS["kafka_python"](three, group, [topic]) as stays:
        wait_shared_out([stays], topic, 2)
        leaves = KINDS["kafka_python"](three, group, [topic], **conf)
        wait_shared_out([stays, leaves], topic, 2)
        found = admin3.describe_groups([group])[group]["members"]
        if by == "member id":
            who = MemberToRemove(member_id=min(
                m["member_id"] for m in found if m["member_id"]))
        else:
            # A static member stays in the group when its consumer is closed.
            leaves.stop()
            assert len(admin3.describe_groups([group])[group]["members"]) == 2
            who = MemberToRemove(group_instance_id="gone")
        answer, = admin3.remove_group_members(group, [who]).values()
        assert answer is kafka.errors.NoError
        if by == "member id":  # it joins again
            wait_until(lambda: who.member_id not in {
                m["member_id"] for m in admin3.describe_groups([group])[group]["members"]},
                PATIENCE, "the member to be gone")
            leaves.stop()
        wait_shared_out([stays], topic, 2)


# --- records, replicas, leaders ----------------------------------------------------------------


def test_records_are_deleted(cluster, admin, topic_in):
    topic = topic_in(cluster, 2)
    write_confluent(cluster, topic, rows(40, 2))
    places = {TopicPartition(topic, 0): 5, TopicPartition(topic, 1): 20}
    found = admin.delete_records(places)
    assert {place: found[place]["low_watermark"] for place in places} == places
    assert len(read("aiokafka", cluster, topic, 15, 2)[0]) == 15


def test_replicas_move(three, admin3, name):
    """From brokers 1 and 2 to 3 and 2: every record is there afterwards, nobody notices."""
    topic = name()
    admin3.create_topics({topic: {"assignments": {0: [1, 2]}}})
    wait_known(three, topic, 1)
    place, written = TopicPartition(topic, 0), rows(300)
    write_confluent(three, topic, written)
    assert admin3.list_partition_reassignments({topic: [0]}) == {}
    answer = admin3.alter_partition_reassignments({place: [3, 2]})
    assert answer[place] in (None, kafka.errors.NoError)
    wait_until(lambda: partitions_of(three, topic)
               and partitions_of(three, topic)[0].replicas == [3, 2]
               and sorted(partitions_of(three, topic)[0].isrs) == [2, 3],
               PATIENCE, "the replica to have moved")
    wait_until(lambda: not admin3.list_partition_reassignments({topic: [0]}), PATIENCE,
               "the reassignment to be over")
    more = [Row(0, b"k", b"after")]
    write_confluent(three, topic, more)
    assert read("confluent", three, topic, 301) == by_partition(written + more)
    wait_until(lambda: not (three[1].data / f"{topic}-0").exists(), 30,
               "the old replica's files to be gone or renamed")
    nothing = admin3.alter_partition_reassignments({place: None})
    assert nothing[place] is kafka.errors.NoReassignmentInProgressError
    wrong = admin3.alter_partition_reassignments({place: [1, 9]})
    assert wrong[place].errno == 39  # INVALID_REPLICA_ASSIGNMENT


def test_a_preferred_leader_is_elected(three, admin3, name):
    """After the order of the replicas was changed, leadership moves when asked for."""
    topic = name()
    admin3.create_topics({topic: {"assignments": {0: [1, 2, 3]}}})
    wait_known(three, topic, 1)
    assert partitions_of(three, topic)[0].leader == 1
    admin3.alter_partition_reassignments({TopicPartition(topic, 0): [2, 1, 3]})
    wait_until(lambda: partitions_of(three, topic)
               and partitions_of(three, topic)[0].replicas == [2, 1, 3], PATIENCE, "the order")
    wait_in_sync(three, topic)
    admin3.elect_leaders(0, {topic: [0]})
    wait_until(lambda: partitions_of(three, topic)
               and partitions_of(three, topic)[0].leader == 2, PATIENCE, "the other leader")
    write_confluent(three, topic, [Row(0, b"k", b"v")])


# --- the cluster -------------------------------------------------------------------------------


def test_describe_cluster(cluster, admin):
    found = admin.describe_cluster()
    assert found["cluster_id"] == cluster.cluster_id
    assert {(b["broker_id"], b["host"], b["port"], b["rack"]) for b in found["brokers"]} == {
        (b.node, b.host, b.port, b.rack) for b in cluster}
    assert not any(b.get("is_fenced") for b in found["brokers"])


def test_log_directories(cluster, admin, topic_in):
    topic = topic_in(cluster)
    write_confluent(cluster, topic, rows(50))
    for found in admin.describe_log_dirs():
        broker = cluster[found["broker"]]
        directory, = found["log_dirs"]
        assert directory["error_code"] == 0
        assert directory["log_dir"] == str(broker.data)
        assert directory["total_bytes"] > directory["usable_bytes"] > 0
        mine = [t for t in directory["topics"] if t["name"] == topic]
        assert [p["partition_index"] for p in mine[0]["partitions"]] == [0]
        size = mine[0]["partitions"][0]["partition_size"]
        assert size == sum(p.stat().st_size for p in (broker.data / f"{topic}-0").glob("*.log"))


def test_the_quorum(cluster, admin):
    found = admin.describe_metadata_quorum()
    partition, = found["topics"][0]["partitions"]
    assert partition["error"] is None
    assert partition["leader_id"] in cluster.brokers
    assert partition["leader_epoch"] >= 1
    assert {v["replica_id"] for v in partition["current_voters"]} == set(cluster.brokers)
    assert partition["high_watermark"] > 0
    assert {n["node_id"] for n in found.get("nodes") or []} <= set(cluster.brokers)
    def caught_up():
        now, = admin.describe_metadata_quorum()["topics"][0]["partitions"]
        ends = [v["log_end_offset"] for v in now["current_voters"]]
        return max(ends) - min(ends) < 3
    wait_until(caught_up, PATIENCE, "the voters to be level")


def test_features(one, clients):
    found = clients(one).describe_features()
    assert found["metadata.version"]["finalized"][0] >= 1
    lowest, highest = found["metadata.version"]["supported"]
    assert lowest <= found["metadata.version"]["finalized"][1] <= highest
    # Groups of KIP-848 and transactions come later, and are not promised.
    assert "finalized" not in found.get("transaction.version", {})


def test_producers_are_described(three, admin3, topic_in):
    topic = topic_in(three)
    write_confluent(three, topic, rows(10), **{"enable.idempotence": True})
    (_, found), = admin3.describe_producers([TopicPartition(topic, 0)]).items()
    one, = found.active_producers
    assert (one.last_sequence, one.producer_epoch) == (9, 0)
    assert one.producer_id == batches(three, topic)[0].producer_id
