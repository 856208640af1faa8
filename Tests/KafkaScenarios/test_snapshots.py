"""Nodes that begin from a snapshot of the metadata: a voter and a broker whose disks are new."""

import shutil

import ondisk
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic)
from nodes import BrokerCluster, another, client, make_topic, read, send, values, wait_until
from test_votes import quorum

TOPIC = "kept"
BETWEEN = 30_000  # bytes of metadata
CONFIGS = ("retention.ms", "retention.bytes", "segment.ms", "delete.retention.ms", "flush.ms",
           "max.message.bytes", "min.compaction.lag.ms", "index.interval.bytes")


def change(admin, topic, value):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
        for name in CONFIGS])
    admin.incremental_alter_configs([resource])[resource].result(20)


def make_snapshots(cluster):
    """Changes metadata until every node has a snapshot; the last value of everything."""
    admin, value = AdminClient(client(cluster)), 1_000_000
    made = admin.create_topics([NewTopic(f"many-{n}", 20, 3) for n in range(3)],
                               operation_timeout=10)
    for future in made.values():
        future.result(20)

    def whole():
        nonlocal value
        for _ in range(10):
            value += 1
            change(admin, TOPIC, value)
        return all(ondisk.snapshots(node.data) for node in cluster)
    wait_until(whole, 60, "each node to have made a snapshot")
    return value


def began_from(node):
    """(end offset, epoch) of the snapshot that this node's log begins behind, and its path."""
    stems = list(ondisk.segments(node.data / "__cluster_metadata-0"))
    found = {offset: (epoch, path) for (offset, epoch), path in ondisk.snapshots(node.data).items()}
    assert stems[0] > 0, f"it fetched the log from its beginning: {stems}"
    assert stems[0] in found, f"no snapshot ends at {stems[0]}: {sorted(found)}"
    return stems[0], *found[stems[0]]


def knows(node, value):
    """That a node tells all topics and the last of the configs that were set."""
    admin = AdminClient(client(node.address))  # which must outlive its answers
    found = admin.list_topics(timeout=10).topics
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
    configs = admin.describe_configs([resource])[resource].result(20)
    return ({TOPIC, "many-0", "many-1", "many-2"} <= set(found)
            and all(len(found[f"many-{n}"].partitions) == 20 for n in range(3))
            and all(configs[name].value == str(value) for name in CONFIGS))


def test_new_disks_begin_from_a_snapshot(lab):
    cluster = BrokerCluster(lab, 3, properties={
        "metadata.log.max.record.bytes.between.snapshots": BETWEEN})
    make_topic(cluster, TOPIC, 2, 3, min_insync_replicas=2)
    kept = values(200)
    assert send(cluster, TOPIC, kept)[1] == []
    value = make_snapshots(cluster)
    leader = cluster[quorum(cluster, cluster[1])["leader"]]
    # A voter, not the one that leads: its disk is replaced.
    voter = next(node for node in cluster if node is not leader)
    voter.stop()
    shutil.rmtree(voter.data)
    voter.data.mkdir()
    voter.format()
    voter.start()
    # And a broker that has never been there.
    fourth = another(cluster, 4)
    fourth.start()
    for node in (voter, fourth):
        offset, epoch, path = began_from(node)
        # Byte by byte what the leader has, so it came from there; and it is whole.
        theirs = ondisk.snapshots(leader.data)[offset, epoch]
        assert path.read_bytes() == theirs.read_bytes()
        kinds = [kind for batch in ondisk.batches(path) for _, kind, _ in ondisk.metadata(batch)]
        assert kinds[0] == ondisk.SNAPSHOT_HEADER and kinds[-1] == ondisk.SNAPSHOT_FOOTER
        assert kinds.count("Topic") >= 4 and kinds.count("Partition") >= 62
        assert kinds.count("Config") >= len(CONFIGS)
        assert {"RegisterBroker", "FeatureLevel"} <= set(kinds)
        wait_until(lambda: knows(node, value), 20, f"node {node.node} to know everything")
    cluster.wait_in_sync(TOPIC)
    # It is as good a voter as any: with it alone beside one other the cluster decides.
    leader.kill()
    rest = ",".join(one.address for one in cluster if one is not leader)
    wait_until(lambda: quorum(cluster, voter)["leader"] not in (-1, leader.node), 20,
               "another controller")
    make_topic(rest, "after", replicas=2)
    # It starts again from what it was given.
    voter.kill()
    voter.start()
    wait_until(lambda: knows(voter, value), 20, "the voter to know everything again")
    leader.start()
    cluster.wait_in_sync(TOPIC)
    found = [one for n in range(2) for one in read(cluster, TOPIC, n)]
    assert sorted(found) == sorted(kept)
